"""From a posture to joints: torso by forward kinematics, legs and arms by two-bone inverse kinematics.

World: y up, floor at 0. A body at rest faces +z with its left at +x. Angles in radians: yaw turns left, pitch bends
forward, roll leans right; a rotation is Ry(yaw) · Rx(pitch) · Rz(roll). Bone lengths are those of
`skeleton.BONE_LENGTHS_M` times the body's scale, always exactly.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from egoreact.hrd.simulate.acting.curves import lower_envelope, soft_minimum
from egoreact.motion.skeleton import BONE_LENGTHS_M, NUM_JOINTS

# Directions from parent to joint of a person standing upright; the reference rest pose is none anybody can stand in.
_STANDING = {
    1: (0.59, -0.80, -0.1), 2: (-0.59, -0.80, -0.1), 3: (0, 0.96, -0.28), 6: (0, 0.98, 0.17), 9: (0, 1, 0.08),
    12: (0, 0.98, -0.12), 15: (0, 0.88, 0.47), 13: (0.55, 0.82, -0.13), 14: (-0.55, 0.82, -0.13),
    16: (0.95, 0.25, -0.13), 17: (-0.95, 0.25, -0.13),
}  # fmt: skip
_FOOT_DIRECTION = np.array([0.0, -0.42, 0.9075])
LEGS = ((1, 4, 7, 10), (2, 5, 8, 11))
ARMS = ((13, 16, 18, 20), (14, 17, 19, 21))


def rotation(yaw: np.ndarray | float, pitch: np.ndarray | float = 0.0, roll: np.ndarray | float = 0.0) -> np.ndarray:
    """(..., 3, 3) from angles of one shape."""
    yaw, pitch, roll = np.broadcast_arrays(yaw, pitch, roll)
    (cy, cp, cr), (sy, sp, sr) = (f(np.stack([yaw, pitch, roll])) for f in (np.cos, np.sin))
    rows = [
        [cy * cr + sy * sp * sr, -cy * sr + sy * sp * cr, sy * cp],
        [cp * sr, cp * cr, -sp],
        [-sy * cr + cy * sp * sr, sy * sr + cy * sp * cr, cy * cp],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


@dataclass(frozen=True)
class Bones:
    """A body of its own size."""

    scale: float = 1.0

    def offset(self, joint: int) -> np.ndarray:
        """(3,) m from parent to joint, upright."""
        direction = np.asarray(_STANDING[joint], dtype=np.float64)
        return direction / np.linalg.norm(direction) * self.length(joint)

    def length(self, joint: int) -> float:
        return float(BONE_LENGTHS_M[joint]) * self.scale

    def foot(self, side: int) -> np.ndarray:
        """(3,) m from ankle to foot joint of a foot flat on the floor."""
        return _FOOT_DIRECTION / np.linalg.norm(_FOOT_DIRECTION) * self.length(LEGS[side][3])

    def leg_m(self, side: int) -> float:
        return self.length(LEGS[side][1]) + self.length(LEGS[side][2])

    def arm_m(self, side: int) -> float:
        return self.length(ARMS[side][2]) + self.length(ARMS[side][3])

    @property
    def standing_pelvis_m(self) -> float:
        """Height of the pelvis over flat feet, knees barely bent."""
        return min(-self.foot(k)[1] + 0.985 * self.leg_m(k) - self.offset(LEGS[k][0])[1] for k in (0, 1))


@dataclass(frozen=True)
class Posture:
    """What a body is asked to do in each frame; sides are (left, right)."""

    pelvis_m: Float64[np.ndarray, "frames 3"]
    """Wanted; lowered where a planted foot would be out of reach."""
    pelvis_angles: Float64[np.ndarray, "frames 3"]
    """Yaw, pitch, roll."""
    spine_angles: Float64[np.ndarray, "frames 3"]
    """From pelvis to chest, spread over the spine."""
    toes_m: Float64[np.ndarray, "frames 2 3"]
    foot_angles: Float64[np.ndarray, "frames 2 2"]
    """Yaw and pitch; positive pitch lifts the heel about the foot joint."""
    hands: Float64[np.ndarray, "frames 2 3"]
    """Wrist from shoulder in the chest's axes, in arm lengths."""
    elbows: Float64[np.ndarray, "frames 2 3"]
    """Where elbows point, in the chest's axes."""
    swing: Float64[np.ndarray, "frames 2"] | None = None
    """1 while a foot is in the air: it need not be where it is wanted to the centimetre, and holds the pelvis down less."""


@dataclass(frozen=True)
class Torso:
    """Joints of the trunk, before the head is turned."""

    joints_m: Float64[np.ndarray, "frames 22 3"]
    pelvis_rotation: Float64[np.ndarray, "frames 3 3"]
    chest_rotation: Float64[np.ndarray, "frames 3 3"]


@dataclass(frozen=True)
class Body:
    """A solved body."""

    joints_m: Float64[np.ndarray, "frames 22 3"]
    pelvis_rotation: Float64[np.ndarray, "frames 3 3"]
    chest_rotation: Float64[np.ndarray, "frames 3 3"]
    head_rotation: Float64[np.ndarray, "frames 3 3"]
    foot_rotation: Float64[np.ndarray, "frames 2 3 3"]


