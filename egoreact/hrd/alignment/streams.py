"""Can the streams be decoded, are they as long as each other, at the rate of the motion, and are all numbers numbers?"""

import numpy as np

from egoreact.errors import EgoReactError
from egoreact.hrd.alignment.numbers import finite_max
from egoreact.hrd.alignment.thresholds import Row
from egoreact.hrd.clip import Clip
from egoreact.vision import video


def measure_counts(clip: Clip) -> Row:
    counts: dict[str, int | None] = {"motion": clip.num_frames, "camera": len(clip.T_world_camera)}
    undecodable = 0
    for name, decode in (
        ("video", lambda: clip.rgb),
        ("depth", lambda: clip.depth_m),
        ("segmentation", lambda: clip.segmentation),
    ):
        try:
            images = decode()
        except EgoReactError:
            undecodable, images = undecodable + 1, None
        counts[name] = None if images is None else len(images)
    known = [count for count in counts.values() if count is not None]
    try:
        fps: float | None = video.video_rate(clip.video_mp4)
    except (OSError, ValueError, IndexError):  # av.FFmpegError is one of these; counted above as undecodable
        fps = None
    return {f"{name}_frames": count for name, count in counts.items()} | {
        "undecodable_streams": undecodable,
        "frame_count_difference": max(known) - min(known),
        "frames_beyond_tokens": (clip.num_frames - 1) % 4,
        "video_fps": fps,
    }


def measure_numbers(clip: Clip) -> Row:
    arrays = [clip.joints_m, clip.K, clip.T_world_camera, *(clip.smplx or {}).values()]
    rotations = [clip.T_world_camera[:, :3, :3]]
    if clip.head_rotation is not None:
        arrays.append(clip.head_rotation)
        rotations.append(clip.head_rotation)
    with np.errstate(invalid="ignore", over="ignore"):
        errors = [np.abs(np.swapaxes(R, -1, -2) @ R - np.eye(3)) for R in rotations]
    return {
        "non_finite_values": sum(int((~np.isfinite(array)).sum()) for array in arrays),
        "rotation_error": finite_max(np.concatenate([error.ravel() for error in errors])),
    }
