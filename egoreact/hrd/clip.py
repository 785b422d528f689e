"""One sample of HRD: egocentric video, the wearer's motion and the camera at the wearer's eyes, frame by frame.

A clip of T frames at 20 fps is a group of files of one name: `<id>.mp4`, `<id>.motion.npz`, `<id>.camera.npz`,
`<id>.json`, and where there are any `<id>.depth.mkv` and `<id>.segmentation.mkv`.
"""

import io
import json
import re
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float32, UInt8

from egoreact.errors import EgoReactError
from egoreact.vision import video

SCHEMA_VERSION = 1
Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

UNKNOWN = "unknown"
"""Category of a clip of which nobody said what kind of encounter it is."""

SEGMENTATION_CLASSES = (
    "static", "ball", "low_obstacle", "bar", "person", "animal", "vehicle", "object", "ground", "fire", "own_body",
)  # fmt: skip
"""Class numbers of the segmentation: what a pixel belongs to. `object`: doors, bags, boxes, whatever swings or falls;
`ground`: steps, edges, ice; `fire`: an explosion."""


@dataclass(frozen=True)
class ClipRecord:
    """What `<id>.json` says of a clip."""

    id: str
    category: str
    """Kind of encounter, for example `ball_left`, or `UNKNOWN`."""
    caption: str
    source: str
    """Where it is from: `simulator`, or the name of the recording."""
    licence: str
    split: Split
    seed: int | None = None
    fps: int = 20
    details: dict = field(default_factory=dict)
    """Anything else that made it, JSON-able: parameters of the encounter, of the person, of the import."""
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", self.id):
            raise EgoReactError(
                "is no clip id", where=repr(self.id), remedy="use letters, digits, _ and - alone, at most 100"
            )


@dataclass(frozen=True)
class Clip:
    """Video and motion of T frames. Video, depth and segmentation stay encoded until asked for."""

    record: ClipRecord
    video_mp4: bytes
    joints_m: Float32[np.ndarray, "frames 22 3"]
    """World positions, y up, floor at 0."""
    K: Float32[np.ndarray, "3 3"]
    """Intrinsics, px."""
    T_world_camera: Float32[np.ndarray, "frames 4 4"]
    """OpenCV camera axes."""
    head_rotation: Float32[np.ndarray, "frames 3 3"] | None = None
    """R_world_head: identity when the head faces +z upright (x left, y up, z forward). None where only joints are known."""
    depth_mkv: bytes | None = None
    segmentation_mkv: bytes | None = None
    smplx: dict[str, np.ndarray] | None = None
    """SMPL-X parameters where known: `global_orient` (T, 3), `body_pose` (T, 63), `transl` (T, 3), `betas` (10,)."""

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def num_frames(self) -> int:
        return len(self.joints_m)

    @cached_property
    def rgb(self) -> UInt8[np.ndarray, "frames height width 3"]:
        return video.read_video(self.video_mp4, name=f"{self.id}.mp4")

    @cached_property
    def depth_m(self) -> Float32[np.ndarray, "frames height width"] | None:
        return None if self.depth_mkv is None else video.decode_depth(self.depth_mkv, name=f"{self.id}.depth.mkv")

    @cached_property
    def segmentation(self) -> UInt8[np.ndarray, "frames height width"] | None:
        if self.segmentation_mkv is None:
            return None
        return video.decode_segmentation(self.segmentation_mkv, name=f"{self.id}.segmentation.mkv")

    def pack(self) -> dict[str, bytes]:
        """File endings to contents, the same bytes for the same clip."""
        motion: dict[str, np.ndarray] = {"joints": self.joints_m.astype(np.float32)}
        if self.head_rotation is not None:
            motion["head_rotation"] = self.head_rotation.astype(np.float32)
        motion |= {f"smplx_{name}": value.astype(np.float32) for name, value in (self.smplx or {}).items()}
        camera = {"K": self.K.astype(np.float32), "T_world_camera": self.T_world_camera.astype(np.float32)}
        files = {
            "json": json.dumps(asdict(self.record), sort_keys=True, ensure_ascii=False).encode(),
            "mp4": self.video_mp4,
            "motion.npz": _pack_npz(motion),
            "camera.npz": _pack_npz(camera),
        }
        if self.depth_mkv is not None:
            files["depth.mkv"] = self.depth_mkv
        if self.segmentation_mkv is not None:
            files["segmentation.mkv"] = self.segmentation_mkv
        return files

    @staticmethod
    def unpack(files: dict[str, bytes], *, where: str) -> "Clip":
        """The clip that `pack` made. Shapes are checked; pickled objects are refused.

        Raises:
            EgoReactError: a file of the group is missing, unreadable, of another schema version or misshapen.
        """
        missing = [name for name in ("json", "mp4", "motion.npz", "camera.npz") if name not in files]
        if missing:
            raise EgoReactError(
                f"clip lacks {', '.join(missing)}", where=where, remedy="rebuild or pull the shard again"
            )
        try:
            record = ClipRecord(**json.loads(files["json"]))
        except (ValueError, TypeError) as error:
            raise EgoReactError(
                f"its json is not a clip record ({error})", where=where, remedy="rebuild the shard"
            ) from error
        if record.schema_version != SCHEMA_VERSION:
            raise EgoReactError(
                f"clip schema version {record.schema_version}, this program reads {SCHEMA_VERSION}",
                where=where,
                remedy="rebuild the data set",
            )
        motion = unpack_npz(files["motion.npz"], where=f"{where}/{record.id}.motion.npz")
        camera = unpack_npz(files["camera.npz"], where=f"{where}/{record.id}.camera.npz")
        clip_name = f"{where}/{record.id}"
        joints = _array(motion, "joints", (None, 22, 3), clip_name)
        frames = len(joints)
        smplx = {name.removeprefix("smplx_"): value for name, value in motion.items() if name.startswith("smplx_")}
        return Clip(
            record=record,
            video_mp4=files["mp4"],
            joints_m=joints,
            K=_array(camera, "K", (3, 3), clip_name),
            T_world_camera=_array(camera, "T_world_camera", (frames, 4, 4), clip_name),
            head_rotation=_array(motion, "head_rotation", (frames, 3, 3), clip_name)
            if "head_rotation" in motion
            else None,
            depth_mkv=files.get("depth.mkv"),
            segmentation_mkv=files.get("segmentation.mkv"),
            smplx=smplx or None,
        )


def _pack_npz(arrays: dict[str, np.ndarray]) -> bytes:
    # numpy writes the ZIP entries with a constant date: the bytes depend on the arrays alone.
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def unpack_npz(content: bytes, *, where: str) -> dict[str, np.ndarray]:
    """Arrays of an npz file by name. Never unpickles."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # zipfile, zlib, numpy and struct each have their own
        raise EgoReactError(
            f"is not a readable npz ({type(error).__name__}: {error})", where=where, remedy="write it with numpy.savez"
        ) from error


def _array(arrays: dict[str, np.ndarray], name: str, shape: tuple[int | None, ...], where: str) -> np.ndarray:
    if name not in arrays:
        raise EgoReactError(f"lacks the array {name}", where=where, remedy="rebuild the clip")
    array = arrays[name]
    if array.ndim != len(shape) or any(want not in (None, have) for want, have in zip(shape, array.shape, strict=True)):
        raise EgoReactError(f"{name} has shape {array.shape}, not {shape}", where=where, remedy="rebuild the clip")
    return array.astype(np.float32)
