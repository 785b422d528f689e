"""The floor as a plane in the depth images: how it lies to the camera, frame by frame.

On a plane inverse depth runs straight over the picture: normal · ray / distance. So its slope gives each pixel's own normal, and
the pixels whose normal is near up are votes for floors at some height under the camera; the floor is the lowest that many share,
and a robust fit to its pixels gives normal and distance. Nothing but the choice of the pixels uses the motion: a camera turned by
less than 30 degrees still finds the floor where it is seen.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float

from egoreact.errors import EgoReactError
from egoreact.hrd.alignment.depth import resized_depth, resized_intrinsics
from egoreact.hrd.alignment.head import camera_at_eyes
from egoreact.hrd.alignment.thresholds import Row
from egoreact.hrd.clip import SEGMENTATION_CLASSES, Clip

FRAMES = 12
WORKING_SIDE_PX = 64
MAX_TILT = np.cos(np.radians(30.0))
MIN_PIXELS = 60
MIN_FRAMES = 3
HEIGHT_RANGE_M = (0.4, 2.6)


@dataclass(frozen=True)
class FloorSeen:
    """In one frame."""

    up: Float[np.ndarray, "3"]
    """The floor's normal, camera axes, unit length."""
    height_m: float
    """Of the camera over it."""
    share: float
    """Of the pixels that face up, those that may lie on it."""


def floors(clip: Clip, T_world_camera: Float[np.ndarray, "frames 4 4"]) -> dict[int, FloorSeen]:
    """Frame → floor, in up to a dozen frames; those that show none are absent."""
    try:
        depth, classes, picture = clip.depth_m, clip.segmentation, clip.rgb.shape[1:3]
    except EgoReactError:
        return {}
    if depth is None or not np.isfinite(clip.K).all() or min(clip.K[0, 0], clip.K[1, 1]) < 1:
        return {}
    if classes is not None and classes.shape != depth.shape:
        classes = None
    scale = min(1.0, WORKING_SIDE_PX / max(depth.shape[1:]))
    shape = (round(depth.shape[1] * scale), round(depth.shape[2] * scale))
    K = resized_intrinsics(clip.K, picture, shape)
    row, column = np.mgrid[0 : shape[0], 0 : shape[1]]
    rays = np.stack([(column - K[0, 2]) / K[0, 0], (row - K[1, 2]) / K[1, 1], np.ones(shape)], axis=-1)
    found = {}
    count = min(len(depth), clip.num_frames, len(T_world_camera))
    for t in np.unique(np.linspace(0, count - 1, FRAMES).round().astype(int)).tolist():
        up = T_world_camera[t, 1, :3]
        if not np.isfinite(up).all():
            continue
        seen = depth[t] > 0
        if classes is not None:
            seen &= classes[t] == SEGMENTATION_CLASSES.index("static")
        floor = _floor(resized_depth(depth[t], seen, shape), rays, up)
        if floor is not None:
            found[t] = floor
    return found


