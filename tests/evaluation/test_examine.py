"""The whole way on files: shards, a kept evaluator and a bundle in; record, table and figures out, twice the same."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from plain_motion import KINDS, make_joints

from egoreact import cli
from egoreact.errors import EgoReactError
from egoreact.evaluation.examine import EvaluationConfig, examine
from egoreact.evaluation.kept import Origin, evaluator_of_data, keep_evaluator, kept_evaluator
from egoreact.evaluation.record import MetricRecord
from egoreact.evaluation.table import read_table, record_of
from egoreact.hrd.clip import Clip, ClipRecord, Split
from egoreact.hrd.dataset import manifest_digest
from egoreact.hrd.shards import write_manifest, write_shard
from egoreact.models.bundle import Bundle
from egoreact.models.motion_evaluator import MotionEvaluator, MotionEvaluatorConfig
from egoreact.vision.video import encode_video
from egoreact.workspace import Workspace

REVISION = "0123456789abcdef0123456789abcdef.dir"
SETTINGS = EvaluationConfig(repeats=2, multimodality_conditions=3, multimodality_samples=4, latency_sessions=0)
SPOILT = "test-7"
"""A clip that the gate left out."""


def make_clip(split: Split, place: int) -> Clip:
    kind, frames = sorted(KINDS)[place % 4], 25 + 4 * (place % 2)
    rng = np.random.default_rng(place)
    return Clip(
        ClipRecord(f"{split}-{place}", kind, "Something comes.", "hand", "CC0-1.0", split),
        encode_video(rng.integers(0, 255, (frames, 56, 56, 3), dtype=np.uint8)),
        make_joints(kind, 100 * len(split) + place, frames - 1).astype(np.float32),
        np.eye(3, dtype=np.float32),
        np.tile(np.eye(4, dtype=np.float32), (frames, 1, 1)),
    )


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory, evaluator: MotionEvaluator, untrained_bundle: Bundle) -> Path:
    """`data/hrd`, `home/evaluators` and `bundle`, made once."""
    folder = tmp_path_factory.mktemp("examined")
    hrd = folder / "data" / "hrd"
    hrd.mkdir(parents=True)
    splits: tuple[tuple[Split, int], ...] = (("train", 8), ("test", 8))
    rows = [
        row
        for split, count in splits
        for row in write_shard(hrd / f"{split}-00000.tar", [make_clip(split, place) for place in range(count)])
    ]
    write_manifest(hrd, rows)
    keep_evaluator(Workspace(folder / "home"), evaluator, Origin(REVISION, manifest_digest(hrd), (SPOILT,)))
    untrained_bundle.save(folder / "bundle")
    return folder


@pytest.fixture
def place(origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that a test may spoil, as the current workspace and data."""
    shutil.copytree(origin, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("EGOREACT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EGOREACT_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: object) -> int:
    return cli.main(["evaluate", *map(str, arguments), "--repeats", "2", "--preset", "tiny"])


def test_the_same_command_twice_and_the_table_alone_give_the_same_figures(place: Path, capsys) -> None:
    for out in ("first", "second"):
        assert run("bundle", "--out", out) == 0
    shown = capsys.readouterr().out
    assert "closed loop on 7 held-out clips, 2 repeats" in shown
    assert "teacher-forced" in shown and "drift" in shown and "first frame latency" not in shown
    assert sorted(path.name for path in (place / "first").iterdir()) == ["clips.parquet", "figures.md", "record.json"]
    assert cli.main(["evaluate", "--from", "first/clips.parquet", "--out", "third"]) == 0
    for name in ("record.json", "figures.md"):
        contents = {(place / out / name).read_bytes() for out in ("first", "second", "third")}
        assert len(contents) == 1, name
    assert not (place / "third" / "clips.parquet").exists()
    record = MetricRecord.load(place / "first" / "record.json")
    assert record.data_revision == REVISION and record.samples == 7 and record.counts["fid"] == 7
    assert record.bundle_digest == Bundle.load(place / "bundle").digest
    assert record.teacher_forced["next_token_loss_nats"] == pytest.approx(np.log(32), abs=1.0)  # it learnt nothing
    rows = read_table(place / "first" / "clips.parquet")
    assert SPOILT not in set(rows["clip_id"]) and set(rows["frames"]) == {24, 28}


def test_latency_is_measured_where_asked_for(place: Path, evaluator: MotionEvaluator, untrained_bundle: Bundle) -> None:
    path = place / "clips.parquet"
    timed = examine(
        untrained_bundle, evaluator, place / "data" / "hrd", replace(SETTINGS, latency_sessions=1),
        data_revision=REVISION, table_path=path,
    )  # fmt: skip
    assert timed.figures["first_frame_latency_ms"] > 0 and timed.figures["per_token_latency_ms"] > 0
    assert record_of(read_table(path)) == timed
    assert timed.samples == 8


def test_recomputing_alone_writes_nothing(place: Path, capsys) -> None:
    assert run("bundle", "--out", "first") == 0
    before = sorted(place.rglob("*"))
    assert cli.main(["evaluate", "--from", "first/clips.parquet"]) == 0
    assert sorted(place.rglob("*")) == before
    assert "closed loop on 7" in capsys.readouterr().out


def test_the_kept_evaluator_is_found_by_revision_and_by_data(place: Path, evaluator: MotionEvaluator) -> None:
    workspace = Workspace.from_environment()
    assert kept_evaluator(workspace, REVISION).digest == evaluator.digest
    found, origin = evaluator_of_data(workspace, place / "data" / "hrd")
    assert found.digest == evaluator.digest
    assert origin.data_revision == REVISION and origin.quarantined == (SPOILT,)
    keep_evaluator(workspace, evaluator, Origin("ffff.dir", "0" * 64))
    (workspace.evaluators / "empty.dir").mkdir()
    assert evaluator_of_data(workspace, place / "data" / "hrd")[1] == origin
    (workspace.evaluators / "ffff.dir").rename(workspace.evaluators / "moved.dir")
    with pytest.raises(EgoReactError, match=r"was trained on data revision ffff\.dir"):
        kept_evaluator(workspace, "moved.dir")
    with pytest.raises(EgoReactError, match=r"no evaluator is kept for data revision absent\.dir"):
        kept_evaluator(workspace, "absent.dir")


def without_evaluators(place: Path) -> None:
    shutil.rmtree(place / "home" / "evaluators")


def with_other_data(place: Path) -> None:
    hrd = place / "data" / "hrd"
    rows = write_shard(hrd / "train-00001.tar", [make_clip("train", 20)])
    write_manifest(hrd, [*_rows(hrd), *rows])


def _rows(hrd: Path) -> list[dict]:
    import pandas as pd

    return pd.read_parquet(hrd / "manifest.parquet").to_dict("records")


def with_one_test_clip(place: Path) -> None:
    hrd = place / "data" / "hrd"
    write_manifest(hrd, [row for row in _rows(hrd) if row["split"] == "train" or row["clip_id"] == "test-0"])
    _keep_again(place)


def _keep_again(place: Path) -> None:
    workspace = Workspace(place / "home")
    kept = kept_evaluator(workspace, REVISION)
    keep_evaluator(workspace, kept, Origin(REVISION, manifest_digest(place / "data" / "hrd"), (SPOILT,)))


def with_a_strangers_evaluator(place: Path) -> None:
    folder = place / "home" / "evaluators" / REVISION
    kept = MotionEvaluator.load(folder)
    kept.save(folder, trained_on=kept.trained_on | {"data_revision": "other.dir"})


def with_a_cut_evaluator(place: Path) -> None:
    path = place / "home" / "evaluators" / REVISION / "motion_evaluator.safetensors"
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without_evaluators, "no evaluator is kept for the data here; train one with: make run"),
        (with_other_data, "no evaluator is kept for the data here"),
        (with_a_strangers_evaluator, "no evaluator is kept for data revision other.dir"),
        (with_a_cut_evaluator, "motion_evaluator.safetensors: its bytes differ"),
        (with_one_test_clip, "1 test and 8 training clips"),
        (lambda place: (place / "data" / "hrd" / "test-00000.tar").unlink(), "names a missing shard"),
        (lambda place: shutil.rmtree(place / "bundle"), "no bundle here"),
    ],
)
def test_what_is_missing_or_damaged_is_one_line(
    damage: Callable[[Path], None], message: str, place: Path, capsys
) -> None:
    damage(place)
    assert run("bundle", "--out", "out") == 2
    error = capsys.readouterr().err
    line = error.splitlines()[-1]
    assert line.startswith("error: ") and message in line and "Traceback" not in error
    assert not (place / "out").exists()


