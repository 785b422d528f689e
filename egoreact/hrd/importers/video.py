"""Recorded video at 20 fps, never more of it than memory should hold, and its length against the motion's."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from egoreact.errors import EgoReactError
from egoreact.motion.skeleton import FPS
from egoreact.vision.video import iterate_video

MAX_BYTES = 4 << 30
"""Of a recording's pictures: 11 minutes of 512 × 512 px."""
MAX_TRIMMED_FRAMES = 2
"""By which video and motion may differ in length, at 20 fps."""


def read_recorded(path: Path) -> UInt8[np.ndarray, "frames height width 3"]:
    """All frames of a video, resampled to 20 fps by the wall clock.

    Raises:
        EgoReactError: no video, broken or empty, or more than `MAX_BYTES` of pictures.
    """
    frames: list[np.ndarray] = []
    for frame in iterate_video(path, fps=FPS):
        frames.append(frame)
        if len(frames) * frame.nbytes > MAX_BYTES:
            raise EgoReactError(
                f"holds more than {MAX_BYTES >> 30} GiB of pictures, {len(frames) / FPS:.0f} s of {frame.shape[1]} x {frame.shape[0]} px",
                where=path,
                remedy="cut it, or make it smaller with: ffmpeg -i IN -vf scale=512:-2 OUT.mp4",
            )
    return np.stack(frames)


def trimmed_alike(video_frames: int, motion_frames: int, where: Path) -> tuple[int, int]:
    """How many frames video and motion both have at 20 fps, and how many were left off the longer one.

    Raises:
        EgoReactError: they differ by more than `MAX_TRIMMED_FRAMES`.
    """
    count, trimmed = min(video_frames, motion_frames), abs(video_frames - motion_frames)
    if trimmed > MAX_TRIMMED_FRAMES:
        raise EgoReactError(
            f"lasts {video_frames / FPS:.2f} s ({video_frames} frames at 20 fps), the motion {motion_frames / FPS:.2f} s ({motion_frames})",
            where=where,
            remedy=f"cut both alike, to within {MAX_TRIMMED_FRAMES} frames",
        )
    return count, trimmed
