"""SMPL-X bodies through the `smplx` package: parameters to joints, head, eyes and mesh.

Without a model file the body is the project's own mannequin. The real one is licence-gated: a user who has
`SMPLX_NEUTRAL.npz` names it in `EGOREACT_SMPLX`, and nothing else changes. As in SMPL-X, the pelvis lies at
`transl` + its place in the rest pose, which is not the origin.
"""

import os
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import roma
import smplx
import torch
from jaxtyping import Float, Float32, Int32
from smplx.lbs import batch_rigid_transform, blend_shapes, lbs, vertices2joints

from egoreact.errors import EgoReactError
from egoreact.motion import kinematics, mannequin
from egoreact.motion.skeleton import HEAD, NUM_JOINTS
from egoreact.workspace import Workspace

_EYES = (23, 24)
_FRAMES_AT_ONCE = 32
_ARRAYS: dict[str, tuple[int | None, ...]] = {
    "v_template": (None, 3),
    "f": (None, 3),
    "shapedirs": (None, 3, None),
    "posedirs": (None, 3, 486),
    "J_regressor": (55, None),
    "kintree_table": (2, 55),
    "weights": (None, 55),
    "hands_componentsl": (45, 45),
    "hands_componentsr": (45, 45),
    "hands_meanl": (45,),
    "hands_meanr": (45,),
    "lmk_faces_idx": (51,),
    "lmk_bary_coords": (51, 3),
}


@dataclass(frozen=True)
class BodyMotion:
    """Where a body of T frames is."""

    joints_m: Float32[np.ndarray, "frames 22 3"]
    head_rotation: Float32[np.ndarray, "frames 3 3"]
    """R_world_head."""
    eyes_m: Float32[np.ndarray, "frames 3"]
    """Mid-points of the eyeballs: where the camera is."""


class Body:
    """An SMPL-X model and its shape. Not trainable; thread-safe."""

    def __init__(self, model: smplx.SMPLX):
        self.model = model
        self.faces: Int32[np.ndarray, "faces 3"] = np.asarray(model.faces).astype(np.int32)

    def rest_joints_m(self, betas: Float[np.ndarray, " shape"] | None = None) -> Float32[np.ndarray, "55 3"]:
        """Joints at rest (T pose, no translation)."""
        return self._rest_joints(self._betas(betas)).numpy()

    def forward(
        self,
        global_orient: Float[np.ndarray, "frames 3"],
        body_pose: Float[np.ndarray, "frames 63"],
        transl: Float[np.ndarray, "frames 3"],
        betas: Float[np.ndarray, " shape"] | None = None,
    ) -> BodyMotion:
        """Joints, head and eyes of SMPL-X parameters, without the mesh: microseconds a frame.

        Args:
            global_orient: rotation vectors of the pelvis.
            body_pose: rotation vectors of joints 1…21 relative to their parents.
            transl: metres, added to all.
            betas: shape coefficients, as many as are known; the mean shape by default.

        Raises:
            EgoReactError: a misshapen or not finite parameter.
        """
        pose, translation_m = self._pose(global_orient, body_pose, transl)
        rotations = roma.rotvec_to_rotmat(pose.view(-1, 55, 3).double())
        rest_m = self._rest_joints(self._betas(betas)).double().expand(len(pose), -1, -1)
        joints_m, transforms = batch_rigid_transform(rotations, rest_m, self.model.parents, dtype=torch.float64)
        joints_m = (joints_m + translation_m.double()[:, None]).float().numpy()
        return BodyMotion(
            joints_m=joints_m[:, :NUM_JOINTS],
            head_rotation=transforms[:, HEAD, :3, :3].float().numpy(),
            eyes_m=joints_m[:, _EYES].mean(1),
        )

    def vertices_m(
        self,
        global_orient: Float[np.ndarray, "frames 3"],
        body_pose: Float[np.ndarray, "frames 63"],
        transl: Float[np.ndarray, "frames 3"],
        betas: Float[np.ndarray, " shape"] | None = None,
    ) -> Float32[np.ndarray, "frames vertices 3"]:
        """The skin of SMPL-X parameters, with SMPL-X's pose correctives. Arguments and errors as in `forward`."""
        pose, translation_m = self._pose(global_orient, body_pose, transl)
        model, shape = self.model, self._betas(betas)
        pieces = []
        for start in range(0, len(pose), _FRAMES_AT_ONCE):
            piece = pose[start : start + _FRAMES_AT_ONCE]
            skin_m, _ = lbs(
                shape.expand(len(piece), -1),
                piece,
                model.v_template,
                model.shapedirs,
                model.posedirs,
                model.J_regressor,
                model.parents,
                model.lbs_weights,
            )
            pieces.append(skin_m + translation_m[start : start + _FRAMES_AT_ONCE, None])
        return torch.cat(pieces).numpy()

    def _betas(self, betas: np.ndarray | None) -> torch.Tensor:
        shape = torch.zeros(1, self.model.num_betas)
        if betas is not None:
            given = torch.as_tensor(np.asarray(betas, dtype=np.float32)).flatten()[: self.model.num_betas]
            shape[0, : len(given)] = given
        return shape

    def _rest_joints(self, shape: torch.Tensor) -> torch.Tensor:
        shaped_m = self.model.v_template + blend_shapes(shape, self.model.shapedirs)
        return vertices2joints(self.model.J_regressor, shaped_m)[0]

    def _pose(self, global_orient, body_pose, transl) -> tuple[torch.Tensor, torch.Tensor]:
        """(T, 165) rotation vectors of all joints, face at rest and hands open, and the translations."""
        frames = len(global_orient)
        given = {"global_orient": (global_orient, 3), "body_pose": (body_pose, 63), "transl": (transl, 3)}
        tensors = {}
        for name, (value, width) in given.items():
            array = np.asarray(value, dtype=np.float32)
            if array.shape != (frames, width) or not np.isfinite(array).all() or frames == 0:
                raise EgoReactError(
                    f"has shape {array.shape} or is not finite",
                    where=name,
                    remedy=f"give (frames, {width}) finite numbers",
                )
            tensors[name] = torch.from_numpy(array)
        rest = torch.zeros(frames, 165 - 66)
        return torch.cat([tensors["global_orient"], tensors["body_pose"], rest], dim=1), tensors["transl"]


