"""Recordings in EgoEgo's form: a folder with `video.mp4` and `body.npz`, the wearer's SMPL-H parameters and head pose, z up.

`body.npz`: `root_orient` (T, 3), `body_pose` (T, 63), `trans` (T, 3), `head_qpos` (T, 7) as x y z and quaternion w x y z, `fps`;
`betas` are of SMPL-H's shape space, which no other body shares, and are not used. The pose's axes are those of a SMPL joint
(x left, y up, z forward); the video is seen from it. In EgoEgo's ARES recordings the pose is the wearer's head *joint* to
0.0003 mm, and feature tracks fit a camera at it with a field of view of 90 degrees to 0.2 px.

The video is the truth: the camera stays where it was recorded, and the body is put behind it. SMPL-X's body, or the mannequin,
takes the recorded rotations, is scaled so that it reaches from the recorded floor to the camera, and is moved in every frame so
that its eyes are at the camera. So what is seen and the eyes that see it agree exactly, the height of the eyes over the floor
is the recorded one, and what another body's proportions cost is left to the feet: a few centimetres, which the gate measures.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import roma
import torch
from jaxtyping import Float, UInt8

from egoreact.errors import EgoReactError
from egoreact.hrd.clip import unpack_npz
from egoreact.hrd.importers.resample import Resampler, moments
from egoreact.motion.body import load_body
from egoreact.motion.camera import camera_from_head, head_from_camera
from egoreact.motion.skeleton import FEET, FPS, HEAD, PELVIS
from egoreact.vision.video import read_video

VIDEO, BODY = "video.mp4", "body.npz"
MAX_BODY_BYTES = 256 * 2**20
Y_UP_FROM_Z_UP = np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
"""AMASS's (x, y, z) is (−x, z, y) here."""
PLAUSIBLE_SCALE = (0.7, 1.4)


@dataclass(frozen=True)
class EgoRecording:
    """A recording at 20 fps, y up, floor at 0."""

    rgb: UInt8[np.ndarray, "frames height width 3"]
    joints_m: Float[np.ndarray, "frames 22 3"]
    head_rotation: Float[np.ndarray, "frames 3 3"]
    T_world_camera: Float[np.ndarray, "frames 4 4"]
    smplx: dict[str, np.ndarray]
    """Of a body of the size 1; `joints_m` are larger by `details["body_scale"]`, with the same pelvis."""
    details: dict


def is_egoego(path: Path) -> bool:
    return (path / VIDEO).is_file() and (path / BODY).is_file()


def read_egoego(folder: Path) -> EgoRecording:
    """The recording in a folder, resampled to 20 fps by the wall clock.

    Raises:
        EgoReactError: a file is missing or unreadable, an array misshapen, not finite or of another length than the video, or the
            head pose fits no person standing on the floor.
    """
    folder = Path(folder)
    for name in (VIDEO, BODY):
        if not (folder / name).is_file():
            raise EgoReactError(f"lacks {name}", where=folder, remedy="give a folder with video.mp4 and body.npz")
    path = folder / BODY
    if path.stat().st_size > MAX_BODY_BYTES:
        raise EgoReactError(f"is larger than {MAX_BODY_BYTES >> 20} MiB", where=path, remedy="cut the recording")
    arrays = unpack_npz(path.read_bytes(), where=str(path))
    source_fps = _source_fps(arrays, path)
    pose = {
        name: _motion_array(arrays, name, width, path)
        for name, width in (("root_orient", 3), ("body_pose", 63), ("trans", 3), ("head_qpos", 7))
    }
    frames = len(pose["head_qpos"])
    if len({len(value) for value in pose.values()}) != 1:
        lengths = ", ".join(f"{name} {len(value)}" for name, value in pose.items())
        raise EgoReactError(
            f"arrays differ in length: {lengths}", where=path, remedy="give as many rows to each as frames"
        )
    rgb = read_video(folder / VIDEO, fps=FPS)
    if abs(len(rgb) / FPS - frames / source_fps) > 0.25:
        raise EgoReactError(
            f"lasts {len(rgb) / FPS:.2f} s, the body {frames / source_fps:.2f} s",
            where=folder / VIDEO,
            remedy="cut both alike",
        )
    return _place_body(rgb, pose, source_fps, path)


