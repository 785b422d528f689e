"""What the wearer of a motion without video would have seen: the simulator's camera at the eyes, in a place where nothing goes on.

Real motion with made images: useful for learning to move, not for learning to react, as nothing causes what the body does.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, UInt8

from egoreact.hrd.clip import SEGMENTATION_CLASSES
from egoreact.hrd.simulate.figures import dress, sample_clothes
from egoreact.hrd.simulate.kinematics import Body, rotation
from egoreact.hrd.simulate.places import PlaceKind, make_place
from egoreact.hrd.simulate.render import render
from egoreact.motion.camera import camera_from_head, intrinsics
from egoreact.motion.kinematics import joint_rotations
from egoreact.motion.skeleton import (
    BONE_LENGTHS_M,
    HEAD,
    LEFT_HIP,
    LEFT_SHOULDER,
    PARENTS,
    PELVIS,
    RIGHT_HIP,
    RIGHT_SHOULDER,
    T_POSE_OFFSETS_M,
)

ROOM_CLEAR_M = ((-2.4, 2.4), (-2.2, 6.5))
"""x and z between which the simulator's rooms are empty. Who walks farther is put in a street."""
_FEET = ((7, 10), (8, 11))
_FLAT_FOOT_PITCH = float(np.arctan2(-T_POSE_OFFSETS_M[10, 1], T_POSE_OFFSETS_M[10, 2]))


@dataclass(frozen=True)
class WearerView:
    """Camera and images of T frames, as in `Clip`."""

    rgb: UInt8[np.ndarray, "frames height width 3"]
    depth_m: Float[np.ndarray, "frames height width"]
    segmentation: UInt8[np.ndarray, "frames height width"]
    K: Float[np.ndarray, "3 3"]
    T_world_camera: Float[np.ndarray, "frames 4 4"]
    details: dict = field(default_factory=dict)


def from_the_origin(
    joints_m: Float[np.ndarray, "frames 22 3"], head_rotation: Float[np.ndarray, "frames 3 3"]
) -> tuple[Float[np.ndarray, "frames 22 3"], Float[np.ndarray, "frames 3 3"]]:
    """The motion carried to where the simulator's begin: first root over the origin, first pose facing +z. Heights stay."""
    first = joints_m[0].astype(np.float64)
    left = (first[LEFT_HIP] - first[RIGHT_HIP]) + (first[LEFT_SHOULDER] - first[RIGHT_SHOULDER])
    R = rotation(-np.arctan2(-left[2], left[0]))
    ground = np.array([first[PELVIS, 0], 0.0, first[PELVIS, 2]])
    return ((joints_m - ground) @ R.T).astype(np.float32), (R @ head_rotation).astype(np.float32)


def render_wearer_view(
    joints_m: Float[np.ndarray, "frames 22 3"],
    head_rotation: Float[np.ndarray, "frames 3 3"],
    *,
    image_size_px: int = 112,
    fov_degrees: float = 90.0,
    seed: int = 0,
) -> WearerView:
    """Images from the eyes of a body, its own limbs in sight; the same for the same arguments.

    Args:
        joints_m: world positions, y up, floor at 0, near the origin (see `from_the_origin`).
        head_rotation: R_world_head.
        seed: of the place and the clothes.
    """
    rng = np.random.default_rng(seed)
    (low_x, high_x), (low_z, high_z) = ROOM_CLEAR_M
    x, z = joints_m[..., 0], joints_m[..., 2]
    kind: PlaceKind = (
        "room" if x.min() > low_x and x.max() < high_x and z.min() > low_z and z.max() < high_z else "street"
    )
    place = make_place(kind, rng, len(joints_m))
    body = _body(joints_m, head_rotation)
    scale = float(np.linalg.norm(joints_m[0, 1:] - joints_m[0, PARENTS[1:]], axis=-1).sum() / BONE_LENGTHS_M.sum())
    solids = dress(body, sample_clothes(rng), SEGMENTATION_CLASSES.index("own_body"), scale, wearer=True)
    K = intrinsics(image_size_px, fov_degrees).astype(np.float32)
    T_world_camera = camera_from_head(joints_m[:, HEAD], head_rotation).astype(np.float32)
    images = render(place, solids, T_world_camera, K, image_size_px)
    return WearerView(
        images.rgb, images.depth_m, images.segmentation, K, T_world_camera, {"place": kind, "place_seed": seed}
    )


def _body(joints_m: np.ndarray, head_rotation: np.ndarray) -> Body:
    """Joints with the rotations that the simulator dresses; feet by where they point."""
    joints = joints_m.astype(np.float64)
    R = joint_rotations(
        torch.from_numpy(joints), head_rotation=torch.from_numpy(head_rotation.astype(np.float64))
    ).numpy()
    feet = []
    for ankle, toe in _FEET:
        pointing = joints[:, toe] - joints[:, ankle]
        pitch = np.arctan2(-pointing[:, 1], np.linalg.norm(pointing[:, [0, 2]], axis=-1)) - _FLAT_FOOT_PITCH
        feet.append(rotation(np.arctan2(pointing[:, 0], pointing[:, 2]), pitch))
    return Body(joints, R[:, PELVIS], R[:, 9], head_rotation.astype(np.float64), np.stack(feet, axis=1))
