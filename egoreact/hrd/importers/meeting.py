"""Would a thing have met a body, does it miss it, and does the body see it come? Solids as boxes and balls, a body as thick bones."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from egoreact.hrd.simulate.acting.kinematics import rotation
from egoreact.hrd.simulate.arrival import Arrival
from egoreact.hrd.simulate.solids import Mesh, Solid
from egoreact.motion.camera import camera_from_head
from egoreact.motion.skeleton import HEAD, NUM_JOINTS, PARENTS

_SHARES = np.array([0.25, 0.6, 1.0])
_RADIUS_M = {3: 0.13, 6: 0.14, 9: 0.15, 12: 0.07, 13: 0.09, 14: 0.09, 15: 0.07, 1: 0.11, 2: 0.11, 4: 0.08, 5: 0.08}
"""Half a body's thickness around the bone that ends in a joint; 0.05 m elsewhere."""
_SKULL_M, _SKULL_UP_M = 0.10, 0.09
_REACH_M = 1.6
"""No part of a body is farther from its middle."""
_SKIN_STRIDE = 5
"""Of a skin's vertices one in so many is measured."""
_NEAR_M, _FAR_M = 0.3, 25.0
_IN_VIEW = 0.9
"""How far out towards the image's edge a thing's middle may be to count as seen."""


@dataclass(frozen=True)
class Part:
    """A convex piece of a solid in its own frame: a box, or the ball within it."""

    centre_m: Float[np.ndarray, "3"]
    half_m: Float[np.ndarray, "3"]
    round: bool


def thick_points(joints_m: Float[np.ndarray, "frames 22 3"]) -> tuple[Float[np.ndarray, "frames points 3"], np.ndarray]:
    """Points along all bones and in the skull, and how thick the body is around each."""
    children = np.arange(1, NUM_JOINTS)
    start, end = joints_m[:, list(PARENTS[1:])], joints_m[:, children]
    along = start[:, :, None] + _SHARES[:, None] * (end - start)[:, :, None]
    radii = np.repeat([_RADIUS_M.get(int(joint), 0.05) for joint in children], len(_SHARES))
    skull = joints_m[:, [HEAD]] + [0.0, _SKULL_UP_M, 0.0]
    points = np.concatenate([along.reshape(len(joints_m), -1, 3), skull], axis=1)
    return points.astype(np.float64), np.append(radii, _SKULL_M)


def parts_of(mesh: Mesh) -> list[Part]:
    """The pieces a mesh is joined from."""
    _, same = np.unique(np.round(mesh.vertices_m, 4), axis=0, return_inverse=True)
    same = same.reshape(-1)
    a, b = same[mesh.faces[:, [0, 1, 2]]].ravel(), same[mesh.faces[:, [1, 2, 0]]].ravel()
    count = int(same.max()) + 1
    _, labels = connected_components(coo_matrix((np.ones(len(a)), (a, b)), shape=(count, count)), directed=False)
    parts = []
    for label in range(int(labels.max()) + 1):
        vertices = mesh.vertices_m[labels[same] == label].astype(np.float64)
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        centre, half = 0.5 * (low + high), 0.5 * (high - low)
        reach = np.linalg.norm(vertices - centre, axis=1).max()
        parts.append(Part(centre, half, bool(reach < 1.1 * half.min())))
    return parts


def gap_m(
    solids: list[Solid], joints_m: Float[np.ndarray, "frames 22 3"], frames: slice = slice(None)
) -> Float[np.ndarray, " frames"]:
    """How far the nearest of the solids is from the body's skin in each frame; below 0 they overlap."""
    points, radii = thick_points(joints_m[frames])
    least = np.full(len(points), np.inf)
    for solid in solids:
        T = solid.T_world_solid[frames].astype(np.float64)
        balls = solid.balls_m[frames]
        away = np.linalg.norm(points.mean(axis=1) - balls[:, :3], axis=-1) - balls[:, 3]
        near = np.flatnonzero(away < _REACH_M)  # of a body's middle: farther things touch nobody
        least = np.where(away < _REACH_M, least, np.minimum(least, away - 0.7 * _REACH_M))
        if not len(near):
            continue
        local = (points[near] - T[near, None, :3, 3]) @ T[near, :3, :3]
        if solid.skin_m is None:
            distance = _to_mesh(local, solid.mesh)
        else:
            skins = solid.skin_m[frames][near, ::_SKIN_STRIDE]
            distance = np.stack([cKDTree(skin).query(some)[0] for skin, some in zip(skins, local, strict=True)])
        least[near] = np.minimum(least[near], (distance - radii).min(axis=1))
    return least


def _to_mesh(points_m: Float[np.ndarray, "frames points 3"], mesh: Mesh) -> Float[np.ndarray, "frames points"]:
    """Distance to the nearest of a mesh's parts; below 0 within."""
    least = np.full(points_m.shape[:2], np.inf)
    for part in parts_of(mesh):
        out = points_m - part.centre_m
        if part.round:
            distance = np.linalg.norm(out, axis=-1) - part.half_m.max()
        else:
            beyond = np.abs(out) - part.half_m
            distance = np.linalg.norm(np.maximum(beyond, 0.0), axis=-1) + np.minimum(beyond.max(axis=-1), 0.0)
        least = np.minimum(least, distance)
    return least


def from_where_one_stands(
    joints_m: Float[np.ndarray, "frames 22 3"], origin_m: Float[np.ndarray, "3"], yaw: float
) -> Float[np.ndarray, "frames 22 3"]:
    """A motion in the axes of an encounter that has somebody stand at `origin_m` and face `yaw`."""
    return (joints_m - origin_m) @ rotation(yaw)


def in_view(
    arrival: Arrival,
    joints_m: Float[np.ndarray, "frames 22 3"],
    head_rotation: Float[np.ndarray, "frames 3 3"],
    fov_degrees: float,
) -> Bool[np.ndarray, " frames"]:
    """Whether the eyes have what is watched, or the middle of any solid, within the picture."""
    T = camera_from_head(joints_m[:, HEAD].astype(np.float64), head_rotation.astype(np.float64))
    points = np.stack([arrival.watched_m, *(solid.balls_m[:, :3] for solid in arrival.solids)], axis=1).astype(
        np.float64
    )
    seen = (points - T[:, None, :3, 3]) @ T[:, :3, :3]
    edge = _IN_VIEW * np.tan(np.radians(fov_degrees) / 2) * seen[..., 2]
    inside = (np.abs(seen[..., 0]) < edge) & (np.abs(seen[..., 1]) < edge)
    return (inside & (seen[..., 2] > _NEAR_M) & (seen[..., 2] < _FAR_M)).any(axis=1)
