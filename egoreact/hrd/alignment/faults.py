"""Faults put into good clips, each as a bad file would bring it, to count which of them the gate catches.

Every function takes a good clip and returns another; nothing is changed in place. Pictures are decoded, changed and encoded again
with the codecs of a good clip. A fault that moves content in time cuts the clip where there is nothing to show, so that no
repeated picture gives it away (frames lost in the middle are the exception: there the end is repeated, as recorders do).
"""

import dataclasses
from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np

from egoreact.hrd.alignment.depth import resized_intrinsics
from egoreact.hrd.clip import Clip
from egoreact.vision.video import encode_depth, encode_segmentation, encode_video

FaultKind = Literal[
    "video_shifted", "pictures_shifted", "motion_swapped_same", "motion_swapped_other", "depth_scaled", "camera_turned",
    "frames_lost", "frames_doubled", "mirrored", "wrong_rate", "floating", "not_a_number",
]  # fmt: skip
"""`video_shifted`: pictures, depth and segmentation against motion; `pictures_shifted`: the pictures alone.
`motion_swapped_…`: with a clip of the same category, of another."""


def video_shifted(clip: Clip, frames: int, *, depth_too: bool = True) -> Clip:
    """The video comes `frames` late (or, below 0, early); the clip gets shorter by as much, to the next 4 N + 1."""
    length = (clip.num_frames - abs(frames) - 1) // 4 * 4 + 1
    motion, pictures = np.arange(length) + max(frames, 0), np.arange(length) + max(-frames, 0)
    # Frame k of the pictures shows the moment k + start; with the motion `frames` further on, the pictures are late.
    return _with_frames(_cut(clip, motion), clip, pictures, pictures if depth_too else motion)


def shortened(clip: Clip, first: int, frames: int) -> Clip:
    """No fault: motion and pictures of the same frames, decoded and encoded again as the faults are. The gate must let it pass,
    or it catches the handling and not the fault."""
    kept = np.arange(first, first + frames)
    return _with_frames(_cut(clip, kept), clip, kept, kept)


def motion_swapped(clip: Clip, other: Clip) -> Clip:
    """Body and recorded camera of another clip of the same length under this one's video."""
    length = min(clip.num_frames, other.num_frames)
    frames = np.arange(length)
    moved = _cut(other, frames)
    return dataclasses.replace(
        _with_frames(clip, clip, frames, frames), joints_m=moved.joints_m, T_world_camera=moved.T_world_camera,
        head_rotation=moved.head_rotation, smplx=moved.smplx,
    )  # fmt: skip


def depth_scaled(clip: Clip, factor: float) -> Clip:
    assert clip.depth_m is not None
    return dataclasses.replace(clip, depth_mkv=encode_depth(clip.depth_m * np.float32(factor)))


def camera_turned(clip: Clip, turn_rad: np.ndarray) -> Clip:
    """The video as a camera turned by a rotation vector (camera axes) would see it; recorded camera and motion stay.

    Pictures of the same size and a narrower field of view, recorded in K, so that the turned camera sees nothing unknown.
    """
    height, width = clip.rgb.shape[1:3]
    R_camera_turned = cv2.Rodrigues(np.asarray(turn_rad, np.float64))[0]
    narrow = _narrowed(clip.K.astype(np.float64), R_camera_turned, height, width)
    homography = clip.K.astype(np.float64) @ R_camera_turned @ np.linalg.inv(narrow)

    def warped(images: np.ndarray, interpolation: int) -> np.ndarray:
        resize = resized_intrinsics(np.eye(3), (height, width), images.shape[1:3])
        scaled = resize @ homography @ np.linalg.inv(resize)
        size = (images.shape[2], images.shape[1])
        return np.stack(
            [cv2.warpPerspective(image, scaled, size, flags=interpolation | cv2.WARP_INVERSE_MAP) for image in images]
        )

    depth_mkv = segmentation_mkv = None
    if clip.depth_m is not None:
        shape = clip.depth_m.shape[1:3]
        row, column = np.mgrid[0 : shape[0], 0 : shape[1]]
        pixels = np.stack([column.ravel(), row.ravel(), np.ones(row.size)])
        rays = np.linalg.inv(resized_intrinsics(narrow, (height, width), shape)) @ pixels
        # Depth runs along the camera's own axis: along another one it is another number.
        along = 1.0 / (R_camera_turned @ rays)[2].reshape(shape)
        depth_mkv = encode_depth(warped(clip.depth_m, cv2.INTER_NEAREST) * along.astype(np.float32))
    if clip.segmentation is not None:
        segmentation_mkv = encode_segmentation(warped(clip.segmentation, cv2.INTER_NEAREST))
    return dataclasses.replace(
        clip, video_mp4=encode_video(warped(clip.rgb, cv2.INTER_LINEAR)), K=narrow.astype(np.float32),
        depth_mkv=depth_mkv, segmentation_mkv=segmentation_mkv,
    )  # fmt: skip


def frames_lost(clip: Clip, at: int, count: int) -> Clip:
    """`count` frames are missing from frame `at` on; the last one is repeated to keep the number."""
    shown = np.concatenate([np.arange(at), np.arange(at + count, clip.num_frames)])
    shown = np.concatenate([shown, np.repeat(shown[-1:], count)])
    return _with_frames(clip, clip, shown, shown)


