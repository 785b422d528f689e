"""A ray caster on Embree: colour, metric depth along the optical axis, and what each pixel belongs to.

Rays start at the camera with direction K⁻¹·(column, row, 1), so that a ray's length *is* the depth. The place is cast for
all pixels; each solid only for the pixels its box may cover, with the rays of all frames carried into its own frame.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from egoreact.hrd.simulate.place import MIP_LEVELS, Atlas, Place, bake, to_display
from egoreact.hrd.simulate.shadows import find_shadows
from egoreact.hrd.simulate.solids import Solid, f32, turned

NEAR_M = 0.03
_FAR_M = 1e4
_CLEAR_M = 6.0
"""Haze begins beyond."""
_SHADE = 0.45
"""What is left of the light in a moving thing's shadow, on the display."""
_BOX_EDGES = np.array([(a, a | 1 << axis) for a in range(8) for axis in range(3) if not a >> axis & 1])


@dataclass(frozen=True)
class Images:
    rgb: UInt8[np.ndarray, "frames height width 3"]
    depth_m: Float32[np.ndarray, "frames height width"]
    """0 where there is nothing."""
    segmentation: UInt8[np.ndarray, "frames height width"]


def pixel_rays(size_px: int, K: np.ndarray) -> Float32[np.ndarray, "pixels 3"]:
    """Directions of unit depth, camera axes, row by row. Pixel (0, 0) is a centre."""
    column, row = np.meshgrid(np.arange(size_px), np.arange(size_px))
    rays = np.stack([(column - K[0, 2]) / K[0, 0], (row - K[1, 2]) / K[1, 1], np.ones_like(column)], axis=-1)
    return rays.reshape(-1, 3).astype(np.float32)


def render(
    place: Place, solids: list[Solid], T_world_camera: np.ndarray, K: np.ndarray, size_px: int, *, supersample: int = 1
) -> Images:
    """Images of all frames from cameras (frames, 4, 4)."""
    if supersample > 1:
        return _supersampled(place, solids, T_world_camera, K, size_px, supersample)
    T = np.ascontiguousarray(T_world_camera, dtype=np.float32)
    rays = pixel_rays(size_px, K)
    atlas = bake(place, detail=float(np.clip(K[0, 0] / 56.0, 0.5, 3.0)))
    frames = len(T)
    canvas = _Canvas(
        rgb=np.empty((frames, len(rays), 3), np.uint8),
        depth_m=np.empty((frames, len(rays)), np.float32),
        part=np.zeros((frames, len(rays)), np.uint8),
    )
    for frame in range(frames):
        _cast_place(canvas, frame, place, atlas, T, rays)
    _darken(canvas.rgb, find_shadows(canvas.depth_m, place, solids, T, rays), size_px)
    seen = [solid for solid in (*place.things, *solids) if solid.seen]
    for number, solid in enumerate(seen, start=1):
        _cast_solid(canvas, number, solid, place, T, rays, K, size_px)
    segments = np.array([0] + [solid.segment for solid in seen], dtype=np.uint8)
    shape = (frames, size_px, size_px)
    rgb, part = canvas.rgb.reshape(*shape, 3), canvas.part.reshape(shape)
    _soften_outlines(rgb, part)
    depth = np.where(np.isfinite(canvas.depth_m), canvas.depth_m, 0.0).astype(np.float32)
    return Images(rgb, depth.reshape(shape), segments[part])


@dataclass(frozen=True)
class _Canvas:
    rgb: np.ndarray
    depth_m: np.ndarray
    """inf where there is nothing yet."""
    part: np.ndarray
    """0 for the place, then one number a solid."""


def _supersampled(
    place: Place, solids: list[Solid], T_world_camera: np.ndarray, K: np.ndarray, size_px: int, times: int
) -> Images:
    # Depth and classes belong to the pixel's centre, exactly; only colours are averaged over the pixel.
    plain = render(place, solids, T_world_camera, K, size_px)
    finer = K.copy()
    finer[:2] *= times
    finer[:2, 2] += (times - 1) / 2
    images = render(place, solids, T_world_camera, finer, size_px * times)
    small = (size_px, size_px)
    rgb = np.stack([cv2.resize(frame, small, interpolation=cv2.INTER_AREA) for frame in images.rgb])
    return Images(rgb, plain.depth_m, plain.segmentation)


