"""Other people's recordings as clips of HRD: read, resampled to 20 fps, cut into windows, appended as new shards.

`egoego`: a folder with video and SMPL-H motion. `bvh`: motion capture; the simulator renders what its head would see.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, assert_never

import numpy as np

from egoreact.errors import EgoReactError
from egoreact.hrd.clip import Clip, ClipRecord, Split
from egoreact.hrd.importers.egoego import EgoRecording, is_egoego, read_egoego
from egoreact.hrd.importers.mocap import MocapMotion, read_mocap
from egoreact.hrd.importers.scene import from_the_origin, render_wearer_view
from egoreact.hrd.shards import MANIFEST, next_shard_path, read_manifest, write_manifest, write_shard
from egoreact.motion.camera import intrinsics
from egoreact.vision.video import encode_depth, encode_segmentation, encode_video

Kind = Literal["auto", "egoego", "bvh"]
SHORTEST_FRAMES = 21
"""One second: what is shorter is no clip."""


@dataclass(frozen=True)
class ImportConfig:
    """How a recording becomes clips."""

    frames: int = 81
    """Frames a clip, 4N + 1. Windows follow each other. Of what is left at the end, half a window or more becomes a last window
    that overlaps the one before; less is dropped. A recording shorter than one window becomes one shorter clip."""
    category: str = "unknown"
    caption: str = ""
    fov_degrees: float = 90.0
    """Field of view from side to side: assumed of recorded video, rendered where there is none."""
    image_size_px: int = 112
    """Side of rendered images; recorded video keeps its size."""
    metres_per_unit: float | None = None
    """The unit of a BVH file, where it is not its dialect's own."""
    to_reference_body: bool = True
    """Whether motion capture is retargeted to the reference bone lengths."""
    seed: int = 0
    """Of the places that are rendered around motion capture; each clip of a recording has its own."""

    def __post_init__(self) -> None:
        if self.frames < SHORTEST_FRAMES or self.frames % 4 != 1:
            raise EgoReactError(
                f"frames is {self.frames}", where="ImportConfig", remedy=f"use 4N + 1, at least {SHORTEST_FRAMES}"
            )


def import_recording(
    path: Path,
    *,
    kind: Kind = "auto",
    split: Split = "train",
    licence: str,
    config: ImportConfig | None = None,
) -> list[Clip]:
    """Clips of one recording, ids made from its name.

    Args:
        path: a folder with video.mp4 and body.npz (egoego), or a BVH file.
        kind: of recording; found out by default.
        split: that the clips go to. All of a recording goes to one: its clips resemble each other.
        licence: of the recording, in a few words; it stays with each clip.

    Raises:
        EgoReactError: nothing this can read, or a recording that is broken or shorter than a second.
    """
    path, config = Path(path), config or ImportConfig()
    if not licence.strip():
        raise EgoReactError("is empty", where="licence", remedy="say under which licence the recording is used")
    found = _kind_of(path) if kind == "auto" else kind
    match found:
        case "egoego":
            return _clips_of_egoego(read_egoego(path), path, split, licence, config)
        case "bvh":
            motion = read_mocap(
                path, metres_per_unit=config.metres_per_unit, to_reference_body=config.to_reference_body
            )
            return _clips_of_mocap(motion, path, split, licence, config)
        case _:
            assert_never(found)


def append_clips(hrd_folder: Path, clips: Sequence[Clip]) -> list[Path]:
    """Adds clips to a data set as new shards, one a split. Older shards stay as they are; the manifest grows at the end, whole.

    Returns:
        The new shards.

    Raises:
        EgoReactError: no clips, or an id that the data set or the clips have already; then nothing is written.
    """
    if not clips:
        raise EgoReactError("there are no clips to add", where=hrd_folder, remedy="import a recording first")
    rows = read_manifest(hrd_folder).to_dict("records") if (hrd_folder / MANIFEST).is_file() else []
    taken = {row["clip_id"] for row in rows}
    for clip in clips:
        if clip.id in taken:
            raise EgoReactError(
                f"clip id {clip.id} is there already",
                where=hrd_folder / MANIFEST,
                remedy="import it once, or rename the recording",
            )
        taken.add(clip.id)
    hrd_folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    try:
        for split in sorted({clip.record.split for clip in clips}):
            path = next_shard_path(hrd_folder, split)
            new_rows = write_shard(path, (clip for clip in clips if clip.record.split == split))
            written.append(path)
            rows += new_rows
        write_manifest(hrd_folder, rows)
    except BaseException:
        for path in written:  # a shard that no manifest names would be in the way
            path.unlink(missing_ok=True)
        raise
    return written


