"""Pictures of a skeleton: rounded, shaded limbs over a floor with a soft shadow, fast enough to film with.

The view follows the body at a fixed angle. Left limbs are warm, right limbs blue. Colours are RGB.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from egoreact.errors import EgoReactError
from egoreact.motion.camera import intrinsics, project
from egoreact.motion.skeleton import HEAD, NUM_JOINTS, PELVIS

BACKGROUND = (246, 246, 246)
INK = (52, 58, 64)
LEFT, RIGHT, TORSO, SKIN, TRAIL = (226, 105, 70), (58, 124, 190), (98, 107, 120), (222, 190, 164), (122, 92, 190)

_NEAR_M = 0.3
_SHADES = 7
_ARC = 9
_GRID_M, _GRID_PX, _FLOOR_M = 0.5, 128, 10
"""Spacing of the floor's lines, pixels to a metre of its texture, and the side of the square that is drawn."""

# From joint, to joint, radii (m), colour. Joints 22… are points that `_with_ends` adds.
_HEAD_TOP, _LEFT_TOE, _RIGHT_TOE, _LEFT_FINGERS, _RIGHT_FINGERS, _CHEST, _PELVIS_BASE = range(22, 29)
_LIMBS: tuple[tuple[int, int, float, float, tuple[int, int, int]], ...] = (
    (_PELVIS_BASE, 3, 0.108, 0.104, TORSO),
    (3, 6, 0.104, 0.112, TORSO),
    (6, _CHEST, 0.112, 0.116, TORSO),
    (1, 2, 0.090, 0.090, TORSO),
    (13, 14, 0.080, 0.080, TORSO),
    (13, 16, 0.076, 0.060, TORSO),
    (14, 17, 0.076, 0.060, TORSO),
    (12, HEAD, 0.050, 0.046, SKIN),
    (HEAD, _HEAD_TOP, 0.070, 0.094, SKIN),
    (1, 4, 0.084, 0.056, LEFT),
    (4, 7, 0.056, 0.038, LEFT),
    (7, 10, 0.040, 0.034, LEFT),
    (10, _LEFT_TOE, 0.034, 0.026, LEFT),
    (2, 5, 0.084, 0.056, RIGHT),
    (5, 8, 0.056, 0.038, RIGHT),
    (8, 11, 0.040, 0.034, RIGHT),
    (11, _RIGHT_TOE, 0.034, 0.026, RIGHT),
    (16, 18, 0.054, 0.042, LEFT),
    (18, 20, 0.042, 0.031, LEFT),
    (20, _LEFT_FINGERS, 0.035, 0.022, LEFT),
    (17, 19, 0.054, 0.042, RIGHT),
    (19, 21, 0.042, 0.031, RIGHT),
    (21, _RIGHT_FINGERS, 0.035, 0.022, RIGHT),
)
_TORSO_LIMBS = 7
"""The first limbs melt into one solid."""
_STARTS, _ENDS = (np.array([limb[i] for limb in _LIMBS]) for i in (0, 1))
_RADII_M = np.array([limb[2:4] for limb in _LIMBS])
_LIGHT_PER_M = np.array([0.22, -1.0, -0.16])
"""Where the shadow of a point one metre above the floor falls."""


@dataclass(frozen=True)
class View:
    """From where the body is seen."""

    size_px: tuple[int, int] = (720, 720)
    """(height, width)."""
    azimuth_degrees: float = 155.0
    """About y, from in front of a body that faces +z: 0 looks it in the face, 180 at its back."""
    elevation_degrees: float = 14.0
    distance_m: float = 4.2
    fov_degrees: float = 34.0
    """Vertical."""
    look_at_height_m: float = 0.88

    def __post_init__(self) -> None:
        if min(self.size_px) < 64 or max(self.size_px) > 4096:
            raise EgoReactError(f"is {self.size_px} px", where="size_px", remedy="give sides of 64 to 4096 px")

    @property
    def K(self) -> Float[np.ndarray, "3 3"]:
        height, width = self.size_px
        square = intrinsics(height, self.fov_degrees)
        square[0, 2] = (width - 1) / 2
        return square

    def T_world_camera(self, target_m: Float[np.ndarray, "3"]) -> Float[np.ndarray, "4 4"]:
        """The camera that looks at a point above the target's place on the floor (its y is the floor's height)."""
        azimuth, elevation = np.radians([self.azimuth_degrees, self.elevation_degrees])
        towards = -np.array(
            [np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)]
        )
        right = np.cross(towards, [0.0, 1.0, 0.0])
        right /= np.linalg.norm(right)
        T = np.eye(4)
        T[:3, :3] = np.stack([right, np.cross(towards, right), towards], axis=1)
        T[:3, 3] = np.asarray(target_m) + np.array([0, self.look_at_height_m, 0]) - self.distance_m * towards
        return T


