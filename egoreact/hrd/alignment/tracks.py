"""Points of a video followed from frame to frame, each with the depth of the clip's depth images: what the pixels saw.

Corners (Shi-Tomasi) are found in every fourth frame where few are being followed, and followed through every second frame by
pyramidal Lucas-Kanade, forward and back: a point that does not come back to where it was is given up. The segmentation, where
there is one, masks what moves by itself, and the own body.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float

from egoreact.errors import EgoReactError
from egoreact.hrd.alignment.depth import resized_depth, resized_intrinsics
from egoreact.hrd.clip import SEGMENTATION_CLASSES, Clip

STEP_FRAMES = 2
BIRTH_STEPS = 2
"""New corners are looked for in every second step."""
LIFE_STEPS = 12
"""A track longer than 24 frames ends: its patch no longer looks as it did."""
MAX_ALIVE = 140
MAX_FRAMES = 600
"""Of a longer clip the first half minute is looked at: what is kept grows with the square of its length."""
ENOUGH_FOLLOWED = 0.6
"""Where a smaller share of the points survives a step, it is taken frame by frame."""
WORKING_SIDE_PX = 256
"""Larger pictures are made smaller first."""
UNTIL = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 15, 0.01)
MIN_SIDE_PX = 64
"""In smaller ones a point is nothing that can be followed to a tenth of a degree."""
STANDS_STILL = np.isin(np.arange(256), [SEGMENTATION_CLASSES.index(name) for name in ("static", "ground")])
"""By class number."""
MIN_DEPTH_M, MAX_DEPTH_M = 0.4, 40.0


@dataclass(frozen=True)
class Tracks:
    """N points in S steps. Pixels are of the working picture, whose intrinsics are `K`."""

    frames: Float[np.ndarray, "steps"]
    """Frame of each step, whole numbers."""
    rays: Float[np.ndarray, "steps points 3"]
    """Directions in the camera, z = 1; NaN where a point is not seen."""
    depth_m: Float[np.ndarray, "steps points"]
    """Along the camera's z; NaN where there is none or it is ambiguous."""
    pixel_rad: float
    """Angle of a pixel in the middle of the picture: what one pixel of error means."""
    change: Float[np.ndarray, "frames"]
    """How much each picture differs from the one before, mean of absolute grey levels; NaN for the first."""


def follow(clip: Clip) -> Tracks | None:
    """Tracks of a clip's video; None where it cannot be decoded, is too short or too small, or K is no camera's."""
    try:
        rgb = clip.rgb
    except EgoReactError:
        return None
    count = min(len(rgb), clip.num_frames, MAX_FRAMES)
    K = clip.K.astype(np.float64)
    if count < 3 * STEP_FRAMES or max(rgb.shape[1:3]) < MIN_SIDE_PX:
        return None
    if not np.isfinite(K).all() or min(K[0, 0], K[1, 1]) < 1.0:
        return None
    grey, K = _working_pictures(rgb[:count], K)
    steps = np.arange(0, count, STEP_FRAMES)
    depth, still = _depth_and_mask(clip, count, grey.shape[1:])
    pixels = _follow(grey, still, depth)
    rays = np.concatenate(
        [(pixels - K[:2, 2]) / np.array([K[0, 0], K[1, 1]]), np.ones((*pixels.shape[:2], 1))], axis=-1
    )
    depth_m = np.full(pixels.shape[:2], np.nan)
    if depth is not None:
        for step, frame in enumerate(steps):
            depth_m[step] = _depth_at(depth[frame], None if still is None else still[frame], pixels[step])
    change = np.full(clip.num_frames, np.nan)
    for t in range(1, count):
        change[t] = cv2.norm(grey[t], grey[t - 1], cv2.NORM_L1) / grey[t].size
    return Tracks(steps, rays, depth_m, 1.0 / float(np.sqrt(K[0, 0] * K[1, 1])), change)


def _working_pictures(rgb: np.ndarray, K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    height, width = rgb.shape[1:3]
    scale = min(1.0, WORKING_SIDE_PX / max(height, width))
    if scale == 1.0:
        return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in rgb]), K
    size = (round(width * scale), round(height * scale))
    grey = [cv2.resize(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA) for f in rgb]
    return np.stack(grey), resized_intrinsics(K, (height, width), (size[1], size[0]))


def _depth_and_mask(
    clip: Clip, count: int, shape: tuple[int, ...]
) -> tuple[Float[np.ndarray, "frames h w"] | None, Bool[np.ndarray, "frames h w"] | None]:
    """Depth and what stands still, at the size of the working picture; None where the clip has none."""
    try:
        classes = clip.segmentation
    except EgoReactError:
        classes = None
    still = None
    if classes is not None and len(classes) >= count:
        size = (shape[1], shape[0])
        still = STANDS_STILL[classes[:count]]
        if still.shape[1:] != shape:
            small = [cv2.resize(s.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT) for s in still]
            still = np.stack(small).astype(bool)
    try:
        depth = clip.depth_m
    except EgoReactError:
        depth = None
    if depth is None or len(depth) < count:
        return None, still
    if depth.shape[1:] == shape:
        return depth[:count], still
    everything = np.ones(depth.shape[1:], bool)
    return np.stack([resized_depth(image, everything, shape) for image in depth[:count]]), still


