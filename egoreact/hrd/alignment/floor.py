"""The floor in the depth images: does it lie where the camera's height and tilt say?

Depth scale: depth of floor pixels over the depth at which their rays meet y = 0. The floor is the farthest ratio that many pixels
share: tables and obstacles lie nearer, nothing lies beyond.
"""

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

from egoreact.errors import EgoReactError
from egoreact.hrd.alignment.depth import resized_intrinsics
from egoreact.hrd.alignment.thresholds import Row
from egoreact.hrd.clip import SEGMENTATION_CLASSES, Clip

FLOOR_RANGE_M = (0.3, 6.0)
"""Predicted depths of the floor that are compared: nearer is the own body, farther is walls and grazing rays."""


def measure_floor(clip: Clip) -> Row:
    ratios = floor_ratios(clip)
    if sum(map(len, ratios.values())) < 200:
        return {"depth_scale_ratio": None, "depth_floor_share": None}
    ratio, share = farthest_common_ratio(np.concatenate(list(ratios.values())))
    return {"depth_scale_ratio": ratio if share > 0.1 else None, "depth_floor_share": share}


def floor_ratios(clip: Clip) -> dict[int, Float[np.ndarray, "pixels"]]:
    """Measured over predicted depth of pixels that may show the floor, in a dozen frames; empty without depth."""
    try:
        depth_m, classes, picture = clip.depth_m, clip.segmentation, clip.rgb.shape[1:3]
    except EgoReactError:
        return {}
    if depth_m is None or not np.isfinite(clip.K).all() or abs(np.linalg.det(clip.K)) < 1e-6:
        return {}
    height, width = depth_m.shape[1:]
    K = resized_intrinsics(clip.K, picture, (height, width))
    stride = max(1, round(np.sqrt(height * width / 4000)))
    v, u = np.mgrid[0:height:stride, 0:width:stride]
    rays = np.linalg.solve(K, np.stack([u.ravel(), v.ravel(), np.ones(u.size)]))
    ratios = {}
    last = min(len(depth_m), clip.num_frames, len(classes) if classes is not None else clip.num_frames) - 1
    for t in np.unique(np.linspace(0, last, 12).round().astype(int)):
        camera = clip.T_world_camera[t]
        if not np.isfinite(camera).all():
            continue
        measured = depth_m[t, ::stride, ::stride].ravel()
        drop = camera[1, :3] @ rays
        with np.errstate(divide="ignore"):
            predicted = -camera[1, 3] / np.where(drop < -0.05, drop, -np.inf)
        compared = (predicted > FLOOR_RANGE_M[0]) & (predicted < FLOOR_RANGE_M[1]) & (measured > 0)
        if classes is not None and classes.shape[1:] == depth_m.shape[1:]:
            compared &= classes[t, ::stride, ::stride].ravel() == SEGMENTATION_CLASSES.index("static")
        ratios[int(t)] = measured[compared] / predicted[compared]
    return ratios


def farthest_common_ratio(ratios: np.ndarray) -> tuple[float | None, float]:
    """The largest ratio that at least a third as many pixels share as share the commonest, and the share within 5 % of it."""
    logs = np.log(np.clip(ratios, 1e-3, 1e3))
    step = 0.01
    histogram, edges = np.histogram(logs, bins=np.arange(-1.5, 1.5 + step, step))
    smooth = gaussian_filter1d(histogram.astype(np.float64), 1.5, mode="constant")
    if smooth.max() == 0:
        return None, 0.0
    peak = int(np.flatnonzero(smooth >= smooth.max() / 3)[-1])
    peak = max(range(max(0, peak - 5), peak + 1), key=lambda index: smooth[index])
    near = logs[np.abs(logs - (edges[peak] + step / 2)) < 0.05]
    return float(np.exp(np.median(near))), len(near) / len(logs)
