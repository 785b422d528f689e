"""Many clips at once through the closed loop, from features that are already there: what evaluation needs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn

from egoreact.models.bundle import Bundle
from egoreact.models.vqvae import FRAMES_PER_TOKEN
from egoreact.streaming.reaction_stream import ReactionStream
from egoreact.vision.frame_features import FrameFeatures

BATCH = 256


@dataclass(frozen=True)
class ClipReaction:
    features: Float32[np.ndarray, "frames 263"]
    tokens: Int64[np.ndarray, "tokens"]


def react_to_features(
    bundle: Bundle,
    clips: Sequence[FrameFeatures],
    *,
    seed: int,
    temperature: float | None = None,
    head_velocity_m: Sequence[Float[Tensor, "tokens 3"]] | None = None,
) -> list[ClipReaction]:
    """Closed-loop motion of each clip, given what its tokens see, a row a token. Clips may differ in length.

    Args:
        seed: with the clip's place in the list it seeds the clip's draws.
        head_velocity_m: V_{t−1} of each clip's tokens, in place of the decoded motion's: an experiment's upper bound.
    """
    reactions: list[ClipReaction] = []
    for first in range(0, len(clips), BATCH):
        part = clips[first : first + BATCH]
        lengths = [len(clip.semantic) for clip in part]
        semantic = nn.utils.rnn.pad_sequence([clip.semantic.float() for clip in part], batch_first=True)
        depth_m = nn.utils.rnn.pad_sequence([clip.depth_m.float() for clip in part], batch_first=True)
        seeds = [(seed << 20) + first + place for place in range(len(part))]
        stream = ReactionStream(bundle, seeds, temperature=temperature)
        given = None
        if head_velocity_m is not None:
            given = nn.utils.rnn.pad_sequence(list(head_velocity_m[first : first + BATCH]), batch_first=True)
        steps = [
            stream.step(FrameFeatures(semantic[:, t], depth_m[:, t]), None if given is None else given[:, t])
            for t in range(max(lengths))
        ]
        features = torch.cat([step.features for step in steps], dim=1).numpy()
        tokens = torch.stack([step.tokens for step in steps], dim=1).numpy()
        reactions += [
            ClipReaction(features[row, : length * FRAMES_PER_TOKEN], tokens[row, :length])
            for row, length in enumerate(lengths)
        ]
    return reactions