def _floor(depth_m: np.ndarray, rays: np.ndarray, expected_up: np.ndarray) -> FloorSeen | None:
    seen = depth_m > 0
    inverse = np.where(seen, 1.0 / np.maximum(depth_m, 1e-3), 0.0).astype(np.float64)
    known = cv2.erode(seen.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    # Slopes over five pixels, which noise of real sensors leaves standing; per unit of the ray's x and y.
    slope_x = np.zeros_like(inverse)
    slope_y = np.zeros_like(inverse)
    slope_x[:, 2:-2] = (inverse[:, 4:] - inverse[:, :-4]) / (rays[0, 4, 0] - rays[0, 0, 0])
    slope_y[2:-2] = (inverse[4:] - inverse[:-4]) / (rays[4, 0, 1] - rays[0, 0, 1])
    normal = np.stack(
        [slope_x, slope_y, inverse - slope_x * rays[..., 0] - slope_y * rays[..., 1]], axis=-1
    )  # n / d of the plane n · X = d through the pixel, for the camera at 0
    length = np.linalg.norm(normal, axis=-1)
    # The floor lies below: n · X = −height for the normal that points up.
    facing = -(normal @ expected_up) / np.maximum(length, 1e-9)
    height = 1.0 / np.maximum(length, 1e-9)
    votes = known & (facing > MAX_TILT) & (height > HEIGHT_RANGE_M[0]) & (height < HEIGHT_RANGE_M[1])
    if votes.sum() < MIN_PIXELS:
        return None
    rough = _lowest_common(height[votes])
    if rough is None:
        return None
    chosen = votes & (np.abs(height - rough) < 0.08 * rough)
    ray, value = rays[chosen], inverse[chosen]
    plane = np.linalg.lstsq(ray, value, rcond=None)[0]
    for _ in range(4):
        error = np.abs(ray @ plane - value) / np.maximum(value, 1e-6)
        weight = 1.0 / (1.0 + (error / max(float(np.median(error)), 1e-4) / 3) ** 2)
        plane = np.linalg.lstsq(ray * weight[:, None], value * weight, rcond=None)[0]
    size = float(np.linalg.norm(plane))
    if size < 1e-3 or chosen.sum() < MIN_PIXELS:
        return None
    return FloorSeen(-plane / size, 1.0 / size, float(chosen.sum() / votes.sum()))


def _lowest_common(heights_m: np.ndarray) -> float | None:
    """The greatest distance under the camera that at least a third as many pixels share as share the commonest."""
    counts, edges = np.histogram(heights_m, bins=np.arange(HEIGHT_RANGE_M[0], HEIGHT_RANGE_M[1] + 0.04, 0.04))
    smooth = np.convolve(counts, [1, 2, 1], mode="same")
    if smooth.max() == 0:
        return None
    lowest = int(np.flatnonzero(smooth >= smooth.max() / 3)[-1])
    first = max(0, lowest - 3)
    peak = first + int(smooth[first : lowest + 1].argmax())
    near = heights_m[np.abs(heights_m - (edges[peak] + 0.02)) < 0.08]
    return float(np.median(near)) if len(near) else None


def measure_plane(clip: Clip) -> Row:
    """How the floor that the depth images show lies to the head, which the motion puts over y = 0."""
    T = camera_at_eyes(clip)
    seen = floors(clip, T)
    row: Row = {"floor_frames": len(seen), "floor_tilt_deg": None, "floor_height_error_cm": None}
    if len(seen) >= MIN_FRAMES:
        row["floor_tilt_deg"] = float(np.median([_tilt_deg(floor, T[t]) for t, floor in seen.items()]))
        row["floor_height_error_cm"] = float(np.median([_height_error_cm(floor, T[t]) for t, floor in seen.items()]))
    return row


def plane_series(clip: Clip) -> dict[str, Float[np.ndarray, "frames"]]:
    """`floor_tilt_deg` and `floor_height_error_cm` in the frames that were looked at; NaN in the others."""
    T = camera_at_eyes(clip)
    seen = floors(clip, T)
    series = {name: np.full(clip.num_frames, np.nan) for name in ("floor_tilt_deg", "floor_height_error_cm")}
    for t, floor in seen.items():
        series["floor_tilt_deg"][t] = _tilt_deg(floor, T[t])
        series["floor_height_error_cm"][t] = _height_error_cm(floor, T[t])
    return series if seen else {}


def _tilt_deg(floor: FloorSeen, T_world_camera: np.ndarray) -> float:
    sine = np.linalg.norm(np.cross(floor.up, T_world_camera[1, :3]))
    return float(np.degrees(np.arcsin(np.minimum(sine, 1.0))))


def _height_error_cm(floor: FloorSeen, T_world_camera: np.ndarray) -> float:
    return 100 * (floor.height_m - float(T_world_camera[1, 3]))
