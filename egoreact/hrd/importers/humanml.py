"""HumanML3D's own forms of a motion: features (T, 263) and joints (T, 22, 3) in .npy files, 20 fps, y up.

Neither says how the head is turned: it is estimated, and the clip says so.
"""

from pathlib import Path

import numpy as np
import torch

from egoreact.errors import EgoReactError
from egoreact.hrd.importers.arrays import read_npy
from egoreact.hrd.importers.head import estimated_head
from egoreact.hrd.importers.resample import Resampler, moments
from egoreact.hrd.importers.take import Take, checked_joints, on_the_floor, retargeted
from egoreact.motion.representation import FEATURE_DIM, decode
from egoreact.motion.skeleton import FPS, NUM_JOINTS

SMPL_JOINTS = (22, 24, 52, 55, 127, 144)
"""Numbers of joints of skeletons whose first 22 are SMPL's."""


def read_humanml(path: Path, *, source_fps: float | None = None, to_reference_body: bool = True) -> Take:
    """The take of an .npy of HumanML3D's features or of joints.

    Args:
        path: the file: (T, 263) features, raw and not normalised, always 20 fps; or (T, 22, 3) or (T, 66) joints in metres.
        source_fps: rate of the joints, 20 by default.
        to_reference_body: retarget to the reference bone lengths, which training expects.

    Raises:
        EgoReactError: not such an array, not finite, or no person comes of it.
    """
    array = read_npy(path)
    form, joints_m = _joints(array, path)
    checked_joints(
        joints_m,
        path,
        remedy="give raw features, not normalised ones: x · Std + Mean" if form == "features" else "give metres, y up",
    )
    fps = FPS if form == "features" or source_fps is None else source_fps
    if fps != FPS:
        at = Resampler(moments(0.0, (len(joints_m) - 1) / fps), fps=fps, num_frames=len(joints_m))
        joints_m = at.values(joints_m)
    if to_reference_body:
        joints_m = retargeted(joints_m)
    joints_m, raised_m = on_the_floor(joints_m)
    details = {
        "format": f"humanml3d {form}",
        "source_fps": fps,
        "raised_m": round(raised_m, 4),
        "head_rotation": "estimated from chest and neck",
        "retargeted": to_reference_body,
    }
    return Take(joints_m.astype(np.float32), estimated_head(joints_m).astype(np.float32), details)


def _joints(array: np.ndarray, path: Path) -> tuple[str, np.ndarray]:
    """`features` or `joints`, and joints (T, 22, 3)."""
    if array.dtype.kind not in "fiu" or len(array.shape) < 2 or len(array) < 2:
        raise _unknown(array, path)
    values = array.astype(np.float64)
    if array.ndim == 2 and array.shape[1] == FEATURE_DIM:
        bad = ~np.isfinite(values).all(axis=1)
        if bad.any():
            raise EgoReactError(
                f"holds numbers that are not finite, first in frame {int(bad.argmax())}",
                where=path,
                remedy="repair or cut the recording",
            )
        return "features", decode(torch.from_numpy(values)).numpy()
    if array.ndim == 2 and array.shape[1] == 3 * NUM_JOINTS:
        values = values.reshape(-1, NUM_JOINTS, 3)
    if values.ndim == 3 and values.shape[2] == 3 and values.shape[1] in SMPL_JOINTS:
        return "joints", values[:, :NUM_JOINTS]
    raise _unknown(array, path)


def _unknown(array: np.ndarray, path: Path) -> EgoReactError:
    return EgoReactError(
        f"is {array.dtype} of shape {array.shape}",
        where=path,
        remedy="give (frames, 263) features or (frames, 22, 3) joints, at least 2 frames",
    )
