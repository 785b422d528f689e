"""A choreography says what a person does; performed by a body it becomes joints and the head's turning.

Nothing here is random: a reaction is a function of the person and of what is met.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float64

from egoreact.hrd.simulate.acting.curves import Key, keyed, smooth
from egoreact.hrd.simulate.acting.kinematics import (
    ARMS,
    Body,
    Bones,
    Posture,
    Torso,
    rotation,
    solve,
    solve_torso,
    two_bones,
)
from egoreact.hrd.simulate.acting.liveliness import bursts, dragged, exertion, jolts, sway
from egoreact.hrd.simulate.acting.person import Person
from egoreact.hrd.simulate.acting.steps import LEFT, RIGHT, Step, ground_under, lay_out, pelvis_over
from egoreact.motion.skeleton import FPS

MAX_HEAD_YAW, MAX_HEAD_PITCH = np.radians(35.0), np.radians(32.0)
PALM_M = 0.08
"""From a wrist to the middle of the palm."""
FOLLOW_THROUGH = 0.07
"""How far quick movements swing out beyond where they end, as a share of their length."""
# RMS of what moves by itself at rest and at work: pelvis x y z, m; spine's yaw, pitch, roll; left and right hand, arm lengths; head's
# yaw and pitch.
_CALM = np.array([0.005, 0.0010, 0.006, 0.013, 0.011, 0.008, *[0.010, 0.004, 0.014] * 2, 0.012, 0.010])
_BUSY = np.array([0.0016, 0.0016, 0.0016, 0.006, 0.006, 0.005, *[0.006, 0.005, 0.007] * 2, 0.006, 0.005])
_GAZE_RATE, _GAZE_LIMIT = 8.0, np.radians(205.0)  # 1/s of the critically damped turn; rad/s


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

HandKey = tuple[float, Hand]


@dataclass(frozen=True)
class Reach:
    """A wrist or palm at places in the world, as far as arms go, whatever the rest of the body does."""

    side: int
    at_m: tuple[Key, ...]
    """Places over time, (3,) each."""
    weight: tuple[Key, ...]
    """1 where the wrist is there, 0 where the choreography's hands say where it is."""
    palm: bool = False
    """Whether the palm is meant, which lies beyond the wrist in the forearm's direction."""


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
    reaches: tuple[Reach, ...] = ()
    glance: tuple[Key, ...] = ((0.0, 0.0),)
    """Yaw of the head from where the body faces, where nothing draws it."""
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
    pelvis[:, ::2] = pelvis_over(feet, bones) + shift
    breath = 0.002 * np.sin(2 * np.pi * 0.28 * times_s + person.sway_phase)
    sink = keyed(times_s, c.sink, overshoot=0.5 * FOLLOW_THROUGH)
    pelvis[:, 1] = ground_under(feet) + bones.standing_pelvis_m - bones.scale * sink + breath
    turn = keyed(times_s, c.turn)
    tilt = keyed(times_s, c.pelvis, overshoot=FOLLOW_THROUGH)
    hands, elbows = zip(*(_hand(times_s, keys, mirrored) for keys, mirrored in _both(c)), strict=True)
    hands_m, stride = np.stack(hands, axis=1), _stride(feet.toes_m, pelvis, turn)
    live = _Unrest.of(times_s, person, exertion(pelvis, hands_m))
    jolt = bones.scale * jolts(times_s, feet.landings)
    pelvis += bones.scale * live.pelvis_m + jolt
    hands_m[..., 2] += 0.32 * c.arm_swing * stride[:, ::-1] * _hanging(hands_m)
    hands_m[..., 1] += 0.10 * c.arm_swing * np.abs(stride[:, ::-1]) * _hanging(hands_m)
    posture = Posture(
        pelvis_m=pelvis,
        pelvis_angles=np.stack([turn - 0.12 * (stride[:, 0] - stride[:, 1]), tilt[:, 0], tilt[:, 1]], axis=1),
        spine_angles=keyed(times_s, c.spine, overshoot=FOLLOW_THROUGH)
        + live.spine
        + _carried_trunk(stride, jolt, turn),
        toes_m=feet.toes_m,
        foot_angles=feet.angles,
        swing=feet.swing,
        hands=hands_m,
        elbows=np.stack(elbows, axis=1),
    )
    torso = solve_torso(posture, bones)
    hands_m += live.hands + _trailing(torso, bones, hands_m)
    for reach in c.reaches:
        wrist = _reached(reach, times_s, torso, bones, posture.elbows[:, reach.side])
        hands_m[:, reach.side] += keyed(times_s, reach.weight)[:, None] * (wrist - hands_m[:, reach.side])
    head = _head_rotation(c, times_s, torso, turn, watched_m, live.head)
    return Performance(solve(posture, bones, torso, head), feet.swing)


def _reached(
    reach: Reach, times_s: np.ndarray, torso: Torso, bones: Bones, elbows: np.ndarray
) -> Float64[np.ndarray, "frames 3"]:
    """Where the wrist has to be, from the shoulder in the chest's axes and arm lengths."""
    _, shoulder, elbow, wrist = ARMS[reach.side]
    to_chest = torso.chest_rotation.transpose(0, 2, 1)
    goal = np.einsum("tij,tj->ti", to_chest, keyed(times_s, reach.at_m) - torso.joints_m[:, shoulder])
    if reach.palm:
        # The forearm made longer by the palm ends there; the wrist lies on it.
        upper, fore = bones.length(elbow), bones.length(wrist)
        beyond = PALM_M * bones.scale
        bend, palm = two_bones(np.zeros_like(goal), goal, elbows, (upper, fore + beyond))
        goal = bend + (palm - bend) * (fore / (fore + beyond))
    return goal / bones.arm_m(reach.side)


