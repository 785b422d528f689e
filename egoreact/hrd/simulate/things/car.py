"""A car that drives at somebody."""

import numpy as np
from jaxtyping import Float64

from egoreact.hrd.simulate.acting.kinematics import rotation
from egoreact.hrd.simulate.arrival import VEHICLE, Arrival, Parameters
from egoreact.hrd.simulate.solids import Colour, Mesh, Solid, box, extrude, joined, lathe, moved, poses

CAR_LENGTH_M, CAR_WIDTH_M = 4.1, 1.76
_PAINTS: tuple[Colour, ...] = (
    (0.62, 0.05, 0.04), (0.05, 0.12, 0.40), (0.75, 0.75, 0.76), (0.80, 0.55, 0.04), (0.08, 0.30, 0.18),
)  # fmt: skip

# Outlines in (z, y), m.
_BODY = ((0.0, 0.32), (0.02, 0.62), (-0.95, 0.88), (-4.02, 0.92), (-4.1, 0.60), (-4.06, 0.32), (-2.0, 0.24))
_CABIN = ((-0.95, 0.88), (-1.75, 1.40), (-3.15, 1.42), (-3.90, 0.92))
_ROOF = ((-1.68, 1.385), (-1.82, 1.45), (-3.05, 1.47), (-3.2, 1.40))


def car_path(parameters: Parameters, times_s: np.ndarray) -> Float64[np.ndarray, " frames"]:
    """z (m) of the car's front bumper: at contact_s it is where the wearer stood."""
    return parameters["distance_m"] * (1.0 - times_s / parameters["contact_s"])


def car(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    front = car_path(parameters, times_s)
    on_road = np.stack([np.full(len(times_s), parameters["start_x_m"]), np.zeros(len(times_s)), front], axis=-1)
    solids = car_solids(on_road, np.pi, parameters["distance_m"] - front, rng)
    return Arrival(solids, on_road + np.array([0.0, 0.9, 0.5]))


def car_solids(
    front_m: Float64[np.ndarray, "frames 3"], heading: float, driven_m: np.ndarray, rng: np.random.Generator
) -> list[Solid]:
    """A car and its wheels, of any paint: the road's point under its front bumper, its yaw, and how far it has driven."""
    paint: Colour = _PAINTS[rng.integers(len(_PAINTS))]
    turn = rotation(heading)
    # In the car's frame +z is forward and the origin lies on the road under the front bumper.
    bits = [
        extrude(_BODY, CAR_WIDTH_M, paint),
        extrude(_CABIN, 0.94 * CAR_WIDTH_M, (0.05, 0.07, 0.09), taper=0.80),
        extrude(_ROOF, 0.77 * CAR_WIDTH_M, paint, taper=0.97),
    ]
    for side in (-1, 1):
        bits.append(box((0.42, 0.13, 0.06), (1.0, 0.97, 0.85), centre_m=(side * 0.6, 0.62, 0.0)))
        bits.append(box((0.40, 0.12, 0.05), (0.7, 0.03, 0.03), centre_m=(side * 0.62, 0.74, -4.09)))
        bits.append(box((0.2, 0.12, 0.1), paint, centre_m=(side * 0.96, 0.98, -1.25)))
    bits.append(box((0.85, 0.14, 0.04), (0.03, 0.03, 0.03), centre_m=(0, 0.46, 0.02)))
    bits.append(box((0.46, 0.10, 0.03), (0.85, 0.85, 0.8), centre_m=(0, 0.36, 0.035)))
    solids = [Solid(joined(bits), poses(front_m, turn), VEHICLE, gloss=0.35, name="car")]
    for side in (-1, 1):
        for along in (-0.78, -3.3):
            hub = front_m + turn @ np.array([side * (CAR_WIDTH_M / 2 - 0.1), 0.32, along])
            turns = turn @ rotation(0.0, driven_m / 0.32)
            solids.append(Solid(_wheel(), poses(hub, turns), VEHICLE, name="wheel"))
    return solids


def _wheel() -> Mesh:
    tyre = lathe(
        [(0.0, -0.1), (0.28, -0.1), (0.32, -0.06), (0.32, 0.06), (0.28, 0.1), (0.0, 0.1)],
        (0.03, 0.03, 0.03),
        sections=18,
    )
    caps = [lathe([(0.0, y - 0.01), (0.19, y), (0.0, y + 0.01)], (0.45, 0.45, 0.47), sections=6) for y in (-0.1, 0.1)]
    return moved(joined([tyre, *caps]), (0, 0, 0), rotation(0.0, 0.0, np.pi / 2))
