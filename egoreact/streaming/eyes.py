"""The eyes of live streams that join and leave: one look of any of them at once, whatever the sizes of their frames.

What a stream's eyes remember lies in its row of tensors of fixed size, and each stream sees what it would see alone.
Every frame first comes to the encoder's own square by itself, so that frames of different sizes share a pass; published
eyes do that inside their own step, so there the streams in neighbouring slots whose frames are of one size share one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import assert_never

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from egoreact.vision.backbones import Backbones
from egoreact.vision.dinov2 import preprocess
from egoreact.vision.encoders import Encoder
from egoreact.vision.frame_encoder import FrameEncoder
from egoreact.vision.frame_features import FrameFeatures
from egoreact.vision.frames import check_frame
from egoreact.vision.video_depth import DepthState

AT_ONCE = 16
"""Frames of one pass: on a CPU more make no frame cheaper, and from 32 on their activations leave the cache."""


class Eyes:
    def __init__(self, encoder: Encoder, capacity: int):
        self.encoder = encoder
        side = encoder.config.image_size_px  # only centre squares are seen: the memory of all frame sizes is as large
        self.state = encoder.initial_state(capacity, side, side)
        self._sizes: dict[int, tuple[int, int]] = {}
        """Height and width of the frames of each slot whose eyes remember places in them."""

    def forget(self, slot: int) -> None:
        """For a new stream in this slot."""
        self._sizes.pop(slot, None)
        self.state.reset([slot])

    @torch.inference_mode()
    def prepare(self, slot: int, rgb: UInt8[np.ndarray, "height width 3"]) -> Tensor:
        """What `look` takes of a frame. May run in any thread, also while others look.

        Raises:
            EgoReactError: it is no RGB frame of 16 to 8192 px, or its size changes where the eyes remember places in it.
        """
        check_frame(rgb)
        frame = torch.from_numpy(np.ascontiguousarray(rgb))[None]
        match self.encoder:
            case FrameEncoder():
                return preprocess(frame, self.encoder.config.image_size_px)
            case Backbones():
                if self.state.keys:
                    size = self._sizes.setdefault(slot, (rgb.shape[0], rgb.shape[1]))
                    _of(self.state, slot, slot + 1, size).check_frames(frame)
                return frame
            case _:
                assert_never(self.encoder)

    @torch.inference_mode()
    def look(self, frames: Mapping[int, Tensor]) -> dict[int, FrameFeatures]:
        """What the next frame 4t of some streams shows, a row each. The others wait.

        Args:
            frames: by slot, as `prepare` gives them.
        """
        seen: dict[int, FrameFeatures] = {}
        for run in self._runs(frames):
            together = torch.cat([frames[slot] for slot in run])
            match self.encoder:
                case FrameEncoder():
                    features = self.encoder.see(together.to(self.encoder.device))
                case Backbones():
                    state = _of(self.state, run[0], run[-1] + 1, (together.shape[1], together.shape[2]))
                    features = self.encoder.perceive(together, state)[0]
                case _:
                    assert_never(self.encoder)
            for place, slot in enumerate(run):
                rows = slice(place, place + 1)
                seen[slot] = FrameFeatures(features.semantic[rows], features.depth_m[rows])
        return seen

    def _runs(self, frames: Mapping[int, Tensor]) -> Iterator[list[int]]:
        """Slots that share a pass."""
        run: list[int] = []
        for slot in sorted(frames):
            apart = isinstance(self.encoder, Backbones) and bool(run) and slot != run[-1] + 1
            if run and (apart or len(run) == AT_ONCE or frames[slot].shape != frames[run[-1]].shape):
                yield run
                run = []
            run.append(slot)
        if run:
            yield run


def _of(state: DepthState, first: int, end: int, frame_size: tuple[int, int]) -> DepthState:
    """The memory of neighbouring slots, where it lies."""
    keys, values = (tuple(memory[:, first:end] for memory in part) for part in (state.keys, state.values))
    return replace(state, frame_size=frame_size, ages=state.ages[first:end], keys=keys, values=values)
