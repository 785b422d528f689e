"""What animals on four legs have in common: legs that trot."""

from collections.abc import Callable, Sequence

import numpy as np

from egoreact.hrd.simulate.acting.kinematics import rotation
from egoreact.hrd.simulate.arrival import ANIMAL
from egoreact.hrd.simulate.solids import Colour, Solid, ellipsoid, joined, limb, moved, poses

Place = Callable[[tuple[float, float, float]], np.ndarray]
"""From a place in the animal's frame, of size 1, to the world, (frames, 3)."""


def legs(
    at: Place,
    back: np.ndarray,
    stride: np.ndarray,
    effort: np.ndarray,
    hips: Sequence[tuple[float, float, float]],
    coat: Colour,
    dark: Colour,
    k: float,
    *,
    slim: float = 1.0,
) -> list[Solid]:
    """Four legs of a trot: those across from each other go together.

    Args:
        at: where places of the animal's frame are.
        back: (frames, 3, 3) how the trunk is turned; it faces along its +z.
        stride: (frames,) phase of the gait, radians.
        effort: (frames,) 0 standing, 1 running.
        hips: front left, front right, hind left, hind right, of size 1.
        coat: of the legs.
        dark: of the paws.
        k: size.
        slim: how thick the legs are.
    """
    solids = []
    for hip_at, phase in zip(hips, (0.0, np.pi, np.pi, 0.0), strict=True):
        swing = 0.62 * effort * np.sin(stride + phase)
        bend = 0.9 * effort * np.maximum(np.sin(stride + phase + 1.2), 0.0) + 0.12
        hip = at(hip_at)
        upper = back @ rotation(0.0, np.pi + swing)
        thigh = limb(0.24 * k, 0.062 * k * slim, 0.04 * k * slim, coat, sections=8)
        solids.append(Solid(thigh, poses(hip, upper), ANIMAL, name="leg"))
        lower = back @ rotation(0.0, np.pi + swing + bend * (1.0 if hip_at[2] < 0 else -0.7))
        knee = hip + upper[:, :, 1] * 0.24 * k
        paw = (0.035 * k * slim, 0.025 * k, 0.05 * k * slim)
        foot = moved(ellipsoid(paw, dark, rings=5, sections=8), (0, 0.23 * k, -0.02 * k))
        shin = joined([limb(0.22 * k, 0.036 * k * slim, 0.026 * k * slim, coat, sections=8), foot])
        solids.append(Solid(shin, poses(knee, lower), ANIMAL, name="leg"))
    return solids
