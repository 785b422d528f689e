"""Motion that needs no model: what any model has to beat. Made as features (frames, 263), scored alike."""

from collections.abc import Sequence

import numpy as np
import roma
import torch
from jaxtyping import Float

from egoreact.errors import EgoReactError
from egoreact.motion.representation import CONTACTS, FEATURE_DIM, ROOT_VELOCITY, ROTATIONS, VELOCITIES, YAW_VELOCITY

Features = Float[np.ndarray, "frames 263"]


def stand_still(truth: Features) -> Features:
    """The clip's true first pose, held: no root motion, no velocities, feet down."""
    return _still(truth[:1]).repeat(len(truth), axis=0)


def mean_motion(training: Sequence[Features], frames: int) -> Features:
    """The mean of the training clips at each frame, in features, so that decoding integrates the mean root velocity.

    Rotations are brought back onto SO(3), contacts are those of the majority. Where every training clip has ended, the
    last mean pose is held.
    """
    _some(training)
    longest = min(frames, max(len(clip) for clip in training))
    total, count = np.zeros((longest, FEATURE_DIM)), np.zeros((longest, 1))
    for clip in training:
        total[: len(clip)] += clip[:longest]
        count[: len(clip)] += 1
    mean = total / count
    mean[:, ROTATIONS] = _onto_rotations(mean[:, ROTATIONS])
    mean[:, CONTACTS] = mean[:, CONTACTS] > 0.5
    return hold(mean.astype(np.float32), frames)


def random_clip(training: Sequence[Features], frames: int, rng: np.random.Generator) -> Features:
    """A training clip drawn at random, cut, or its last pose held, to the length wanted."""
    _some(training)
    return hold(training[int(rng.integers(len(training)))], frames)


def hold(features: Features, frames: int) -> Features:
    """The first `frames` rows; where there are fewer, the last pose stands still for the rest."""
    missing = max(0, frames - len(features))
    return np.concatenate([features, _still(features[-1:]).repeat(missing, axis=0)])[:frames]


def _still(row: Float[np.ndarray, "1 263"]) -> Float[np.ndarray, "1 263"]:
    """The pose of a row without its motion."""
    still = row.copy()
    still[:, YAW_VELOCITY] = still[:, ROOT_VELOCITY] = still[:, VELOCITIES] = 0
    still[:, CONTACTS] = 1
    return still


def _onto_rotations(six_d: Float[np.ndarray, "frames 126"]) -> Float[np.ndarray, "frames 126"]:
    columns = torch.from_numpy(six_d).unflatten(-1, (-1, 2, 3))  # the first two columns, one after the other
    return roma.special_gramschmidt(columns.mT)[..., :2].mT.flatten(-3).numpy()


def _some(training: Sequence[Features]) -> None:
    if not training:
        raise EgoReactError("no training clips", where="baselines", remedy="pass the training split's motion")