def render_skeleton(
    joints_m: Float[np.ndarray, "22 3"],
    *,
    view: View | None = None,
    target_m: Float[np.ndarray, "3"] | None = None,
    trail_m: Float[np.ndarray, "points 3"] | None = None,
    floor_m: float = 0.0,
) -> UInt8[np.ndarray, "height width 3"]:
    """One pose as an RGB picture, about 4 ms at 720 px.

    Args:
        joints_m: world positions, y up.
        view: from where.
        target_m: what the view is centred on; the pelvis by default.
        trail_m: points of a path to show, oldest first: where the head was.
        floor_m: height of the floor.

    Raises:
        EgoReactError: another shape, or a value that is not finite.
    """
    joints_m = np.asarray(joints_m, dtype=np.float64)
    if joints_m.shape != (NUM_JOINTS, 3) or not np.isfinite(joints_m).all():
        raise EgoReactError(
            f"have shape {joints_m.shape} or are not finite", where="joints", remedy="give (22, 3) finite metres"
        )
    view = view or View()
    centre = joints_m[PELVIS] if target_m is None else np.asarray(target_m, dtype=np.float64)
    target = np.array([centre[0], floor_m, centre[2]])
    points_m = _with_ends(joints_m)
    camera, K = view.T_world_camera(target), view.K
    ground = _floor(view, float(target[0] % _GRID_M), float(target[2] % _GRID_M))
    trail_m = np.empty((0, 3)) if trail_m is None else np.asarray(trail_m, dtype=np.float64)
    _draw_path(ground, trail_m * (1, 0, 1) + (0, floor_m, 0), camera, K, (150,), most=0.5)
    _shade_floor(ground, points_m, camera, K, floor_m)
    image = cv2.cvtColor(ground, cv2.COLOR_GRAY2RGB)
    _draw_path(image, trail_m, camera, K, TRAIL, most=0.9)
    _draw_limbs(image, points_m, camera, K)
    return image


def _with_ends(joints_m: np.ndarray) -> np.ndarray:
    """(29, 3) the joints and the tips that the skeleton leaves out."""

    def unit(vector: np.ndarray) -> np.ndarray:
        return vector / max(float(np.linalg.norm(vector)), 1e-6)

    up = unit(unit(joints_m[HEAD] - joints_m[12]) + unit(joints_m[12] - joints_m[9]))
    across = unit(joints_m[16] - joints_m[17])
    forward = unit(np.cross(across, up))
    top = joints_m[HEAD] + 0.095 * up + 0.01 * forward
    extra = [top]
    for ankle, foot in ((7, 10), (8, 11)):
        along = joints_m[foot] - joints_m[ankle]
        extra.append(joints_m[foot] + 0.055 * unit(along * (1.0, 0.25, 1.0)))
    for elbow, wrist in ((18, 20), (19, 21)):
        extra.append(joints_m[wrist] + 0.11 * unit(joints_m[wrist] - joints_m[elbow]))
    extra.append(joints_m[9] + 0.35 * (joints_m[12] - joints_m[9]))
    extra.append((joints_m[PELVIS] + joints_m[1] + joints_m[2]) / 3)
    return np.concatenate([joints_m, np.stack(extra)])


