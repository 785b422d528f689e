"""What one sense already knows of another: the share of a quantity's variance that a linear read-out explains (R²)."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from egoreact.experiments.encounters import distance_m
from egoreact.experiments.lab import Lab, Part
from egoreact.hrd.shards import read_clips
from egoreact.training.gpt import head_velocity_of

RIDGE = 1e-2
"""Of the penalty, per sample and standardised input."""


def explained(
    inputs: Float[np.ndarray, "n d"],
    wanted: Float[np.ndarray, "n k"],
    test_inputs: Float[np.ndarray, "m d"],
    test_wanted: Float[np.ndarray, "m k"],
) -> float:
    """R² on the test rows of a ridge regression fitted to the others, over all k quantities together."""
    mean, std = inputs.mean(axis=0), inputs.std(axis=0) + 1e-6
    x, centre = (inputs - mean) / std, wanted.mean(axis=0)
    weights = np.linalg.solve(x.T @ x + RIDGE * len(x) * np.eye(x.shape[1]), x.T @ (wanted - centre))
    rest = test_wanted - centre - (test_inputs - mean) / std @ weights
    return float(1 - (rest**2).sum() / ((test_wanted - test_wanted.mean(axis=0)) ** 2).sum())


def velocity_in_tokens(lab: Lab, *, reach: int) -> float:
    """R² of the head velocity V_{t−1} from the last `reach` tokens: what the model would know without being told V."""
    (x, v), (test_x, test_v) = (_tokens_and_velocity(lab, part, reach) for part in (lab.training, lab.test))
    return explained(x, v, test_x, test_v)


def _tokens_and_velocity(lab: Lab, part: Part, reach: int) -> tuple[np.ndarray, np.ndarray]:
    codes = lab.bundle.config.tokenizer.codebook_size
    inputs, wanted = [], []
    for motion in part.motion:
        tokens = lab.tokens(motion)
        one_hot = torch.nn.functional.one_hot(tokens, codes).float()
        velocity = head_velocity_of(tokens[None], lab.bundle.tokenizer, lab.bundle.normaliser)[0]
        # Row t: tokens t − 1, …, t − reach, and V_{t−1}.
        rows = [one_hot[reach - back : len(tokens) - back] for back in range(1, reach + 1)]
        inputs.append(torch.cat(rows, dim=-1).numpy())
        wanted.append(velocity[reach:].numpy())
    return np.concatenate(inputs), np.concatenate(wanted)


def nearness(lab: Lab, part: Part, *, most_clips: int) -> tuple[list[str], list[Float[np.ndarray, "tokens"]]]:
    """1 / (0.5 m + distance) of what comes, for each token of clips of which the simulator knows it; 0 where unseen."""
    ids, values = [], []
    rows = part.rows.iloc[:: max(1, len(part.rows) // most_clips)]
    for clip in read_clips(lab.hrd, rows):
        distances_m = distance_m(clip)
        if clip.id in part.seen and np.isfinite(distances_m).any():
            tokens = len(part.seen[clip.id].semantic)
            ids.append(clip.id)
            values.append(1 / (0.5 + distances_m[: 4 * tokens : 4]))
    return ids, values


def nearness_in_senses(lab: Lab, *, most_clips: int = 120) -> dict[str, float]:
    """Sense → R² of the nearness of what comes; empty where the data set does not know it."""
    (ids, near), (test_ids, test_near) = (
        nearness(lab, part, most_clips=most_clips) for part in (lab.training, lab.test)
    )
    if not ids or not test_ids:
        return {}
    wanted, test_wanted = np.concatenate(near)[:, None], np.concatenate(test_near)[:, None]
    found = {}
    for sense in ("semantic", "depth_m"):
        x, test_x = (
            _stacked([getattr(part.seen[i], sense) for i in chosen])
            for part, chosen in ((lab.training, ids), (lab.test, test_ids))
        )
        if sense == "depth_m":
            x, test_x = 1 / (0.5 + x), 1 / (0.5 + test_x)
        found[sense] = explained(x, wanted, test_x, test_wanted)
    return found


def _stacked(features: Sequence[Tensor]) -> Float[np.ndarray, "n d"]:
    return torch.cat([rows.float().flatten(1) for rows in features]).double().numpy()