def clip_id_of(path: Path, index: int) -> str:
    """A clip id from a file's name: letters, digits, _ and - stay, anything else becomes one -."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem if path.suffix.lower() == ".bvh" else path.name).strip("-")
    return f"{stem[:80] or 'recording'}-{index:03d}"


def _kind_of(path: Path) -> Literal["egoego", "bvh"]:
    if path.is_dir() and is_egoego(path):
        return "egoego"
    if path.is_file() and path.suffix.lower() == ".bvh":
        return "bvh"
    if not path.exists():
        raise EgoReactError("no such file or folder", where=path, remedy="check the path")
    raise EgoReactError(
        "is no recording this can import",
        where=path,
        remedy="give a .bvh file, or a folder with video.mp4 and body.npz",
    )


def _windows(num_frames: int, config: ImportConfig, path: Path) -> Iterator[slice]:
    if num_frames < SHORTEST_FRAMES:
        raise EgoReactError(
            f"lasts {num_frames} frames at 20 fps",
            where=path,
            remedy=f"give at least {SHORTEST_FRAMES} frames, one second",
        )
    if num_frames < config.frames:
        yield slice(0, num_frames - (num_frames - 1) % 4)
        return
    starts = list(range(0, num_frames - config.frames + 1, config.frames))
    if num_frames - starts[-1] - config.frames >= config.frames // 2:
        starts.append(num_frames - config.frames)
    for start in starts:
        yield slice(start, start + config.frames)


def _record(
    path: Path, index: int, window: slice, split: Split, licence: str, config: ImportConfig, details: dict
) -> ClipRecord:
    return ClipRecord(
        id=clip_id_of(path, index),
        category=config.category,
        caption=config.caption,
        source=path.name,
        licence=licence,
        split=split,
        details=details | {"first_frame": window.start},
    )


def _clips_of_egoego(
    recording: EgoRecording, path: Path, split: Split, licence: str, config: ImportConfig
) -> list[Clip]:
    K = intrinsics(recording.rgb.shape[1:3], config.fov_degrees).astype(np.float32)
    details = recording.details | {"fov_degrees": config.fov_degrees, "intrinsics": "assumed"}
    return [
        Clip(
            record=_record(path, index, window, split, licence, config, details),
            video_mp4=encode_video(recording.rgb[window]),
            joints_m=recording.joints_m[window],
            K=K,
            T_world_camera=recording.T_world_camera[window],
            head_rotation=recording.head_rotation[window],
            smplx={name: value[window] if value.ndim == 2 else value for name, value in recording.smplx.items()},
        )
        for index, window in enumerate(_windows(len(recording.joints_m), config, path))
    ]


def _clips_of_mocap(motion: MocapMotion, path: Path, split: Split, licence: str, config: ImportConfig) -> list[Clip]:
    clips = []
    for index, window in enumerate(_windows(len(motion.joints_m), config, path)):
        joints_m, head_rotation = from_the_origin(motion.joints_m[window], motion.head_rotation[window])
        view = render_wearer_view(
            joints_m,
            head_rotation,
            image_size_px=config.image_size_px,
            fov_degrees=config.fov_degrees,
            seed=config.seed + index,
        )
        details = motion.details | view.details | {"fov_degrees": config.fov_degrees, "intrinsics": "rendered"}
        clips.append(
            Clip(
                record=_record(path, index, window, split, licence, config, details),
                video_mp4=encode_video(view.rgb),
                joints_m=joints_m,
                K=view.K,
                T_world_camera=view.T_world_camera,
                head_rotation=head_rotation,
                depth_mkv=encode_depth(view.depth_m),
                segmentation_mkv=encode_segmentation(view.segmentation),
            )
        )
    return clips
