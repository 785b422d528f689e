import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from egoreact.errors import EgoReactError
from egoreact.evaluation.record import BASELINES, FIGURES, MOTION_FIGURES, MetricRecord

RECORD = MetricRecord(
    bundle_digest="ab" * 32,
    data_revision="cd" * 16,
    samples=160,
    repeats=5,
    categories=("ball_left", "car"),
    chance=0.5,
    figures=dict.fromkeys(FIGURES, 1.5),
    intervals=dict.fromkeys(FIGURES, 0.1) | {"codebook_usage": None},
    truth=dict.fromkeys(MOTION_FIGURES, 0.5) | {"multimodality": None},
    baselines={name: dict.fromkeys(MOTION_FIGURES, 3.0) for name in BASELINES},
    evaluator_digest="ef" * 32,
    teacher_forced={"next_token_loss_nats": 2.5, "head_trajectory_error_cm": 1.0, "multimodality": None},
    counts={"fid": 160},
    drift_cm={"generated": [1.0, 2.0], "stand_still": [3.0, 5.5]},
)


def test_comes_back_as_it_was(tmp_path: Path) -> None:
    RECORD.save(tmp_path / "metrics.json")
    assert MetricRecord.load(tmp_path / "metrics.json") == RECORD


def test_the_schema_is_frozen() -> None:
    content = RECORD.to_json()
    assert list(content) == [
        "bundle_digest", "data_revision", "samples", "repeats", "categories", "chance", "figures", "intervals", "truth",
        "baselines", "evaluator_digest", "teacher_forced", "counts", "drift_cm", "schema_version",
    ]  # fmt: skip
    assert list(content["figures"]) == [
        "fid", "diversity", "multimodality", "head_trajectory_error_cm", "reaction_accuracy", "foot_skate_cm",
        "codebook_usage", "first_frame_latency_ms", "per_token_latency_ms",
    ]  # fmt: skip
    assert list(content["baselines"]) == ["stand_still", "mean_motion", "random_clip"]
    assert content["schema_version"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(schema_version=2), "schema version 2"),
        (lambda c: c.pop("truth"), "lacks ['truth']"),
        (lambda c: c.update(extra=1), "unknown fields ['extra']"),
        (lambda c: c["figures"].update(fid="low"), "figures.fid is 'low'"),
        (lambda c: c["figures"].update(fid=float("nan")), "figures.fid is nan"),
        (lambda c: c["baselines"]["stand_still"].update(fid=True), "stand_still.fid is True"),
        (lambda c: c.update(baselines=[]), "its baselines is no object"),
        (lambda c: c["counts"].update(fid="many"), "counts.fid is 'many'"),
        (lambda c: c["drift_cm"].update(generated=3.0), "its drift_cm.generated is no object"),
        (lambda c: c["drift_cm"].update(generated=[1.0, None, "x"]), "drift_cm.generated.2 is 'x'"),
    ],
)
def test_what_is_no_record_is_refused(change, message: str, tmp_path: Path) -> None:
    content = json.loads(json.dumps(RECORD.to_json()))
    change(content)
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps(content))
    with pytest.raises(EgoReactError, match=re.escape(message)) as caught:
        MetricRecord.load(path)
    assert str(path) in str(caught.value)


def test_an_older_record_lacks_what_came_later(tmp_path: Path) -> None:
    content = RECORD.to_json()
    for name in ("evaluator_digest", "teacher_forced", "counts", "drift_cm"):
        del content[name]
    older = MetricRecord.from_json(content)
    assert older.figures == RECORD.figures and older.teacher_forced == older.counts == older.drift_cm == {}


def test_teacher_forced_figures_are_named_so() -> None:
    named = RECORD.named_figures
    assert named["head_trajectory_error_cm"] == 1.5 and named["teacher_forced/head_trajectory_error_cm"] == 1.0
    assert "teacher_forced/multimodality" not in named


def test_no_file_and_no_json(tmp_path: Path) -> None:
    with pytest.raises(EgoReactError, match="no such file"):
        MetricRecord.load(tmp_path / "metrics.json")
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(EgoReactError, match="is not JSON"):
        MetricRecord.load(tmp_path / "metrics.json")


def test_it_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        RECORD.samples = 3  # type: ignore[misc]
    assert replace(RECORD, samples=3) != RECORD
