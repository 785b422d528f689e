from pathlib import Path

import pytest
from plain_motion import EVALUATOR, make_clips

from egoreact.evaluation.protocol import EvaluationSet
from egoreact.models.motion_evaluator import MotionEvaluator
from egoreact.training.evaluator import train_evaluator


@pytest.fixture(scope="session")
def clips() -> EvaluationSet:
    return EvaluationSet(test=make_clips(24, seed=10_000), training=make_clips(64, seed=0))


@pytest.fixture(scope="session")
def evaluator(clips: EvaluationSet, tmp_path_factory: pytest.TempPathFactory) -> MotionEvaluator:
    labelled = [(clip.features, clip.category) for clip in clips.training]
    folder: Path = tmp_path_factory.mktemp("evaluator")
    return train_evaluator(labelled, [], EVALUATOR, folder=folder)
