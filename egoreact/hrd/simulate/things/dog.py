"""A dog that runs up."""

import numpy as np

from egoreact.hrd.simulate.acting.kinematics import rotation
from egoreact.hrd.simulate.arrival import ANIMAL, Arrival, Parameters
from egoreact.hrd.simulate.solids import Colour, Mesh, Solid, ellipsoid, joined, limb, moved, poses
from egoreact.hrd.simulate.things.quadruped import legs
from egoreact.motion.skeleton import FPS

_COATS: tuple[Colour, ...] = ((0.42, 0.24, 0.10), (0.10, 0.08, 0.07), (0.62, 0.48, 0.30), (0.35, 0.33, 0.31))

_SETS_OFF_S = 0.5
"""How long it takes to its full speed."""


def dog_path(parameters: Parameters, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """z (m) and speed (m/s): it sets off from where it stood, runs from time 0 on, slows evenly to a stop at stop_m."""
    run, slow = parameters["speed_m_s"], parameters["slow_m_s2"]
    braking_s, braking_m = run / slow, run**2 / (2 * slow)
    begin = (parameters["distance_m"] - parameters["stop_m"] - braking_m) / run
    late = np.clip(times_s - begin, 0.0, braking_s)
    early = np.clip(times_s / _SETS_OFF_S + 1.0, 0.0, 1.0)  # of its speed before time 0
    gone = run * np.clip(times_s, 0.0, begin) + run * late - 0.5 * slow * late**2
    gone -= 0.5 * run * _SETS_OFF_S * (1.0 - early**2)
    return parameters["distance_m"] - gone, run * early - slow * late


def dog(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    z, speed = dog_path(parameters, times_s)
    coat: Colour = _COATS[rng.integers(len(_COATS))]
    dark: Colour = (0.45 * coat[0], 0.45 * coat[1], 0.45 * coat[2])
    k = parameters["size"]
    frames = len(times_s)
    stride = np.cumsum(np.concatenate([[0.0], speed[:-1]])) / FPS / (0.95 * k) * 2 * np.pi
    effort = np.clip(speed / 2.0, 0.0, 1.0)
    bob = 0.035 * k * effort * np.sin(2 * stride)
    nod = 0.12 * effort * np.sin(2 * stride + 0.7) + 0.25 * (1 - effort) * np.sin(2 * np.pi * 2.2 * times_s)
    back = rotation(np.pi, 0.06 * effort * np.sin(2 * stride))  # it faces -z
    centre = np.stack([np.full(frames, parameters["start_x_m"]), 0.50 * k + bob, z], axis=-1)

    def at(offset: tuple[float, float, float]) -> np.ndarray:
        return centre + back @ (np.array(offset) * k)

    trunk = moved(limb(0.5 * k, 0.115 * k, 0.15 * k, coat, bulge_m=0.0), (0, 0, -0.27 * k), rotation(0.0, np.pi / 2))
    chest = moved(ellipsoid((0.10 * k, 0.12 * k, 0.13 * k), (0.7, 0.66, 0.6), rings=7), (0, -0.05 * k, 0.22 * k))
    solids = [Solid(joined([trunk, chest]), poses(centre, back), ANIMAL, name="trunk")]
    head_turn = back @ rotation(0.0, nod)
    solids.append(Solid(_dog_head(coat, dark, k), poses(at((0, 0.20, 0.36)), head_turn), ANIMAL, name="head"))
    neck = moved(limb(0.24 * k, 0.10 * k, 0.075 * k, coat), (0, 0.02 * k, 0.2 * k), rotation(0.0, 0.75))
    solids.append(Solid(neck, poses(centre, back), ANIMAL, name="neck"))
    wag = 0.5 * np.sin(2 * np.pi * 3.0 * times_s)
    tail = limb(0.3 * k, 0.03 * k, 0.015 * k, coat, sections=8)
    solids.append(Solid(tail, poses(at((0, 0.08, -0.3)), back @ rotation(wag, -0.7)), ANIMAL, name="tail"))
    hips = [(side * 0.085, -0.02, along) for along in (0.2, -0.24) for side in (1, -1)]
    solids += legs(at, back, stride, effort, hips, coat, dark, k)
    return Arrival(solids, at((0, 0.2, 0.3)))


def _dog_head(coat: Colour, dark: Colour, k: float) -> Mesh:
    skull = ellipsoid((0.075 * k, 0.08 * k, 0.095 * k), coat)
    snout = moved(limb(0.11 * k, 0.05 * k, 0.035 * k, coat), (0, -0.02 * k, 0.06 * k), rotation(0.0, np.pi / 2 + 0.1))
    nose = moved(
        ellipsoid((0.02 * k, 0.016 * k, 0.016 * k), (0.02, 0.02, 0.02), rings=5, sections=8), (0, -0.015 * k, 0.205 * k)
    )
    ears = [
        moved(
            ellipsoid((0.022 * k, 0.07 * k, 0.04 * k), dark, rings=6, sections=8),
            (s * 0.075 * k, 0.03 * k, -0.01 * k),
            rotation(0.0, 0.0, -0.35 * s),
        )
        for s in (-1, 1)
    ]
    eyes = [
        moved(
            ellipsoid((0.012 * k,) * 3, (0.02, 0.02, 0.02), rings=5, sections=8), (s * 0.035 * k, 0.03 * k, 0.083 * k)
        )
        for s in (-1, 1)
    ]
    return joined([skull, snout, nose, *ears, *eyes])