def load_body(model_path: Path | None = None) -> Body:
    """The body of an SMPL-X model file, of `EGOREACT_SMPLX`, or the mannequin: in this order.

    Raises:
        EgoReactError: no such file, or not an SMPL-X npz.
    """
    if model_path is None and os.environ.get("EGOREACT_SMPLX"):
        model_path = Path(os.environ["EGOREACT_SMPLX"])
    if model_path is not None:
        return _load(Path(model_path).absolute())
    return _load(mannequin_file())


def mannequin_file() -> Path:
    """The mannequin as an SMPL-X npz in the workspace, made once for each version of its code."""
    path = Workspace.from_environment().root / "body" / f"mannequin-{mannequin.digest()}.npz"
    return path if path.is_file() else mannequin.write_mannequin(path)


def write_mannequin(path: Path) -> Path:
    """See `mannequin.write_mannequin`."""
    return mannequin.write_mannequin(path)


def body_joints(
    global_orient: Float[np.ndarray, "frames 3"],
    body_pose: Float[np.ndarray, "frames 63"],
    transl: Float[np.ndarray, "frames 3"],
    betas: Float[np.ndarray, " shape"] | None = None,
) -> tuple[Float32[np.ndarray, "frames 22 3"], Float32[np.ndarray, "frames 3 3"], Float32[np.ndarray, "frames 3"]]:
    """Joints (m), R_world_head and eyes (m) of `load_body()`. See `Body.forward`."""
    motion = load_body().forward(global_orient, body_pose, transl, betas)
    return motion.joints_m, motion.head_rotation, motion.eyes_m


def pose_from_joints(
    joints_m: Float[np.ndarray, "frames 22 3"], head_rotation: Float[np.ndarray, "frames 3 3"] | None = None
) -> dict[str, Float32[np.ndarray, "frames _"]]:
    """SMPL-X parameters (`global_orient`, `body_pose`, `transl`) of a mannequin that follows the joints. See `kinematics`."""
    joints = torch.as_tensor(np.asarray(joints_m, dtype=np.float64))
    head = None if head_rotation is None else torch.as_tensor(np.asarray(head_rotation, dtype=np.float64))
    local = kinematics.local_rotations(kinematics.joint_rotations(joints, head_rotation=head))
    vectors = roma.rotmat_to_rotvec(local).float().numpy()
    pelvis_m = mannequin.build(low_poly=True).rest_joints_m[0]
    return {
        "global_orient": vectors[:, 0],
        "body_pose": vectors[:, 1:].reshape(len(vectors), 63),
        "transl": (np.asarray(joints_m)[:, 0] - pelvis_m).astype(np.float32),
    }


@lru_cache(maxsize=2)
def _load(path: Path) -> Body:
    arrays = _read_model(path)
    # smplx unpickles whatever else a file holds: it is given a copy of the plain arrays alone.
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "SMPLX_NEUTRAL.npz"
        np.savez(plain, **arrays)  # type: ignore[arg-type]
        model = smplx.SMPLX(str(plain), num_betas=10, num_expression_coeffs=10, use_pca=False, flat_hand_mean=True)
    return Body(model.requires_grad_(False).eval())


def _read_model(path: Path) -> dict[str, np.ndarray]:
    remedy = "give SMPLX_NEUTRAL.npz as downloaded, or unset EGOREACT_SMPLX to use the mannequin"
    if not path.is_file():
        raise EgoReactError("no such file", where=path, remedy=remedy)
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = sorted(_ARRAYS.keys() - set(archive.files))
            if missing:
                raise EgoReactError(f"lacks {', '.join(missing)}", where=path, remedy=remedy)
            arrays = {name: archive[name] for name in _ARRAYS}
    except EgoReactError:
        raise
    except Exception as error:  # zipfile, zlib, numpy and struct each have their own
        raise EgoReactError(f"is not a readable npz ({type(error).__name__})", where=path, remedy=remedy) from error
    vertices = len(arrays["v_template"])
    for name, shape in _ARRAYS.items():
        have = arrays[name].shape
        if len(have) != len(shape) or any(want not in (None, side) for want, side in zip(shape, have, strict=True)):
            raise EgoReactError(f"{name} has shape {have}, not SMPL-X's", where=path, remedy=remedy)
    per_vertex = {"shapedirs": 0, "posedirs": 0, "J_regressor": 1, "weights": 0}
    if vertices < 9930 or any(arrays[name].shape[axis] != vertices for name, axis in per_vertex.items()):
        raise EgoReactError(f"has {vertices} vertices, not SMPL-X's 10475 throughout", where=path, remedy=remedy)
    if arrays["shapedirs"].shape[2] < 400:
        raise EgoReactError("has fewer than 400 shape directions", where=path, remedy="use the 2020 file (SMPL-X v1.1)")
    return arrays