def _both(c: Choreography) -> tuple[tuple[Sequence[HandKey], bool], tuple[Sequence[HandKey], bool]]:
    return (c.left_hand, False), (c.right_hand, True)


def _hand(times_s: np.ndarray, keys: Sequence[HandKey], mirrored: bool) -> tuple[np.ndarray, np.ndarray]:
    mirror = np.array([-1.0 if mirrored else 1.0, 1.0, 1.0])
    at = keyed(times_s, [(time, hand.at) for time, hand in keys], overshoot=FOLLOW_THROUGH)
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


@dataclass(frozen=True)
class _Unrest:
    """What a person's body does by itself: sway at all times, unsteadiness as it works."""

    pelvis_m: Float64[np.ndarray, "frames 3"]
    spine: Float64[np.ndarray, "frames 3"]
    hands: Float64[np.ndarray, "frames 2 3"]
    head: Float64[np.ndarray, "frames 2"]

    @staticmethod
    def of(times_s: np.ndarray, person: Person, effort: np.ndarray) -> "_Unrest":
        calm, busy = _CALM, effort[:, None] * _BUSY
        both = calm * sway(times_s, person.temper, len(calm)) + busy * bursts(times_s, person.temper, len(calm))
        return _Unrest(both[:, :3], both[:, 3:6], both[:, 6:12].reshape(-1, 2, 3), both[:, 12:])


def _carried_trunk(stride: np.ndarray, jolt_m: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Yaw, pitch, roll of the chest that walking gives it: against the pelvis, and a nod where a foot lands."""
    forward = jolt_m[:, 0] * np.sin(turn) + jolt_m[:, 2] * np.cos(turn)
    return np.stack([0.2 * (stride[:, 0] - stride[:, 1]), 2.5 * forward - 1.5 * jolt_m[:, 1], 0 * turn], axis=1)


def _trailing(torso: Torso, bones: Bones, hands: np.ndarray) -> np.ndarray:
    """Arms give way to what the shoulders do: hanging ones swing like pendula, held ones a little. In arm lengths."""
    hanging = _hanging(hands)[..., None]
    given = np.empty_like(hands)
    for side, (_, shoulder, *_) in enumerate(ARMS):
        loose = dragged(torso.joints_m[:, shoulder], 1.4, 0.5) * [1.0, 0.25, 1.0]
        held = dragged(torso.joints_m[:, shoulder], 3.2, 0.5)
        world = held + hanging[:, side] * (loose - held)
        given[:, side] = np.einsum("tij,ti->tj", torso.chest_rotation, world) / bones.arm_m(side)
    return np.clip(given, -0.35, 0.35)


def _head_rotation(
    c: Choreography,
    times_s: np.ndarray,
    torso: Torso,
    turn: np.ndarray,
    watched_m: np.ndarray | None,
    unrest: np.ndarray,
) -> Float64[np.ndarray, "frames 3 3"]:
    """Yaw and pitch towards what is watched, never faster than heads turn; a little of the trunk's roll."""
    rest = np.stack([keyed(times_s, c.glance), keyed(times_s, c.nod)], axis=-1)
    wanted = rest
    if watched_m is not None:
        away = watched_m - (torso.joints_m[:, 12] + np.array([0.0, 0.15, 0.0]))
        yaw = (np.arctan2(away[:, 0], away[:, 2]) - turn + np.pi) % (2 * np.pi) - np.pi  # from where the body faces
        pitch = np.arctan2(-away[:, 1], np.hypot(away[:, 0], away[:, 2]))
        ahead = np.clip((away[:, 2] * np.cos(turn) + away[:, 0] * np.sin(turn) - 0.05) / 0.3, 0.0, 1.0)
        follow = (keyed(times_s, c.follow) * ahead)[:, None]
        seen = np.stack([np.clip(0.75 * yaw, -MAX_HEAD_YAW, MAX_HEAD_YAW), 0.65 * pitch + 0.02], axis=-1)
        wanted = rest + follow * (seen - rest)
    wanted[:, 1] = np.clip(wanted[:, 1], -MAX_HEAD_PITCH, MAX_HEAD_PITCH)
    carried = np.diff(turn, append=turn[-1:]) * FPS
    angles = _turn_towards(wanted, rest[0], np.stack([carried, 0 * carried], axis=-1)) + unrest
    yaw = np.clip(angles[:, 0], -MAX_HEAD_YAW, MAX_HEAD_YAW)
    roll = np.arctan2(torso.chest_rotation[:, 1, 0], torso.chest_rotation[:, 1, 1])
    return rotation(turn + yaw, angles[:, 1], 0.4 * roll)


def _turn_towards(wanted: np.ndarray, start: np.ndarray, carried: np.ndarray) -> np.ndarray:
    """Critically damped pursuit of (frames, n) angles, causal, at most `_GAZE_LIMIT` a second with what the body carries."""
    substeps = 4
    dt = 1.0 / FPS / substeps
    angle, speed = start.astype(np.float64), np.zeros_like(start)
    path = np.empty_like(wanted)
    for frame, (goal, rate) in enumerate(zip(wanted, carried, strict=True)):
        path[frame] = angle
        for _ in range(substeps):
            speed = speed + dt * (_GAZE_RATE**2 * (goal - angle) - 2 * _GAZE_RATE * speed)
            speed = np.clip(speed, -_GAZE_LIMIT - rate, _GAZE_LIMIT - rate)
            angle = angle + dt * speed
    return path
