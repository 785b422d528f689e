"""Balls: one that flies past, one that rolls up, one that is lobbed and caught."""

import numpy as np
from jaxtyping import Float64

from egoreact.hrd.simulate.acting.choreography import Performance
from egoreact.hrd.simulate.acting.curves import minimum_jerk
from egoreact.hrd.simulate.acting.kinematics import ARMS, rotation
from egoreact.hrd.simulate.arrival import BALL, Arrival, Parameters, bright
from egoreact.hrd.simulate.solids import Mesh, Solid, ellipsoid, poses

BALL_GRAVITY = 3.0
"""m/s²: a light ball, half carried by the air."""
TOO_FAST_M_S = 3.3
"""A rolling ball that is slower is stopped with the foot."""
TRAP_Z_M, CATCH_Z_M = 0.42, 0.36
"""Where a rolling ball is stopped and a lobbed one caught, ahead of where the wearer stood."""
_UNDER_SOLE_M = 0.10
_PALM_M = 0.075
"""From the wrist to the middle of the palm."""


def ball_path(parameters: Parameters, times_s: np.ndarray) -> Float64[np.ndarray, "frames 3"]:
    """Thrown from in front; at contact_s it crosses z = 0 at (pass_x_m, pass_y_m). It bounces off the floor behind."""
    contact, radius = parameters["contact_s"], parameters["radius_m"]
    until = times_s - contact
    x = parameters["pass_x_m"] + (parameters["pass_x_m"] - parameters["start_x_m"]) / contact * until
    climb = (parameters["pass_y_m"] - parameters["start_y_m"] - 0.5 * BALL_GRAVITY * contact**2) / contact
    y = parameters["pass_y_m"] + climb * until - 0.5 * BALL_GRAVITY * until**2
    y = radius + np.abs(y - radius)
    return np.stack([x, y, -parameters["distance_m"] / contact * until], axis=-1)


def rolling_path(parameters: Parameters, times_s: np.ndarray) -> Float64[np.ndarray, "frames 3"]:
    """Rolls along the floor at an even speed, to be at x `pass_x_m` and z `TRAP_Z_M` at contact_s.

    A slow one is stopped there by a sole, over the last `_UNDER_SOLE_M`; a fast one rolls on.
    """
    speed, contact = parameters["speed_m_s"], parameters["contact_s"]
    gone = speed * (times_s - contact)
    if speed < TOO_FAST_M_S:
        # Even braking from the moment the sole touches it.
        brake_s = 2 * _UNDER_SOLE_M / speed
        late = np.clip(times_s - (contact - 0.5 * brake_s), 0.0, brake_s)
        gone = np.minimum(gone, -0.5 * speed * brake_s) + late * speed * (1 - 0.5 * late / brake_s)
    drift = (parameters["pass_x_m"] - parameters["start_x_m"]) / (speed * contact)
    radius = np.full(len(times_s), parameters["radius_m"])
    return np.stack([parameters["pass_x_m"] + drift * gone, radius, TRAP_Z_M - gone], axis=-1)


def lob_path(parameters: Parameters, times_s: np.ndarray) -> Float64[np.ndarray, "frames 3"]:
    """A high throw that comes down at the chest: at contact_s at (pass_x_m, pass_y_m, `CATCH_Z_M`), and there it stays."""
    path = ball_path(parameters, np.minimum(times_s, parameters["contact_s"]))
    return path + np.array([0.0, 0.0, CATCH_Z_M])


def ball(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    """A thrown ball, spinning."""
    path = ball_path(parameters, times_s)
    mesh = _striped(parameters["radius_m"], rng)
    spin = rng.uniform(3.0, 6.0) * times_s + rng.uniform(0, 6.28)
    turns = rotation(0.6, -spin, rng.uniform(-0.6, 0.6))
    return Arrival([Solid(mesh, poses(path, turns), BALL, gloss=0.25, name="ball")], path)


def rolling_ball(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    """It turns as far as it rolls."""
    path = rolling_path(parameters, times_s)
    mesh = _striped(parameters["radius_m"], rng)
    ahead = np.arctan2(*(path[1] - path[0])[[0, 2]])
    rolled = np.linalg.norm(path - path[0], axis=1) / parameters["radius_m"]
    turns = rotation(float(ahead)) @ rotation(0.0, rolled + rng.uniform(0, 6.28)) @ rotation(0.0, 0.0, np.pi / 2)
    return Arrival([Solid(mesh, poses(path, turns), BALL, gloss=0.25, name="ball")], path)


def lobbed_ball(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    path = lob_path(parameters, times_s)
    spin = rng.uniform(2.0, 4.0) * times_s + rng.uniform(0, 6.28)
    turns = rotation(rng.uniform(-0.5, 0.5), -spin, rng.uniform(-0.6, 0.6))
    mesh = _striped(parameters["radius_m"], rng)
    return Arrival([Solid(mesh, poses(path, turns), BALL, gloss=0.25, name="ball")], path)


def between_palms(performance: Performance) -> Float64[np.ndarray, "frames 3"]:
    """Where a ball is that both hands hold."""
    joints = performance.joints_m
    palms = [
        wrist + _PALM_M * (wrist - elbow) / np.linalg.norm(wrist - elbow, axis=-1, keepdims=True)
        for wrist, elbow in ((joints[:, w], joints[:, e]) for _, _, e, w in ARMS)
    ]
    return 0.5 * (palms[0] + palms[1])


def held_ball(arrival: Arrival, performance: Performance, parameters: Parameters, times_s: np.ndarray) -> Arrival:
    """From contact_s on the ball is in the hands: carried with them, turned with the chest."""
    (flying,) = arrival.solids
    hands, chest = between_palms(performance), performance.body.chest_rotation
    caught = np.flatnonzero(times_s >= parameters["contact_s"])
    if not len(caught):
        return arrival
    first = caught[0]
    settled = minimum_jerk((times_s - parameters["contact_s"]) / 0.3)[:, None]
    path = arrival.watched_m.copy()
    path[first:] = (hands + (1.0 - settled) * (path[first] - hands[first]))[first:]
    T = flying.T_world_solid.astype(np.float64)
    turns = T[:, :3, :3].copy()
    turns[first:] = chest[first:] @ chest[first].T @ turns[first]
    return Arrival([Solid(flying.mesh, poses(path, turns), BALL, gloss=flying.gloss, name=flying.name)], path)


def _striped(radius_m: float, rng: np.random.Generator) -> Mesh:
    sphere = ellipsoid((radius_m, radius_m, radius_m), (1, 1, 1), rings=15, sections=24)
    centres = sphere.vertices_m[sphere.faces].mean(axis=1)
    sector = np.floor((np.arctan2(centres[:, 2], centres[:, 0]) / (2 * np.pi) + 0.5) * 6).astype(int) % 2
    pair = np.array([bright(rng), (0.88, 0.87, 0.84)], dtype=np.float32)
    colours = pair[sector]
    colours[np.abs(centres[:, 1]) > 0.88 * radius_m] = pair[0]
    return Mesh(sphere.vertices_m, sphere.faces, sphere.normals, colours)
