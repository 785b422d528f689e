"""A ball in flight."""

import numpy as np
from jaxtyping import Float64

from egoreact.hrd.simulate.arrival import BALL, Arrival, Parameters, bright
from egoreact.hrd.simulate.kinematics import rotation
from egoreact.hrd.simulate.solids import Mesh, Solid, ellipsoid, poses

BALL_GRAVITY = 3.0
"""m/s²: a light ball, half carried by the air."""


def ball_path(parameters: Parameters, times_s: np.ndarray) -> Float64[np.ndarray, "frames 3"]:
    """Thrown from in front; at contact_s it crosses z = 0 at (pass_x_m, pass_y_m). It bounces off the floor behind."""
    contact, radius = parameters["contact_s"], parameters["radius_m"]
    until = times_s - contact
    x = parameters["pass_x_m"] + (parameters["pass_x_m"] - parameters["start_x_m"]) / contact * until
    climb = (parameters["pass_y_m"] - parameters["start_y_m"] - 0.5 * BALL_GRAVITY * contact**2) / contact
    y = parameters["pass_y_m"] + climb * until - 0.5 * BALL_GRAVITY * until**2
    y = radius + np.abs(y - radius)
    return np.stack([x, y, -parameters["distance_m"] / contact * until], axis=-1)


def ball(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    path = ball_path(parameters, times_s)
    radius = parameters["radius_m"]
    sphere = ellipsoid((radius, radius, radius), (1, 1, 1), rings=15, sections=24)
    centres = sphere.vertices_m[sphere.faces].mean(axis=1)
    sector = np.floor((np.arctan2(centres[:, 2], centres[:, 0]) / (2 * np.pi) + 0.5) * 6).astype(int) % 2
    pair = np.array([bright(rng), (0.88, 0.87, 0.84)], dtype=np.float32)
    colours = pair[sector]
    colours[np.abs(centres[:, 1]) > 0.88 * radius] = pair[0]
    striped = Mesh(sphere.vertices_m, sphere.faces, sphere.normals, colours)
    spin = rng.uniform(3.0, 6.0) * times_s + rng.uniform(0, 6.28)
    turns = rotation(0.6, -spin, rng.uniform(-0.6, 0.6))
    return Arrival([Solid(striped, poses(path, turns), BALL, gloss=0.25, name="ball")], path)
