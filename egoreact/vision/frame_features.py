"""What the reaction needs of frame 4t, whoever sees it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class FrameFeatures:
    semantic: Float[Tensor, "n semantic_dim"]
    depth_m: Float[Tensor, "n side side"]
    """Of the frame's centre square, metres."""

    @staticmethod
    def join(parts: Sequence["FrameFeatures"]) -> "FrameFeatures":
        """One after another."""
        return FrameFeatures(torch.cat([part.semantic for part in parts]), torch.cat([part.depth_m for part in parts]))
