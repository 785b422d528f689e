"""What a depth stream remembers, and which of it the next frame sees.

Of each of the eight temporal attentions: keys and values of past frames, before positions are added, so that none is
ever computed again. A new frame t takes the last of 32 positions and sees, at positions 0, 1, 2 … 30, the frames
0, t − 41, t − 29 … t − 1; frame 0 stands in for frames before it. So the first frame and the last 41 are kept, whatever
the stream's length. Frame 0 itself sees nothing but itself, at position 0.

This is the official streaming rule (windows of 32 frames that overlap by 10, of which 8 are blended) without its lists.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from egoreact.errors import EgoReactError

WINDOW, OVERLAP, BLENDED = 32, 10, 8
"""Frames of a window; shared with the window before; of these, blended in the output."""
KEYFRAME_LAG = 2 * (WINDOW - OVERLAP) - 1 - (OVERLAP - BLENDED)
"""41: how far back the second position sees."""
RING = KEYFRAME_LAG + 1
SLOTS = 1 + RING
"""Slot 0 holds frame 0 for ever, the others the newest frames, itself included."""


@dataclass(frozen=True)
class Reading:
    """Where one step writes, and what it sees."""

    write: Int[Tensor, "batch"]
    """Slot of the new frame."""
    slots: Int[Tensor, "batch window"]
    """Slot seen at each position."""
    hidden: Bool[Tensor, "batch window"]
    """Positions not seen: all but the first at frame 0."""

    @staticmethod
    def at(ages: Int[Tensor, "batch"]) -> "Reading":
        """Args:
        ages: number of the new frame in each stream, from 0.
        """
        positions = torch.arange(WINDOW, device=ages.device)
        lags = torch.where(positions == 1, KEYFRAME_LAG, WINDOW - 1 - positions)
        frames = torch.where(positions == 0, 0, (ages[:, None] - lags).clamp(min=0))
        hidden = (ages == 0)[:, None] & (positions > 0)
        return Reading(write=_slot(ages), slots=_slot(frames), hidden=hidden)


def _slot(frames: Tensor) -> Tensor:
    return torch.where(frames == 0, 0, 1 + (frames - 1) % RING)


@dataclass(frozen=True)
class DepthState:
    """The memory of a batch of streams, each of its own age. `step` writes into it: give it a state only once."""

    frame_size: tuple[int, int]
    """Height and width of the frames, pixels; without a memory they may change."""
    ages: Int[Tensor, "batch"]
    """Frames that each stream has seen."""
    keys: tuple[Float[Tensor, "slots batch tokens width"], ...] = ()
    """One tensor an attention, in the order they run; none where the model has no memory."""
    values: tuple[Float[Tensor, "slots batch tokens width"], ...] = ()

    @property
    def byte_count(self) -> int:
        return sum(tensor.nbytes for tensor in (self.ages, *self.keys, *self.values))

    def to(self, dtype: torch.dtype) -> "DepthState":
        """With its keys and values in this precision."""
        keys, values = (tuple(memory.to(dtype) for memory in part) for part in (self.keys, self.values))
        return replace(self, keys=keys, values=values)

    @torch.inference_mode()
    def reset(self, rows: Sequence[int] | None = None) -> None:
        """Starts streams anew: those of the given rows, or all."""
        chosen = slice(None) if rows is None else list(rows)
        self.ages[chosen] = 0
        for memory in (*self.keys, *self.values):
            memory[:, chosen] = 0  # what is not seen is multiplied by zero, so it has to be finite

    def split(self) -> list["DepthState"]:
        """One state a stream. They share no memory with this one."""
        return [
            DepthState(
                self.frame_size,
                self.ages[row : row + 1].clone(),
                tuple(memory[:, row : row + 1].clone() for memory in self.keys),
                tuple(memory[:, row : row + 1].clone() for memory in self.values),
            )
            for row in range(len(self.ages))
        ]

    @staticmethod
    def join(states: Sequence["DepthState"]) -> "DepthState":
        """One batch of the streams of several states, in their order; copies.

        Raises:
            EgoReactError: their frames differ in size, and memory is of places in the frame.
        """
        sizes = sorted({state.frame_size for state in states})
        if len(sizes) > 1 and states[0].keys:
            raise EgoReactError(
                f"streams of {sizes[0][1]} x {sizes[0][0]} and {sizes[1][1]} x {sizes[1][0]} px cannot step together",
                where="depth stream",
                remedy="batch streams of one frame size",
            )
        return DepthState(
            sizes[0],
            torch.cat([state.ages for state in states]),
            tuple(torch.cat(memories, dim=1) for memories in zip(*(state.keys for state in states), strict=True)),
            tuple(torch.cat(memories, dim=1) for memories in zip(*(state.values for state in states), strict=True)),
        )

    def check_frames(self, rgb: Tensor) -> None:
        """Raises:
        EgoReactError: the frames are not one a stream, or of another size than the memory's.
        """
        batch, height, width = rgb.shape[:3]
        if batch != len(self.ages):
            raise EgoReactError(
                f"{batch} frames for {len(self.ages)} streams", where="depth stream", remedy="give one frame a stream"
            )
        if self.keys and (height, width) != self.frame_size:
            raise EgoReactError(
                f"the frame's size changes from {self.frame_size[1]} x {self.frame_size[0]} to {width} x {height} px",
                where="depth stream",
                remedy="keep the size, or open a new session",
            )