def _place_body(rgb: np.ndarray, pose: dict[str, np.ndarray], source_fps: float, path: Path) -> EgoRecording:
    frames = len(pose["head_qpos"])
    times_s = moments(0.0, (frames - 1) / source_fps)[: len(rgb)]
    at = Resampler(times_s, fps=source_fps, num_frames=frames)
    quaternion = pose["head_qpos"][:, [4, 5, 6, 3]]
    norms = np.linalg.norm(quaternion, axis=1, keepdims=True)
    if (np.abs(norms - 1) > 0.01).any():
        raise EgoReactError(
            "head_qpos holds quaternions that are not of length 1", where=path, remedy="give x y z, w x y z"
        )
    R_head = roma.unitquat_to_rotmat(torch.from_numpy(quaternion / norms)).numpy()
    head_rotation = Y_UP_FROM_Z_UP @ at.rotations(R_head)
    T_world_camera = camera_from_head(
        at.values(pose["head_qpos"][:, :3]) @ Y_UP_FROM_Z_UP.T, head_rotation, eyes_in_head_m=np.zeros(3)
    )

    body = load_body()
    global_orient = _vectors(Y_UP_FROM_Z_UP @ at.rotations(_matrices(pose["root_orient"])))
    body_pose = _vectors(at.rotations(_matrices(pose["body_pose"].reshape(frames, 21, 3)))).reshape(-1, 63)
    posed = body.forward(global_orient, body_pose, np.zeros((len(times_s), 3)))
    unit = posed.joints_m.astype(np.float64)
    head_m, _ = head_from_camera(T_world_camera)
    from_head_m = unit - unit[:, [HEAD]]
    scale = float(np.median(head_m[:, 1] / -from_head_m[:, FEET, 1].min(axis=1)))
    if not PLAUSIBLE_SCALE[0] <= scale <= PLAUSIBLE_SCALE[1]:
        raise EgoReactError(
            f"the head is {np.median(T_world_camera[:, 1, 3]):.2f} m above height 0, {scale:.2g} times what the pose is tall",
            where=path,
            remedy="head_qpos must be in metres, z up, with the floor at 0",
        )
    joints_m = head_m[:, None] + scale * from_head_m
    gaze_cosine = np.sum(head_rotation[..., 2] * posed.head_rotation[..., 2], axis=-1)
    transl = joints_m[:, PELVIS] - unit[:, PELVIS]
    return EgoRecording(
        rgb=rgb[: len(times_s)],
        joints_m=joints_m.astype(np.float32),
        head_rotation=head_rotation.astype(np.float32),
        T_world_camera=T_world_camera.astype(np.float32),
        smplx={
            "global_orient": global_orient.astype(np.float32),
            "body_pose": body_pose.astype(np.float32),
            "transl": transl.astype(np.float32),
            "betas": np.zeros(10, np.float32),
        },
        details={
            "format": "egoego",
            "source_fps": source_fps,
            "body_scale": round(scale, 4),
            "gaze_against_body_deg_max": round(float(np.degrees(np.arccos(np.clip(gaze_cosine, -1, 1))).max()), 3),
        },
    )


def _source_fps(arrays: dict[str, np.ndarray], path: Path) -> float:
    fps = arrays.get("fps")
    if fps is None or fps.size != 1 or fps.dtype.kind not in "fiu" or not 1 <= float(fps.reshape(())) <= 1000:
        raise EgoReactError(
            "lacks a rate `fps` between 1 and 1000", where=path, remedy="add fps, the motion's frames a second"
        )
    return float(fps.reshape(()))


def _motion_array(
    arrays: dict[str, np.ndarray], name: str, width: int, path: Path
) -> Float[np.ndarray, "frames width"]:
    if name not in arrays:
        raise EgoReactError(f"lacks the array {name}", where=path, remedy=f"add it, (frames, {width})")
    array = arrays[name]
    if array.ndim != 2 or array.shape[1] != width or len(array) < 2 or array.dtype.kind not in "fiu":
        raise EgoReactError(
            f"{name} is {array.dtype} of shape {array.shape}",
            where=path,
            remedy=f"give numbers, (frames, {width}), at least 2 frames",
        )
    if not np.isfinite(array).all():
        raise EgoReactError(
            f"{name} holds numbers that are not finite", where=path, remedy="repair or cut the recording"
        )
    return array.astype(np.float64)


def _matrices(rotation_vectors: np.ndarray) -> np.ndarray:
    return roma.rotvec_to_rotmat(torch.from_numpy(rotation_vectors)).numpy()


def _vectors(rotations: np.ndarray) -> np.ndarray:
    return roma.rotmat_to_rotvec(torch.from_numpy(np.ascontiguousarray(rotations))).numpy()
