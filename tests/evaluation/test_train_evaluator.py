from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from plain_motion import EVALUATOR, make_clips

from egoreact.errors import EgoReactError
from egoreact.models.motion_evaluator import MotionEvaluator
from egoreact.training.evaluator import LabelledMotion, accuracy_on, train_evaluator

SHORT = replace(EVALUATOR, loop=replace(EVALUATOR.loop, steps=12, checkpoint_every=5))


def labelled(count: int, seed: int) -> list[LabelledMotion]:
    return [(clip.features, clip.category) for clip in make_clips(count, seed)]


def test_it_knows_motion_it_has_not_seen(evaluator: MotionEvaluator) -> None:
    assert accuracy_on(evaluator, labelled(40, seed=555)) >= 0.95
    shuffled = [(features, "duck") for features, category in labelled(40, seed=555) if category != "duck"]
    assert accuracy_on(evaluator, shuffled) < 0.1


def test_it_still_knows_motion_that_is_rough_or_late(evaluator: MotionEvaluator) -> None:
    rng = np.random.default_rng(0)
    rough = [(f + 0.1 * evaluator_std(evaluator) * rng.normal(size=f.shape), c) for f, c in labelled(40, seed=556)]
    assert accuracy_on(evaluator, rough) >= 0.9
    cut = [(features[3:], category) for features, category in labelled(40, seed=557)]
    assert accuracy_on(evaluator, cut) >= 0.9


def evaluator_std(evaluator: MotionEvaluator) -> np.ndarray:
    return np.concatenate([evaluator.std.numpy(), np.zeros(4, np.float32)])


def test_a_killed_run_ends_where_an_uninterrupted_one_does(tmp_path: Path) -> None:
    training = labelled(32, seed=1)
    whole = train_evaluator(training, [], SHORT, folder=tmp_path / "whole")
    killed = replace(SHORT, loop=replace(SHORT.loop, steps=5))
    train_evaluator(training, [], killed, folder=tmp_path / "killed")
    seen = []
    resumed = train_evaluator(
        training, [], SHORT, folder=tmp_path / "killed", on_metrics=lambda step, _: seen.append(step)
    )
    assert resumed.digest == whole.digest
    assert seen == [12]
    again = train_evaluator(training, [], SHORT, folder=tmp_path / "again")
    assert again.digest == whole.digest


def test_other_data_start_anew(tmp_path: Path) -> None:
    first = train_evaluator(labelled(32, seed=1), [], SHORT, folder=tmp_path / "run")
    other = train_evaluator(labelled(32, seed=2), [], SHORT, folder=tmp_path / "run")
    alone = train_evaluator(labelled(32, seed=2), [], SHORT, folder=tmp_path / "alone")
    assert other.digest == alone.digest != first.digest


def test_clips_of_several_lengths_and_a_held_out_figure(tmp_path: Path) -> None:
    training = [
        (features[: 4 + index % 20], category) for index, (features, category) in enumerate(labelled(48, seed=1))
    ]
    reported = {}
    train_evaluator(
        training,
        labelled(8, seed=9),
        SHORT,
        folder=tmp_path / "run",
        on_metrics=lambda step, values: reported.update(values),
    )
    assert 0 <= reported["val/accuracy"] <= 1
    assert np.isfinite(reported["train/loss"])


@pytest.mark.parametrize(
    ("training", "held_out", "message"),
    [
        ([], [], "0 clips of 0 categories"),
        ([(np.zeros((8, 263), np.float32), "a")], [], "1 clips of 1 categories"),
        (
            [(np.zeros((3, 263), np.float32), "a"), (np.zeros((8, 263), np.float32), "b")],
            [],
            r"clip 0 \(a\) has 3 frames",
        ),
        (
            [(np.zeros((8, 263), np.float32), "a"), (np.zeros((8, 263), np.float32), "b")],
            [(np.zeros((8, 263), np.float32), "c")],
            "held-out category c",
        ),
    ],
)
def test_what_cannot_be_learned_from_is_refused(training, held_out, message: str, tmp_path: Path) -> None:
    with pytest.raises(EgoReactError, match=message):
        train_evaluator(training, held_out, SHORT, folder=tmp_path)
