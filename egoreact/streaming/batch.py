"""Many clips at once through the closed loop, from features that are already there: what evaluation needs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import nn

from egoreact.models.bundle import Bundle
from egoreact.models.vqvae import FRAMES_PER_TOKEN
from egoreact.streaming.reaction_stream import ReactionStream
from egoreact.vision.frame_encoder import FrameFeatures

BATCH = 128


@dataclass(frozen=True)
class ClipReaction:
    features: Float32[np.ndarray, "frames 263"]
    tokens: Int64[np.ndarray, "tokens"]


def react_to_features(
    bundle: Bundle, clips: Sequence[FrameFeatures], *, seed: int, temperature: float | None = None
) -> list[ClipReaction]:
    """Closed-loop motion of each clip, given what its tokens see, a row a token. Clips may differ in length.

    Args:
        seed: with the clip's place in the list it seeds the clip's draws.
    """
    reactions: list[ClipReaction] = []
    for first in range(0, len(clips), BATCH):
        part = clips[first : first + BATCH]
        lengths = [len(clip.semantic) for clip in part]
        semantic = nn.utils.rnn.pad_sequence([clip.semantic.float() for clip in part], batch_first=True)
        depth_m = nn.utils.rnn.pad_sequence([clip.depth_m.float() for clip in part], batch_first=True)
        seeds = [(seed << 20) + first + place for place in range(len(part))]
        stream = ReactionStream(bundle, seeds, temperature=temperature)
        steps = [stream.step(FrameFeatures(semantic[:, t], depth_m[:, t])) for t in range(max(lengths))]
        features = torch.cat([step.features for step in steps], dim=1).numpy()
        tokens = torch.stack([step.tokens for step in steps], dim=1).numpy()
        reactions += [
            ClipReaction(features[row, : length * FRAMES_PER_TOKEN], tokens[row, :length])
            for row, length in enumerate(lengths)
        ]
    return reactions
