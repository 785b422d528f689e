"""A cat that crosses the way."""

import numpy as np

from egoreact.hrd.simulate.acting.kinematics import rotation
from egoreact.hrd.simulate.arrival import ANIMAL, Arrival, Parameters
from egoreact.hrd.simulate.solids import Colour, Mesh, Solid, ellipsoid, joined, limb, moved, poses
from egoreact.hrd.simulate.things.quadruped import legs
from egoreact.motion.skeleton import FPS

_COATS: tuple[Colour, ...] = ((0.55, 0.26, 0.08), (0.05, 0.05, 0.06), (0.36, 0.34, 0.33), (0.72, 0.66, 0.58))
_CHEST: Colour = (0.80, 0.76, 0.70)
HALF_LENGTH_M = 0.24
"""From the middle of a cat of size 1 to its nose, or to where the tail begins."""


_OBLIQUE = (0.35, 0.76)
"""How far across and how far ahead each metre leads on its way to where it crosses, and from there."""
_STOP_SHORT_M, _STRIDE_M, PACE_S = 0.36, 0.52, 0.52
"""Of who walks up to it: how far before its line they stop, and their steps."""


def short_m(parameters: Parameters) -> float:
    """Where the feet of a walker who stops short of it stand."""
    return parameters["cross_m"] - _STOP_SHORT_M


def strides_to(parameters: Parameters) -> int:
    """After how many strides that is."""
    return max(1, round((short_m(parameters) - 0.13) / _STRIDE_M))


def cross_s(parameters: Parameters) -> float:
    """When it is before the feet: late_s after somebody who walks as people do on average has come there."""
    return PACE_S * strides_to(parameters) + parameters["late_s"]


def cat_path(parameters: Parameters, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(frames, 3) m of the cat's middle on the floor and (frames,) m/s: at a trot, with a look up before the wearer's feet.

    It comes obliquely from ahead, crosses from the side that `side` names, left where positive, and is before the feet at
    cross_s.
    """
    p = parameters
    side = float(np.sign(p["side"]))
    late = times_s - cross_s(p)
    # Slower by up to half where it is in the way.
    dwell = 0.32 * np.tanh(late / 0.5)
    along = p["speed_m_s"] * (late - dwell)
    speed = p["speed_m_s"] * (1.0 - 0.64 / np.cosh(np.clip(late / 0.5, -20, 20)) ** 2)
    drift = 0.12 * np.sin(1.3 * late)
    before, after = (0.35 * np.logaddexp(0.0, (sign * along - 1.2) / 0.35) for sign in (-1.0, 1.0))
    x = along + (1.0 - _OBLIQUE[0]) * (before - after)
    z = p["cross_m"] + _OBLIQUE[1] * (before + after) + drift * np.abs(late) / 2.0
    return np.stack([-side * x, np.zeros_like(late), z], axis=-1), speed


def cat(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    path, speed = cat_path(parameters, times_s)
    coat: Colour = _COATS[rng.integers(len(_COATS))]
    dark: Colour = (0.5 * coat[0], 0.5 * coat[1], 0.5 * coat[2])
    k = parameters["size"]
    way = np.gradient(path, axis=0)
    heading = np.arctan2(way[:, 0], way[:, 2])
    stride = np.cumsum(np.concatenate([[0.0], speed[:-1]])) / FPS / (0.42 * k) * 2 * np.pi
    effort = np.clip(speed / 1.4, 0.0, 1.0)
    back = rotation(heading, 0.03 * effort * np.sin(2 * stride))
    centre = path + np.stack([0 * stride, 0.245 * k + 0.008 * k * effort * np.sin(2 * stride), 0 * stride], axis=-1)

    def at(offset: tuple[float, float, float]) -> np.ndarray:
        return centre + back @ (np.array(offset) * k)

    trunk = moved(
        limb(0.27 * k, 0.066 * k, 0.074 * k, coat, bulge_m=0.006 * k), (0, 0, -0.15 * k), rotation(0.0, np.pi / 2)
    )
    chest = moved(ellipsoid((0.05 * k, 0.06 * k, 0.06 * k), _CHEST, rings=7), (0, -0.025 * k, 0.14 * k))
    solids = [Solid(joined([trunk, chest]), poses(centre, back), ANIMAL, name="trunk")]
    neck = moved(limb(0.10 * k, 0.05 * k, 0.042 * k, coat), (0, 0.02 * k, 0.13 * k), rotation(0.0, 0.9))
    solids.append(Solid(neck, poses(centre, back), ANIMAL, name="neck"))
    # In the way it turns the head towards who stands there, and up.
    look = np.exp(-(((times_s - cross_s(parameters)) / 0.5) ** 2))
    to_wearer = -float(np.sign(parameters["side"])) * 0.9 * look
    head_turn = back @ rotation(-to_wearer, -0.35 * look + 0.05 * np.sin(2 * stride))
    solids.append(Solid(_head(coat, dark, k), poses(at((0, 0.10, 0.215)), head_turn), ANIMAL, name="head"))
    curl = 0.25 * np.sin(2 * np.pi * 0.9 * times_s)
    root, lower = at((0, 0.04, -0.2)), back @ rotation(0.4 * curl, -0.55 + 0.1 * curl)
    for start, turn, length, radii in (
        (root, lower, 0.15 * k, (0.022 * k, 0.018 * k)),
        (root + lower[:, :, 1] * 0.15 * k, lower @ rotation(curl, 0.35 + 0.3 * curl), 0.15 * k, (0.018 * k, 0.012 * k)),
    ):
        solids.append(Solid(limb(length, *radii, coat, sections=8), poses(start, turn), ANIMAL, name="tail"))
    hips = [(side * 0.045, -0.01, along) for along in (0.11, -0.13) for side in (1, -1)]
    solids += legs(at, back, stride, effort, hips, coat, dark, 0.50 * k, slim=1.15)
    return Arrival(solids, at((0, 0.1, 0.2)))


def _head(coat: Colour, dark: Colour, k: float) -> Mesh:
    skull = ellipsoid((0.052 * k, 0.046 * k, 0.052 * k), coat)
    muzzle = moved(ellipsoid((0.026 * k, 0.02 * k, 0.024 * k), _CHEST, rings=6, sections=8), (0, -0.016 * k, 0.042 * k))
    nose = moved(ellipsoid((0.008 * k,) * 3, (0.45, 0.16, 0.14), rings=5, sections=8), (0, -0.006 * k, 0.066 * k))
    ears = [
        moved(limb(0.045 * k, 0.020 * k, 0.004 * k, dark, sections=8), (s * 0.032 * k, 0.030 * k, -0.004 * k), rotation(0.0, 0.0, -0.3 * s))
        for s in (-1, 1)
    ]  # fmt: skip
    eyes = [
        moved(
            ellipsoid((0.009 * k,) * 3, (0.30, 0.42, 0.06), rings=5, sections=8), (s * 0.022 * k, 0.010 * k, 0.045 * k)
        )
        for s in (-1, 1)
    ]
    return joined([skull, muzzle, nose, *ears, *eyes])
