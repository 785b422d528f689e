"""What the wearer of a motion without video would have seen: the simulator's camera at the eyes, and what comes, if anything does.

Real motion with made images. Where something that comes explains the motion (`explain`), they are useful for learning to react;
else nothing goes on around the body, and they are useful for learning to move.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float, UInt8

from egoreact.hrd.importers.explain import Explanation
from egoreact.hrd.importers.meeting import from_where_one_stands
from egoreact.hrd.simulate.acting.kinematics import Body, rotation
from egoreact.hrd.simulate.arrival import OWN_BODY
from egoreact.hrd.simulate.figures.dress import dress, sample_clothes
from egoreact.hrd.simulate.picture.render import render
from egoreact.hrd.simulate.scenery.places import PlaceKind, make_place
from egoreact.hrd.simulate.solids import Solid
from egoreact.motion.camera import camera_from_head, intrinsics
from egoreact.motion.kinematics import joint_rotations
from egoreact.motion.skeleton import BONE_LENGTHS_M, HEAD, PARENTS, PELVIS, T_POSE_OFFSETS_M

ROOM_CLEAR_M = ((-2.4, 2.4), (-2.2, 6.5))
"""x and z between which the simulator's rooms are empty. Who walks farther is put in a street."""
BEGINS_Z_M = -2.0
"""Behind this there may be walls."""
MIDST_Z_M, LOOKS_BACK = 20.0, 0.3
"""From where a street has houses all around, for who looks back: whose gaze along +z is less than this."""
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


def render_wearer_view(
    joints_m: Float[np.ndarray, "frames 22 3"],
    head_rotation: Float[np.ndarray, "frames 3 3"],
    *,
    reason: Explanation | None = None,
    image_size_px: int = 112,
    fov_degrees: float = 90.0,
    seed: int = 0,
) -> WearerView:
    """Images from the eyes of a body, its own limbs in sight; the same for the same arguments.

    Args:
        joints_m: world positions, y up, floor at 0, near the origin (see `from_the_origin`).
        head_rotation: R_world_head.
        reason: what comes; nothing by default.
        seed: of the place and the clothes.
    """
    rng = np.random.default_rng(seed)
    ground = _ground(joints_m.astype(np.float64), head_rotation.astype(np.float64), reason)
    # All is carried onto the place's ground, and the pictures are the same: the clip's own axes stay.
    moved_m = from_where_one_stands(joints_m.astype(np.float64), ground.origin_m, ground.yaw)
    turned = rotation(-ground.yaw) @ head_rotation.astype(np.float64)
    place = make_place(ground.kind, rng, len(joints_m))
    scale = float(np.linalg.norm(joints_m[0, 1:] - joints_m[0, PARENTS[1:]], axis=-1).sum() / BONE_LENGTHS_M.sum())
    solids = [*ground.comes, *dress(_body(moved_m, turned), sample_clothes(rng), OWN_BODY, scale, wearer=True)]
    K = intrinsics(image_size_px, fov_degrees).astype(np.float32)
    images = render(place, solids, camera_from_head(moved_m[:, HEAD], turned), K, image_size_px)
    T_world_camera = camera_from_head(joints_m[:, HEAD], head_rotation).astype(np.float32)
    details = {"place": ground.kind, "place_seed": seed}
    return WearerView(images.rgb, images.depth_m, images.segmentation, K, T_world_camera, details)


@dataclass(frozen=True)
class _Ground:
    """A kind of place, where in the clip its origin lies and its +z points, and what comes there, in its axes."""

    kind: PlaceKind
    origin_m: Float[np.ndarray, "3"]
    yaw: float
    comes: list[Solid]


def _ground(
    joints_m: Float[np.ndarray, "frames 22 3"],
    head_rotation: Float[np.ndarray, "frames 3 3"],
    reason: Explanation | None,
) -> _Ground:
    """Indoors where body and thing stay where the simulator's rooms are empty; else a street, or a road, along the way.

    The way is the thing's, or, where nothing comes, the one along which the body goes farthest.
    """
    if reason is None and _inside(joints_m.reshape(-1, 3)):
        return _Ground("room", np.zeros(3), 0.0, [])
    origin_m, yaw = _way_of(joints_m) if reason is None else (reason.origin_m, reason.yaw)
    moved_m = from_where_one_stands(joints_m, origin_m, yaw)
    back_m = float(moved_m[..., 2].min())
    ahead_m = max(0.0, BEGINS_Z_M - back_m)
    kind: PlaceKind = "street"
    comes: list[Solid] = []
    if reason is not None:
        comes = _ahead(reason.arrival.solids, ahead_m)
        ways = [moved_m.reshape(-1, 3) + np.array([0.0, 0.0, ahead_m])]
        inside = _inside(np.concatenate([*ways, *(solid.balls_m[:, :3] for solid in comes)]))
        kind = next((place for place in reason.places if inside or place != "room"), "street")
    if kind != "room" and ((rotation(-yaw) @ head_rotation)[:, 2, 2] < LOOKS_BACK).any():
        more_m = max(0.0, MIDST_Z_M - back_m - ahead_m)
        comes, ahead_m = _ahead(comes, more_m), ahead_m + more_m
    return _Ground(kind, origin_m - rotation(yaw) @ [0.0, 0.0, ahead_m], yaw, comes)


def _ahead(solids: list[Solid], by_m: float) -> list[Solid]:
    """The solids farther down the place."""
    T = np.eye(4, dtype=np.float32)
    T[2, 3] = by_m
    return [replace(solid, T_world_solid=T @ solid.T_world_solid) for solid in solids]


def _inside(points_m: Float[np.ndarray, "points 3"]) -> bool:
    """Whether all points lie where the simulator's rooms are empty."""
    low, high = points_m[:, [0, 2]].min(axis=0), points_m[:, [0, 2]].max(axis=0)
    return bool(
        (low > [bounds[0] for bounds in ROOM_CLEAR_M]).all() and (high < [bounds[1] for bounds in ROOM_CLEAR_M]).all()
    )


def _way_of(joints_m: Float[np.ndarray, "frames 22 3"]) -> tuple[Float[np.ndarray, "3"], float]:
    """Origin and direction of a street along the body's longest way, the body in its middle."""
    way = joints_m[:, PELVIS] * [1.0, 0.0, 1.0]
    direction = np.linalg.svd(way - way.mean(axis=0))[2][0]
    if direction @ (way[-1] - way[0]) < 0:
        direction = -direction
    yaw = float(np.arctan2(direction[0], direction[2]))
    along = way @ rotation(yaw)
    start = np.array([0.5 * (along[:, 0].min() + along[:, 0].max()), 0.0, along[:, 2].min()])
    return rotation(yaw) @ start, yaw


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