@lru_cache(maxsize=4)
def _floor_layers(view: View) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]:
    """Grey background, the floor's texture, how much of it shows at each pixel, its place in the picture, and the first
    row it shows in."""
    height, width = view.size_px
    camera, K = view.T_world_camera(np.zeros(3)), view.K
    pixels = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)
    rays = (
        np.concatenate([(pixels - K[:2, 2]) / [K[0, 0], K[1, 1]], np.ones((height, width, 1))], -1) @ camera[:3, :3].T
    )
    down = rays[..., 1] < -1e-4
    distance = np.where(down, -camera[1, 3] / np.where(down, rays[..., 1], -1.0), 0.0)
    hit = camera[:3, 3] + rays * distance[..., None]
    away_m = np.where(down, np.hypot(hit[..., 0], hit[..., 2]), 99.0)
    shows = np.exp(-((away_m / 2.6) ** 2)).astype(np.float32)
    shows[shows < 0.004] = 0
    top = int(np.argmax(shows.any(1)))

    ramp = np.linspace(0.0, 1.0, height)[:, None]
    background = BACKGROUND[0] * (1 - 0.04 * ramp) + 6 * np.exp(-((away_m / 2.2) ** 2))
    side, every = _FLOOR_M * _GRID_PX, round(_GRID_M * _GRID_PX)
    texture: np.ndarray = np.full((side, side), 252, np.uint8)
    for line in range(0, side, every):
        texture[max(0, line - 1) : line + 2] = texture[:, max(0, line - 1) : line + 2] = 198
    texture = cv2.GaussianBlur(texture, (3, 3), 0)
    # The texture's place follows from a square that lies before the camera for certain.
    square_m = np.array([[-1, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1]]) * 0.5
    seen, _ = project(square_m, camera, K)
    texels = (square_m[:, [0, 2]] + _FLOOR_M / 2) * _GRID_PX
    place = cv2.getPerspectiveTransform(texels.astype(np.float32), (seen - (0, top)).astype(np.float32))
    return background.clip(0, 255).astype(np.uint8), texture, shows[top:], place, top


def _floor(view: View, shift_x_m: float, shift_z_m: float) -> np.ndarray:
    """(H, W) grey: background and floor, its lines moved against the target."""
    background, texture, shows, place, top = _floor_layers(view)
    shift = np.array([[1, 0, -shift_x_m * _GRID_PX], [0, 1, -shift_z_m * _GRID_PX], [0, 0, 1]])
    ground: np.ndarray = background.copy()
    if top < len(ground):
        size = (ground.shape[1], len(ground) - top)
        floor = cv2.warpPerspective(texture, place @ shift, size, flags=cv2.INTER_LINEAR, borderValue=(BACKGROUND[0],))
        ground[top:] = cv2.blendLinear(floor, background[top:], shows, 1 - shows)
    return ground


