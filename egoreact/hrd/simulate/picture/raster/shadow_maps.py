"""Shadows of what moves: depth maps seen from the light, one for all solids of a segment, in each frame.

A sun is a lamp so far away that its rays are parallel.
"""

from dataclasses import dataclass

import numpy as np

from egoreact.hrd.simulate.picture.raster.packing import Packed
from egoreact.hrd.simulate.picture.raster.scan import fill, place_vertices, set_up
from egoreact.hrd.simulate.picture.raster.scenery import Shadows
from egoreact.hrd.simulate.scenery.place import Light

_SIDE = 144
_SUN_M = 200.0
_WIDEST = 3.0
"""Tangent of the largest angle off a map's axis that still casts a shadow."""


@dataclass(frozen=True)
class ShadowMaps:
    """Where the light looks from in each frame, for each group of solids."""

    groups: tuple[list[int], ...]
    """Numbers of the solids that share a map."""
    T_map_world: np.ndarray
    """(frames, groups, 4, 4)."""
    windows: np.ndarray
    """(frames, groups, 4) x and y from, x and y to, in rays."""

    @property
    def K(self) -> np.ndarray:
        """(frames, groups, 4)."""
        focal = (_SIDE - 1) / (self.windows[..., 2:] - self.windows[..., :2])
        return np.concatenate([focal, -focal * self.windows[..., :2]], axis=-1)


def plan_shadows(packed: Packed, light: Light) -> ShadowMaps:
    casters = [(k, s) for k, s in enumerate(packed.solids, start=1) if s.shadow]
    segments = sorted({solid.segment for _, solid in casters})
    groups = tuple([k for k, solid in casters if solid.segment == segment] for segment in segments)
    frames = len(packed.balls_m)
    T, windows = np.zeros((frames, len(groups), 4, 4)), np.zeros((frames, len(groups), 4))
    for g, group in enumerate(groups):
        balls = packed.balls_m[:, group]
        centre = 0.5 * ((balls[..., :3] - balls[..., 3:]).min(axis=1) + (balls[..., :3] + balls[..., 3:]).max(axis=1))
        towards = light.direction(centre).astype(np.float64)
        eye = np.broadcast_to(light.towards, centre.shape) if light.is_lamp else centre + _SUN_M * towards
        x = np.cross(towards, [0.31, 0.2, 0.93])
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        R = np.stack([x, np.cross(x, towards), -towards], axis=1)
        T[:, g, :3, :3], T[:, g, :3, 3], T[:, g, 3, 3] = R, -np.einsum("tij,tj->ti", R, eye), 1.0
        seen = np.einsum("tij,tsj->tsi", R, balls[..., :3]) + T[:, g, None, :3, 3]
        radius = balls[..., 3]
        before = np.maximum(seen[..., 2] - radius, 0.05)[..., None]
        low = np.minimum(
            (seen[..., :2] - radius[..., None]) / before, (seen[..., :2] - radius[..., None]) / seen[..., 2:]
        )
        high = np.maximum(
            (seen[..., :2] + radius[..., None]) / before, (seen[..., :2] + radius[..., None]) / seen[..., 2:]
        )
        windows[:, g, :2] = np.clip(low.min(axis=1), -_WIDEST, _WIDEST - 1e-3)
        windows[:, g, 2:] = np.maximum(np.clip(high.max(axis=1), -_WIDEST, _WIDEST), windows[:, g, :2] + 1e-3)
    return ShadowMaps(groups, T, windows)


class ShadowMapper:
    """Draws the maps of one frame after another into the same memory."""

    def __init__(self, packed: Packed, light: Light):
        self.packed, self.maps = packed, plan_shadows(packed, light)
        self.K = self.maps.K
        groups, faces = len(self.maps.groups), len(packed.faces)
        self.wanted = np.zeros((groups, len(packed.solids) + 1), np.bool_)
        for g, group in enumerate(self.maps.groups):
            self.wanted[g, group] = True
        self.nearness = np.zeros((groups, _SIDE, _SIDE), np.float32)
        self.face_at = np.zeros((_SIDE, _SIDE), np.int32)
        self.slope, self.offset = np.zeros((2, 4)), np.zeros((2, 4))
        self.points = np.zeros((len(packed.vertices_m), 5))
        self.forms, self.boxes, self.kept = np.zeros((faces, 10)), np.zeros((faces, 4)), np.zeros(faces, np.int32)

    def draw(self, frame: int, needed: np.ndarray) -> Shadows:
        """Of the groups that are needed; the others' maps are empty."""
        packed, maps = self.packed, self.maps
        chosen = np.flatnonzero(needed)
        for slot, g in enumerate(chosen):
            T = maps.T_map_world[frame, g] @ packed.T_world_solid[frame]
            place_vertices(packed.vertices_m, packed.vertex_ranges, self.wanted[g], T, self.points)
            window = tuple(maps.windows[frame, g])
            count = set_up(
                self.points, packed.faces, packed.face_ranges, self.wanted[g], packed.one_sided, window,
                self.forms, self.boxes, self.kept,
            )  # fmt: skip
            K = tuple(self.K[frame, g])
            fill(
                self.forms, self.boxes, self.kept, count, K, self.nearness[slot], self.face_at, self.slope, self.offset
            )
        return Shadows(self.nearness[: len(chosen)], maps.T_map_world[frame, chosen], self.K[frame, chosen])
