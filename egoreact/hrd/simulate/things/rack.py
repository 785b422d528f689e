"""A rack with boxes on it, one of which slides off its top board."""

import numpy as np
from jaxtyping import Float64

from egoreact.hrd.simulate.acting.curves import minimum_jerk
from egoreact.hrd.simulate.acting.kinematics import rotation
from egoreact.hrd.simulate.arrival import OBJECT, STATIC, Arrival, Parameters, still
from egoreact.hrd.simulate.solids import Colour, Mesh, Solid, box, joined, poses
from egoreact.hrd.simulate.things.tumbling import tipping, tumble

SLIDES_S = 0.5
"""How long the box slides before it tips."""
_BEGUN, _LET_GO = 0.05, 0.85
_KNOCKED = 0.022
"""How far the rack is rocked, radians."""
_CARDBOARDS: tuple[Colour, ...] = ((0.42, 0.27, 0.13), (0.50, 0.35, 0.19), (0.36, 0.22, 0.11))
_METALS: tuple[Colour, ...] = ((0.10, 0.20, 0.42), (0.55, 0.25, 0.05), (0.30, 0.31, 0.33))


def half_sides(parameters: Parameters) -> tuple[float, float]:
    """Half the box's depth and height, m."""
    return 0.5 * parameters["size_m"], 0.46 * parameters["size_m"]


def falling_path(parameters: Parameters, times_s: np.ndarray) -> Float64[np.ndarray, "frames 3"]:
    """The box's z and height (m) and the angle by which it has turned towards the wearer.

    Pushed from behind it slides towards the edge, tips over it as its middle gets there at tip_s, and falls.
    """
    half, push = half_sides(parameters), parameters["push_m_s"]
    edge, shelf = parameters["edge_m"], parameters["shelf_m"]
    late = times_s - parameters["tip_s"]
    angle, took, turning = tipping(half, _BEGUN, _LET_GO, late)
    angle = np.where(late < 0.0, 0.0, angle)
    slid = push * np.clip(late, -SLIDES_S, took)
    path = np.stack([edge - slid - half[1] * np.sin(angle), shelf + half[1] * np.cos(angle), angle], axis=-1)
    flying = late > took
    if flying.any():
        start = (slid[flying][0] + half[1] * np.sin(_LET_GO), shelf + half[1] * np.cos(_LET_GO), _LET_GO)
        speed = (push + turning * half[1] * np.cos(_LET_GO), -turning * half[1] * np.sin(_LET_GO), turning)
        flown = tumble(half, start, speed, late[flying] - took)
        path[flying] = np.stack([edge - flown[:, 0], flown[:, 1], flown[:, 2]], axis=-1)
    return path


def falling_box(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    path, frames = falling_path(parameters, times_s), len(times_s)
    half, wide = half_sides(parameters), parameters["size_m"] * rng.uniform(1.0, 1.25)
    at = np.stack([np.full(frames, parameters["x_m"]), path[:, 1], path[:, 0]], axis=-1)
    carton = _carton((wide, 2 * half[1], 2 * half[0]), _CARDBOARDS[rng.integers(len(_CARDBOARDS))])
    solids = [Solid(carton, poses(at, rotation(0.0, -path[:, 2])), OBJECT, name="box")]
    on_floor = poses(still(frames, (0.0, 0.0, parameters["edge_m"])), rotation(0.0, -_rocking(parameters, times_s)))
    solids.append(Solid(_rack(parameters, rng), on_floor, STATIC, shadow=False, name="rack"))
    # Nobody looks up before it moves.
    drawn = minimum_jerk((times_s - parameters["tip_s"] + SLIDES_S) / 0.3)[:, None]
    straight = np.array([0.0, 1.45, parameters["edge_m"] + 1.0])
    return Arrival(solids, straight + drawn * (at - straight))


def _rocking(parameters: Parameters, times_s: np.ndarray) -> Float64[np.ndarray, " frames"]:
    """Radians towards the wearer: what sets the box sliding is a knock against the rack from behind."""
    late = np.maximum(times_s - parameters["tip_s"] + SLIDES_S, 0.0)
    return _KNOCKED * np.exp(-late / 0.22) * np.sin(2 * np.pi * 2.2 * late)


def _carton(size_m: tuple[float, float, float], colour: Colour) -> Mesh:
    """Cardboard, tape along its middle, a label on its front."""
    w, h, d = size_m
    tape: Colour = (0.62, 0.48, 0.28)
    return joined([
        box(size_m, colour), box((0.07, h + 0.006, d + 0.006), tape),
        box((0.34 * w, 0.3 * h, 0.008), (0.80, 0.79, 0.75), centre_m=(0.24 * w, 0.12 * h, -d / 2)),
        box((0.16 * w, 0.2 * h, 0.010), (0.60, 0.06, 0.05), centre_m=(-0.28 * w, -0.2 * h, -d / 2)),
    ])  # fmt: skip


def _rack(parameters: Parameters, rng: np.random.Generator) -> Mesh:
    """Posts and boards; +z leads in from the edge of its boards."""
    shelf, deep, wide = parameters["shelf_m"], 0.60, 1.9
    metal = _METALS[rng.integers(len(_METALS))]
    parts = [
        box((0.06, shelf + 0.12, 0.06), metal, centre_m=(x, shelf / 2 + 0.06, z))
        for x in (-wide / 2, wide / 2) for z in (0.03, deep)
    ]  # fmt: skip
    boards = [shelf * k / 4 for k in (1, 2, 3, 4)]
    parts += [box((wide, 0.045, deep), (0.38, 0.30, 0.20), centre_m=(0.0, y - 0.0225, deep / 2)) for y in boards]
    for y in (0.0, *boards[:3]):
        x = -wide / 2 + 0.25
        while x < wide / 2 - 0.3:
            w, h = float(rng.uniform(0.25, 0.45)), float(rng.uniform(0.2, shelf / 4 - 0.1))
            colour = _CARDBOARDS[rng.integers(len(_CARDBOARDS))]
            if rng.random() < 0.75:
                parts.append(box((w, h, 0.42), colour, centre_m=(x + w / 2 - 0.1, y + h / 2, deep / 2)))
            x += w + float(rng.uniform(0.03, 0.12))
    return joined(parts)
