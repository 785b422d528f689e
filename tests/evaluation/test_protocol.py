from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from plain_motion import make_clips, make_features

from egoreact.errors import EgoReactError
from egoreact.evaluation import metrics
from egoreact.evaluation.metrics import Estimate
from egoreact.evaluation.protocol import EvaluationSet, evaluate, joints_of, summarise
from egoreact.evaluation.record import MetricRecord
from egoreact.models.motion_evaluator import MotionEvaluator

SETTINGS = {
    "bundle_digest": "b" * 64,
    "data_revision": "d" * 32,
    "repeats": 3,
    "seed": 5,
    "multimodality_conditions": 4,
    "multimodality_samples": 6,
}


def good_model(perceptions: Sequence, seed: int) -> list[np.ndarray]:
    """Sees the kind and reacts rightly, in a way of its own."""
    rng = np.random.default_rng(seed)
    return [make_features(kind, int(rng.integers(1 << 30))) for kind, _ in perceptions]


def copy_truth(clips: EvaluationSet):
    truth = {clip.perception: clip.features for clip in clips.test}
    return lambda perceptions, seed: [truth[seen] for seen in perceptions]


@pytest.fixture(scope="module")
def evaluated(clips: EvaluationSet, evaluator: MotionEvaluator, tmp_path_factory) -> tuple[MetricRecord, Path]:
    path = tmp_path_factory.mktemp("evaluation") / "clips.parquet"
    measured = {"codebook_usage": 0.75, "first_frame_latency_ms": Estimate(20.0, 1.5)}
    record = evaluate(good_model, clips, evaluator, **SETTINGS, measured=measured, table_path=path)
    return record, path


def test_a_good_model_beats_the_baselines(evaluated) -> None:
    record, _ = evaluated
    assert record.figures["reaction_accuracy"] > 0.9
    for name in ("stand_still", "mean_motion", "random_clip"):
        assert record.figures["head_trajectory_error_cm"] < 0.6 * record.baselines[name]["head_trajectory_error_cm"]
        assert record.figures["fid"] < record.baselines[name]["fid"]
        assert record.baselines[name]["reaction_accuracy"] < 0.5
    assert record.chance == 0.25
    assert record.figures["multimodality"] > 0
    assert record.baselines["stand_still"]["multimodality"] == record.baselines["mean_motion"]["multimodality"] == 0
    assert record.baselines["mean_motion"]["diversity"] == pytest.approx(0, abs=1e-4)


def test_truth_bounds_the_figures(evaluated) -> None:
    record, _ = evaluated
    assert record.truth["head_trajectory_error_cm"] == 0
    assert record.truth["reaction_accuracy"] > 0.95
    assert 0 < record.truth["fid"] < min(row["fid"] for row in record.baselines.values())
    assert record.truth["multimodality"] is None


def test_a_model_that_copies_truth_scores_as_truth(clips: EvaluationSet, evaluator: MotionEvaluator) -> None:
    record = evaluate(copy_truth(clips), clips, evaluator, **SETTINGS)
    assert record.figures["head_trajectory_error_cm"] == pytest.approx(0, abs=1e-4)
    assert record.figures["fid"] == pytest.approx(0, abs=1e-4)
    assert record.figures["multimodality"] == pytest.approx(0, abs=1e-5)
    for name in ("reaction_accuracy", "foot_skate_cm"):
        assert record.figures[name] == pytest.approx(record.truth[name])


def test_a_model_that_reacts_to_something_else_does_not(
    clips: EvaluationSet, evaluator: MotionEvaluator, evaluated
) -> None:
    opposite = {"step_left": "step_right", "step_right": "step_left", "duck": "step_back", "step_back": "duck"}
    record = evaluate(
        lambda perceptions, seed: good_model([(opposite[kind], i) for kind, i in perceptions], seed),
        clips,
        evaluator,
        **SETTINGS,
    )
    assert record.figures["reaction_accuracy"] < 0.1
    assert record.figures["head_trajectory_error_cm"] > 4 * evaluated[0].figures["head_trajectory_error_cm"]
    assert record.figures["fid"] < 0.2 * record.baselines["stand_still"]["fid"]  # as a set it looks real


def test_the_same_command_gives_the_same_figures(clips: EvaluationSet, evaluator: MotionEvaluator, evaluated) -> None:
    measured = {"codebook_usage": 0.75, "first_frame_latency_ms": Estimate(20.0, 1.5)}
    assert evaluate(good_model, clips, evaluator, **SETTINGS, measured=measured) == evaluated[0]
    other = evaluate(good_model, clips, evaluator, **SETTINGS | {"seed": 6})
    assert other.figures["head_trajectory_error_cm"] != evaluated[0].figures["head_trajectory_error_cm"]
    assert other.truth["reaction_accuracy"] == evaluated[0].truth["reaction_accuracy"]