def _follow(
    grey: np.ndarray, still: np.ndarray | None, depth: np.ndarray | None
) -> Float[np.ndarray, "steps points 2"]:
    """Tracks through every `STEP_FRAMES`-th of the pictures; where many get lost on the way, through those between as well."""
    side = max(grey.shape[1:])
    apart, margin = max(3.0, side / 22), round(side / 24)
    steps = range(0, len(grey), STEP_FRAMES)
    tracks: list[np.ndarray] = []
    """One (steps, 2) array a track."""
    alive: list[int] = []
    born: list[int] = []
    for step, frame in enumerate(steps):
        if step and alive:
            now = np.array([tracks[index][step - 1] for index in alive], np.float32)
            there, good = _flow(grey[frame - STEP_FRAMES], grey[frame], now)
            if good.mean() < ENOUGH_FOLLOWED:
                path, path_good = now, np.ones(len(now), bool)
                for t in range(frame - STEP_FRAMES, frame):
                    path, kept = _flow(grey[t], grey[t + 1], path)
                    path_good &= kept
                there, good = np.where(good[:, None], there, path), good | path_good
            survivors = []
            for index, place, keeps in zip(alive, there, good, strict=True):
                if keeps:
                    tracks[index][step] = place
                    if step - born[index] < LIFE_STEPS:
                        survivors.append(index)
            alive = survivors
        if step % BIRTH_STEPS == 0 and len(alive) < MAX_ALIVE:
            mask = np.zeros(grey.shape[1:], np.uint8)
            mask[margin:-margin, margin:-margin] = 255
            if still is not None:
                mask[cv2.erode(still[frame].astype(np.uint8), np.ones((3, 3), np.uint8)) == 0] = 0
            if depth is not None:
                mask[~((depth[frame] > MIN_DEPTH_M) & (depth[frame] < MAX_DEPTH_M))] = 0
            for index in alive:
                column, row = tracks[index][step]
                cv2.circle(mask, (round(float(column)), round(float(row))), round(apart), 0, -1)
            corners = cv2.goodFeaturesToTrack(grey[frame], MAX_ALIVE - len(alive), 0.01, apart, mask=mask, blockSize=3)
            for corner in () if corners is None else corners[:, 0]:
                track = np.full((len(steps), 2), np.nan)
                track[step] = corner
                alive.append(len(tracks))
                tracks.append(track)
                born.append(step)
    return np.stack(tracks, axis=1) if tracks else np.empty((len(steps), 0, 2))


def _flow(
    before: np.ndarray, after: np.ndarray, places: Float[np.ndarray, "points 2"]
) -> tuple[Float[np.ndarray, "points 2"], Bool[np.ndarray, "points"]]:
    """Where points of one picture are in another, and which of them come back from there."""
    side = max(before.shape)
    window = 2 * round(side / 24) + 1
    levels, start = max(1, round(np.log2(side / 14))), places.astype(np.float32)[:, None]
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, after, start, None, None, None, (window, window), levels, UNTIL)  # type: ignore[call-overload]
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(
        after, before, there, None, None, None, (window, window), levels, UNTIL
    )  # type: ignore[call-overload]
    good = (found * found_back).ravel().astype(bool)
    good &= np.linalg.norm(back - start, axis=-1).ravel() < max(0.3, side / 400)
    there = there[:, 0]
    good &= (there > 2).all(axis=1) & (there < np.array(before.shape[::-1]) - 3).all(axis=1)
    return there, good


def _depth_at(
    depth: np.ndarray, still: np.ndarray | None, pixels: Float[np.ndarray, "points 2"]
) -> Float[np.ndarray, "points"]:
    """Depth between pixels where inverse depth runs straight through the neighbourhood, as on a plane; NaN elsewhere."""
    height, width = depth.shape
    seen = np.isfinite(pixels).all(axis=1)
    place = np.where(seen[:, None], pixels, 1.0)
    column, row = np.clip(np.rint(place).astype(int), 1, [width - 2, height - 2]).T
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = {
            (dy, dx): 1.0 / depth[row + dy, column + dx].astype(np.float64)
            for dy, dx in ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))
        }
        middle = inverse[0, 0]
        across, down = (inverse[0, 1] - inverse[0, -1]) / 2, (inverse[1, 0] - inverse[-1, 0]) / 2
        bend = np.maximum(
            np.abs(inverse[0, 1] + inverse[0, -1] - 2 * middle), np.abs(inverse[1, 0] + inverse[-1, 0] - 2 * middle)
        )
        found = 1.0 / (middle + across * (place[:, 0] - column) + down * (place[:, 1] - row))
        usable = seen & (bend < 0.03 * middle) & (found > MIN_DEPTH_M) & (found < MAX_DEPTH_M)
    if still is not None:
        usable &= still[row, column]
    return np.where(usable, found, np.nan)
