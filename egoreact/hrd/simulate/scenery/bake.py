"""What can be known of a place before the clip runs, painted once: its surfaces' pictures, and the light that falls on them.

The light is kept apart from the pictures, and the lamp's from that of all around, so that what moves can take it away.
"""

import cv2
import numpy as np
from jaxtyping import Float32

from egoreact.hrd.simulate.picture.raster.scenery import Panels
from egoreact.hrd.simulate.scenery.place import Place
from egoreact.hrd.simulate.solids import f32

_LEVELS = 5
_CELLS = 40
"""Of a light map, at most, along a side."""
_AROUND = np.array([
    [np.sqrt(r) * np.cos(a), np.sqrt(r) * np.sin(a), np.sqrt(1 - r)]
    for r, a in ((0.1, 0.4), (0.3, 2.3), (0.5, 4.1), (0.7, 0.9), (0.85, 3.2), (0.6, 5.4), (0.92, 1.7), (0.25, 5.0))
], dtype=np.float32)  # fmt: skip
_OPEN_M = 1.4


def bake(place: Place, detail: float = 1.0) -> Panels:
    """Paints and lights every panel. Detail divides the size of texels."""
    across, up = (np.stack([getattr(p, side) for p in place.panels]) for side in ("across_m", "up_m"))
    sides_m = np.linalg.norm(np.stack([across, up], axis=1), axis=-1)
    texel_m = np.array([panel.texel_m for panel in place.panels]) / detail
    sizes = np.clip(np.rint(sides_m / texel_m[:, None]), 2, 1024).astype(int)
    pictures = [
        _paint(panel.paint, *size, *side_m) for panel, size, side_m in zip(place.panels, sizes, sides_m, strict=True)
    ]
    texels, shapes = [], []
    for level in range(_LEVELS):
        if level:
            pictures = [
                cv2.resize(p, (max(p.shape[1] // 2, 1), max(p.shape[0] // 2, 1)), interpolation=cv2.INTER_AREA)
                for p in pictures
            ]
        shapes.append([p.shape[:2] for p in pictures])
        texels += [p.reshape(-1, 4) for p in pictures]
    height, width = np.moveaxis(np.array(shapes, np.int32), -1, 0)
    light, light_shapes = _light_maps(place, sides_m)
    return Panels(
        normals=place.normals.astype(np.float64),
        corners_m=place.corners_m,
        glow=np.array([panel.glow for panel in place.panels]),
        texels=np.concatenate(texels).view(np.uint32).ravel(),
        start=_starts(height * width),
        width=np.ascontiguousarray(width),
        height=np.ascontiguousarray(height),
        texel_m=(sides_m / sizes).max(axis=1),
        light=light,
        light_start=_starts(light_shapes.prod(axis=1)),
        light_width=np.ascontiguousarray(light_shapes[:, 1]),
        light_height=np.ascontiguousarray(light_shapes[:, 0]),
    )


def _starts(areas: np.ndarray) -> np.ndarray:
    return (np.cumsum(areas) - areas.ravel()).reshape(areas.shape).astype(np.int32)


def _paint(paint, columns: int, rows: int, width_m: float, height_m: float) -> np.ndarray:
    """(rows, columns, 4) uint8 square roots of the linear colours, and an empty byte."""
    s, t = (np.arange(columns, dtype=np.float32) + 0.5) / columns, (np.arange(rows, dtype=np.float32) + 0.5) / rows
    albedo = paint(*np.meshgrid(s * f32(width_m), t * f32(height_m)))
    packed = np.zeros((rows, columns, 4), np.uint8)
    packed[..., :3] = np.sqrt(np.clip(albedo, 0.0, 1.0, dtype=np.float32)) * f32(255.0) + f32(0.5)
    return packed


def _light_maps(place: Place, sides_m: np.ndarray) -> tuple[Float32[np.ndarray, "cells 2"], np.ndarray]:
    """All panels' maps end to end, and their (height, width)."""
    texel_m = np.array([panel.texel_m for panel in place.panels])
    cell_m = np.clip(8 * texel_m, 0.25, 2.5)
    shapes = np.clip(np.ceil(sides_m / cell_m[:, None]), 2, _CELLS).astype(np.int32)[:, ::-1]
    points, normals = [], []
    for panel, normal, (h, w) in zip(place.panels, place.normals, shapes, strict=True):
        s, t = np.meshgrid((np.arange(w) + 0.5) / w, (np.arange(h) + 0.5) / h)
        at = panel.corner_m + s[..., None] * panel.across_m + t[..., None] * panel.up_m + 2e-3 * normal
        points.append(at.reshape(-1, 3))
        normals.append(np.broadcast_to(normal, (h * w, 3)))
    return _light_at(
        place, np.concatenate(points).astype(np.float32), np.concatenate(normals).astype(np.float32)
    ), shapes


def _light_at(place: Place, points_m: np.ndarray, normals: np.ndarray) -> Float32[np.ndarray, "points 2"]:
    """Shares of the light from all around and of the lamp's that reach points of the panels."""
    helper = np.where(np.abs(normals[:, 1:2]) > 0.9, f32([[1, 0, 0]]), f32([[0, 1, 0]]))
    tangent = np.cross(helper, normals)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    other = np.cross(normals, tangent)
    openness = np.zeros(len(points_m), dtype=np.float32)
    for x, y, z in _AROUND:
        away = place.scene.run(points_m, np.ascontiguousarray(x * tangent + y * other + z * normals), query="DISTANCE")
        openness += np.minimum(away, _OPEN_M) / (_OPEN_M * len(_AROUND))
    towards = np.ascontiguousarray(place.light.direction(points_m), dtype=np.float32)
    facing = np.maximum(np.sum(towards * normals, axis=1), 0.0)
    shining = np.flatnonzero(facing > 0)
    spread = 0.12 if place.light.is_lamp else 0.02
    lit = np.zeros(len(points_m), dtype=np.float32)
    for x, z in ((1, 0.3), (-0.3, 1), (-1, -0.3), (0.3, -1)):
        lit[shining] += 0.25 * light_reaches(
            place, points_m[shining], towards[shining] + f32([x * spread, 0, z * spread])
        )
    return np.stack([0.25 + 0.75 * openness, facing * lit], axis=1).astype(np.float32)


def light_reaches(place: Place, points_m: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """(points,) whether nothing of the place stands between a point and what lies in a direction as far as the light."""
    far = np.linalg.norm(place.light.towards - points_m, axis=1) - 0.15 if place.light.is_lamp else 1e6
    return place.scene.run(f32(points_m), f32(towards), query="DISTANCE") >= far
