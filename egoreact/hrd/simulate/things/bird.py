"""A bird that swoops at somebody's head."""

import numpy as np

from egoreact.hrd.simulate.acting.kinematics import rotation
from egoreact.hrd.simulate.arrival import ANIMAL, Arrival, Parameters
from egoreact.hrd.simulate.solids import Colour, Mesh, Solid, ellipsoid, joined, limb, moved, poses

_FEATHERS: tuple[Colour, ...] = ((0.04, 0.04, 0.05), (0.30, 0.31, 0.34), (0.75, 0.75, 0.74), (0.24, 0.16, 0.10))
_BEAK: Colour = (0.75, 0.42, 0.05)


def bird_path(parameters: Parameters, times_s: np.ndarray) -> np.ndarray:
    """(frames, 3) m: down from ahead, at contact_s where a standing head is, up again behind, and away along the street on the
    side it came for.
    """
    p = parameters
    to_go = 1.0 - times_s / p["contact_s"]
    side = float(np.sign(p["pass_x_m"]))
    after = np.maximum(-to_go, 0.0)
    x = (
        p["pass_x_m"]
        + (p["start_x_m"] - p["pass_x_m"]) * np.maximum(to_go, 0.0)
        + side * 4.2 * -np.expm1(-0.12 * after - 1.07 * after**2)
    )
    y = p["pass_y_m"] + (p["start_y_m"] - p["pass_y_m"]) * np.where(to_go > 0, to_go**2, 0.8 * to_go**2)
    behind = 0.65 * 0.45 * np.expm1(-after / 0.45) - 0.35 * after
    z = p["distance_m"] * np.where(to_go > 0, to_go, behind)
    return np.stack([x, y, z], axis=-1)


def bird(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    path, k = bird_path(parameters, times_s), parameters["size"]
    feathers: Colour = _FEATHERS[rng.integers(len(_FEATHERS))]
    dark: Colour = (0.6 * feathers[0], 0.6 * feathers[1], 0.6 * feathers[2])
    way = np.gradient(path, axis=0)
    heading = np.arctan2(way[:, 0], way[:, 2])
    bank = np.clip(-6.0 * np.gradient(np.unwrap(heading)), -0.7, 0.7)
    trunk = rotation(heading, 0.7 * np.arctan2(-way[:, 1], np.hypot(way[:, 0], way[:, 2])), bank)
    # It glides into the swoop and beats hard out of it.
    to_go = parameters["contact_s"] - times_s
    glide = np.exp(-(((to_go - 0.35) / 0.45) ** 2))
    beat = 2 * np.pi * 4.2 * times_s
    flap = (1.0 - 0.85 * glide) * 0.75 * np.sin(beat) + 0.25 * glide
    tip = (1.0 - 0.8 * glide) * 0.6 * np.sin(beat - 0.9)

    solids = [Solid(_body(feathers, dark, k), poses(path, trunk), ANIMAL, name="body")]
    for side in (1.0, -1.0):
        shoulder = path + trunk @ (np.array([side * 0.035, 0.03, 0.04]) * k)
        inner = trunk @ rotation(0.0, 0.0, side * flap)
        solids.append(Solid(_wing(0.21 * k, 0.10 * k, side, feathers), poses(shoulder, inner), ANIMAL, name="wing"))
        wrist = shoulder + inner @ (np.array([side * 0.20, 0.0, 0.01]) * k)
        outer = inner @ rotation(-0.25 * side, 0.0, side * tip)
        solids.append(Solid(_wing(0.24 * k, 0.075 * k, side, dark), poses(wrist, outer), ANIMAL, name="wing"))
    return Arrival(solids, path)


def _body(feathers: Colour, dark: Colour, k: float) -> Mesh:
    trunk = ellipsoid((0.055 * k, 0.055 * k, 0.14 * k), feathers, rings=9, sections=12)
    head = moved(
        ellipsoid((0.036 * k, 0.038 * k, 0.042 * k), feathers, rings=8, sections=12), (0, 0.035 * k, 0.145 * k)
    )
    beak = moved(
        limb(0.045 * k, 0.013 * k, 0.003 * k, _BEAK, sections=8),
        (0, 0.03 * k, 0.175 * k),
        rotation(0.0, np.pi / 2 + 0.15),
    )
    tail = moved(ellipsoid((0.05 * k, 0.008 * k, 0.085 * k), dark, rings=6, sections=10), (0, 0.005 * k, -0.19 * k))
    eyes = [
        moved(ellipsoid((0.008 * k,) * 3, (0.6, 0.5, 0.05), rings=5, sections=8), (s * 0.03 * k, 0.045 * k, 0.16 * k))
        for s in (-1, 1)
    ]
    return joined([trunk, head, beak, tail, *eyes])


def _wing(span_m: float, chord_m: float, side: float, colour: Colour) -> Mesh:
    """From the origin outwards along x, flat."""
    blade = ellipsoid((0.5 * span_m * 1.1, 0.010, chord_m), colour, rings=7, sections=12)
    return moved(blade, (side * 0.5 * span_m, 0.0, -0.2 * chord_m))
