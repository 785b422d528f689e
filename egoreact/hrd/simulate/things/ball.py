"""Balls: one that is thrown past, one that is kicked and rolls up, one that is lobbed and caught."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64

from egoreact.hrd.simulate.acting.choreography import Performance
from egoreact.hrd.simulate.acting.curves import minimum_jerk
from egoreact.hrd.simulate.acting.kinematics import rotation
from egoreact.hrd.simulate.arrival import BALL, Arrival, Parameters, bright
from egoreact.hrd.simulate.solids import Mesh, Solid, ellipsoid, poses
from egoreact.hrd.simulate.things.thrower import between_palms, dressed, kick, throw

BALL_GRAVITY = 3.0
"""m/s²: a light ball, half carried by the air."""
TOO_FAST_M_S = 3.3
"""A rolling ball that is slower is stopped with the foot."""
TRAP_Z_M, CATCH_Z_M = 0.42, 0.36
"""Where a rolling ball is stopped and a lobbed one caught, ahead of where the wearer stood."""
_UNDER_SOLE_M = 0.10

Flight = Callable[[Parameters, np.ndarray], np.ndarray]
"""Where a ball is, (frames, 3), at moments from its release on."""


def ball_path(parameters: Parameters, times_s: np.ndarray) -> Float64[np.ndarray, "frames 3"]:
    """A flight from time 0; at contact_s it crosses z = 0 at (pass_x_m, pass_y_m). It bounces off the floor behind."""
    contact, radius = parameters["contact_s"], parameters["radius_m"]
    until = times_s - contact
    x = parameters["pass_x_m"] + (parameters["pass_x_m"] - parameters["start_x_m"]) / contact * until
    climb = (parameters["pass_y_m"] - parameters["start_y_m"] - 0.5 * BALL_GRAVITY * contact**2) / contact
    y = parameters["pass_y_m"] + climb * until - 0.5 * BALL_GRAVITY * until**2
    y = radius + np.abs(y - radius)
    return np.stack([x, y, -parameters["distance_m"] / contact * until], axis=-1)


def rolling_path(parameters: Parameters, times_s: np.ndarray) -> Float64[np.ndarray, "frames 3"]:
    """Rests until time 0, then rolls along the floor at an even speed, to be at x `pass_x_m` and z `TRAP_Z_M` at contact_s.

    A slow one is stopped there by a sole, over the last `_UNDER_SOLE_M`; a fast one rolls on.
    """
    speed, contact = parameters["speed_m_s"], parameters["contact_s"]
    gone = speed * (np.maximum(times_s, 0.0) - contact)
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
    return _thrown(parameters, ball_path, rng, times_s, spin=(3.0, 6.0))


def lobbed_ball(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    return _thrown(parameters, lob_path, rng, times_s, spin=(2.0, 4.0))


def _thrown(
    parameters: Parameters, flight: Flight, rng: np.random.Generator, times_s: np.ndarray, spin: tuple[float, float]
) -> Arrival:
    """The ball is the first of the solids, whoever throws it comes after."""
    release = flight(parameters, np.array([0.0, 1e-3]))
    body, path = throw(parameters, flight(parameters, times_s), release[0], np.diff(release, axis=0)[0] / 1e-3, times_s)
    mesh = _striped(parameters["radius_m"], rng)
    turned = rng.uniform(*spin) * np.maximum(times_s, 0.0) + rng.uniform(0, 6.28)
    turns = rotation(rng.uniform(-0.6, 0.6), -turned, rng.uniform(-0.6, 0.6))
    flying = Solid(mesh, poses(path, turns), BALL, gloss=0.25, name="ball")
    return Arrival([flying, *dressed(body, parameters, rng)], path)


def rolling_ball(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    """It turns as far as it rolls."""
    path = rolling_path(parameters, times_s)
    rest, touched = rolling_path(parameters, np.array([0.0, 1e-3]))
    mesh = _striped(parameters["radius_m"], rng)
    ahead = float(np.arctan2(*(touched - rest)[[0, 2]]))
    rolled = np.linalg.norm(path - rest, axis=1) / parameters["radius_m"]
    turns = rotation(ahead) @ rotation(0.0, rolled + rng.uniform(0, 6.28)) @ rotation(0.0, 0.0, np.pi / 2)
    rolling = Solid(mesh, poses(path, turns), BALL, gloss=0.25, name="ball")
    body = kick(parameters, rest, ahead, times_s)
    return Arrival([rolling, *dressed(body, parameters, rng)], path)


def held_ball(arrival: Arrival, performance: Performance, parameters: Parameters, times_s: np.ndarray) -> Arrival:
    """From contact_s on the ball is in the hands: carried with them, turned with the chest."""
    flying, *thrower = arrival.solids
    hands, chest = between_palms(performance.joints_m), performance.body.chest_rotation
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
    caught_ball = Solid(flying.mesh, poses(path, turns), BALL, gloss=flying.gloss, name=flying.name)
    return Arrival([caught_ball, *thrower], path)


def _striped(radius_m: float, rng: np.random.Generator) -> Mesh:
    sphere = ellipsoid((radius_m, radius_m, radius_m), (1, 1, 1), rings=15, sections=24)
    centres = sphere.vertices_m[sphere.faces].mean(axis=1)
    sector = np.floor((np.arctan2(centres[:, 2], centres[:, 0]) / (2 * np.pi) + 0.5) * 6).astype(int) % 2
    pair = np.array([bright(rng), (0.88, 0.87, 0.84)], dtype=np.float32)
    colours = pair[sector]
    colours[np.abs(centres[:, 1]) > 0.88 * radius_m] = pair[0]
    return Mesh(sphere.vertices_m, sphere.faces, sphere.normals, colours)
