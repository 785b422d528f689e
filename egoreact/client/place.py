"""Where a body stands: a motion that begins anew at the origin is put where the one before it ended.

Metres, y up, radians about y; a yaw of 0 faces +z and a positive one turns towards +x.
"""

import numpy as np
from jaxtyping import Float

from egoreact.motion.skeleton import LEFT_HIP, LEFT_SHOULDER, PELVIS, RIGHT_HIP, RIGHT_SHOULDER

Joints = Float[np.ndarray, "*frames 22 3"]


def yaw_rad(joints_m: Float[np.ndarray, "22 3"]) -> float:
    """The way a body faces: across hips and shoulders, seen from above."""
    across = joints_m[LEFT_HIP] - joints_m[RIGHT_HIP] + joints_m[LEFT_SHOULDER] - joints_m[RIGHT_SHOULDER]
    return float(np.arctan2(-across[2], across[0]))


class Place:
    """Moves motion by a yaw and a shift over the floor, by nothing at first; heights stay as they come."""

    def __init__(self) -> None:
        self._yaw_rad = 0.0
        self._pivot_m, self._target_m = np.zeros(2), np.zeros(2)
        self._last: Float[np.ndarray, "22 3"] | None = None
        self._anew = False

    def restart(self) -> None:
        """The next motion begins anew: its first pose takes the place and the yaw of the last one put."""
        self._anew = self._last is not None

    def put(self, joints_m: Float[np.ndarray, "frames 22 3"]) -> Float[np.ndarray, "frames 22 3"]:
        """The joints, moved; as they are, bit for bit, until a motion has begun anew."""
        if self._anew:
            assert self._last is not None
            self._yaw_rad = yaw_rad(self._last) - yaw_rad(joints_m[0])
            self._pivot_m, self._target_m = joints_m[0, PELVIS, [0, 2]], self._last[PELVIS, [0, 2]]
            self._anew = False
        placed = self._move(joints_m)
        self._last = placed[-1]
        return placed

    def _move(self, joints_m: Joints) -> Joints:
        if self._yaw_rad == 0.0 and np.array_equal(self._pivot_m, self._target_m):
            return joints_m
        x, z = joints_m[..., 0] - self._pivot_m[0], joints_m[..., 2] - self._pivot_m[1]
        cos, sin = np.cos(self._yaw_rad), np.sin(self._yaw_rad)
        moved = joints_m.copy()
        moved[..., 0] = cos * x + sin * z + self._target_m[0]
        moved[..., 2] = cos * z - sin * x + self._target_m[1]
        return moved
