"""A door in a wall across the way; it swings open towards who comes."""

import numpy as np
from jaxtyping import Float64

from egoreact.hrd.simulate.acting.curves import minimum_jerk
from egoreact.hrd.simulate.acting.kinematics import rotation
from egoreact.hrd.simulate.arrival import OBJECT, STATIC, Arrival, Parameters, still
from egoreact.hrd.simulate.solids import Colour, Mesh, Solid, box, ellipsoid, joined, moved, poses
from egoreact.hrd.simulate.things.sides import side_of

LEAF_M, HINGE_M = 0.92, 0.46
"""How wide the leaf is, and how far its hinge stands from the middle of the way."""
SWING_S, STOPPED, WIDE_OPEN = 1.0, np.radians(72.0), np.radians(104.0)
"""How long it takes to where a hand stops it; how far it is open there, and once it is pushed on."""
HELD_S, PUSH_S = 0.30, 0.75
HALT_M = 0.98
"""How far before it people stop."""
_WALKED_TO_M, _WALKED_M_S = HALT_M + 0.13, 1.04
"""What is left of the way for feet that stood 0.13 m ahead of their owner, and how fast people walk it."""
_HIGH_M, _WALL_M = 2.06, 0.14
_LEAVES: tuple[Colour, ...] = (
    (0.36, 0.20, 0.10),
    (0.55, 0.54, 0.50),
    (0.12, 0.24, 0.30),
    (0.45, 0.10, 0.08),
    (0.20, 0.30, 0.16),
)


def swings_s(parameters: Parameters) -> float:
    """When it begins to open: before_s before who walks up to it at an average speed stands before it."""
    return (parameters["distance_m"] - _WALKED_TO_M) / _WALKED_M_S - parameters["before_s"]


def door_angle(parameters: Parameters, times_s: np.ndarray) -> Float64[np.ndarray, " frames"]:
    """Radians from shut: from `swings_s` on it is pushed open from behind, a hand stops it, holds it and pushes it on."""
    late = times_s - swings_s(parameters)
    opened = minimum_jerk(late / SWING_S)
    pushed = minimum_jerk((late - SWING_S - HELD_S) / PUSH_S)
    return STOPPED * opened + (WIDE_OPEN - STOPPED) * pushed


def on_leaf(parameters: Parameters, angle: np.ndarray | float, from_hinge_m: float) -> Float64[np.ndarray, "*angles 2"]:
    """x, z of a point of the leaf."""
    sign, angle = side_of(parameters), np.asarray(angle, dtype=np.float64)
    x = sign * (HINGE_M - from_hinge_m * np.cos(angle))
    return np.stack([x, parameters["distance_m"] - from_hinge_m * np.sin(angle)], axis=-1)


def door(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    angle, frames = door_angle(parameters, times_s), len(times_s)
    sign, distance = side_of(parameters), parameters["distance_m"]
    paint: Colour = _LEAVES[rng.integers(len(_LEAVES))]
    plaster = float(rng.uniform(0.45, 0.68)) * np.array([1.0, rng.uniform(0.94, 1.0), rng.uniform(0.86, 1.0)])
    wall = _wall((float(plaster[0]), float(plaster[1]), float(plaster[2])))
    hinge = still(frames, (sign * HINGE_M, 0.0, distance))
    # In the leaf's frame it reaches from the hinge along -x; a right-hand one is its mirror image.
    leaf = _leaf(paint, sign)
    solids = [
        Solid(
            wall, poses(still(frames, (0.0, 0.0, distance + _WALL_M / 2)), np.eye(3)), STATIC, shadow=False, name="wall"
        ),
        Solid(leaf, poses(hinge, rotation(-sign * angle)), OBJECT, gloss=0.1, name="leaf"),
    ]
    edge = on_leaf(parameters, angle, 0.75 * LEAF_M)
    return Arrival(solids, np.stack([edge[:, 0], np.full(frames, 1.25), edge[:, 1]], axis=-1))


def _leaf(paint: Colour, sign: float) -> Mesh:
    darker: Colour = (0.72 * paint[0], 0.72 * paint[1], 0.72 * paint[2])
    parts = [box((LEAF_M, _HIGH_M, 0.045), paint, centre_m=(-sign * LEAF_M / 2, _HIGH_M / 2 + 0.01, 0.0))]
    for y, high in ((0.55, 0.75), (1.48, 0.85)):
        parts.append(box((0.62, high, 0.055), darker, centre_m=(-sign * LEAF_M / 2, y, 0.0)))
    brass: Colour = (0.75, 0.62, 0.30)
    for z in (-0.06, 0.06):
        parts.append(
            moved(ellipsoid((0.035, 0.035, 0.035), brass, rings=7, sections=10), (-sign * (LEAF_M - 0.08), 1.03, z))
        )
        parts.append(box((0.04, 0.18, 0.02), brass, centre_m=(-sign * (LEAF_M - 0.08), 1.03, 0.5 * z)))
    return joined(parts)


def _wall(plaster: Colour) -> Mesh:
    """From side to side, with the doorway in its middle and a frame around that."""
    high, wide, gap = 2.9, 3.3, HINGE_M + 0.01
    parts = [
        box((wide - gap, high, _WALL_M), plaster, centre_m=(side * (wide + gap) / 2, high / 2, 0.0)) for side in (-1, 1)
    ]
    parts.append(
        box((2 * gap, high - _HIGH_M - 0.03, _WALL_M), plaster, centre_m=(0.0, (high + _HIGH_M + 0.03) / 2, 0.0))
    )
    white: Colour = (0.74, 0.73, 0.70)
    parts += [
        box((0.09, _HIGH_M + 0.10, _WALL_M + 0.05), white, centre_m=(side * (gap + 0.045), _HIGH_M / 2 + 0.05, 0.0))
        for side in (-1, 1)
    ]
    parts.append(box((2 * gap + 0.18, 0.09, _WALL_M + 0.05), white, centre_m=(0.0, _HIGH_M + 0.075, 0.0)))
    return joined(parts)
