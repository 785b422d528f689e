"""The evaluator and the metrics on the motion they are for: the simulator's, and one real clip of HumanML3D."""

from pathlib import Path

import numpy as np
import pytest
import torch

from egoreact.evaluation import metrics
from egoreact.evaluation.baselines import stand_still
from egoreact.evaluation.protocol import joints_of
from egoreact.hrd.simulate import ENCOUNTERS, SimulatorConfig
from egoreact.hrd.simulate.simulate import stage
from egoreact.models.motion_evaluator import MotionEvaluator, MotionEvaluatorConfig
from egoreact.motion.representation import encode, retarget
from egoreact.training.evaluator import EvaluatorTrainingConfig, LabelledMotion, accuracy_on, train_evaluator
from egoreact.training.loop import LoopConfig

CONFIG = EvaluatorTrainingConfig(
    MotionEvaluatorConfig(channels=64, hidden=64, embedding_dim=64),
    LoopConfig(steps=100, batch_size=32, learning_rate=2e-3, grad_clip=1.0),
)


def simulate(count: int, seed: int) -> list[LabelledMotion]:
    """Motion alone, without pictures, of all encounters in turn."""
    config, kinds = SimulatorConfig(own_body=False), list(ENCOUNTERS)
    motion = []
    for index in range(count):
        kind = kinds[index % len(kinds)]
        joints = stage(config, kind, seed + index).performance.body.joints_m
        motion.append((encode(retarget(torch.from_numpy(joints).float())).numpy(), kind))
    return motion


@pytest.fixture(scope="module")
def held_out() -> list[LabelledMotion]:
    return simulate(32, seed=1_000_000)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> MotionEvaluator:
    return train_evaluator(simulate(128, seed=0), [], CONFIG, folder=tmp_path_factory.mktemp("evaluator"))


def test_it_names_the_encounters_of_held_out_clips(trained: MotionEvaluator, held_out: list[LabelledMotion]) -> None:
    assert accuracy_on(trained, held_out) >= 0.9
    late = [(np.concatenate([features[:1].repeat(6, 0), features[:-6]]), kind) for features, kind in held_out]
    assert accuracy_on(trained, late) >= 0.85


def test_the_distance_grows_with_what_is_wrong(trained: MotionEvaluator, held_out: list[LabelledMotion]) -> None:
    """Fresh clips of the same kinds are nearest; later or smaller reactions, a few clips for all, and none are farther."""
    real = trained.judge([features for features, _ in held_out]).embeddings

    def distance(clips: list[np.ndarray]) -> float:
        return metrics.fid(real, trained.judge(clips).embeddings)

    fresh = distance([features for features, _ in simulate(32, seed=2_000_000)])
    truth = [features for features, _ in held_out]
    late = distance([np.concatenate([clip[:1].repeat(20, 0), clip[:-20]]) for clip in truth])
    halved = distance([clip.mean(0) + 0.5 * (clip - clip.mean(0)) for clip in truth])
    still = distance([stand_still(clip) for clip in truth])
    assert fresh < late < still
    # Taught categories alone, the evaluator puts a reaction a second late at half a percent of standing still.
    assert late > 0.015 * still
    assert fresh < halved < still


def test_simulated_feet_hardly_slide(held_out: list[LabelledMotion]) -> None:
    skate_cm = [metrics.foot_skate_cm(joints_of(features)) for features, _ in held_out]
    assert np.mean(skate_cm) < 0.6
    floating = [
        joints_of(features) + np.linspace(0, 1, 80)[:, None, None] * [1.0, 0.0, 0.0] for features, _ in held_out
    ]
    assert np.mean([metrics.foot_skate_cm(joints) for joints in floating]) > np.mean(skate_cm) + 0.5


def test_a_real_clip(trained: MotionEvaluator, shared_data: Path) -> None:
    features = np.load(shared_data / "humanml3d" / "012314_features.npy").astype(np.float32)
    joints = joints_of(features)
    assert metrics.head_trajectory_error_cm(joints, joints) == 0
    assert 1 < metrics.head_trajectory_error_cm(joints_of(stand_still(features)), joints) < 200
    assert metrics.foot_skate_cm(joints) < 2.5  # a tennis serve turns on its toes
    official = np.load(shared_data / "humanml3d" / "012314_joints.npy")[: len(joints)]
    assert metrics.head_trajectory_error_cm(joints, official) < 0.1
    assert np.isfinite(trained.judge([features]).embeddings).all()