def two_bones(
    start: np.ndarray, target: np.ndarray, pole: np.ndarray, lengths: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Middle joint and end, (..., 3) each, of a limb from start towards target, bent towards pole.

    The end is the target wherever the limb reaches; bone lengths hold always.
    """
    a, b = lengths
    towards = target - start
    distance = np.linalg.norm(towards, axis=-1, keepdims=True)
    axis = np.where(distance > 1e-9, towards / np.maximum(distance, 1e-9), [0.0, -1.0, 0.0])
    distance = np.clip(distance, abs(a - b) + 1e-4, (a + b) * (1 - 1e-5))
    along = (a * a + distance * distance - b * b) / (2 * a * distance) * a
    side = pole - np.sum(pole * axis, axis=-1, keepdims=True) * axis
    length = np.linalg.norm(side, axis=-1, keepdims=True)
    anywhere = np.cross(axis, np.eye(3)[np.argmin(np.abs(axis), axis=-1)])  # a pole along the limb points nowhere
    anywhere /= np.linalg.norm(anywhere, axis=-1, keepdims=True)
    side = np.where(length > 1e-6, side / np.maximum(length, 1e-9), anywhere)
    middle = start + along * axis + np.sqrt(np.maximum(a * a - along * along, 0.0)) * side
    return middle, start + distance * axis


def solve_torso(posture: Posture, bones: Bones) -> Torso:
    """Pelvis, spine, neck, shoulders and hips. The pelvis sinks as far as the feet need it to."""
    frames = len(posture.pelvis_m)
    joints = np.zeros((frames, NUM_JOINTS, 3))
    pelvis_rotation = rotation(*posture.pelvis_angles.T)
    caps = []
    for side, (hip, _, _, _) in enumerate(LEGS):
        hip_from_pelvis = pelvis_rotation @ bones.offset(hip)
        ankle = posture.toes_m[:, side] - foot_rotations(posture)[:, side] @ bones.foot(side)
        level = np.hypot(*(posture.pelvis_m + hip_from_pelvis - ankle)[:, ::2].T)
        reach = 0.997 * bones.leg_m(side)
        loose = 0.0 if posture.swing is None else 0.08 * bones.scale * posture.swing[:, side]
        caps.append(ankle[:, 1] + np.sqrt(np.maximum(reach**2 - level**2, 0.02)) - hip_from_pelvis[:, 1] + loose)
    pelvis = posture.pelvis_m.copy()
    cap = lower_envelope(np.minimum(*caps), radius_frames=2)
    pelvis[:, 1] = soft_minimum(pelvis[:, 1], cap, softness=0.012 * bones.scale)

    joints[:, 0] = pelvis
    for hip, *_ in LEGS:
        joints[:, hip] = pelvis + pelvis_rotation @ bones.offset(hip)
    bend = rotation(*(posture.spine_angles.T / 3.0))
    current, parent = pelvis_rotation, 0
    for joint in (3, 6, 9):
        joints[:, joint] = joints[:, parent] + np.einsum("tij,j->ti", current, bones.offset(joint))
        current, parent = current @ bend, joint
    for joint in (12, 13, 14):
        joints[:, joint] = joints[:, 9] + np.einsum("tij,j->ti", current, bones.offset(joint))
    for collar, shoulder, *_ in ARMS:
        joints[:, shoulder] = joints[:, collar] + np.einsum("tij,j->ti", current, bones.offset(shoulder))
    return Torso(joints_m=joints, pelvis_rotation=pelvis_rotation, chest_rotation=current)


def solve(posture: Posture, bones: Bones, torso: Torso, head_rotation: Float64[np.ndarray, "frames 3 3"]) -> Body:
    """All 22 joints; the neck goes half the way from chest to head."""
    joints = torso.joints_m.copy()
    left, _, right = np.linalg.svd(torso.chest_rotation + head_rotation)
    joints[:, 15] = joints[:, 12] + (left @ right) @ bones.offset(15)
    feet = foot_rotations(posture)
    forward = torso.pelvis_rotation[:, :, 2]
    for side, (hip, knee, ankle, toe) in enumerate(LEGS):
        ankle_m = posture.toes_m[:, side] - feet[:, side] @ bones.foot(side)
        outward = torso.pelvis_rotation[:, :, 0] * (0.12 if side == 0 else -0.12)
        pole = forward + rotation(posture.foot_angles[:, side, 0])[:, :, 2] + outward
        lengths = bones.length(knee), bones.length(ankle)
        joints[:, knee], joints[:, ankle] = two_bones(joints[:, hip], ankle_m, pole, lengths)
        joints[:, toe] = joints[:, ankle] + feet[:, side] @ bones.foot(side)
    for side, (_, shoulder, elbow, wrist) in enumerate(ARMS):
        target = joints[:, shoulder] + _apply(torso.chest_rotation, posture.hands[:, side] * bones.arm_m(side))
        pole = _apply(torso.chest_rotation, posture.elbows[:, side])
        lengths = bones.length(elbow), bones.length(wrist)
        joints[:, elbow], joints[:, wrist] = two_bones(joints[:, shoulder], target, pole, lengths)
    return Body(joints, torso.pelvis_rotation, torso.chest_rotation, head_rotation, feet)


def foot_rotations(posture: Posture) -> Float64[np.ndarray, "frames 2 3 3"]:
    return rotation(posture.foot_angles[..., 0], posture.foot_angles[..., 1])


def _apply(rotations: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return np.einsum("tij,tj->ti", rotations, vectors)
