"""Where the head looks, when a recording says it wrongly or not at all."""

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

from egoreact.hrd.importers.take import heading
from egoreact.hrd.simulate.acting.kinematics import rotation
from egoreact.motion.kinematics import joint_rotations
from egoreact.motion.skeleton import FPS

OFFSET_DEG = 8.0
"""A head turned less than this against the chest, on average, is looking somewhere."""
LEAST_S = 2.0
"""Anybody may look to one side for a shorter time."""
_NECK = 12
_LOOK_DOWN, _MAX_TILT = 0.05, np.radians(50.0)
_SETTLE_S = 0.1


def without_yaw_offset(
    joints_m: Float[np.ndarray, "frames 22 3"], head_rotation: Float[np.ndarray, "frames 3 3"]
) -> tuple[Float[np.ndarray, "frames 3 3"], float]:
    """Head rotations without a constant turn of the head's own axes against the chest, and the turn, degrees (left is positive).

    Some skeletons of motion capture have their head's rest frame turned: the head then seems to look past where the body
    goes for the whole take. It is taken for that, and not for a gaze, where nine tenths of the frames lie on one side of
    straight ahead *and* the median is off by more than `OFFSET_DEG`, in takes of `LEAST_S` or more. Otherwise nothing changes
    and the turn is 0.
    """
    gaze = np.arctan2(head_rotation[:, 0, 2], head_rotation[:, 2, 2])
    against = _wrapped(gaze - heading(joints_m))
    low, middle, high = np.percentile(against, [10, 50, 90])
    if len(against) < LEAST_S * FPS or low * high <= 0 or abs(middle) < np.radians(OFFSET_DEG):
        return head_rotation, 0.0
    # The rest frame turns with the head: the correction is about the head's own axis.
    return head_rotation @ rotation(-middle), float(np.degrees(middle))


def estimated_head(joints_m: Float[np.ndarray, "frames 22 3"]) -> Float[np.ndarray, "frames 3 3"]:
    """R_world_head guessed from joints, for skeletons that have the head's place alone.

    It faces where chest and hips do and is tilted as SMPL's neck bone is. On recordings whose head is known the guess is off
    by about 10° in tilt, and in direction by as much as people look about: 3° walking, 10 to 30° else.
    """
    rotations = joint_rotations(torch.from_numpy(joints_m.astype(np.float64))).numpy()
    sigma = _SETTLE_S * FPS
    yaw = gaussian_filter1d(np.unwrap(heading(joints_m)), sigma, mode="nearest")
    neck = rotation(-yaw) @ rotations[:, _NECK]
    pitch = np.arctan2(-neck[:, 1, 2], np.hypot(neck[:, 0, 2], neck[:, 2, 2]))
    roll = np.arctan2(neck[:, 1, 0], neck[:, 1, 1])
    tilt = gaussian_filter1d(np.stack([pitch + _LOOK_DOWN, 0.5 * roll], axis=1), sigma, axis=0, mode="nearest")
    tilt = np.clip(tilt, -_MAX_TILT, _MAX_TILT)
    return rotation(yaw, tilt[:, 0], tilt[:, 1])


def _wrapped(angles: np.ndarray) -> np.ndarray:
    return (angles + np.pi) % (2 * np.pi) - np.pi
