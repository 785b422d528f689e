"""What comes at somebody: its solids in each frame, and the point that draws the eyes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from egoreact.hrd.clip import SEGMENTATION_CLASSES
from egoreact.hrd.simulate.solids import Colour, Solid

STATIC, BALL, OBSTACLE, BAR, PERSON, ANIMAL, VEHICLE, OBJECT, GROUND, FIRE, OWN_BODY = range(len(SEGMENTATION_CLASSES))
BRIGHT: tuple[Colour, ...] = (
    (0.80, 0.08, 0.06), (0.90, 0.40, 0.03), (0.85, 0.70, 0.05), (0.05, 0.25, 0.75), (0.70, 0.06, 0.40),
)  # fmt: skip
"""Colours of things made to be seen; no green, which trees have."""

Parameters = Mapping[str, float]
"""Of an encounter, by name; the names carry the unit."""


@dataclass(frozen=True)
class Arrival:
    solids: list[Solid]
    watched_m: Float64[np.ndarray, "frames 3"]
    brightness: Float64[np.ndarray, " frames"] | None = None
    """How much more light there is than usual, 1 as usual: an explosion's flash."""
    hole_m: tuple[float, float, float, float] | None = None
    """Where the floor is cut out for what the arrival puts there (a pit, ice): x from, x to, z from, z to."""


def bright(rng: np.random.Generator) -> Colour:
    return BRIGHT[rng.integers(len(BRIGHT))]


def still(frames: int, position_m: tuple[float, float, float]) -> Float64[np.ndarray, "frames 3"]:
    return np.tile(np.asarray(position_m, dtype=np.float64), (frames, 1))
