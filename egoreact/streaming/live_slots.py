"""Live streams from camera frames to motion: any of them in one step, each as if it were alone.

The eyes' memory and the reaction's lie in rows of tensors that are laid out once; a stream is a slot in both.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from egoreact.models.bundle import Bundle
from egoreact.streaming.eyes import Eyes
from egoreact.streaming.slots import MotionStep, ReactionSlots


@dataclass(frozen=True)
class LiveStep:
    """One step of some streams, by slot."""

    motion: dict[int, MotionStep]
    spans_ms: dict[str, float]
    """`perception`, `gpt`, `decode`: of the step, which all its streams shared."""


class LiveSlots:
    """Room for a number of streams. One thread joins, leaves and steps; `prepare` may run in others meanwhile."""

    def __init__(self, bundle: Bundle, capacity: int, *, temperature: float | None = None):
        self.capacity = capacity
        self.reaction = ReactionSlots(bundle, capacity, temperature=temperature)
        self.eyes = Eyes(bundle.encoder, capacity)

    def join(self, seed: int) -> int:
        """A slot for a new stream, whose draws depend on its seed alone.

        Raises:
            EgoReactError: all are taken.
        """
        slot = self.reaction.join(seed)
        self.eyes.forget(slot)
        return slot

    def leave(self, slot: int) -> None:
        """Frees a slot."""
        self.reaction.leave(slot)

    def prepare(self, slot: int, rgb: UInt8[np.ndarray, "height width 3"]) -> Tensor:
        """What `step` takes of a frame.

        Raises:
            EgoReactError: it is no RGB frame of 16 to 8192 px, or its size changes where the eyes remember places in it.
                It does not count; the stream goes on with the next good one.
        """
        return self.eyes.prepare(slot, rgb)

    def step(self, frames: Mapping[int, Tensor]) -> LiveStep:
        """Frame 4t of some streams in, their motion frames 4t … 4t + 3 out. The others wait.

        Args:
            frames: by slot, as `prepare` gives them.
        """
        moments = [time.perf_counter()]

        def done() -> None:
            if self.reaction.rows.device.type == "cuda":  # a GPU works on while the host goes on
                torch.cuda.synchronize()
            moments.append(time.perf_counter())

        seen = self.eyes.look(frames)
        done()
        self.reaction.choose(seen)
        done()
        motion = self.reaction.decode()
        done()
        spans = zip(("perception", "gpt", "decode"), moments[:-1], moments[1:], strict=True)
        return LiveStep(motion, {name: (end - begin) * 1e3 for name, begin, end in spans})
