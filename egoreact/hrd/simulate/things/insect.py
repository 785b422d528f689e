"""A wasp-like insect that circles before somebody's face."""

import numpy as np

from egoreact.hrd.simulate.acting.curves import minimum_jerk
from egoreact.hrd.simulate.acting.kinematics import rotation
from egoreact.hrd.simulate.arrival import ANIMAL, Arrival, Parameters
from egoreact.hrd.simulate.solids import Colour, Mesh, Solid, ellipsoid, joined, moved, poses

_YELLOW: Colour = (0.85, 0.58, 0.03)
_BLACK: Colour = (0.03, 0.025, 0.02)
_WINGS: Colour = (0.62, 0.62, 0.60)
_FACE_M = (0.0, 1.58, 0.46)
"""What it circles: before the face of somebody who stands at the origin."""


def insect_path(parameters: Parameters, times_s: np.ndarray) -> np.ndarray:
    """(frames, 3) m: about a place ahead until 0, at the face by come_s, then round and round it, wider as it is swatted at."""
    p = parameters
    side = float(np.sign(p["side"]))
    here = minimum_jerk(times_s / p["come_s"])[:, None]
    wander = np.stack(
        [0.20 * np.sin(3.5 * times_s), 0.10 * np.sin(5.1 * times_s + 1.0), 0.15 * np.sin(2.7 * times_s)], axis=-1
    )
    start = np.array([side * p["start_x_m"], p["start_y_m"], p["distance_m"]]) + wander
    late = times_s - p["come_s"]
    turn = 2 * np.pi * p["turns_hz"] * late * side
    wide = 0.13 + 0.05 * np.sin(1.7 * late) + 0.07 * minimum_jerk((late - 0.5) / 0.8)
    circle = np.stack([
        wide * np.sin(turn) + 0.05 * np.sin(2.7 * turn + 1.0),
        0.55 * wide * np.sin(1.37 * turn + 0.6) + 0.03 * np.sin(4.1 * turn),
        0.40 * wide * np.cos(turn) + 0.03 * np.sin(3.3 * turn),
    ], axis=-1)  # fmt: skip
    # It comes after whoever backs away.
    after = np.outer(minimum_jerk((late - 0.6) / 1.3), [0.0, 0.0, -0.42])
    return (1 - here) * start + here * np.array(_FACE_M) + after + minimum_jerk((late + 0.7) / 0.7)[:, None] * circle


def insect(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    path, k = insect_path(parameters, times_s), parameters["size"]
    way = np.gradient(path, axis=0)
    heading = np.unwrap(np.arctan2(way[:, 0], way[:, 2]))
    trunk = rotation(heading, -0.25)
    stripes: Colour = _YELLOW if rng.random() < 0.7 else (0.55, 0.30, 0.04)
    solids = [Solid(_body(stripes, k), poses(path, trunk), ANIMAL, name="body")]
    # Wings beat far faster than frames: each frame shows them elsewhere.
    beat = 0.7 * np.sin(2 * np.pi * 8.7 * times_s)
    for side in (1.0, -1.0):
        blade = ellipsoid((0.016 * k, 0.001 * k, 0.007 * k), _WINGS, rings=5, sections=8)
        wing = moved(blade, (side * 0.016 * k, 0.0, -0.006 * k), rotation(0.5 * side))
        root = path + trunk @ (np.array([side * 0.003, 0.006, 0.004]) * k)
        solids.append(
            Solid(wing, poses(root, trunk @ rotation(0.0, 0.0, side * (0.3 + beat))), ANIMAL, shadow=False, name="wing")
        )
    return Arrival(solids, path)


def _body(stripes: Colour, k: float) -> Mesh:
    parts = [
        moved(ellipsoid((0.0055 * k, 0.0055 * k, 0.008 * k), _BLACK, rings=6, sections=10), (0, 0, 0.003 * k)),
        moved(ellipsoid((0.005 * k, 0.0045 * k, 0.004 * k), stripes, rings=6, sections=10), (0, 0, 0.013 * k)),
    ]
    for number, radius in enumerate((0.0055, 0.0065, 0.0062, 0.005, 0.003)):
        colour = stripes if number % 2 == 0 else _BLACK
        parts.append(
            moved(
                ellipsoid((radius * k, radius * k, 0.004 * k), colour, rings=6, sections=10),
                (0, -0.001 * k * number, (-0.007 - 0.0045 * number) * k),
            )
        )
    return joined(parts)