def test_figures_can_be_computed_again_from_the_table(evaluated, clips: EvaluationSet) -> None:
    record, path = evaluated
    table = pd.read_parquet(path)
    for name, value in summarise(table, "generated", seed=5).items():
        assert value.mean == pytest.approx(record.figures[name], rel=1e-9)
        assert value.half_width == pytest.approx(record.intervals[name], rel=1e-9)
    # And by hand, without this project's own summary.
    rows = table[(table["system"] == "generated") & (table["part"] == "test")]
    assert len(rows) == 3 * len(clips.test)
    assert rows["head_trajectory_error_cm"].mean() == pytest.approx(record.figures["head_trajectory_error_cm"])
    assert (rows["predicted"] == rows["category"]).mean() == pytest.approx(record.figures["reaction_accuracy"])
    real = np.stack(table[table["system"] == "reference"]["embedding"].tolist())
    by_repeat = [metrics.fid(real, np.stack(group["embedding"].tolist())) for _, group in rows.groupby("repeat")]
    assert np.mean(by_repeat) == pytest.approx(record.figures["fid"])
    assert 1.96 * np.std(by_repeat, ddof=1) / np.sqrt(3) == pytest.approx(record.intervals["fid"])


def test_each_call_has_a_seed_of_its_own(clips: EvaluationSet, evaluator: MotionEvaluator) -> None:
    calls = []

    def model(perceptions: Sequence, seed: int) -> list[np.ndarray]:
        calls.append((len(perceptions), seed))
        return good_model(perceptions, seed)

    evaluate(model, clips, evaluator, **SETTINGS)
    assert [count for count, _ in calls] == [24, 4 * 6] * 3
    assert len({seed for _, seed in calls}) == 6


def test_measured_figures_are_taken_over(evaluated) -> None:
    record, _ = evaluated
    assert record.figures["codebook_usage"] == 0.75 and record.intervals["codebook_usage"] is None
    assert record.figures["first_frame_latency_ms"] == 20.0 and record.intervals["first_frame_latency_ms"] == 1.5
    assert record.figures["per_token_latency_ms"] is None


def test_clips_of_several_lengths(evaluator: MotionEvaluator, clips: EvaluationSet) -> None:
    short = [replace(clip, features=clip.features[: 12 + index]) for index, clip in enumerate(make_clips(8, seed=77))]
    lengths = {clip.perception: len(clip.features) for clip in short}
    record = evaluate(
        lambda perceptions, seed: [make_features(kind, seed % 1000)[: lengths[kind, i]] for kind, i in perceptions],
        EvaluationSet(short, clips.training),
        evaluator,
        **SETTINGS,
    )
    assert record.samples == 8 and np.isfinite(record.figures["head_trajectory_error_cm"])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            lambda perceptions, seed: [make_features("duck", 0)[:-1] for _ in perceptions],
            r"generated, clip duck-10000-0: motion of shape \(23, 263\)",
        ),
        (lambda perceptions, seed: [make_features("duck", 0)], "1 motions for 24 clips"),
        (lambda perceptions, seed: [np.full((24, 263), np.nan) for _ in perceptions], "NaN"),
    ],
)
def test_a_broken_model_is_named(
    model, message: str, clips: EvaluationSet, evaluator: MotionEvaluator, tmp_path: Path
) -> None:
    with pytest.raises(EgoReactError, match=message):
        evaluate(model, clips, evaluator, **SETTINGS, table_path=tmp_path / "clips.parquet")
    assert not list(tmp_path.iterdir())


def test_wrong_requests_are_refused(clips: EvaluationSet, evaluator: MotionEvaluator) -> None:
    stranger = replace(clips.test[0], category="falling_piano")
    for changed, settings, message in (
        (clips, {"repeats": 0}, "0 repeats"),
        (clips, {"measured": {"beauty": 1.0}}, "beauty"),
        (EvaluationSet(clips.test, []), {}, "24 test and 0 training clips"),
        (EvaluationSet([*clips.test, stranger], clips.training), {}, "no category falling_piano"),
    ):
        with pytest.raises(EgoReactError, match=message):
            evaluate(good_model, changed, evaluator, **SETTINGS | settings)


def test_truth_is_decoded_as_generated_motion_is(clips: EvaluationSet) -> None:
    clip = clips.test[0]
    assert np.array_equal(clip.joints_m, joints_of(clip.features))
    assert clip.joints_m.shape == (24, 22, 3)