def _cast_place(canvas: _Canvas, frame: int, place: Place, atlas: Atlas, T: np.ndarray, rays: np.ndarray) -> None:
    directions = rays @ T[frame, :3, :3].T
    hit = place.scene.run(np.broadcast_to(T[frame, :3, 3], rays.shape).copy(), directions)
    nothing = hit < 0
    panel = (np.maximum(hit, 0) >> 1).astype(np.intp)  # the type `take` indexes with: it converts any other each time
    # Depth, and the place on the panel's picture, are ratios of linear forms of the pixel's ray (x, y, 1).
    x, y = np.ascontiguousarray(rays[:, 0]), np.ascontiguousarray(rays[:, 1])
    form = _panel_forms(place, T[frame])

    def pick(values: np.ndarray) -> np.ndarray:
        return values.take(panel, mode="clip")

    def linear(first: int) -> np.ndarray:
        return pick(form[first]) * x + pick(form[first + 1]) * y + pick(form[first + 2])

    facing = linear(0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        depth = pick(form[3]) / facing
    depth[nothing] = _FAR_M
    across = pick(form[7]) + depth * linear(4)
    up = pick(form[11]) + depth * linear(8)

    # The picture's size at which a texel is about a pixel: footprint² = depth² / focal² / cos(slant).
    length = np.sqrt(x * x + y * y + 1)
    spread = (depth * (x[1] - x[0])) ** 2 * length / np.maximum(np.abs(facing), 0.02) * pick(1.0 / atlas.texel_m**2)
    level = (spread > 2.0).astype(np.intp)
    for step in range(1, MIP_LEVELS - 1):
        level += spread > 2.0 * 4.0**step
    picture = level * len(place.panels) + panel
    start, width, height = (
        table.ravel().take(picture, mode="clip") for table in (atlas.start, atlas.width, atlas.height)
    )
    column = np.minimum(np.maximum((across * width).astype(np.int32), 0), width - 1)
    row = np.minimum(np.maximum((up * height).astype(np.int32), 0), height - 1)
    colour = (
        atlas.texels.take((start + row * width + column).astype(np.intp), mode="clip")
        .view(np.uint8)
        .reshape(-1, 4)[:, :3]
    )

    rgb = canvas.rgb[frame]
    rgb[...] = colour
    if place.haze_per_m > 0:
        rgb[...] = _hazed(place, rgb, depth)
    if nothing.any():
        sky = np.flatnonzero(nothing)
        height = np.clip(directions[sky, 1] / length[sky], 0.0, 1.0) * (len(place.sky_table) - 1)
        rgb[sky] = place.sky_table[height.astype(np.intp)]
        depth[nothing] = np.inf
    canvas.depth_m[frame] = depth


def _hazed(place: Place, colour: np.ndarray, depth_m: np.ndarray) -> np.ndarray:
    """Display colours as the air lets them through."""
    through = 1.0 / (1.0 + place.haze_per_m * np.maximum(depth_m - _CLEAR_M, 0.0))
    # Whole numbers: a third of the time of the same in floating point.
    horizon = place.sky_table[0].astype(np.int32)
    share = (256 * through).astype(np.int32)[:, None]
    return (horizon + ((colour.astype(np.int32) - horizon) * share >> 8)).astype(np.uint8)


def _panel_forms(place: Place, T: np.ndarray) -> Float32[np.ndarray, "12 panels"]:
    """For each panel seen from T: n·R and n·(corner − eye); a·R and a·(eye − corner); b·R and b·(eye − corner),
    with n its normal and a, b dual to its sides."""
    forms = np.empty((3, 4, len(place.panels)))
    forms[:, :3] = np.einsum("pki,ij->kjp", place.axes, T[:3, :3])
    forms[:, 3] = np.einsum("pki,pi->kp", place.axes, T[:3, 3] - place.corners_m)
    forms[0, 3] *= -1
    return forms.reshape(12, -1).astype(np.float32)


def _pixels_within(solid: Solid, T: np.ndarray, K: np.ndarray, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """(frame, pixel) indices of all pixels that the solid's box can cover, exact to the box."""
    T_camera_solid = np.linalg.inv(T.astype(np.float64)) @ solid.T_world_solid
    corners = solid.mesh.corners_m @ T_camera_solid[:, :3, :3].transpose(0, 2, 1) + T_camera_solid[:, None, :3, 3]
    start, end = corners[:, _BOX_EDGES[:, 0]], corners[:, _BOX_EDGES[:, 1]]
    crosses = (start[..., 2] < NEAR_M) != (end[..., 2] < NEAR_M)
    rise = end[..., 2] - start[..., 2]
    at = np.where(crosses, (NEAR_M - start[..., 2]) / np.where(np.abs(rise) < 1e-12, 1.0, rise), 0.0)
    points = np.concatenate([corners, start + at[..., None] * (end - start)], axis=1)
    counts = np.concatenate([corners[..., 2] >= NEAR_M, crosses], axis=1)
    depth = np.maximum(points[..., 2:], NEAR_M)
    pixel = points[..., :2] / depth * np.array([K[0, 0], K[1, 1]]) + K[:2, 2]
    low = np.where(counts[..., None], pixel, np.inf).min(axis=1)
    high = np.where(counts[..., None], pixel, -np.inf).max(axis=1)
    low = np.clip(np.floor(low), 0, size_px).astype(np.int64)
    high = np.clip(np.ceil(high) + 1, 0, size_px).astype(np.int64)
    sides = np.maximum(high - low, 0)
    areas = sides[:, 0] * sides[:, 1]
    frame = np.repeat(np.arange(len(T)), areas)
    within = np.arange(areas.sum()) - np.repeat(np.cumsum(areas) - areas, areas)
    width = np.maximum(sides[frame, 0], 1)
    return frame, (low[frame, 1] + within // width) * size_px + low[frame, 0] + within % width


def _cast_solid(
    canvas: _Canvas,
    number: int,
    solid: Solid,
    place: Place,
    T: np.ndarray,
    rays: np.ndarray,
    K: np.ndarray,
    size_px: int,
) -> None:
    frame, pixel = _pixels_within(solid, T, K, size_px)
    if not len(frame):
        return
    T_solid_camera = (np.linalg.inv(solid.T_world_solid.astype(np.float64)) @ T).astype(np.float32)
    spot = frame * len(rays) + pixel
    hit = solid.mesh.scene.run(
        T_solid_camera[:, :3, 3].take(frame, axis=0), turned(T_solid_camera, frame, rays.take(pixel, axis=0)), output=1
    )
    distance = hit["tfar"]
    closer = np.flatnonzero(
        (hit["primID"] >= 0) & (distance < canvas.depth_m.ravel().take(spot)) & (distance >= NEAR_M)
    )
    if not len(closer):
        return
    frame, pixel, spot = frame[closer], pixel[closer], spot[closer]
    triangle, u, v = hit["primID"][closer], hit["u"][closer, None], hit["v"][closer, None]
    depth = hit["tfar"][closer]
    corners = solid.mesh.faces[triangle]
    first, second, third = (solid.mesh.normals.take(corner, axis=0) for corner in corners.T)
    normal = first + u * (second - first) + v * (third - first)
    normal = turned(solid.T_world_solid, frame, normal)
    normal /= np.sqrt(np.sum(normal * normal, axis=1, keepdims=True))
    view = turned(T, frame, rays.take(pixel, axis=0))
    point = T[:, :3, 3].take(frame, axis=0) + depth[:, None] * view
    colour = _shade(solid, place, solid.mesh.face_colours[triangle], point, normal, view, depth)
    canvas.rgb.reshape(-1, 3)[spot] = colour
    canvas.depth_m.reshape(-1)[spot] = depth
    canvas.part.reshape(-1)[spot] = number


def _shade(
    solid: Solid,
    place: Place,
    albedo: np.ndarray,
    point: np.ndarray,
    normal: np.ndarray,
    view: np.ndarray,
    depth: np.ndarray,
) -> np.ndarray:
    """Display colours of points on a solid: Lambert's law, light from all around, bounce from the floor, a highlight."""
    light = place.light
    towards = light.direction(point)
    facing = np.maximum(np.einsum("ni,ni->n", normal, towards), 0.0)[:, None]
    around = light.ambient * (0.72 + 0.28 * normal[:, 1:2])
    linear = albedo * (around * f32(light.ambient_colour) + light.strength * facing * f32(light.colour))
    if solid.gloss:
        view = view / np.linalg.norm(view, axis=1, keepdims=True)
        half = towards - view
        half /= np.maximum(np.linalg.norm(half, axis=1, keepdims=True), 1e-6)
        linear = linear + solid.gloss * np.maximum(np.einsum("ni,ni->n", half, normal), 0.0)[:, None] ** 24
    colour = np.rint(255 * to_display(linear)).astype(np.uint8)
    return _hazed(place, colour, depth) if place.haze_per_m > 0 else colour


def _darken(rgb: np.ndarray, shaded: np.ndarray, size_px: int) -> None:
    """Takes light from shaded pixels (frames, pixels), softly at the edges, in place."""
    for frame in np.flatnonzero(shaded.any(axis=1)):
        mask = cv2.blur(shaded[frame].reshape(size_px, size_px).astype(np.float32), (3, 3)).reshape(-1)
        some = np.flatnonzero(mask)
        rgb[frame, some] = rgb[frame, some] * (1.0 - (1.0 - _SHADE) * mask[some, None])


def _soften_outlines(rgb: np.ndarray, part: np.ndarray) -> None:
    """Mixes colours across the outlines of solids, in place: the aliasing that shows most, for almost nothing."""
    edge = np.zeros(part.shape, bool)
    across, down = part[:, :, 1:] != part[:, :, :-1], part[:, 1:] != part[:, :-1]
    edge[:, :, 1:] |= across
    edge[:, :, :-1] |= across
    edge[:, 1:] |= down
    edge[:, :-1] |= down
    for frame in np.flatnonzero(edge.any(axis=(1, 2))):
        blurred = cv2.blur(rgb[frame], (3, 3))
        mask = edge[frame]
        mixed = (rgb[frame][mask].astype(np.uint16) + blurred[mask]) >> 1
        rgb[frame][mask] = mixed.astype(np.uint8)