def frames_doubled(clip: Clip, at: int, count: int) -> Clip:
    """`count` frames from frame `at` on are shown twice; as many are cut from the end."""
    shown = np.sort(np.concatenate([np.arange(clip.num_frames), np.arange(at, at + count)]))[: clip.num_frames]
    return _with_frames(clip, clip, shown, shown)


def mirrored(clip: Clip) -> Clip:
    """Video, depth and segmentation flipped left to right."""
    depth, classes = clip.depth_m, clip.segmentation
    return dataclasses.replace(
        clip,
        video_mp4=encode_video(clip.rgb[:, :, ::-1]),
        depth_mkv=None if depth is None else encode_depth(depth[:, :, ::-1]),
        segmentation_mkv=None if classes is None else encode_segmentation(classes[:, :, ::-1]),
    )


def wrong_rate(clip: Clip, fps: float) -> Clip:
    """Content of `fps` frames a second stored as if it were 20: time runs slower (above 20) or faster (below) than it did."""
    shown = np.rint(np.arange(clip.num_frames) * 20 / fps).astype(int)
    length = (int((shown < clip.num_frames).sum()) - 1) // 4 * 4 + 1
    return _with_frames(_cut(clip, np.arange(length)), clip, shown[:length], shown[:length])


def floating(clip: Clip, metres: float) -> Clip:
    """Body and camera raised, so that only the floor can tell."""
    joints, T = clip.joints_m.copy(), clip.T_world_camera.copy()
    joints[..., 1] += metres
    T[:, 1, 3] += metres
    return dataclasses.replace(clip, joints_m=joints, T_world_camera=T)


def not_a_number(clip: Clip, frame: int, joint: int) -> Clip:
    joints = clip.joints_m.copy()
    joints[frame, joint] = np.nan
    return dataclasses.replace(clip, joints_m=joints)


def random_fault(kind: FaultKind, clip: Clip, other: Clip, rng: np.random.Generator) -> Clip:
    """A fault of this kind, its size drawn: what `egoreact bench gate` counts.

    Args:
        other: a clip of the same or another category, for swaps.
    """
    shift = int(rng.integers(2, 11)) * int(rng.choice([-1, 1]))
    at, count = int(rng.integers(clip.num_frames // 3, clip.num_frames * 2 // 3)), int(rng.integers(3, 9))
    axis = rng.normal(size=3)
    make: dict[str, Callable[[], Clip]] = {
        "video_shifted": lambda: video_shifted(clip, shift),
        "pictures_shifted": lambda: video_shifted(clip, shift, depth_too=False),
        "motion_swapped_same": lambda: motion_swapped(clip, other),
        "motion_swapped_other": lambda: motion_swapped(clip, other),
        "depth_scaled": lambda: depth_scaled(clip, float(rng.choice([0.8, 1.25]))),
        "camera_turned": lambda: camera_turned(clip, np.radians(10) * axis / np.linalg.norm(axis)),
        "frames_lost": lambda: frames_lost(clip, at, count),
        "frames_doubled": lambda: frames_doubled(clip, at, count),
        "mirrored": lambda: mirrored(clip),
        "wrong_rate": lambda: wrong_rate(clip, float(rng.choice([15, 25, 30]))),
        "floating": lambda: floating(clip, 0.10),
        "not_a_number": lambda: not_a_number(clip, int(rng.integers(clip.num_frames)), int(rng.integers(22))),
    }
    return make[kind]()


def _cut(clip: Clip, frames: np.ndarray) -> Clip:
    """Motion and camera of these frames; the pictures stay as they are."""
    smplx = clip.smplx and {
        name: value[frames] if len(value) == clip.num_frames and name != "betas" else value
        for name, value in clip.smplx.items()
    }
    return dataclasses.replace(
        clip, joints_m=clip.joints_m[frames], T_world_camera=clip.T_world_camera[frames], smplx=smplx,
        head_rotation=None if clip.head_rotation is None else clip.head_rotation[frames],
    )  # fmt: skip


def _with_frames(clip: Clip, source: Clip, pictures: np.ndarray, depths: np.ndarray) -> Clip:
    """`clip` with the pictures of `source` at these frames, depth and segmentation at those."""
    depth, classes = source.depth_m, source.segmentation
    return dataclasses.replace(
        clip,
        video_mp4=encode_video(source.rgb[pictures]),
        depth_mkv=None if depth is None else encode_depth(depth[depths]),
        segmentation_mkv=None if classes is None else encode_segmentation(classes[depths]),
    )


def _narrowed(K: np.ndarray, R_camera_turned: np.ndarray, height: int, width: int) -> np.ndarray:
    """Intrinsics with the widest view, about the picture's middle, that lies within the unturned camera's picture.

    Raises:
        ValueError: the turn leaves too little.
    """
    corners = np.array([[x, y, 1.0] for x in (0, width - 1) for y in (0, height - 1)]).T
    for zoom in 1.03 ** np.arange(60):
        narrow = K * np.array([[zoom], [zoom], [1.0]])
        narrow[:2, 2] = (width - 1) / 2, (height - 1) / 2
        column, row, depth = K @ R_camera_turned @ np.linalg.inv(narrow) @ corners
        if depth.min() > 0.05 and _within(column / depth, width) and _within(row / depth, height):
            return narrow
    raise ValueError("turned too far: nothing of the picture is left")


def _within(pixels: np.ndarray, side: int) -> bool:
    return bool(pixels.min() >= 0 and pixels.max() <= side - 1)
