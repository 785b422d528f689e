"""Clips whose calm beginning is longer or shorter, so that nobody learns to react by the clock.

Before anything is done about it, what comes may come sooner or later: the first tokens are left out, or a moment of
the calm is held. What is seen is cut and held with it. The motion is encoded anew, so that its tokens are true.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from egoreact.models.vqvae import FRAMES_PER_TOKEN, VQVAE
from egoreact.motion.representation import CONTACTS, ROOT_VELOCITY, VELOCITIES, YAW_VELOCITY, Normaliser
from egoreact.motion.skeleton import FPS
from egoreact.training.data import Motion

CALM_M_S = 0.4
"""Somebody none of whose joints is faster only sways."""
MOST_CUT, MOST_HELD, LATEST_HELD = 4, 6, 4
"""Tokens: how many are left out at most; for how many a moment is held at most, and the last one that is."""


@dataclass(frozen=True)
class Waits:
    """Versions of the clips of one set, padded to the clips' own length; where there are fewer, the clip as it is."""

    tokens: Int[Tensor, "clips versions n"]
    places: Int[Tensor, "clips versions n"]
    """What each token sees: frame 4t of the clip for place t."""
    lengths: Int[Tensor, "clips versions"]


@torch.inference_mode()
def waits_of(motion: Iterable[Motion], tokenizer: VQVAE, normaliser: Normaliser, *, versions: int, seed: int) -> Waits:
    """So many of each clip's versions, drawn by the seed."""
    generator = torch.Generator().manual_seed(seed)
    clips = [_versions(each.features, versions, generator) for each in motion]
    most = max(places.shape[1] for places, _, _ in clips)
    rows = []
    for places, lengths, features in clips:
        tokens = tokenizer.encode(normaliser.normalise(features))
        padding = (0, most - places.shape[1])
        rows.append((nn.functional.pad(tokens, padding), nn.functional.pad(places, padding), lengths))
    return Waits(*(torch.stack(column).clone() for column in zip(*rows, strict=True)))


def calm_tokens(features: Float[Tensor, "frames 263"]) -> int:
    """How many tokens pass before anybody moves."""
    speed_m_s = FPS * features[:, VELOCITIES].unflatten(-1, (-1, 3)).norm(dim=-1).amax(-1)
    moving = (speed_m_s >= CALM_M_S).nonzero()
    return int(moving[0] if len(moving) else len(features)) // FRAMES_PER_TOKEN


def _versions(
    features: Float[Tensor, "frames 263"], count: int, generator: torch.Generator
) -> tuple[Int[Tensor, "versions n"], Int[Tensor, "versions"], Float[Tensor, "versions frames 263"]]:
    """Places, lengths and motion of versions of one clip."""
    n, calm = len(features) // FRAMES_PER_TOKEN, calm_tokens(features)
    plain = torch.arange(n)
    held = [(at, more) for at in range(min(calm, LATEST_HELD + 1)) for more in range(1, MOST_HELD + 1)]
    cuts = range(1, min(calm, MOST_CUT, n - 1) + 1)
    ways = [plain[cut:] for cut in cuts]
    ways += [torch.cat([plain[:at], torch.full((more,), at), plain[at:]])[:n] for at, more in held]
    ways = [ways[k] for k in torch.randperm(len(ways), generator=generator)[:count].tolist()]
    ways += [plain] * (count - len(ways))
    lengths = torch.tensor([len(way) for way in ways])
    # The encoder is causal: what stands behind a shorter one's end changes nothing before it.
    places = torch.stack([torch.cat([way, way[-1:].expand(n - len(way))]) for way in ways])
    return places, lengths, torch.stack([_moved(features, way) for way in places])


def _moved(features: Float[Tensor, "frames 263"], places: Int[Tensor, "n"]) -> Float[Tensor, "frames 263"]:
    """The motion of these places, at rest where one is held."""
    frames = (FRAMES_PER_TOKEN * places[:, None] + torch.arange(FRAMES_PER_TOKEN)).clone()
    again = torch.cat([places[1:] == places[:-1], torch.tensor([False])])  # its own motion comes once it is let go
    frames[again] = FRAMES_PER_TOKEN * places[again, None]
    moved = features[frames.flatten()].clone()
    resting = again.repeat_interleave(FRAMES_PER_TOKEN)
    for columns in (YAW_VELOCITY, ROOT_VELOCITY, VELOCITIES):
        moved[resting, columns] = 0.0
    moved[resting, CONTACTS] = 1.0
    return moved