def test_an_evaluator_of_other_data_is_refused(place: Path, evaluator: MotionEvaluator, capsys) -> None:
    evaluator.save(place / "stranger", trained_on={"data_revision": "other.dir"})
    assert run("bundle", "--out", "out", "--evaluator", "stranger") == 2
    assert "was trained on data revision other.dir, these clips are of 0123" in capsys.readouterr().err
    torch.manual_seed(0)
    config = MotionEvaluatorConfig(channels=16, hidden=16, embedding_dim=8)
    MotionEvaluator(config, ["falling_piano", "flying_carpet"]).save(place / "pianos")
    assert run("bundle", "--out", "out", "--evaluator", "pianos") == 2
    assert "no test clip is longer than 4 frames and of a kind that the evaluator knows" in capsys.readouterr().err


def test_a_bundle_that_makes_no_motion_is_named(
    place: Path, evaluator: MotionEvaluator, untrained_bundle: Bundle
) -> None:
    broken = Bundle.load(place / "bundle")
    with torch.no_grad():
        next(reversed(list(broken.tokenizer.decoder.parameters()))).fill_(float("nan"))
    with pytest.raises(EgoReactError, match=r"clip test-\d: motion holds NaN"):
        examine(broken, evaluator, place / "data" / "hrd", SETTINGS, data_revision=REVISION)


