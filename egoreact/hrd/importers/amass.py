"""Body models' parameters in an npz: AMASS, SMPL-H, SMPL-X and SMPL, and this project's own npz export.

Names
    Pose: `poses` (T, 156 SMPL-H; 165 SMPL-X; 72 SMPL; 66 the body alone), or `root_orient` and `pose_body` (AMASS's SMPL-X files), or
        `global_orient` and `body_pose`. Rotation vectors; the first 22 joints are the same in all of them.
    Place: `trans` or `transl`. Rate: `mocap_framerate`, `mocap_frame_rate` or `fps`. Shape: `betas`; `gender` is recorded.

AMASS is z up: its (x, y, z) is (−x, z, y) here. Files that are y up already, as this project's export, are told by which way
the pelvis' own y points over the take. The body is `motion.body`'s: the mannequin, or the SMPL-X file that EGOREACT_SMPLX
names. `betas` count only there, and only when they are SMPL-X's: no other model shares its space of shapes.
"""

import os
from pathlib import Path

import numpy as np
import roma
import torch
from jaxtyping import Float

from egoreact.errors import EgoReactError
from egoreact.hrd.importers.arrays import numbers, rate, read_npz, same_length
from egoreact.hrd.importers.resample import Resampler, moments
from egoreact.hrd.importers.take import Take, checked_joints, on_the_floor, retargeted
from egoreact.motion.body import load_body

Y_UP_FROM_Z_UP = np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
"""AMASS's (x, y, z) is (−x, z, y) here."""
MODELS = {66: "smpl body", 72: "smpl", 156: "smplh", 165: "smplx"}
"""By the width of `poses`."""
POSE_NAMES = frozenset({"poses", "pose_body", "body_pose"})
RATE_NAMES = ("mocap_framerate", "mocap_frame_rate", "fps")


def read_amass(path: Path, *, source_fps: float | None = None, to_reference_body: bool = True) -> Take:
    """The take of an npz with a body model's parameters.

    Args:
        path: the file.
        source_fps: its rate, where the file does not say it.
        to_reference_body: retarget to the reference bone lengths, which training expects.

    Raises:
        EgoReactError: not such an npz, an array missing, misshapen or not finite, no rate, or no person comes of it.
    """
    arrays = read_npz(path)
    orient, pose, transl, model = body_parameters(arrays, path)
    source_fps = rate(arrays, RATE_NAMES, source_fps, path)
    frames = len(orient)
    y_up = _is_y_up(orient)
    turn = np.eye(3) if y_up else Y_UP_FROM_Z_UP
    at = Resampler(moments(0.0, (frames - 1) / source_fps), fps=source_fps, num_frames=frames)
    orient = rotation_vectors(turn @ at.rotations(rotation_matrices(orient)))
    pose = rotation_vectors(at.rotations(rotation_matrices(pose.reshape(frames, 21, 3)))).reshape(-1, 63)
    transl = at.values(transl) @ turn.T
    betas = arrays.get("betas") if model == "smplx" and os.environ.get("EGOREACT_SMPLX") else None
    posed = load_body().forward(orient, pose, transl, betas)
    joints_m = posed.joints_m.astype(np.float64)
    checked_joints(joints_m, path, remedy="give parameters of an SMPL body, trans in metres")
    own_m, raised_m = on_the_floor(joints_m)
    joints_m = on_the_floor(retargeted(joints_m))[0] if to_reference_body else own_m
    kept = float(np.abs(joints_m - own_m).max()) < 0.005
    shape = np.zeros(10, np.float32) if betas is None else np.resize(betas.astype(np.float32).ravel(), 10)
    smplx = {
        "global_orient": orient.astype(np.float32),
        "body_pose": pose.astype(np.float32),
        "transl": (transl + np.array([0.0, raised_m, 0.0])).astype(np.float32),
        "betas": shape,
    }
    details = {
        "format": "amass",
        "model": model,
        "gender": _text(arrays.get("gender")),
        "source_fps": round(source_fps, 3),
        "up": "y" if y_up else "z",
        "raised_m": round(raised_m, 4),
        "shape_used": betas is not None,
        "retargeted": to_reference_body,
    }
    return Take(joints_m.astype(np.float32), posed.head_rotation.astype(np.float32), details, smplx if kept else None)


def body_parameters(
    arrays: dict[str, np.ndarray], path: Path
) -> tuple[Float[np.ndarray, "frames 3"], Float[np.ndarray, "frames 63"], Float[np.ndarray, "frames 3"], str]:
    """Root orientation, pose of joints 1…21, translation and the model's name, as they stand in the file.

    Raises:
        EgoReactError: an array is missing, misshapen or not finite, or they differ in length.
    """
    if not POSE_NAMES & arrays.keys():
        raise EgoReactError(
            f"holds no body's pose but {', '.join(sorted(arrays)[:6]) or 'nothing'}",
            where=path,
            remedy="give AMASS's poses and trans, or root_orient, pose_body and trans",
        )
    if "poses" in arrays:
        poses = numbers(arrays, ("poses",), tuple(MODELS), path)
        model, orient, pose = MODELS[poses.shape[1]], poses[:, :3], poses[:, 3:66]
    else:
        orient = numbers(arrays, ("root_orient", "global_orient"), (3,), path)
        pose = numbers(arrays, ("pose_body", "body_pose"), (63, 69), path)[:, :63]
        model = _text(arrays.get("surface_model_type")) or "unknown"
    transl = numbers(arrays, ("trans", "transl"), (3,), path)
    same_length({"the pose's root": orient, "the pose": pose, "trans": transl}, path)
    if np.ptp(transl, axis=0).max() > 1000:
        raise EgoReactError(
            f"trans spans {np.ptp(transl, axis=0).max():.0f} m", where=path, remedy="give metres, not millimetres"
        )
    return orient, pose, transl, model


def rotation_matrices(vectors: Float[np.ndarray, "*any 3"]) -> Float[np.ndarray, "*any 3 3"]:
    return roma.rotvec_to_rotmat(torch.from_numpy(vectors)).numpy()


def rotation_vectors(rotations: Float[np.ndarray, "*any 3 3"]) -> Float[np.ndarray, "*any 3"]:
    return roma.rotmat_to_rotvec(torch.from_numpy(np.ascontiguousarray(rotations))).numpy()


def _is_y_up(orient: Float[np.ndarray, "frames 3"]) -> bool:
    """Whether the pelvis' own y, which points up in who is upright, leans on the world's y more than on its z."""
    upwards = rotation_matrices(orient)[:, :, 1].mean(axis=0)
    return bool(upwards[1] > upwards[2])


def _text(value: np.ndarray | None) -> str:
    if value is None or value.size != 1 or value.dtype.kind not in "US":
        return ""
    item = value.reshape(()).item()
    return item.decode("ascii", "replace") if isinstance(item, bytes) else str(item)
