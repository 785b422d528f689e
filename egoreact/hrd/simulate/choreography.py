"""A choreography says what a person does; performed by a body it becomes joints and the head's turning.

Nothing here is random: a reaction is a function of the person and of what is met.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float64

from egoreact.hrd.simulate.curves import Key, keyed, smooth
from egoreact.hrd.simulate.kinematics import Body, Posture, rotation, solve, solve_torso
from egoreact.hrd.simulate.person import Person
from egoreact.hrd.simulate.steps import LEFT, RIGHT, Step, lay_out, pelvis_over
from egoreact.motion.skeleton import FPS

MAX_HEAD_YAW, MAX_HEAD_PITCH = np.radians(35.0), np.radians(32.0)
_GAZE_RATE, _GAZE_LIMIT = 8.0, np.radians(220.0)  # 1/s of the critically damped turn; rad/s


@dataclass(frozen=True)
class Hand:
    """Where a hand is, as of the left one: from the shoulder in arm lengths, and where the elbow points."""

    at: tuple[float, float, float]
    elbow: tuple[float, float, float]


HANG = Hand((0.10, -0.965, 0.08), (0.15, 0.0, -1.0))
GUARD = Hand((-0.28, 0.18, 0.52), (0.7, -0.8, 0.1))
SHIELD = Hand((0.12, 0.26, 0.56), (0.9, -0.6, 0.1))
COVER = Hand((-0.1, 0.62, 0.0), (0.9, 0.1, 0.45))
READY = Hand((0.12, -0.42, 0.50), (0.6, -0.7, -0.5))
LOW = Hand((-0.02, -0.74, 0.50), (0.7, -0.5, -0.6))
OUT = Hand((0.72, -0.42, 0.22), (0.2, -0.7, -0.6))
BALANCE = Hand((0.55, -0.62, 0.15), (0.5, -0.4, -0.8))
WAVE_IN = Hand((0.26, 0.46, 0.34), (0.75, -0.75, -0.2))
WAVE_OUT = Hand((0.60, 0.40, 0.26), (0.75, -0.75, -0.2))
PUMP_FORE = Hand((-0.02, -0.25, 0.45), (0.5, -0.5, -0.9))

HandKey = tuple[float, Hand]


@dataclass(frozen=True)
class Choreography:
    """What a person does, over time in seconds. Lengths are of a body of scale 1 unless they are places in the world."""

    steps: tuple[Step, ...] = ()
    sink: tuple[Key, ...] = ((0.0, 0.0),)
    """How far the pelvis is lowered, m."""
    shift: tuple[Key, ...] = ((0.0, (0.0, 0.0)),)
    """Pelvis beyond where the feet carry it: x, z, m."""
    turn: tuple[Key, ...] = ((0.0, 0.0),)
    """The body's yaw."""
    pelvis: tuple[Key, ...] = ((0.0, (0.0, 0.0)),)
    """Pitch and roll of the pelvis."""
    spine: tuple[Key, ...] = ((0.0, (0.0, 0.04, 0.0)),)
    """Yaw, pitch, roll from pelvis to chest."""
    left_hand: tuple[HandKey, ...] = ((0.0, HANG),)
    right_hand: tuple[HandKey, ...] = ((0.0, HANG),)
    nod: tuple[Key, ...] = ((0.0, 0.06),)
    """Pitch of the head where nothing draws it."""
    follow: tuple[Key, ...] = ((0.0, 1.0),)
    """How much the head follows what is watched: 1 all it can, 0 not at all."""
    arm_swing: float = 1.0
    notes: dict[str, float] = field(default_factory=dict)
    """Moments worth recording, s."""


@dataclass(frozen=True)
class Performance:
    """A choreography performed by a body."""

    body: Body
    swing: Float64[np.ndarray, "frames 2"]
    """1 while the foot (left, right) is in the air."""

    @cached_property
    def joints_m(self) -> Float64[np.ndarray, "frames 22 3"]:
        return self.body.joints_m


def perform(
    choreography: Choreography,
    person: Person,
    times_s: Float64[np.ndarray, " frames"],
    watched_m: Float64[np.ndarray, "frames 3"] | None = None,
) -> Performance:
    """The body over time. The head follows `watched_m` with bounded speed, from what was there up to each frame."""
    bones, c = person.bones, choreography
    feet = lay_out(times_s, c.steps, bones)
    shift = keyed(times_s, c.shift) * bones.scale
    pelvis = np.empty((len(times_s), 3))
    pelvis[:, ::2] = pelvis_over(feet, bones) + shift + _idle_sway(times_s, person)
    breath = 0.002 * np.sin(2 * np.pi * 0.28 * times_s + person.sway_phase)
    pelvis[:, 1] = bones.standing_pelvis_m - bones.scale * keyed(times_s, c.sink) + breath
    turn = keyed(times_s, c.turn)
    tilt = keyed(times_s, c.pelvis)
    hands, elbows = zip(*(_hand(times_s, keys, mirrored) for keys, mirrored in _both(c)), strict=True)
    hands_m, stride = np.stack(hands, axis=1), _stride(feet.toes_m, pelvis, turn)
    hands_m[..., 2] += 0.32 * c.arm_swing * stride[:, ::-1] * _hanging(hands_m)
    hands_m[..., 1] += 0.10 * c.arm_swing * np.abs(stride[:, ::-1]) * _hanging(hands_m)
    posture = Posture(
        pelvis_m=pelvis,
        pelvis_angles=np.stack([turn - 0.12 * (stride[:, 0] - stride[:, 1]), tilt[:, 0], tilt[:, 1]], axis=1),
        spine_angles=keyed(times_s, c.spine) + np.stack([0.2 * (stride[:, 0] - stride[:, 1])] + [0 * turn] * 2, axis=1),
        toes_m=feet.toes_m,
        foot_angles=feet.angles,
        hands=hands_m,
        elbows=np.stack(elbows, axis=1),
    )
    torso = solve_torso(posture, bones)
    head = _head_rotation(c, times_s, torso.joints_m[:, 12], torso.chest_rotation, turn, watched_m)
    return Performance(solve(posture, bones, torso, head), feet.swing)


