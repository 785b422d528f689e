"""The head and the camera at its eyes.

Head axes: x left, y up, z forward; `R_world_head` is the identity when the head faces +z upright.
Camera axes are OpenCV's: x right, y down, z forward. The camera sits half-way between SMPL-X's eyeballs, looks where the
head faces, and is carried by the head rigidly. Pixel (0, 0) is the *centre* of the top left pixel.
"""

import math

import numpy as np
from jaxtyping import Float

from egoreact.errors import EgoReactError

EYES_IN_HEAD_M = np.array([0.0, 0.055, 0.085])
"""(3,) from the head joint (15) to the mid-point of the eyeballs (23, 24), head axes. The mannequin has its eyes there."""

R_HEAD_CAMERA = np.diag([-1.0, -1.0, 1.0])
"""(3, 3) camera axes written in head axes; its own inverse."""


def camera_from_head(
    head_position_m: Float[np.ndarray, "*batch 3"],
    head_rotation: Float[np.ndarray, "*batch 3 3"],
    *,
    eyes_in_head_m: Float[np.ndarray, "3"] = EYES_IN_HEAD_M,
) -> Float[np.ndarray, "*batch 4 4"]:
    """T_world_camera of the camera between the eyes of a head.

    Args:
        head_position_m: world positions of the head joint (15).
        head_rotation: R_world_head.
        eyes_in_head_m: another body's eyes. Zeros where `head_position_m` is already that of the eyes.
    """
    head_position_m, head_rotation = np.asarray(head_position_m), np.asarray(head_rotation)
    T_world_camera = np.zeros((*head_rotation.shape[:-2], 4, 4), np.result_type(head_position_m, head_rotation))
    T_world_camera[..., :3, :3] = head_rotation @ R_HEAD_CAMERA
    T_world_camera[..., :3, 3] = head_position_m + head_rotation @ eyes_in_head_m
    T_world_camera[..., 3, 3] = 1.0
    return T_world_camera


def head_from_camera(
    T_world_camera: Float[np.ndarray, "*batch 4 4"], *, eyes_in_head_m: Float[np.ndarray, "3"] = EYES_IN_HEAD_M
) -> tuple[Float[np.ndarray, "*batch 3"], Float[np.ndarray, "*batch 3 3"]]:
    """Head positions (m) and R_world_head: the inverse of `camera_from_head`."""
    T_world_camera = np.asarray(T_world_camera)
    head_rotation = (T_world_camera[..., :3, :3] @ R_HEAD_CAMERA).astype(T_world_camera.dtype)
    head_position_m = T_world_camera[..., :3, 3] - head_rotation @ eyes_in_head_m
    return head_position_m.astype(T_world_camera.dtype), head_rotation


def intrinsics(image_size_px: int | tuple[int, int], fov_degrees: float) -> Float[np.ndarray, "3 3"]:
    """K of a pinhole camera with square pixels and the axis through the middle of the image.

    Args:
        image_size_px: one side of a square image, or (height, width).
        fov_degrees: horizontal field of view, from the left edge of the image to its right edge.

    Raises:
        EgoReactError: the field of view is not between 0 and 180 degrees, or a side is not positive.
    """
    height, width = (image_size_px, image_size_px) if isinstance(image_size_px, int) else image_size_px
    if not 0.0 < fov_degrees < 180.0:
        raise EgoReactError(
            f"is {fov_degrees} degrees", where="fov_degrees", remedy="give more than 0 and less than 180"
        )
    if min(height, width) < 1:
        raise EgoReactError(f"is {image_size_px} px", where="image_size_px", remedy="give positive sides")
    focal_px = 0.5 * width / math.tan(math.radians(fov_degrees) / 2)
    return np.array([[focal_px, 0.0, (width - 1) / 2], [0.0, focal_px, (height - 1) / 2], [0.0, 0.0, 1.0]])


def project(
    points_m: Float[np.ndarray, "*batch points 3"],
    T_world_camera: Float[np.ndarray, "*batch 4 4"],
    K: Float[np.ndarray, "3 3"],
) -> tuple[Float[np.ndarray, "*batch points 2"], Float[np.ndarray, "*batch points"]]:
    """Pixels (x right, y down) and depths (m, along the camera's z) of world points. Points behind have depth <= 0."""
    in_camera_m = (points_m - T_world_camera[..., None, :3, 3]) @ T_world_camera[..., :3, :3]
    depth_m = in_camera_m[..., 2]
    safe_m = np.where(np.abs(depth_m) < 1e-9, 1e-9, depth_m)[..., None]
    pixels = in_camera_m[..., :2] / safe_m * np.array([K[0, 0], K[1, 1]]) + K[:2, 2]
    return pixels, depth_m
