import numpy as np
import pytest
import torch
from plain_motion import make_clips, make_features

from egoreact.errors import EgoReactError
from egoreact.evaluation import baselines, metrics
from egoreact.evaluation.protocol import joints_of
from egoreact.motion.representation import CONTACTS, ROTATIONS, VELOCITIES


def test_stand_still_holds_the_first_pose() -> None:
    truth = make_features("step_left", 3)
    joints = joints_of(baselines.stand_still(truth))
    assert joints.shape == (24, 22, 3)
    assert np.abs(joints - joints[0]).max() < 1e-6
    assert np.abs(joints[0] - joints_of(truth)[0]).max() < 1e-6
    assert metrics.foot_skate_cm(joints) < 1e-6


def test_mean_motion_is_in_the_middle() -> None:
    left = [make_features("step_left", seed) for seed in range(20)]
    right = [make_features("step_right", seed) for seed in range(20)]
    both, one = joints_of(baselines.mean_motion(left + right, 24)), joints_of(baselines.mean_motion(left, 24))
    drift = np.mean([joints_of(clip)[-1, 0, 0] for clip in left])
    assert abs(drift) > 0.2
    assert abs(both[-1, 0, 0]) < 0.05 * abs(drift) + 0.02
    assert one[-1, 0, 0] == pytest.approx(drift, rel=0.05)


def test_mean_motion_is_motion() -> None:
    mean = baselines.mean_motion([clip.features for clip in make_clips(16, seed=0)], 24)
    columns = torch.from_numpy(mean[:, ROTATIONS]).unflatten(-1, (-1, 2, 3))
    gram = columns @ columns.mT
    assert torch.allclose(gram, torch.eye(2).expand_as(gram), atol=1e-5)
    assert set(np.unique(mean[:, CONTACTS])) <= {0.0, 1.0}


def test_mean_motion_of_one_clip_is_that_clip() -> None:
    clip = make_features("step_back", 1)
    assert np.abs(baselines.mean_motion([clip], 24) - clip).max() < 1e-5


def test_lengths() -> None:
    clips = [make_features("duck", 0), make_features("duck", 1)[:10]]
    longer = baselines.mean_motion(clips, 30)
    assert longer.shape == (30, 263)
    assert np.abs(longer[24:, VELOCITIES]).max() == 0
    assert np.ptp(joints_of(longer)[25:], axis=0).max() < 1e-6
    assert np.abs(longer[10:24] - clips[0][10:24]).max() < 1e-5  # where one clip has ended, the other speaks
    assert baselines.mean_motion(clips, 6).shape == (6, 263)
    assert baselines.random_clip(clips[1:], 16, np.random.default_rng(0)).shape == (16, 263)


def test_random_clip_is_one_of_the_training_clips() -> None:
    training = [make_features("duck", seed) for seed in range(5)]
    rng = np.random.default_rng(0)
    drawn = [baselines.random_clip(training, 24, rng) for _ in range(30)]
    found = {next(i for i, clip in enumerate(training) if np.array_equal(clip, one)) for one in drawn}
    assert found == {0, 1, 2, 3, 4}


def test_no_training_clips() -> None:
    with pytest.raises(EgoReactError, match="no training clips"):
        baselines.mean_motion([], 8)
