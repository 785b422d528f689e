"""Depth images at another size, and the intrinsics that go with it."""

import cv2
import numpy as np
from jaxtyping import Bool, Float


def resized_intrinsics(
    K: Float[np.ndarray, "3 3"], old: tuple[int, ...], new: tuple[int, ...]
) -> Float[np.ndarray, "3 3"]:
    """K of a picture resized from (height, width) to another. Pixel (0, 0) is the centre of the first pixel."""
    scale = np.diag([new[1] / old[1], new[0] / old[0], 1.0])
    half = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
    return np.linalg.inv(half) @ scale @ half @ K.astype(np.float64)


def resized_depth(
    depth_m: Float[np.ndarray, "h w"], seen: Bool[np.ndarray, "h w"], shape: tuple[int, ...]
) -> Float[np.ndarray, "height width"]:
    """Depth of a picture made smaller: the mean of inverse depth over what is seen in each new pixel, 0 where that is less
    than half of it. So the holes and scan lines of real sensors close. Larger pictures repeat pixels."""
    height, width = shape
    known = (seen & (depth_m > 0)).astype(np.float32)
    if depth_m.shape == (height, width):
        return depth_m * known
    if depth_m.shape[0] < height:
        return cv2.resize(depth_m * known, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    inverse = known / np.maximum(depth_m, 1e-3)
    share = cv2.resize(known, (width, height), interpolation=cv2.INTER_AREA)
    total = cv2.resize(inverse, (width, height), interpolation=cv2.INTER_AREA)
    return np.where(share >= 0.5, share / np.maximum(total, 1e-6), 0.0).astype(np.float32)
