"""The whole workflow at its smallest: the very pipeline that compiles for a cluster, run on this machine, twice."""

import json

import pytest

from egoreact.evaluation.kept import kept_evaluator
from egoreact.models.bundle import Bundle
from egoreact.models.release import read_release, released_bundle
from egoreact.presets import tiny
from egoreact.workspace import Workspace
from pipelines.local import run_training

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """One workspace for the module: the second run is what the first one's files make of it."""
    folder = tmp_path_factory.mktemp("a person's folder")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EGOREACT_HOME", str(folder / "home"))
        patch.setenv("EGOREACT_DATA", str(folder / "data"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def first(place):
    return run_training(tiny().to_json())


@pytest.fixture(scope="module")
def second(first):
    return run_training(tiny().to_json())


def test_every_step_runs_and_the_first_model_is_promoted(first):
    assert {step.state for step in first.steps} == {"done"}
    assert {step.name for step in first.steps} == {
        "build-dataset", "version-dataset", "validate-alignment", "train-encoder", "extract-features", "train-evaluator",
        "train-tokenizer", "train-reaction", "evaluate", "promote", "release",
    }  # fmt: skip
    assert first.promoted and first.version == "1"
    assert set(first.record["baselines"]) == {"stand_still", "mean_motion", "random_clip"}
    assert first.record["samples"] == tiny().dataset.test_clips
    assert first.record["teacher_forced"]["next_token_accuracy"] >= 0


def test_one_id_runs_through_it_all(first, place):
    """From the release back to the shards: bundle, data revision, run, and the shards' digests."""
    release = read_release(Workspace.from_environment())
    bundle = Bundle.load(released_bundle())
    assert release.digest == bundle.digest == first.digest == first.record["bundle_digest"]
    assert release.data_revision == bundle.manifest.data_revision == first.data_revision
    assert first.data_revision in (place / "data.dvc").read_text()

    kept = kept_evaluator(Workspace.from_environment(), first.data_revision)
    assert kept.digest == first.record["evaluator_digest"]

    import mlflow

    run = mlflow.MlflowClient(Workspace.from_environment().tracking_uri).get_run(bundle.manifest.mlflow_run)
    assert run.data.tags["bundle_digest"] == bundle.digest
    assert run.data.tags["data_revision"] == first.data_revision
    assert any("train/loss" in name for name in run.data.metrics)


def test_nothing_changed_nothing_trained_again(first, second):
    states = {step.name: step.state for step in second.steps}
    assert {name for name, state in states.items() if state == "cached"} >= {
        "train-encoder", "train-evaluator", "train-tokenizer", "train-reaction", "evaluate",
    }  # fmt: skip
    assert second.digest == first.digest and second.version == first.version
    assert second.data_revision == first.data_revision
    assert second.decision["outcome"] == "already_champion"


def test_the_last_run_is_written_down(second):
    recorded = json.loads((Workspace.from_environment().pipeline_root / "last_run.json").read_text())
    assert recorded["digest"] == second.digest
    assert all(step["seconds"] >= 0 for step in recorded["steps"])
