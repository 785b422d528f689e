"""A motion without video: 22 joints and a head at 20 fps, whatever file it came from."""

from dataclasses import dataclass, replace

import numpy as np
import roma
import torch
from jaxtyping import Float

from egoreact.errors import EgoReactError
from egoreact.hrd.simulate.acting.kinematics import rotation
from egoreact.motion.representation import retarget
from egoreact.motion.skeleton import (
    BONE_LENGTHS_M,
    FEET,
    LEFT_HIP,
    LEFT_SHOULDER,
    PARENTS,
    PELVIS,
    RIGHT_HIP,
    RIGHT_SHOULDER,
)

PLAUSIBLE_SIZE = (0.6, 1.6)
"""All bones together against the reference body's: a child of four to a giant; anything else is another unit."""


@dataclass(frozen=True)
class Take:
    """A take at 20 fps on the 22-joint skeleton: metres, y up, the lowest step at height 0."""

    joints_m: Float[np.ndarray, "frames 22 3"]
    head_rotation: Float[np.ndarray, "frames 3 3"]
    details: dict
    """Format, unit, rate and what else the import decided."""
    smplx: dict[str, np.ndarray] | None = None
    """As in `Clip`, where the file holds them and the joints are its body's own."""

    def from_the_origin(self, window: slice) -> "Take":
        """A part of the take carried to where the simulator's clips begin: first root over the origin, first pose facing +z.

        Heights stay.
        """
        joints_m, head_rotation = self.joints_m[window].astype(np.float64), self.head_rotation[window]
        R = rotation(-heading(joints_m[:1])[0])
        ground = joints_m[0, PELVIS] * [1.0, 0.0, 1.0]
        smplx = None
        if self.smplx is not None:
            smplx = {name: value[window] if value.ndim == 2 else value for name, value in self.smplx.items()}
            orient = roma.rotvec_to_rotmat(torch.from_numpy(smplx["global_orient"].astype(np.float64)))
            turned = roma.rotmat_to_rotvec(torch.from_numpy(R) @ orient)
            # The pelvis is at transl + its place at rest, which does not turn.
            rest_m = joints_m[:, PELVIS] - smplx["transl"]
            smplx["global_orient"] = turned.numpy().astype(np.float32)
            smplx["transl"] = ((joints_m[:, PELVIS] - ground) @ R.T - rest_m).astype(np.float32)
        return replace(
            self,
            joints_m=((joints_m - ground) @ R.T).astype(np.float32),
            head_rotation=(R @ head_rotation).astype(np.float32),
            smplx=smplx,
        )


def heading(joints_m: Float[np.ndarray, "frames 22 3"]) -> Float[np.ndarray, " frames"]:
    """Yaw (rad) of where hips and shoulders face; 0 is +z, positive to the left."""
    left = (joints_m[:, LEFT_HIP] - joints_m[:, RIGHT_HIP]) + (joints_m[:, LEFT_SHOULDER] - joints_m[:, RIGHT_SHOULDER])
    return np.arctan2(-left[:, 2], left[:, 0])


def on_the_floor(joints_m: Float[np.ndarray, "frames 22 3"]) -> tuple[Float[np.ndarray, "frames 22 3"], float]:
    """The motion with its lowest steps at height 0, and by how many metres it was raised."""
    raised_m = -float(np.percentile(joints_m[:, FEET, 1].min(axis=1), 1))
    return joints_m + np.array([0.0, raised_m, 0.0]), raised_m


def checked_joints(joints_m: Float[np.ndarray, "frames 22 3"], where: object, *, remedy: str) -> None:
    """Raises EgoReactError where joints are not finite or make no person of metres."""
    bad = ~np.isfinite(joints_m).all(axis=(1, 2))
    if bad.any():
        raise EgoReactError(
            f"holds numbers that are not finite, first in frame {int(bad.argmax())}",
            where=where,
            remedy="repair or cut the recording",
        )
    bones_m = np.linalg.norm(joints_m[:, 1:] - joints_m[:, PARENTS[1:]], axis=-1)
    size = float(np.median(bones_m.sum(axis=1)) / BONE_LENGTHS_M.sum())
    if not PLAUSIBLE_SIZE[0] <= size <= PLAUSIBLE_SIZE[1]:
        raise EgoReactError(f"its bones make a body of {size:.3g} times a person's size", where=where, remedy=remedy)
    if bones_m.min() < 1e-4:
        frame, bone = (int(i) for i in np.argwhere(bones_m < 1e-4)[0])
        raise EgoReactError(
            f"joint {bone + 1} lies on its parent in frame {frame}",
            where=where,
            remedy="give 22 distinct joints in SMPL's order",
        )


def retargeted(joints_m: Float[np.ndarray, "frames 22 3"]) -> Float[np.ndarray, "frames 22 3"]:
    """The motion of the body that training knows. See `representation.retarget`."""
    return retarget(torch.from_numpy(joints_m.astype(np.float64))).numpy()
