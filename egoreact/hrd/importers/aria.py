"""Aria-style recordings: a folder with a video, the device's trajectory and, where there is one, the wearer's body.

    *.mp4                            what the camera saw
    closed_loop_trajectory.csv       tracking_timestamp_us, tx_world_device, ty_…, tz_…, qx_world_device, qy_…, qz_…, qw_…; metres, gravity
                                     along −z of the world. `*trajectory*.csv` will do.
    body.npz                         the wearer as an AMASS-like npz (see `amass`); `*.npz` will do

The camera is the device, turned by `device_camera_xyzw` where its axes are not OpenCV's. Video and trajectory share a clock:
the first frame was taken at `video_start_us`, at the first stamp by default. The body's first frame belongs to the first stamp too.

The video is the truth, as in `egoego`: the body takes its recorded pose, is turned by the one angle about the vertical that brings
its head to the camera's direction, scaled to reach from the floor to the camera, and moved so that its eyes are at the camera.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import roma
import torch
from jaxtyping import Float

from egoreact.errors import EgoReactError
from egoreact.hrd.importers.amass import (
    RATE_NAMES,
    Y_UP_FROM_Z_UP,
    body_parameters,
    rotation_matrices,
    rotation_vectors,
)
from egoreact.hrd.importers.arrays import rate, read_npz
from egoreact.hrd.importers.config import ImportConfig
from egoreact.hrd.importers.egoego import EgoRecording, behind_the_camera
from egoreact.hrd.importers.resample import Resampler, moments
from egoreact.hrd.importers.video import read_recorded, trimmed_alike
from egoreact.hrd.simulate.acting.kinematics import rotation
from egoreact.motion.body import load_body
from egoreact.motion.camera import R_HEAD_CAMERA
from egoreact.motion.skeleton import FPS

TRAJECTORY = "closed_loop_trajectory.csv"
_PLACE = ("tx_world_device", "ty_world_device", "tz_world_device")
_TURN = ("qx_world_device", "qy_world_device", "qz_world_device", "qw_world_device")
_STAMP = "tracking_timestamp_us"
MAX_CSV_BYTES = 1 << 30
MAX_GAP_S = 0.5
"""Between two stamps: the head's way through a longer gap is unknown."""
LIKE_DEG = 35.0
"""How far past the camera the body's head may look, median, after the best turn of the whole take."""


@dataclass(frozen=True)
class Trajectory:
    """The device in the recording's world, z up, by its own stamps."""

    stamps_s: Float[np.ndarray, " poses"]
    """From the first one, ascending."""
    first_us: int
    position_m: Float[np.ndarray, "poses 3"]
    rotation: Float[np.ndarray, "poses 3 3"]

    def at(self, times_s: np.ndarray) -> tuple[Float[np.ndarray, "times 3"], Float[np.ndarray, "times 3 3"]]:
        """Position and rotation between the stamps: linearly, and by slerp."""
        place = np.interp(times_s, self.stamps_s, np.arange(len(self.stamps_s)))
        resampler = Resampler(place, fps=1.0, num_frames=len(self.stamps_s))
        return resampler.values(self.position_m), resampler.rotations(self.rotation)


def is_aria(path: Path) -> bool:
    return path.is_dir() and _trajectory_file(path) is not None


def read_aria(folder: Path, config: ImportConfig) -> EgoRecording:
    """The recording in a folder, resampled to 20 fps by the trajectory's clock.

    Raises:
        EgoReactError: the video, the trajectory or the body is missing or broken; video, trajectory and body do not overlap or do
            not move alike.
    """
    csv = _trajectory_file(folder)
    if csv is None:
        raise EgoReactError(f"lacks {TRAJECTORY}", where=folder, remedy="put the device's trajectory beside the video")
    videos, bodies = sorted(folder.glob("*.mp4")), sorted(folder.glob("*.npz"))
    if not videos:
        raise EgoReactError("lacks a video", where=folder, remedy="put the recording's *.mp4 beside the trajectory")
    if not bodies:
        raise EgoReactError(
            "has a camera and no body motion, and a clip needs both",
            where=folder,
            remedy="add body.npz with the wearer's SMPL-H or SMPL-X poses, trans and mocap_frame_rate, from the same start",
        )
    trajectory = read_trajectory(csv)
    arrays = read_npz(bodies[0])
    source_fps = rate(arrays, RATE_NAMES, config.source_fps, bodies[0])
    orient, pose, _, model = body_parameters(arrays, bodies[0])
    rgb = read_recorded(videos[0])
    # Everything by the trajectory's clock, from its first stamp.
    late_s = 0.0 if config.video_start_us is None else (config.video_start_us - trajectory.first_us) / 1e6
    last_s = min(float(trajectory.stamps_s[-1]), (len(orient) - 1) / source_fps)
    if not -0.5 / FPS <= late_s < last_s:
        raise EgoReactError(
            f"the video begins {late_s:.2f} s after the first stamp, trajectory and body last {last_s:.2f} s",
            where=folder,
            remedy="give video_start_us on the trajectory's clock, in microseconds",
        )
    times_s = moments(max(late_s, 0.0), last_s)
    count, trimmed = trimmed_alike(len(rgb), len(times_s), videos[0])
    times_s = times_s[:count]
    gap_s = float(np.diff(trajectory.stamps_s).max())
    if gap_s > MAX_GAP_S:
        raise EgoReactError(f"has a gap of {gap_s:.2f} s", where=csv, remedy="cut the recording at the gap")

    device_m, R_device = trajectory.at(times_s)
    T_world_camera = np.tile(np.eye(4), (count, 1, 1))
    T_world_camera[:, :3, :3] = Y_UP_FROM_Z_UP @ R_device @ _device_camera(config)
    T_world_camera[:, :3, 3] = device_m @ Y_UP_FROM_Z_UP.T
    at = Resampler(times_s, fps=source_fps, num_frames=len(orient))
    R_root = Y_UP_FROM_Z_UP @ at.rotations(rotation_matrices(orient))
    pose = rotation_vectors(at.rotations(rotation_matrices(pose.reshape(-1, 21, 3)))).reshape(-1, 63)
    R_root, turned_deg = _turned_to_the_camera(R_root, pose, T_world_camera, bodies[0])
    recording = behind_the_camera(rgb[:count], T_world_camera, R_root, pose, floor_m=None, where=bodies[0])
    return EgoRecording(
        rgb=recording.rgb, joints_m=recording.joints_m, head_rotation=recording.head_rotation,
        T_world_camera=recording.T_world_camera, smplx=recording.smplx,
        details=recording.details | {
            "format": "aria", "video": videos[0].name, "trajectory": csv.name, "body": bodies[0].name, "model": model,
            "source_fps": source_fps, "video_start_s": round(late_s, 4), "body_turned_deg": round(turned_deg, 2),
            "device_camera_xyzw": list(config.device_camera_xyzw), "trimmed_frames": trimmed,
        },
    )  # fmt: skip


