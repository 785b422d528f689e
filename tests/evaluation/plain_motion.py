"""Motion of four plain kinds, made here: the real protocol, evaluator and baselines run on it in seconds."""

import numpy as np
import torch

from egoreact.evaluation.protocol import EvaluationClip
from egoreact.models.motion_evaluator import MotionEvaluatorConfig
from egoreact.motion.representation import encode
from egoreact.motion.skeleton import NUM_JOINTS, PARENTS, REST_OFFSETS_M
from egoreact.training.evaluator import EvaluatorTrainingConfig
from egoreact.training.loop import LoopConfig

FRAMES = 24
KINDS = {
    "step_left": (0.03, 0.0, 0.0),
    "step_right": (-0.03, 0.0, 0.0),
    "step_back": (0.0, 0.0, -0.03),
    "duck": (0.0, -0.02, 0.0),
}

EVALUATOR = EvaluatorTrainingConfig(
    MotionEvaluatorConfig(channels=32, hidden=32, embedding_dim=16),
    LoopConfig(steps=50, batch_size=32, learning_rate=3e-3),
    max_cut_frames=3,
)


def rest_pose_m() -> np.ndarray:
    joints = np.zeros((NUM_JOINTS, 3))
    for joint in range(1, NUM_JOINTS):
        joints[joint] = joints[PARENTS[joint]] + REST_OFFSETS_M[joint]
    joints[..., 1] -= joints[..., 1].min()
    return joints


def make_joints(kind: str, seed: int, frames: int = FRAMES) -> np.ndarray:
    """A body that begins to move its kind's way (m a frame; feet stay down when it ducks) at a moment of its own."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames + 1)
    moving = np.clip(time - rng.integers(3, 8), 0, None) * rng.uniform(0.8, 1.2)
    path = np.array(KINDS[kind]) * np.minimum(moving, 12)[:, None]
    joints = rest_pose_m() + path[:, None]
    joints += rng.normal(0, 0.005, (1, NUM_JOINTS, 3)) + 0.01 * np.sin(time * rng.uniform(0.2, 0.6))[:, None, None]
    joints[:, (7, 8, 10, 11), 1] = rest_pose_m()[(7, 8, 10, 11), 1]
    return joints


def make_features(kind: str, seed: int, frames: int = FRAMES) -> np.ndarray:
    return encode(torch.from_numpy(make_joints(kind, seed, frames))).float().numpy()


def make_clips(count: int, seed: int) -> list[EvaluationClip]:
    kinds = sorted(KINDS)
    return [
        EvaluationClip(
            f"{kinds[i % 4]}-{seed}-{i}",
            kinds[i % 4],
            make_features(kinds[i % 4], seed + i),
            perception=(kinds[i % 4], i),
        )
        for i in range(count)
    ]
