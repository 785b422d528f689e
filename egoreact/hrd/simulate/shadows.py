"""Shadows that moving solids cast on the place: for each pixel, whether a solid stands between what it shows and the light."""

import numpy as np
from jaxtyping import Bool, Float32

from egoreact.hrd.simulate.place import Place
from egoreact.hrd.simulate.solids import Solid, f32, turned


def find_shadows(
    depth_m: Float32[np.ndarray, "frames pixels"],
    place: Place,
    solids: list[Solid],
    T_world_camera: Float32[np.ndarray, "frames 4 4"],
    rays: Float32[np.ndarray, "pixels 3"],
) -> Bool[np.ndarray, "frames pixels"]:
    """Which pixels of the place, seen along rays at these depths, are shaded. Solids of one segment are taken together."""
    shaded = np.zeros(depth_m.shape, bool)
    for segment in sorted({solid.segment for solid in solids}):
        casters = [solid for solid in solids if solid.segment == segment and solid.shadow]
        if casters:
            _shade_behind(shaded, depth_m, place, casters, T_world_camera, rays)
    return shaded


def _shade_behind(
    shaded: np.ndarray, depth_m: np.ndarray, place: Place, casters: list[Solid], T: np.ndarray, rays: np.ndarray
) -> None:
    """Marks pixels in the shadow of solids that keep together, such as a body's limbs."""
    centres = np.stack(
        [s.T_world_solid[:, :3, :3] @ s.mesh.ball_m[0] + s.T_world_solid[:, :3, 3] for s in casters], axis=1
    )
    radii = np.array([s.mesh.ball_m[1] for s in casters], np.float32)
    # One direction a frame: from the middle of the solids to the light. Seen along it everything is flat: compare there
    # each pixel's point with the rectangle around all solids, and what is left with each solid.
    towards = place.light.direction(centres.mean(axis=1))
    x_axis = np.cross(towards, f32([0.31, 0.2, 0.93]))
    x_axis /= np.linalg.norm(x_axis, axis=1, keepdims=True)
    flat = np.stack([x_axis, np.cross(towards, x_axis), towards], axis=1).astype(np.float32)
    centre_flat = np.einsum("tki,tsi->tsk", flat, centres).astype(np.float32)
    low = (centre_flat[..., :2] - radii[:, None]).min(axis=1)
    high = (centre_flat[..., :2] + radii[:, None]).max(axis=1)
    eye_flat = np.einsum("tki,ti->tk", flat, T[:, :3, 3])
    seen_flat = flat @ T[:, :3, :3]
    chosen = []
    for k in range(len(T)):
        with np.errstate(invalid="ignore"):  # the sky is infinitely far: never between
            x = (rays @ seen_flat[k, 0]) * depth_m[k] + eye_flat[k, 0]
        some = np.flatnonzero((x > low[k, 0]) & (x < high[k, 0]))
        y = (rays[some] @ seen_flat[k, 1]) * depth_m[k, some] + eye_flat[k, 1]
        chosen.append(some[(y > low[k, 1]) & (y < high[k, 1])])
    frame, pixel = np.repeat(np.arange(len(T)), [len(some) for some in chosen]), np.concatenate(chosen)
    depth = depth_m[frame, pixel, None]
    spot = eye_flat[frame] + depth * turned(_as_poses(seen_flat), frame, rays[pixel])
    position = T[frame, :3, 3] + depth * turned(T, frame, rays[pixel])
    lit = np.ones(len(frame), bool)
    for number, solid in enumerate(casters):
        away = spot - centre_flat[:, number].take(frame, axis=0)
        beside = away[:, 0] ** 2 + away[:, 1] ** 2 < radii[number] ** 2
        some = np.flatnonzero(lit & beside & (away[:, 2] < radii[number]))
        if not len(some):
            continue
        at = frame[some]
        T_solid_world = np.linalg.inv(solid.T_world_solid.astype(np.float64)).astype(np.float32)
        directions = np.einsum("tij,tj->ti", T_solid_world[:, :3, :3], towards).astype(np.float32)[at]
        origins = turned(T_solid_world, at, position[some]) + T_solid_world[at, :3, 3] + 5e-3 * directions
        lit[some] = solid.mesh.scene.run(origins, directions) < 0
    shaded[frame[~lit], pixel[~lit]] = True


def _as_poses(rotations: np.ndarray) -> np.ndarray:
    T = np.zeros((len(rotations), 4, 4), np.float32)
    T[:, :3, :3] = rotations
    return T
