"""Many small things that drop: fruit, cans, tools, blocks."""

import numpy as np
from jaxtyping import Float64

from egoreact.hrd.simulate.acting.choreography import Performance
from egoreact.hrd.simulate.acting.curves import minimum_jerk
from egoreact.hrd.simulate.acting.kinematics import rotation
from egoreact.hrd.simulate.arrival import BRIGHT, OBJECT, Arrival, Parameters
from egoreact.hrd.simulate.solids import Colour, Mesh, Solid, box, ellipsoid, joined, lathe, moved, poses
from egoreact.motion.skeleton import PARENTS

THINGS, SIZE_M = 24, 0.055
"""How many, and about how large, half across."""
_GRAVITY, _RESTITUTION, _ONE_AFTER_ANOTHER_S = 9.81, 0.42, 2.3
_FALL_M_S, _EYES_M = 7.5, 1.6
_UP_S = 0.2
"""How fast what falls draws the eyes up."""
_AHEAD = 5
"""The first fall ahead, where they are seen."""


def drop_path(
    lands_m: np.ndarray, drift_m_s: np.ndarray, lands_s: float, times_s: np.ndarray
) -> Float64[np.ndarray, "frames 3"]:
    """Falls straight down from high up, as fast as the air lets it, bounces lower and lower with its drift, and lies still.

    Args:
        lands_m: (2,) x, z of where it strikes the floor first.
        drift_m_s: (2,) along x and z, once it has.
        lands_s: when it does.
        times_s: of the frames.
    """
    late = times_s - lands_s
    height = SIZE_M + _FALL_M_S * np.maximum(-late, 0.0)
    moved_s = np.zeros_like(late)
    begin, speed = 0.0, _RESTITUTION * _FALL_M_S
    slower = 0.6
    for bounce in range(4):
        lasts = 2 * speed / _GRAVITY
        inside = np.clip(late - begin, 0.0, lasts)
        height = height + speed * inside - 0.5 * _GRAVITY * inside**2
        moved_s = moved_s + slower**bounce * 1.6 * inside
        begin, speed = begin + lasts, speed * _RESTITUTION
    away = lands_m + drift_m_s * moved_s[:, None]
    return np.stack([away[:, 0], height, away[:, 1]], axis=-1)


def rain(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    """The first fall ahead, the rest all around and one after another."""
    solids = []
    for k in range(THINGS):
        if k < _AHEAD:
            spot = np.array([rng.uniform(-0.9, 0.9), rng.uniform(1.2, 2.3)])
            wait = k * 0.07
        else:
            wide, near, deep = (1.6, -0.3, 2.8) if k % 3 else (0.5, -0.4, 0.6)  # some where people stood
            spot = np.array([rng.uniform(-wide, wide), rng.uniform(near, deep)])
            wait = 0.35 + _ONE_AFTER_ANOTHER_S * (k - _AHEAD) / (THINGS - _AHEAD) + rng.uniform(0, 0.1)
        from_eyes = (_EYES_M - SIZE_M) / _FALL_M_S  # first_s is when the first is as low as the eyes
        path = drop_path(spot, rng.uniform(-0.35, 0.35, 2), parameters["first_s"] + from_eyes + wait, times_s)
        spin = rng.uniform(-6.0, 6.0) * np.cumsum(
            np.linalg.norm(np.diff(path, axis=0, prepend=path[:1]), axis=1).clip(0, 0.3)
        )
        turns = rotation(rng.uniform(0, 6.28), spin, 0.7 * spin)
        solids.append(Solid(_thing(rng), poses(path, turns), OBJECT, name="drop"))
    watched = np.tile([0.0, 1.5, 1.8], (len(times_s), 1))
    # Nobody looks up before the first comes into view.
    late = times_s - parameters["first_s"]
    watched[:, 1] += 0.9 * minimum_jerk(late / _UP_S) * np.exp(-np.maximum(late - _UP_S, 0.0) / 0.5)
    return Arrival(solids, watched)


def missing(arrival: Arrival, performance: Performance, parameters: Parameters, times_s: np.ndarray) -> Arrival:
    """Without those that would have gone through the body."""
    joints = performance.joints_m
    children = np.arange(1, joints.shape[1])
    between = np.linspace(0.0, 1.0, 5)[:, None, None]
    body = (joints[:, None, children] * between + joints[:, None, list(PARENTS[1:])] * (1 - between)).reshape(
        len(joints), -1, 3
    )
    kept = [
        solid for solid in arrival.solids
        if np.linalg.norm(body - solid.T_world_solid[:, None, :3, 3], axis=-1).min() > SIZE_M + 0.13
    ]  # fmt: skip
    return Arrival(kept, arrival.watched_m)


def _thing(rng: np.random.Generator) -> Mesh:
    k, colour = SIZE_M, BRIGHT[rng.integers(len(BRIGHT))]
    metal: Colour = (0.55, 0.56, 0.58)
    match rng.integers(4):
        case 0:
            fruit = ellipsoid((1.05 * k, k, 1.05 * k), colour, rings=9, sections=12)
            return joined([fruit, box((0.012, 0.035, 0.012), (0.20, 0.12, 0.05), centre_m=(0, k + 0.01, 0))])
        case 1:
            can = lathe([(0.0, -1.3 * k), (0.75 * k, -1.3 * k), (0.75 * k, 1.3 * k), (0.0, 1.3 * k)], colour)
            rims = [
                lathe([(0.76 * k, y - 0.008), (0.80 * k, y), (0.76 * k, y + 0.008)], metal)
                for y in (-1.25 * k, 1.25 * k)
            ]
            return joined([can, *rims])
        case 2:
            return box((1.7 * k, 1.7 * k, 1.7 * k), colour)
        case _:
            handle = box((0.5 * k, 3.4 * k, 0.5 * k), (0.42, 0.26, 0.12))
            return joined([handle, moved(box((1.9 * k, 0.8 * k, 0.8 * k), metal), (0, 1.6 * k, 0))])
