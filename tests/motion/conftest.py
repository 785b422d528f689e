import os
from pathlib import Path

import numpy as np
import pytest
import roma
import torch
from scipy.ndimage import gaussian_filter1d

from egoreact.motion import kinematics
from egoreact.motion.skeleton import PARENTS, REST_OFFSETS_M, T_POSE_OFFSETS_M

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_model_of_the_user(monkeypatch):
    monkeypatch.delenv("EGOREACT_SMPLX", raising=False)


@pytest.fixture(scope="session")
def workspace(tmp_path_factory):
    """One mannequin for all tests of this folder."""
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture
def in_workspace(workspace, monkeypatch):
    monkeypatch.setenv("EGOREACT_HOME", str(workspace))
    return workspace


@pytest.fixture(scope="session")
def humanml3d():
    """Joints and features of clip 012314 of HumanML3D."""
    folder = Path(os.environ.get("EGOREACT_SHARED_DATA", "../shared/data")) / "humanml3d"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: no clip of HumanML3D to compare with")
    return tuple(torch.from_numpy(np.load(folder / f"012314_{name}.npy")) for name in ("joints", "features"))


def random_motion(
    seed: int, frames: int = 40, *, turn: float = 0.4, dtype: torch.dtype = torch.float64
) -> torch.Tensor:
    """(T, 22, 3) a rigid reference body that wanders, turns up to `turn` rad a frame times a smooth noise, and waves."""
    rng = np.random.default_rng(seed)
    angles = gaussian_filter1d(rng.normal(size=(frames, 22, 3)), 4, axis=0, mode="nearest") * 1.2
    angles[:, 0] = 0
    angles[:, 0, 1] = turn * np.cumsum(gaussian_filter1d(rng.normal(size=frames), 4, mode="nearest"))
    root = np.cumsum(gaussian_filter1d(rng.normal(size=(frames, 3)), 4, axis=0, mode="nearest") * 0.05, axis=0)
    root[:, 1] = 0.95 + 0.1 * np.tanh(root[:, 1])
    local = roma.rotvec_to_rotmat(torch.from_numpy(angles))
    return kinematics.forward(local, torch.from_numpy(root), torch.from_numpy(T_POSE_OFFSETS_M)).to(dtype)


def rest_pose(frames: int) -> torch.Tensor:
    """(T, 22, 3) the rest pose of the representation, still."""
    joints = np.zeros((22, 3))
    for joint in range(1, 22):
        joints[joint] = joints[PARENTS[joint]] + REST_OFFSETS_M[joint]
    return torch.from_numpy(joints - [0, joints[:, 1].min(), 0]).repeat(frames, 1, 1)