def read_trajectory(path: Path) -> Trajectory:
    """The device's way in a CSV.

    Raises:
        EgoReactError: empty, no such table, columns missing, numbers that are none, or stamps that do not ascend.
    """
    if path.stat().st_size > MAX_CSV_BYTES:
        raise EgoReactError(f"is larger than {MAX_CSV_BYTES >> 30} GiB", where=path, remedy="cut the recording")
    wanted = [_STAMP, *_PLACE, *_TURN]
    try:
        table = pd.read_csv(io.BytesIO(path.read_bytes()))
    except (ValueError, UnicodeDecodeError) as error:  # pandas' own errors are ValueErrors
        raise EgoReactError(
            f"is no readable table ({' '.join(str(error).split())[:100]})",
            where=path,
            remedy="give the CSV as recorded",
        ) from error
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        raise EgoReactError(
            f"lacks the columns {', '.join(missing)}", where=path, remedy=f"it needs {', '.join(wanted)}"
        )
    values = table[wanted].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any() or len(values) < 2:
        what = f"row {int(bad.argmax()) + 2} holds no finite numbers" if bad.any() else f"has {len(values)} poses"
        raise EgoReactError(what, where=path, remedy="give at least two rows of finite numbers")
    stamps_us = values[:, 0].astype(np.int64)
    if (np.diff(stamps_us) <= 0).any():
        row = int((np.diff(stamps_us) <= 0).argmax()) + 3
        raise EgoReactError(
            f"the stamp of row {row} is not after the one before", where=path, remedy="sort its rows by time"
        )
    norms = np.linalg.norm(values[:, 4:], axis=1, keepdims=True)
    if (np.abs(norms - 1) > 0.01).any():
        raise EgoReactError("holds quaternions that are not of length 1", where=path, remedy="give x, y, z, w")
    turns = roma.unitquat_to_rotmat(torch.from_numpy(values[:, 4:] / norms)).numpy()
    return Trajectory((stamps_us - stamps_us[0]) / 1e6, int(stamps_us[0]), values[:, 1:4], turns)


def _trajectory_file(folder: Path) -> Path | None:
    exact = folder / TRAJECTORY
    return exact if exact.is_file() else next(iter(sorted(folder.glob("*trajectory*.csv"))), None)


def _device_camera(config: ImportConfig) -> Float[np.ndarray, "3 3"]:
    quaternion = np.asarray(config.device_camera_xyzw, np.float64)
    length = float(np.linalg.norm(quaternion))
    if abs(length - 1) > 0.01:
        raise EgoReactError(
            f"has length {length:.3g}", where="device_camera_xyzw", remedy="give a unit quaternion x y z w"
        )
    return roma.unitquat_to_rotmat(torch.from_numpy(quaternion / length)).numpy()


def _turned_to_the_camera(
    R_root: Float[np.ndarray, "frames 3 3"], pose: np.ndarray, T_world_camera: np.ndarray, where: Path
) -> tuple[Float[np.ndarray, "frames 3 3"], float]:
    """The body's root rotations in the camera's world, and by how many degrees about the vertical they were turned.

    Raises:
        EgoReactError: the body's head does not look where the camera does at any such turn.
    """
    head = load_body().forward(rotation_vectors(R_root), pose, np.zeros((len(R_root), 3))).head_rotation
    gaze = T_world_camera[:, :3, :3] @ R_HEAD_CAMERA
    apart = gaze @ head.astype(np.float64).swapaxes(1, 2)
    yaw = float(
        np.angle(np.mean(np.exp(1j * np.arctan2(apart[:, 0, 2] - apart[:, 2, 0], apart[:, 0, 0] + apart[:, 2, 2]))))
    )
    left = rotation(-yaw) @ apart
    off_deg = float(np.degrees(np.median(np.arccos(np.clip((np.trace(left, axis1=1, axis2=2) - 1) / 2, -1, 1)))))
    if off_deg > LIKE_DEG:
        raise EgoReactError(
            f"the body's head looks {off_deg:.0f}° past the camera at every turn",
            where=where,
            remedy="give the body of this recording, or the device's axes with device_camera_xyzw",
        )
    return rotation(yaw) @ R_root, float(np.degrees(yaw))
