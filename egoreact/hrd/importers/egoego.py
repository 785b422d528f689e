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

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import roma
import torch
from jaxtyping import Float, UInt8

from egoreact.errors import EgoReactError
from egoreact.hrd.importers.amass import Y_UP_FROM_Z_UP, rotation_matrices, rotation_vectors
from egoreact.hrd.importers.arrays import numbers, rate, read_npz, same_length
from egoreact.hrd.importers.resample import Resampler, moments
from egoreact.hrd.importers.take import on_the_floor
from egoreact.hrd.importers.video import read_recorded, trimmed_alike
from egoreact.motion.body import load_body
from egoreact.motion.camera import camera_from_head, head_from_camera
from egoreact.motion.skeleton import FEET, HEAD, PELVIS

VIDEO, BODY = "video.mp4", "body.npz"
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
    arrays = read_npz(path)
    source_fps = rate(arrays, ("fps",), None, path)
    pose = {
        name: numbers(arrays, (name,), (width,), path)
        for name, width in (("root_orient", 3), ("body_pose", 63), ("trans", 3), ("head_qpos", 7))
    }
    frames = same_length(pose, path)
    rgb = read_recorded(folder / VIDEO)
    times_s = moments(0.0, (frames - 1) / source_fps)
    count, trimmed = trimmed_alike(len(rgb), len(times_s), folder / VIDEO)
    times_s = times_s[:count]

    at = Resampler(times_s, fps=source_fps, num_frames=frames)
    quaternion = pose["head_qpos"][:, [4, 5, 6, 3]]
    norms = np.linalg.norm(quaternion, axis=1, keepdims=True)
    if (np.abs(norms - 1) > 0.01).any():
        raise EgoReactError(
            "head_qpos holds quaternions that are not of length 1", where=path, remedy="give x y z, w x y z"
        )
    R_head = roma.unitquat_to_rotmat(torch.from_numpy(quaternion / norms)).numpy()
    T_world_camera = camera_from_head(
        at.values(pose["head_qpos"][:, :3]) @ Y_UP_FROM_Z_UP.T,
        Y_UP_FROM_Z_UP @ at.rotations(R_head),
        eyes_in_head_m=np.zeros(3),
    )
    R_root = Y_UP_FROM_Z_UP @ at.rotations(rotation_matrices(pose["root_orient"]))
    body_pose = at.rotations(rotation_matrices(pose["body_pose"].reshape(frames, 21, 3)))
    recording = behind_the_camera(
        rgb[:count], T_world_camera, R_root, rotation_vectors(body_pose).reshape(-1, 63), floor_m=0.0, where=path
    )
    more = {"format": "egoego", "source_fps": source_fps, "trimmed_frames": trimmed}
    return replace(recording, details=recording.details | more)


def behind_the_camera(
    rgb: UInt8[np.ndarray, "frames height width 3"],
    T_world_camera: Float[np.ndarray, "frames 4 4"],
    R_root: Float[np.ndarray, "frames 3 3"],
    body_pose: Float[np.ndarray, "frames 63"],
    *,
    floor_m: float | None,
    where: Path,
) -> EgoRecording:
    """A body with these rotations whose eyes are at the camera in every frame.

    Args:
        T_world_camera: y up.
        R_root: of the pelvis, in the camera's world.
        floor_m: height of the floor: the body is scaled so that it reaches down to it. None where it is unknown: the body
            keeps its size, and the floor is where its feet come lowest.

    Raises:
        EgoReactError: no person is as tall as the camera is high.
    """
    global_orient = rotation_vectors(R_root)
    posed = load_body().forward(global_orient, body_pose, np.zeros((len(rgb), 3)))
    unit = posed.joints_m.astype(np.float64)
    head_m, head_rotation = head_from_camera(T_world_camera)
    from_head_m = unit - unit[:, [HEAD]]
    scale = 1.0
    if floor_m is not None:
        scale = float(np.median((head_m[:, 1] - floor_m) / -from_head_m[:, FEET, 1].min(axis=1)))
    if not PLAUSIBLE_SCALE[0] <= scale <= PLAUSIBLE_SCALE[1]:
        raise EgoReactError(
            f"the head is {np.median(T_world_camera[:, 1, 3]):.2f} m above height 0, {scale:.2g} times what the pose is tall",
            where=where,
            remedy="head_qpos must be in metres, z up, with the floor at 0",
        )
    joints_m = head_m[:, None] + scale * from_head_m
    floor_m = -on_the_floor(joints_m)[1] if floor_m is None else floor_m
    joints_m, T_world_camera = joints_m - [0.0, floor_m, 0.0], T_world_camera.copy()
    T_world_camera[:, 1, 3] -= floor_m
    gaze_cosine = np.sum(head_rotation[..., 2] * posed.head_rotation[..., 2], axis=-1)
    transl = joints_m[:, PELVIS] - unit[:, PELVIS]
    return EgoRecording(
        rgb=rgb,
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
            "body_scale": round(scale, 4),
            "gaze_against_body_deg_max": round(float(np.degrees(np.arccos(np.clip(gaze_cosine, -1, 1))).max()), 3),
        },
    )