def _both(c: Choreography) -> tuple[tuple[Sequence[HandKey], bool], tuple[Sequence[HandKey], bool]]:
    return (c.left_hand, False), (c.right_hand, True)


def _hand(times_s: np.ndarray, keys: Sequence[HandKey], mirrored: bool) -> tuple[np.ndarray, np.ndarray]:
    mirror = np.array([-1.0 if mirrored else 1.0, 1.0, 1.0])
    at = keyed(times_s, [(time, hand.at) for time, hand in keys])
    elbow = keyed(times_s, [(time, hand.elbow) for time, hand in keys])
    return at * mirror, elbow * mirror


def _hanging(hands: np.ndarray) -> np.ndarray:
    """1 where a hand hangs, 0 where it does something."""
    return np.clip((-0.55 - hands[..., 1]) / 0.35, 0.0, 1.0)


def _stride(toes_m: np.ndarray, pelvis_m: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """How far each foot is ahead of the other along where the body faces, m, (frames, 2), smoothed."""
    ahead = np.stack([np.sin(turn), np.cos(turn)], axis=-1)
    apart = np.sum((toes_m[:, LEFT, ::2] - toes_m[:, RIGHT, ::2]) * ahead, axis=-1)
    apart = smooth(np.clip(apart, -0.7, 0.7), 0.06 * FPS)
    return np.stack([apart, -apart], axis=-1)


def _idle_sway(times_s: np.ndarray, person: Person) -> np.ndarray:
    x = 0.004 * np.sin(2 * np.pi * 0.31 * times_s + person.sway_phase)
    z = 0.003 * np.sin(2 * np.pi * 0.23 * times_s + 2.0 * person.sway_phase)
    return np.stack([x, z], axis=-1)


def _head_rotation(
    c: Choreography,
    times_s: np.ndarray,
    neck_m: np.ndarray,
    chest_rotation: np.ndarray,
    turn: np.ndarray,
    watched_m: np.ndarray | None,
) -> Float64[np.ndarray, "frames 3 3"]:
    """Yaw and pitch towards what is watched, never faster than heads turn; a little of the trunk's roll."""
    rest = np.stack([turn, keyed(times_s, c.nod)], axis=-1)
    wanted = rest
    if watched_m is not None:
        away = watched_m - (neck_m + np.array([0.0, 0.15, 0.0]))
        yaw = np.arctan2(away[:, 0], away[:, 2])
        pitch = np.arctan2(-away[:, 1], np.hypot(away[:, 0], away[:, 2]))
        ahead = np.clip((away[:, 2] * np.cos(turn) + away[:, 0] * np.sin(turn) - 0.1) / 0.5, 0.0, 1.0)
        follow = (keyed(times_s, c.follow) * ahead)[:, None]
        seen = np.stack([np.clip(0.75 * yaw, -MAX_HEAD_YAW, MAX_HEAD_YAW), 0.65 * pitch + 0.02], axis=-1)
        wanted = rest + follow * (seen - rest)
    wanted[:, 1] = np.clip(wanted[:, 1], -MAX_HEAD_PITCH, MAX_HEAD_PITCH)
    angles = _turn_towards(wanted, rest[0])
    roll = np.arctan2(chest_rotation[:, 1, 0], chest_rotation[:, 1, 1])
    return rotation(angles[:, 0], angles[:, 1], 0.4 * roll)


def _turn_towards(wanted: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Critically damped pursuit of (frames, n) angles, causal, at most `_GAZE_LIMIT` a second."""
    substeps = 4
    dt = 1.0 / FPS / substeps
    angle, speed = start.astype(np.float64), np.zeros_like(start)
    path = np.empty_like(wanted)
    for frame, goal in enumerate(wanted):
        path[frame] = angle
        for _ in range(substeps):
            speed = speed + dt * (_GAZE_RATE**2 * (goal - angle) - 2 * _GAZE_RATE * speed)
            speed = np.clip(speed, -_GAZE_LIMIT, _GAZE_LIMIT)
            angle = angle + dt * speed
    return path
