"""An explosion: a flash, a ball of fire that turns to smoke, and splinters."""

import numpy as np
from jaxtyping import Float64

from egoreact.hrd.simulate.acting.kinematics import rotation
from egoreact.hrd.simulate.arrival import FIRE, Arrival, Parameters, still
from egoreact.hrd.simulate.solids import Colour, Mesh, Solid, box, ellipsoid, joined, moved, poses
from egoreact.hrd.simulate.things.sides import side_of

FLASH = 1.6
"""How much more light there is at first."""
_FADES_S, _BURNS_S, _SPLINTERS, _GRAVITY = 0.16, 0.75, 7, 9.81
_HIDDEN_M = np.array([0.0, -60.0, 0.0])


def blast_m(parameters: Parameters) -> Float64[np.ndarray, "3"]:
    """Where it is."""
    return np.array([side_of(parameters) * parameters["aside_m"], 0.7, parameters["distance_m"]])


def explosion(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    late = times_s - parameters["flash_s"]
    size, centre = parameters["size_m"], blast_m(parameters)
    grown = 1.0 - np.exp(-np.maximum(late, 0.0) / 0.11)
    solids = []
    # Fire: from white to red, rising, gone as the smoke takes over.
    layers: tuple[tuple[float, Colour, float], ...] = (
        (1.0, (1.6, 0.45, 0.06), 1.0), (0.78, (3.4, 1.5, 0.25), 0.75), (0.5, (8.0, 6.0, 3.0), 0.42),
    )  # fmt: skip
    for share, colour, lasts in layers:
        radius = share * size * grown * np.clip((lasts * _BURNS_S - late) / (0.35 * lasts), 0.0, 1.0) ** 0.5
        path = centre + np.stack([0 * late, 0.6 * np.maximum(late, 0.0), 0 * late], axis=-1)
        solids.append(_growing(_cloud(colour, rng, lumps=7), path, radius, f"fire {share}"))
    # Smoke: slower, darker, higher, and it stays.
    for k in range(5):
        about = rng.uniform(-0.55, 0.55, 3) * size * np.array([1.0, 0.4, 0.6])
        begins = 0.10 + 0.07 * k
        after = np.maximum(late - begins, 0.0)
        radius = size * rng.uniform(0.5, 0.75) * (1.0 - np.exp(-after / 0.5)) * (1.0 + 0.12 * after)
        rise = rng.uniform(0.35, 0.7) * after + 0.5 * size * (1.0 - np.exp(-after / 0.4))
        path = (
            centre + about * (1.0 - np.exp(-after / 0.35))[:, None] + np.stack([0.12 * after, rise, 0 * after], axis=-1)
        )
        grey = float(rng.uniform(0.03, 0.09))
        solids.append(_growing(_cloud((grey, 0.97 * grey, 0.95 * grey), rng, lumps=6), path, radius, "smoke"))
    solids += [_splinter(rng, centre, late) for _ in range(_SPLINTERS)]
    brightness = 1.0 + FLASH * np.where(late >= 0.0, np.exp(-np.maximum(late, 0.0) / _FADES_S), 0.0)
    straight = still(len(late), (0.0, 1.5, parameters["distance_m"]))
    watched = np.where(late[:, None] < 0.0, straight, centre + np.array([0.0, 0.4, 0.0]))
    return Arrival(solids, watched, brightness=brightness)


def _growing(mesh: Mesh, path: np.ndarray, radius: np.ndarray, name: str) -> Solid:
    """A mesh of radius 1 drawn to this radius; out of sight where there is none."""
    there = radius > 1e-3
    scale = np.where(there, radius, 1.0)
    return Solid(
        mesh,
        poses(np.where(there[:, None], path, _HIDDEN_M), scale[:, None, None] * np.eye(3)),
        FIRE,
        shadow=False,
        name=name,
    )


def _cloud(colour: Colour, rng: np.random.Generator, *, lumps: int) -> Mesh:
    """A ball of radius about 1 with lumps all over it."""
    parts = [ellipsoid((0.72, 0.72, 0.72), colour, rings=9, sections=14)]
    for k in range(lumps):
        height = 1.0 - 2.0 * (k + 0.5) / lumps
        around = 2.4 * k + rng.uniform(-0.3, 0.3)
        level = np.sqrt(1.0 - height**2)
        lump, shade = float(rng.uniform(0.34, 0.5)), float(rng.uniform(0.7, 1.15))
        at = 0.58 * np.array([level * np.cos(around), height, level * np.sin(around)])
        tint: Colour = (shade * colour[0], shade**2 * colour[1], shade**2 * colour[2])
        parts.append(
            moved(ellipsoid((lump, lump, lump), tint, rings=7, sections=10), (float(at[0]), float(at[1]), float(at[2])))
        )
    return joined(parts)


def _splinter(rng: np.random.Generator, centre: np.ndarray, late: np.ndarray) -> Solid:
    """Thrown up and out, and down to the ground, where it lies."""
    speed = np.array([rng.uniform(-3.0, 3.0), rng.uniform(3.0, 6.0), rng.uniform(-2.0, 3.0)])
    lands = (speed[1] + np.sqrt(speed[1] ** 2 + 2 * _GRAVITY * centre[1])) / _GRAVITY
    flown = np.clip(late, 0.0, lands)[:, None]
    path = centre + speed * flown - [0.0, 0.5 * _GRAVITY, 0.0] * flown**2
    path[:, 1] = np.maximum(path[:, 1], 0.03)
    path[late < 0.0] = _HIDDEN_M
    size = (float(rng.uniform(0.05, 0.12)), float(rng.uniform(0.10, 0.22)), 0.05)
    spin = rng.uniform(5.0, 12.0) * flown[:, 0]
    turns = rotation(rng.uniform(0, 6.28), spin, 0.6 * spin)
    return Solid(box(size, (0.06, 0.05, 0.045)), poses(path, turns), FIRE, name="splinter")
