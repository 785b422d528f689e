"""What a body does that calls for a reason: where it leaves the course it was on, and how.

A course is the pelvis' constant velocity over the 0.4 s before an onset; a deed is measured against it over the 1.4 s after. All is
in the course's axes: ahead is where the body went, or where it faced if it stood, left is to its left.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from egoreact.hrd.importers.take import heading
from egoreact.hrd.simulate.acting.kinematics import rotation
from egoreact.motion.skeleton import FEET, FPS, HEAD, LEFT_SHOULDER, PELVIS, RIGHT_SHOULDER

BEFORE, AFTER = 8, 28
"""Frames of a course before the onset, and of a deed after it."""
WALKING_M_S = 0.35
_WRISTS = (20, 21)
_APART = 10
"""Frames between two onsets of one motion."""


@dataclass(frozen=True)
class Course:
    """Where a body was going when something made it do otherwise."""

    onset: int
    """Frame."""
    start_m: Float[np.ndarray, "3"]
    """Of the pelvis at the onset, on the floor."""
    velocity_m_s: Float[np.ndarray, "3"]
    yaw: float
    """Of the course: 0 is +z, positive to the left."""

    @property
    def speed_m_s(self) -> float:
        return float(np.linalg.norm(self.velocity_m_s))

    def place_m(self, frame: int) -> Float[np.ndarray, "3"]:
        """Where the pelvis would be, on the floor, had the body kept on."""
        return self.start_m + self.velocity_m_s * (frame - self.onset) / FPS

    def kept(self, joints_m: Float[np.ndarray, "frames 22 3"]) -> Float[np.ndarray, "frames 22 3"]:
        """The motion as it was until the onset, and then the pose of the onset, carried on."""
        frames = np.maximum(np.arange(len(joints_m)) - self.onset, 0)
        held = joints_m[np.minimum(np.arange(len(joints_m)), self.onset)]
        return held + (frames[:, None] * self.velocity_m_s / FPS)[:, None]


@dataclass(frozen=True)
class Deed:
    """What a body did after an onset, metres and m/s against its course."""

    speed: float
    """Before it."""
    left: float
    """Of the pelvis, where it is farthest aside; negative is to the right."""
    ahead: float
    """Of the pelvis at the end: negative is slower, or back."""
    drop: float
    """How much lower the head comes than it was."""
    lift: float
    """Highest foot over where it usually is."""
    gone: float
    """Way ahead over the deed, in the world."""
    hands: float
    """Higher wrist against the shoulders, at its highest."""
    lean: float
    """Of the head beyond the pelvis, sideways, at most."""

    @property
    def aside(self) -> float:
        """Of the head, stepping and leaning together."""
        return self.left + self.lean

    def vector(self) -> Float[np.ndarray, "8"]:
        return np.array([
            self.speed, self.left, self.ahead, self.drop, self.lift, self.gone, self.hands, self.lean,
        ])  # fmt: skip


def course_at(joints_m: Float[np.ndarray, "frames 22 3"], onset: int) -> Course:
    """The course of a body up to a frame, `BEFORE` of which there must be."""
    pelvis = joints_m[:, PELVIS] * [1.0, 0.0, 1.0]
    velocity = (pelvis[onset] - pelvis[onset - BEFORE]) * FPS / BEFORE
    yaw = float(heading(joints_m[onset : onset + 1])[0])
    if np.linalg.norm(velocity) > WALKING_M_S:
        yaw = float(np.arctan2(velocity[0], velocity[2]))
    return Course(onset, pelvis[onset], velocity, yaw)


def deed_after(joints_m: Float[np.ndarray, "frames 22 3"], course: Course) -> Deed:
    """What the body does in the `AFTER` frames after a course's onset, or until the motion ends."""
    first, last = course.onset, min(course.onset + AFTER, len(joints_m) - 1)
    joints = joints_m[first : last + 1].astype(np.float64)
    away = (joints - course.start_m) @ rotation(course.yaw)  # in the course's axes: x left, z ahead
    seconds = np.arange(len(joints)) / FPS
    pelvis = away[:, PELVIS].copy()
    on_course = np.outer(seconds, course.velocity_m_s @ rotation(course.yaw))
    departed = pelvis - on_course
    usual = np.percentile(joints_m[:, FEET, 1], 20, axis=0)
    shoulders = joints[:, [LEFT_SHOULDER, RIGHT_SHOULDER], 1].mean(axis=1)
    lean = away[:, HEAD, 0] - pelvis[:, 0]
    return Deed(
        speed=course.speed_m_s,
        left=float(departed[np.abs(departed[:, 0]).argmax(), 0]),
        ahead=float(departed[-1, 2]),
        drop=float(joints[0, HEAD, 1] - joints[:, HEAD, 1].min()),
        lift=float((joints[:, FEET, 1] - usual).max()),
        gone=float(pelvis[-1, 2]),
        hands=float((joints[:, _WRISTS, 1].max(axis=1) - shoulders).max()),
        lean=float(lean[np.abs(lean - lean[0]).argmax()] - lean[0]),
    )


def find_onsets(joints_m: Float[np.ndarray, "frames 22 3"], *, most: int = 4) -> list[int]:
    """Frames at which the body leaves its course, the clearest first.

    A frame counts the more, the farther head and pelvis are from their course a second later, and the less, the farther they
    are 0.15 s later or were from a straight line before: then it was no course, or it had been left already.
    """
    points = joints_m[:, [PELVIS, HEAD, 10, 11]].astype(np.float64)
    points[:, 2:] *= [0.0, 1.0, 0.0]  # of the feet the height: stepping is no departure, a high step is
    frames = len(points)
    scores = np.full(frames, -np.inf)
    for onset in range(BEFORE, frames - BEFORE):
        velocity = (points[onset] - points[onset - BEFORE]) * [1.0, 0.0, 1.0] / BEFORE
        before = points[onset - BEFORE : onset + 1] - points[onset]
        strayed = np.linalg.norm(before - np.arange(-BEFORE, 1)[:, None, None] * velocity, axis=-1)[:, :2].max()
        after = points[onset : onset + 21] - points[onset]
        away = np.linalg.norm(after - np.arange(len(after))[:, None, None] * velocity, axis=-1)
        scores[onset] = away[:, :2].max() + 0.5 * away[:, 2:].max() - 3.0 * away[:4, :2].max() - 2.0 * strayed
    found: list[int] = []
    for onset in np.argsort(-scores, kind="stable"):
        if len(found) == most or scores[onset] < 0.1:
            break
        if all(abs(int(onset) - other) >= _APART for other in found):
            found.append(int(onset))
    return found
