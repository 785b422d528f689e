"""The parquet table and the figures made of it: to the last digit, or one line about what it lacks."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
import torch
from plain_motion import make_features

from egoreact.errors import EgoReactError
from egoreact.evaluation.protocol import EvaluationSet, evaluate
from egoreact.evaluation.record import MetricRecord
from egoreact.evaluation.table import COLUMNS, drift_cm, read_table, record_of, write_table
from egoreact.evaluation.teacher_forced import TeacherForced
from egoreact.models.bundle import Bundle
from egoreact.models.motion_evaluator import MotionEvaluator, MotionEvaluatorConfig


def react(perceptions, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [make_features(kind, int(rng.integers(1 << 30))) for kind, _ in perceptions]


def forced(bundle: Bundle, clips: int, tokens: int = 6) -> TeacherForced:
    generator = torch.Generator().manual_seed(0)
    nll = [np.full(tokens, 0.5 + 0.1 * (place % 2)) for place in range(clips)]
    right = [np.arange(tokens) < 3 for _ in range(clips)]
    return TeacherForced(bundle, torch.randn(clips, tokens, 32, generator=generator), nll, right)


@pytest.fixture(scope="module")
def evaluated(
    clips: EvaluationSet, evaluator: MotionEvaluator, untrained_bundle: Bundle, tmp_path_factory
) -> tuple[MetricRecord, Path]:
    path = tmp_path_factory.mktemp("table") / "clips.parquet"
    record = evaluate(
        react, clips, evaluator, bundle_digest="b", data_revision="d", repeats=3, seed=7,
        multimodality_conditions=4, multimodality_samples=6, measured={"codebook_usage": 0.1 + 0.2},
        teacher_forced=forced(untrained_bundle, len(clips.test)), table_path=path,
    )  # fmt: skip
    return record, path


def test_the_table_alone_gives_the_record_to_the_last_digit(
    evaluated: tuple[MetricRecord, Path], tmp_path: Path
) -> None:
    record, path = evaluated
    again = record_of(read_table(path))
    assert again == record
    assert json.dumps(again.to_json()) == json.dumps(record.to_json())
    shuffled = pd.read_parquet(path)[list(reversed(COLUMNS))]
    write_table(tmp_path / "clips.parquet", shuffled)
    assert record_of(read_table(tmp_path / "clips.parquet")) == record
    record.save(tmp_path / "record.json")
    assert MetricRecord.load(tmp_path / "record.json") == record


def test_the_record_says_the_counts(evaluated: tuple[MetricRecord, Path]) -> None:
    assert evaluated[0].counts == {
        "fid": 24, "diversity_pairs": 100, "multimodality_conditions": 4, "multimodality_samples": 6,
        "multimodality_pairs": 3,
    }  # fmt: skip


def test_teacher_forced_figures_are_apart(evaluated: tuple[MetricRecord, Path]) -> None:
    record, path = evaluated
    assert record.teacher_forced["next_token_loss_nats"] == pytest.approx(0.55)
    assert record.teacher_forced["next_token_perplexity"] == pytest.approx(np.exp(0.55))
    assert record.teacher_forced["next_token_accuracy"] == pytest.approx(0.5)
    assert record.teacher_forced["multimodality"] is None
    table = read_table(path)
    rows = table[(table["system"] == "teacher_forced") & (table["part"] == "test")]
    assert len(rows) == 3 * 24
    assert record.teacher_forced["head_trajectory_error_cm"] == pytest.approx(rows["head_trajectory_error_cm"].mean())
    assert record.figures["head_trajectory_error_cm"] != record.teacher_forced["head_trajectory_error_cm"]
    assert not set(record.figures) & {"next_token_loss_nats", "next_token_accuracy"}


def test_drift_by_hand(evaluated: tuple[MetricRecord, Path]) -> None:
    record, path = evaluated
    table = read_table(path)
    assert len(record.drift_cm["generated"]) == 2  # 24 frames: a second and a bit
    rows = table[(table["system"] == "stand_still") & (table["part"] == "test")]
    first, second = np.stack(rows["head_error_by_second_cm"].tolist()).mean(0)
    assert record.drift_cm["stand_still"] == pytest.approx([first, second]) and second > first
    whole = (20 * first + 4 * second) / 24
    assert whole == pytest.approx(record.baselines["stand_still"]["head_trajectory_error_cm"])
    uneven = table.copy()
    uneven["head_error_by_second_cm"] = [[1.0, 3.0] if place % 2 else [2.0] for place in range(len(uneven))]
    assert drift_cm(uneven, "generated") == pytest.approx([1.5, 3.0])  # a clip that ended says nothing of later seconds


def test_an_evaluator_without_categories(clips: EvaluationSet, tmp_path: Path) -> None:
    torch.manual_seed(0)
    plain = MotionEvaluator(MotionEvaluatorConfig(channels=16, hidden=16, embedding_dim=8), [])
    plain.set_statistics([clip.features for clip in clips.training])
    path = tmp_path / "clips.parquet"
    record = evaluate(
        react, clips, plain, bundle_digest="b", data_revision="d", repeats=2, multimodality_conditions=3,
        multimodality_samples=4, table_path=path,
    )  # fmt: skip
    assert record.figures["reaction_accuracy"] is None and record.truth["reaction_accuracy"] is None
    assert record.intervals["reaction_accuracy"] is None
    for name in ("fid", "diversity", "multimodality", "head_trajectory_error_cm", "foot_skate_cm"):
        assert np.isfinite(record.figures[name])
    assert record.teacher_forced == {}
    assert record_of(read_table(path)) == record


def test_no_table(evaluated: tuple[MetricRecord, Path], tmp_path: Path) -> None:
    content = evaluated[1].read_bytes()
    path = tmp_path / "clips.parquet"
    with pytest.raises(EgoReactError, match="no such file"):
        read_table(path)
    for damaged in (b"", b"PAR1", content[: len(content) // 2], content[:-4] + b"XXXX"):
        path.write_bytes(damaged)
        with pytest.raises(EgoReactError, match="cannot be read as parquet") as caught:
            read_table(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="embedding"), "lacks 1 columns, first embedding"),
        (lambda t: t[["system", "part"]], "lacks 11 columns"),
        (lambda t: t[t["system"] != "reference"], "holds no reference motion"),
        (lambda t: t[(t["system"] != "generated") | (t["part"] != "test")], "holds no generated motion"),
        (lambda t: t[:0], "holds no generated motion"),
    ],
)
def test_a_table_that_lacks_something_is_refused(change, message: str, evaluated, tmp_path: Path) -> None:
    write_table(tmp_path / "clips.parquet", change(pd.read_parquet(evaluated[1])))
    with pytest.raises(EgoReactError, match=message):
        read_table(tmp_path / "clips.parquet")


def test_a_table_without_its_facts_is_refused(evaluated: tuple[MetricRecord, Path], tmp_path: Path) -> None:
    plain = pyarrow.parquet.read_table(evaluated[1]).replace_schema_metadata({})
    pyarrow.parquet.write_table(plain, tmp_path / "clips.parquet")
    with pytest.raises(EgoReactError, match="does not say whose figures it holds"):
        read_table(tmp_path / "clips.parquet")


def test_nan_in_a_table_is_refused(evaluated: tuple[MetricRecord, Path]) -> None:
    table = read_table(evaluated[1])
    place = table.index[(table["system"] == "generated") & (table["part"] == "test")][0]
    table.at[place, "embedding"] = np.full(16, np.nan, np.float32)
    with pytest.raises(EgoReactError, match="NaN"):
        record_of(table)


def test_motion_that_is_not_finite_is_named(clips: EvaluationSet, evaluator: MotionEvaluator) -> None:
    broken = replace(clips, test=clips.test[:4])

    def model(perceptions, seed: int) -> list[np.ndarray]:
        motion = [make_features(kind, 1) for kind, _ in perceptions]
        motion[2] = np.full_like(motion[2], np.inf)
        return motion

    with pytest.raises(EgoReactError, match=f"generated, clip {clips.test[2].id}: motion holds NaN or infinite"):
        evaluate(model, broken, evaluator, bundle_digest="b", data_revision="d", repeats=1)
