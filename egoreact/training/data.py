"""What training reads of the data set: motion as features, and the pictures that tokens see."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float32, Int, UInt8
from torch import Tensor

from egoreact.errors import EgoReactError
from egoreact.hrd.clip import Clip, Split
from egoreact.hrd.shards import read_clips, read_manifest, verify_shards
from egoreact.models.vqvae import FRAMES_PER_TOKEN
from egoreact.motion.representation import decode, encode, retarget
from egoreact.processes import map_in_processes
from egoreact.progress import Progress
from egoreact.vision.frame_encoder import OBJECT_CLASSES


def usable_rows(folder: Path, split: Split, quarantined: frozenset[str] = frozenset()) -> pd.DataFrame:
    """The split's rows of the manifest, less the quarantined clips; the shards they lie in are verified.

    Raises:
        EgoReactError: a shard's bytes changed, or nothing is left of the split.
    """
    manifest = read_manifest(folder)
    rows = manifest[(manifest["split"] == split) & ~manifest["clip_id"].isin(list(quarantined))]
    if rows.empty:
        raise EgoReactError(
            f"no usable clips in the {split} split", where=folder, remedy="build more, or see the alignment report"
        )
    verify_shards(folder, rows)
    return rows


@dataclass(frozen=True)
class Motion:
    """One clip's motion on the reference skeleton, starting at the origin, facing +z."""

    clip_id: str
    category: str
    joints_m: Float32[np.ndarray, "frames 22 3"]
    """As the features decode: T − 1 frames."""
    features: Float[Tensor, "frames 263"]


def motion_of(clip: Clip) -> Motion:
    """Features of whole tokens: T poses give T − 1 rows, of which a multiple of 4 is kept."""
    features = encode(retarget(torch.from_numpy(clip.joints_m)))
    features = features[: len(features) // FRAMES_PER_TOKEN * FRAMES_PER_TOKEN]
    return Motion(clip.id, clip.record.category, decode(features).numpy(), features)


def load_motion(folder: Path, rows: pd.DataFrame) -> list[Motion]:
    """Motion of every clip of the rows, in the manifest's order. Clips shorter than a token are left out."""
    return [motion_of(clip) for clip in read_clips(folder, rows) if clip.num_frames > FRAMES_PER_TOKEN]


@dataclass(frozen=True)
class Pictures:
    """What the tokens of the clips see, and the simulator's truth about it, at the depth map's size."""

    rgb: UInt8[Tensor, "n height width 3"]
    depth_m: Float[Tensor, "n side side"]
    segmentation: UInt8[Tensor, "n side side"]
    objects: Float[Tensor, "n 9 4"]
    """`object_truth` of the whole picture: on the small map one far ball in seven falls between the cells."""
    gaze: Float[Tensor, "n 2"]
    """Where the eyes look in the world: `gaze_of` the camera. Simulated places lie along the world's axes."""


def object_truth(
    depth_m: Float[Tensor, "n height width"], segmentation: Int[Tensor, "n height width"]
) -> Float[Tensor, "n 9 4"]:
    """Of each object class: presence, centre x and y in [−1, 1], and nearness 1 / (0.5 + median-ish depth)."""
    mask = torch.stack([segmentation == c for c in range(1, OBJECT_CLASSES + 1)], dim=1).float()
    area = mask.sum((-2, -1))
    rows, columns = (torch.linspace(-1, 1, length) for length in depth_m.shape[1:])
    x = (mask * columns).sum((-2, -1)) / area.clamp(min=1)
    y = (mask * rows[:, None]).sum((-2, -1)) / area.clamp(min=1)
    nearness = (mask / (0.5 + depth_m[:, None])).sum((-2, -1)) / area.clamp(min=1)
    return torch.stack([(area > 0).float(), x, y, nearness], dim=-1)


def gaze_of(T_world_camera: Float[Tensor, "n 4 4"]) -> Float[Tensor, "n 2"]:
    """Turn to the left and tilt upwards of the optical axis, radians."""
    x, y, z = T_world_camera[:, :3, 2].unbind(-1)
    return torch.stack([torch.atan2(x, z), torch.asin(y.clamp(-1, 1))], dim=-1)


def load_pictures(
    folder: Path, rows: pd.DataFrame, *, image_size_px: int, side: int, every: int = FRAMES_PER_TOKEN
) -> Pictures:
    """Every `every`-th frame of the clips that have depth and segmentation: centre squares, whatever their size was.

    Args:
        image_size_px: side of the pictures.
        side: of the maps of depth and segmentation.

    Raises:
        EgoReactError: no clip has them.
    """
    progress = Progress("reading pictures", len(rows), "clips")
    parts: list[tuple[np.ndarray, ...]] = []
    shards = [part for _, part in rows.groupby("shard", sort=True)]
    for part, clips in zip(
        map_in_processes(partial(_pictures_of, folder, image_size_px, side, every), shards),
        map(len, shards),
        strict=True,
    ):
        parts += [part] if part is not None else []
        progress.advance(clips)
    if not parts:
        raise EgoReactError(
            "no clip has depth and segmentation", where=folder, remedy="build simulated clips: egoreact hrd build"
        )
    return Pictures(*(torch.from_numpy(np.concatenate(arrays)) for arrays in zip(*parts, strict=True)))


def _pictures_of(
    folder: Path, image_size_px: int, side: int, every: int, rows: pd.DataFrame
) -> tuple[np.ndarray, ...] | None:
    """Pictures of one shard's clips, as arrays: what crosses to another process."""
    parts = []
    for clip in read_clips(folder, rows):
        if clip.depth_m is not None and clip.segmentation is not None:
            depth_m, segmentation = _centre_square(clip.depth_m[::every]), _centre_square(clip.segmentation[::every])
            objects = object_truth(torch.from_numpy(depth_m.copy()), torch.from_numpy(segmentation.copy()))
            parts.append(
                (
                    _scale(_centre_square(clip.rgb[::every]), image_size_px),
                    _shrink(depth_m, side).astype(np.float32),
                    _shrink(segmentation, side),
                    objects.numpy(),
                    gaze_of(torch.from_numpy(clip.T_world_camera[::every])).numpy(),
                )
            )
    return tuple(map(np.concatenate, zip(*parts, strict=True))) if parts else None


def _centre_square(pictures: np.ndarray) -> np.ndarray:
    """What the frame encoder sees of frames, and so of their maps: (n, height, width, …) to (n, side, side, …)."""
    height, width = pictures.shape[1:3]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pictures[:, top : top + side, left : left + side]


def _scale(rgb: UInt8[np.ndarray, "n side side 3"], image_size_px: int) -> UInt8[np.ndarray, "n size size 3"]:
    if rgb.shape[1] == image_size_px:
        return rgb
    return np.stack([cv2.resize(each, (image_size_px, image_size_px), interpolation=cv2.INTER_AREA) for each in rgb])


def _shrink(maps: np.ndarray, side: int) -> np.ndarray:
    """The pixel nearest each cell's centre: an average of depths or of class numbers would be of nothing that is there."""
    rows, columns = (((np.arange(side) + 0.5) * length / side).astype(int) for length in maps.shape[1:3])
    return maps[:, rows][:, :, columns]


def token_frames(clip: Clip) -> Iterator[np.ndarray]:
    """The frames 4t that the tokens of a clip's motion see, one a token."""
    tokens = (clip.num_frames - 1) // FRAMES_PER_TOKEN
    yield from clip.rgb[: tokens * FRAMES_PER_TOKEN : FRAMES_PER_TOKEN]