def _shade_floor(ground: np.ndarray, points_m: np.ndarray, camera: np.ndarray, K: np.ndarray, floor_m: float) -> None:
    height, width = ground.shape
    above_m = np.maximum(points_m[:, 1:2] - floor_m, 0.0)
    on_floor = points_m + above_m * _LIGHT_PER_M
    on_floor[:, 1] = floor_m
    pixels, depth_m = project(on_floor, camera, K)
    if depth_m.min() < _NEAR_M:
        return
    ends = np.stack([_STARTS, _ENDS], 1)
    radius_px = _RADII_M * K[1, 1] / depth_m[ends] * 0.7
    # Sharp and dark where a foot touches, faint under the chest: two masks, at a quarter of the size.
    shadow = np.zeros((height // 4, width // 4), np.uint8)
    for outline in _outlines(pixels[_STARTS] / 4, pixels[_ENDS] / 4, radius_px / 4):
        cv2.fillConvexPoly(shadow, outline, 72, cv2.LINE_AA, 4)
    shadow = cv2.GaussianBlur(shadow, (0, 0), max(1.0, height / 200))
    touch = np.zeros_like(shadow)
    lowest_m = above_m[ends, 0].max(1)
    for limb in np.flatnonzero(lowest_m < 0.35):
        outline = _outlines(pixels[ends[limb, :1]] / 4, pixels[ends[limb, 1:]] / 4, radius_px[None, limb] / 4)[0]
        cv2.fillConvexPoly(touch, outline, int(110 * (1 - lowest_m[limb] / 0.35)), cv2.LINE_AA, 4)
    shadow = cv2.add(shadow, cv2.GaussianBlur(touch, (0, 0), max(0.6, height / 500)))
    light = cv2.resize(255 - shadow, (width, height), interpolation=cv2.INTER_LINEAR)
    cv2.multiply(ground, light, ground, 1 / 255)


def _draw_path(
    image: np.ndarray, path_m: np.ndarray, camera: np.ndarray, K: np.ndarray, colour: tuple[int, ...], *, most: float
) -> None:
    """A line that fades with age into the background."""
    if len(path_m) < 2:
        return
    pixels, depth_m = project(path_m, camera, K)
    thick = max(1, round(image.shape[0] / 240))
    ends = np.round(pixels * 16).clip(-(2**20), 2**20).astype(int)
    for index in range(len(path_m) - 1):
        if depth_m[index : index + 2].min() < _NEAR_M:
            continue
        strength = most * ((index + 1) / (len(path_m) - 1)) ** 1.5
        mixed = [round(BACKGROUND[0] + strength * (channel - BACKGROUND[0])) for channel in colour]
        cv2.line(image, ends[index].tolist(), ends[index + 1].tolist(), mixed, thick, cv2.LINE_AA, 4)


def _draw_limbs(image: np.ndarray, points_m: np.ndarray, camera: np.ndarray, K: np.ndarray) -> None:
    pixels, depth_m = project(points_m, camera, K)
    if depth_m.min() < _NEAR_M:
        return
    limb_depth_m = np.stack([depth_m[_STARTS], depth_m[_ENDS]], 1)
    radius_px = _RADII_M * K[1, 1] / limb_depth_m
    starts, ends = pixels[_STARTS], pixels[_ENDS]
    towards_light = np.array([-0.45, -0.62])
    shades = []
    for shade in range(_SHADES):
        inset = shade / _SHADES
        size = np.sqrt(1 - inset**1.6)
        drift = radius_px * (1 - size) * 0.9
        shades.append(
            _outlines(starts + drift[:, :1] * towards_light, ends + drift[:, 1:] * towards_light, radius_px * size)
        )
    # A limb's front is nearer than its axis; arms cross the thick torso that way.
    front_m = limb_depth_m.mean(1) - 0.6 * _RADII_M.mean(1)
    torso = np.arange(_TORSO_LIMBS)
    solids = [(front_m[torso].mean(), torso)]
    solids += [(front_m[limb], np.array([limb])) for limb in range(_TORSO_LIMBS, len(_LIMBS))]
    for _, limbs in sorted(solids, key=lambda solid: -solid[0]):
        palette = _palette(_LIMBS[limbs[0]][4])
        for shade in range(_SHADES):
            for limb in limbs:
                cv2.fillConvexPoly(image, shades[shade][limb], palette[shade], cv2.LINE_AA, 4)


@lru_cache(maxsize=16)
def _palette(colour: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    """Dark rim to bright middle."""
    stops = np.array([np.array(colour) * 0.62, colour, np.array(colour) * 0.62 + 255 * 0.38])
    where = np.linspace(0, 1.55, _SHADES)
    return [tuple(int(np.interp(w, (0, 0.8, 2), stops[:, c])) for c in range(3)) for w in where]  # type: ignore[misc]


def _outlines(starts: np.ndarray, ends: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """(L, 2·arc, 2) fixed-point polygons, 4 fractional bits, around circles of two sizes and their tangents."""
    axis = ends - starts
    length = np.maximum(np.linalg.norm(axis, axis=-1), 1e-6)
    angle = np.arctan2(axis[:, 1], axis[:, 0])
    tangent = np.arccos(np.clip((radii[:, 0] - radii[:, 1]) / length, -1.0, 1.0))
    sweep = np.linspace(-1.0, 1.0, _ARC)
    at_end = angle[:, None] + tangent[:, None] * sweep
    at_start = angle[:, None] + np.pi + (np.pi - tangent)[:, None] * sweep
    outline = np.concatenate(
        [
            ends[:, None] + radii[:, 1, None, None] * np.stack([np.cos(at_end), np.sin(at_end)], -1),
            starts[:, None] + radii[:, 0, None, None] * np.stack([np.cos(at_start), np.sin(at_start)], -1),
        ],
        axis=1,
    )
    return np.round(outline * 16).astype(np.int32)
