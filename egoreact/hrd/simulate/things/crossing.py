"""A side road that crosses the way, from one gateway between the houses to another, and the car on it."""

import numpy as np
from jaxtyping import Float64

from egoreact.hrd.simulate.arrival import GROUND, STATIC, Arrival, Parameters, still
from egoreact.hrd.simulate.solids import Colour, Mesh, Solid, box, joined, poses
from egoreact.hrd.simulate.things.car import CAR_LENGTH_M, car_solids
from egoreact.hrd.simulate.things.sides import side_of

LANE_M = 1.56
"""From the kerb to the middle of the lane."""
GATE_M = 5.15
"""From the middle of the way to where the gateways begin."""
_ROAD_M, _SHEET_M = 2.8, 0.004


def pass_s(parameters: Parameters) -> float:
    """When it crosses the walker's way: by the time they would be there, the farther off the kerb the later."""
    return 0.20 + 1.05 * parameters["kerb_m"] + parameters["late_s"]


def crossing_path(parameters: Parameters, times_s: np.ndarray) -> Float64[np.ndarray, " frames"]:
    """x (m) of the car's front bumper, even speed: at pass_s it is where the walker's way crosses."""
    return -side_of(parameters) * parameters["speed_m_s"] * (times_s - pass_s(parameters))


def heard_s(parameters: Parameters) -> float:
    """When the car has come out of its gateway far enough to be seen; it is heard a little before."""
    return pass_s(parameters) - (GATE_M + 0.3) / parameters["speed_m_s"] - 0.25


def crossing_car(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    x = crossing_path(parameters, times_s)
    sign = side_of(parameters)
    z = parameters["kerb_m"] + LANE_M
    front = np.stack([x, np.full(len(x), _SHEET_M), np.full(len(x), z)], axis=-1)
    solids = car_solids(front, -sign * np.pi / 2, np.abs(x - x[0]), rng)
    frames = len(times_s)
    stone = float(rng.uniform(0.3, 0.5))
    on_floor = poses(still(frames, (0.0, 0.0, z)), np.eye(3))
    solids.append(Solid(_road(bool(rng.random() < 0.5)), on_floor, GROUND, shadow=False, name="road"))
    for side in (-1.0, 1.0):
        gate = poses(still(frames, (side * GATE_M, 0.0, z)), np.diag([side, 1.0, side]))
        solids.append(Solid(_gateway((stone, 0.93 * stone, 0.85 * stone)), gate, STATIC, shadow=False, name="gateway"))
    middle = front + np.array([sign * 0.35 * CAR_LENGTH_M, 0.8, 0.0])
    return Arrival(solids, middle)


def _road(zebra: bool) -> Mesh:
    """Asphalt flush with the pavement, kerb stones along it, white stripes or a broken line."""
    wide = 2 * (GATE_M + 0.6)
    parts = [box((wide, _SHEET_M, _ROAD_M), (0.10, 0.10, 0.11), centre_m=(0, _SHEET_M / 2, 0))]
    parts += [
        box((wide, 2 * _SHEET_M, 0.16), (0.62, 0.61, 0.58), centre_m=(0, 0, side * (_ROAD_M / 2 + 0.08)))
        for side in (-1, 1)
    ]
    white = (0.82, 0.82, 0.80)
    dashes = (-4.2, -2.6, 2.6, 4.2) if zebra else (-4.2, -2.6, -0.9, 0.9, 2.6, 4.2)
    bars = [(0.9, 0.10, x) for x in dashes]
    if zebra:
        bars += [(0.34, 2.5, float(x)) for x in np.arange(-1.75, 1.8, 0.7)]
    parts += [box((w, 0.001, d), white, centre_m=(x, _SHEET_M, 0.0)) for w, d, x in bars]
    return joined(parts)


def _gateway(stone: Colour) -> Mesh:
    """Piers, a lintel and the dark behind; +x leads in."""
    parts = [
        box((2.2, 2.8, 0.45), stone, centre_m=(1.1, 1.4, side * (0.5 * _ROAD_M + 0.225))) for side in (-1, 1)
    ]  # fmt: skip
    parts.append(box((2.2, 0.55, _ROAD_M + 1.3), stone, centre_m=(1.1, 2.65, 0.0)))
    parts.append(box((0.02, 2.4, _ROAD_M), (0.015, 0.015, 0.018), centre_m=(0.35, 1.2, 0.0)))
    return joined(parts)
