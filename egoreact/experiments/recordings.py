"""Real recordings, brought to what an experiment needs: frames and the true path of the head at 20 fps, depth where there is any.

<folder>/hololens/   rgb/*, depth/* (16-bit mm, 0 = none), camera_to_world.txt (4 × 4 a row, y up), K.txt; about 10 fps
<folder>/ares/       EgoEgo's form: video.mp4 and body.npz
"""

import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from egoreact.errors import EgoReactError
from egoreact.hrd.importers.egoego import read_egoego
from egoreact.hrd.importers.resample import Resampler, moments
from egoreact.hrd.importers.take import heading
from egoreact.hrd.simulate.acting.kinematics import rotation
from egoreact.motion.camera import head_from_camera
from egoreact.motion.skeleton import HEAD

HEADSET_FPS = 10.0
"""Of the HoloLens recording, which does not state it; its wearer then walks at 0.9 m/s."""


@dataclass(frozen=True)
class Recording:
    """At 20 fps, y up, the first frame's heading along +z as a reaction's is."""

    name: str
    rgb: UInt8[np.ndarray, "frames height width 3"]
    head_m: Float[np.ndarray, "frames 3"]
    depth_m: Float32[np.ndarray, "frames height width"] | None = None
    """0 where there is none."""
    fov_degrees: float = 90.0
    """From side to side of the centre square."""


def recordings_folder(folder: Path | None) -> Path:
    return folder or Path(os.environ.get("EGOREACT_SHARED_DATA", "../shared/data")) / "ego"


def read_recordings(folder: Path) -> list[Recording]:
    """Those of the two that are there.

    Raises:
        EgoReactError: neither is, or one is broken.
    """
    readers = {"hololens": read_headset, "ares": read_worn}
    found = [read(folder / name) for name, read in readers.items() if (folder / name).is_dir()]
    if not found:
        raise EgoReactError(
            "holds neither hololens/ nor ares/",
            where=folder,
            remedy="name the folder of real recordings: --recordings DIR, or EGOREACT_SHARED_DATA with ego/ below it",
        )
    return found


def read_headset(folder: Path) -> Recording:
    """A head-mounted camera's frames, depth and poses; each frame is shown until the next is there.

    Raises:
        EgoReactError: pictures, depth maps and poses differ in number, or cannot be read.
    """
    pictures, maps = (sorted((folder / name).glob("*")) for name in ("rgb", "depth"))
    try:
        T_world_camera = np.loadtxt(folder / "camera_to_world.txt").reshape(-1, 4, 4)
        K = np.loadtxt(folder / "K.txt")
    except (OSError, ValueError) as error:
        raise EgoReactError(
            f"its poses cannot be read ({error})", where=folder, remedy="restore the recording"
        ) from error
    if not len(pictures) == len(maps) == len(T_world_camera) > 1:
        raise EgoReactError(
            f"has {len(pictures)} pictures, {len(maps)} depth maps and {len(T_world_camera)} poses",
            where=folder,
            remedy="restore the recording",
        )
    shown_s = moments(0.0, (len(pictures) - 1) / HEADSET_FPS)
    newest = np.floor(shown_s * HEADSET_FPS + 1e-6).astype(int)
    head_m, _ = head_from_camera(T_world_camera)
    forward = T_world_camera[0, :3, 2]
    path_m = Resampler(shown_s, fps=HEADSET_FPS, num_frames=len(pictures)).values(head_m)
    rgb = np.stack([_read(path, cv2.IMREAD_COLOR)[..., ::-1] for path in pictures])
    depth_m = np.stack([_read(path, cv2.IMREAD_UNCHANGED).astype(np.float32) / 1000 for path in maps])
    side = min(rgb.shape[1:3])
    return Recording(
        name="headset",
        rgb=rgb[newest],
        head_m=along_z(path_m, float(np.arctan2(forward[0], forward[2]))),
        depth_m=depth_m[newest],
        fov_degrees=float(np.degrees(2 * np.arctan(side / 2 / K[0, 0]))),
    )


def _read(path: Path, how: int) -> np.ndarray:
    image = cv2.imread(str(path), how)
    if image is None:
        raise EgoReactError("is no picture", where=path, remedy="restore the recording")
    return image


def read_worn(folder: Path) -> Recording:
    """A video with the wearer's body."""
    take = read_egoego(folder)
    return Recording(
        name="captured body",
        rgb=take.rgb,
        head_m=along_z(take.joints_m[:, HEAD].astype(np.float64), float(heading(take.joints_m[:1])[0])),
    )


def along_z(path_m: Float[np.ndarray, "frames 3"], heading_rad: float) -> Float[np.ndarray, "frames 3"]:
    """The path turned about the vertical so that this heading is +z."""
    return path_m @ rotation(-heading_rad).T


def window_starts(num_frames: int, window: int, *, step: int) -> list[int]:
    """Where parts of so many frames begin; the whole where it is shorter."""
    return list(range(0, max(num_frames - window, 0) + 1, step))
