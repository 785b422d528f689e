"""A batch of streams that step together from their first token on: features of frame 4t in, motion frames 4t … 4t + 3 out."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from egoreact.models.bundle import Bundle
from egoreact.streaming.slots import ALL, MotionStep, StreamRows, draw
from egoreact.vision.frame_features import FrameFeatures


class ReactionStream:
    """Each stream has its own random draws. Runs where the bundle lies; frames may come from anywhere."""

    def __init__(self, bundle: Bundle, seeds: list[int], *, temperature: float | None = None):
        """Args:
        seeds: one a stream; a stream's draws depend on its seed alone.
        temperature: of sampling; the bundle's own where None, 0 for the likeliest token.
        """
        self.rows = StreamRows(bundle, len(seeds), temperature=temperature)
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def choose(
        self, frame: FrameFeatures, head_velocity_m: Float[Tensor, "batch 3"] | None = None
    ) -> Int[Tensor, "batch"]:
        """Draws token_t from what frame 4t shows, the tokens so far and the decoded motion so far.

        Args:
            head_velocity_m: V_{t−1} to use in place of the decoded motion's: an experiment's upper bound.
        """
        device = self.rows.device
        if head_velocity_m is not None:
            self.rows.head_velocity_m.copy_(head_velocity_m)
        seen = FrameFeatures(frame.semantic.to(device), frame.depth_m.to(device))
        return self.rows.choose(ALL, seen, draw(self.generators).to(device))

    def decode(self) -> MotionStep:
        """The motion of the tokens just drawn."""
        return MotionStep.unpack(self.rows.pose(ALL, self.rows.decode(ALL)))

    def step(self, frame: FrameFeatures, head_velocity_m: Float[Tensor, "batch 3"] | None = None) -> MotionStep:
        self.choose(frame, head_velocity_m)
        return self.decode()