def test_t2ms_evaluator_comes_in_and_judges(place: Path, capsys) -> None:
    evaluator = MotionEvaluator(MotionEvaluatorConfig(), [])
    encoders = {name: evaluator.get_submodule(name).state_dict() for name in ("movement_encoder", "motion_encoder")}
    torch.save(encoders | {"text_encoder": {"pos_emb.weight": torch.zeros(2)}, "epoch": 3}, place / "finest.tar")
    np.save(place / "mean.npy", np.zeros(263))
    np.save(place / "std.npy", np.ones(263))
    statistics = ["--mean", "mean.npy", "--std", "std.npy"]
    assert cli.main(["evaluator", "import", "finest.tar", *statistics, "--out", "t2m"]) == 0
    description = json.loads((place / "t2m" / "motion_evaluator.json").read_text())
    assert description["trained_on"]["source"].startswith("T2M checkpoint ")
    assert run("bundle", "--out", "out", "--evaluator", "t2m") == 0
    record = MetricRecord.load(place / "out" / "record.json")
    assert record.figures["reaction_accuracy"] is None and record.figures["fid"] > 0
    assert "reaction accuracy" not in capsys.readouterr().out
    assert cli.main(["evaluator", "import", "mean.npy", *statistics]) == 2
    assert "mean.npy: cannot be read as plain weights" in capsys.readouterr().err


def test_a_table_that_is_none_is_one_line(place: Path, capsys) -> None:
    (place / "clips.parquet").write_text("nothing")
    assert cli.main(["evaluate", "--from", "clips.parquet"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "cannot be read as parquet" in error
