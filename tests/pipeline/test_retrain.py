"""New shards at a source become a new version; without any, or with bad ones, nothing changes but what is said."""

import shutil
from pathlib import Path

import pytest
import torch
from new_shards import config_of, data_set, new_shard

from components.promote.registry import Registry
from components.version_dataset.dvc_data import record_revision
from egoreact.errors import EgoReactError
from egoreact.hrd.shards import read_manifest, verify_shards
from egoreact.models.bundle import Bundle
from egoreact.models.release import read_release, released_bundle
from egoreact.workspace import Workspace
from pipelines.local import Retraining, run_retraining
from pipelines.retrain_commands import retrain

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, empty_database: Path):
    """A workspace with a champion of the data set's revision, and a folder where new shards are dropped."""
    folder = tmp_path_factory.mktemp("a person's folder")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EGOREACT_HOME", str(folder / "home"))
        patch.setenv("EGOREACT_DATA", str(folder / "data"))
        for name in ("MLFLOW_TRACKING_URI", "EGOREACT_DVC_REMOTE", "EGOREACT_GIT_REMOTE"):
            patch.delenv(name, raising=False)
        patch.chdir(folder)
        workspace = Workspace.from_environment()
        workspace.root.mkdir()
        shutil.copy(empty_database, workspace.root)
        data_set(folder / "data")
        revision = record_revision(folder / "data").id
        bundle = Bundle.untrained(config_of().reaction, seed=3).save(folder / "bundle")
        registry = Registry(workspace)
        champion = registry.register(
            folder / "bundle", bundle.digest, data_revision=revision, mlflow_run="unknown", tags={}
        )
        registry.crown(champion.version)
        new_shard(folder / "drop")
        yield folder


@pytest.fixture(scope="module")
def before(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (place / "data" / "hrd").glob("*.tar")}


@pytest.fixture(scope="module")
def first(place: Path, before: dict[str, bytes]) -> Retraining:
    return run_retraining(config_of().to_json(), str(place / "drop"))


def test_new_shards_become_a_new_version(first: Retraining, place: Path) -> None:
    run = first.run
    assert run is not None and run.promoted and run.version == "2"
    assert first.why == f"1 new shards with 8 clips; data revision {run.data_revision}"
    assert {step.name for step in run.steps} == {
        "ingest-shards", "validate-alignment", "commit-dataset", "train-encoder", "extract-features", "train-evaluator",
        "train-tokenizer", "train-reaction", "evaluate", "promote", "retrained", "release",
    }  # fmt: skip
    registry = Registry(Workspace.from_environment())
    champion, previous = registry.champion(), registry.previous()
    assert champion is not None and (champion.version, champion.data_revision) == ("2", run.data_revision)
    assert previous is not None and previous.version == "1"
    assert read_release(Workspace.from_environment()).digest == run.digest
    assert run.data_revision in (place / "data.dvc").read_text()


def test_the_champion_was_judged_on_the_new_data_too(first: Retraining) -> None:
    assert first.run is not None
    champion = first.run.decision["champion"]
    assert champion["data_revision"] == first.run.record["data_revision"] == first.run.data_revision


def test_older_shards_stay_and_the_manifest_names_the_new_one(
    first: Retraining, place: Path, before: dict[str, bytes]
) -> None:
    hrd = place / "data" / "hrd"
    for name, content in before.items():
        assert (hrd / name).read_bytes() == content
    manifest = read_manifest(hrd)
    verify_shards(hrd, manifest)
    new = manifest[~manifest["shard"].isin(before)]
    assert list(new["shard"].unique()) == ["train-00002.tar"] and len(new) == 8


def test_training_started_from_the_champions_weights(first: Retraining, place: Path) -> None:
    """With them come the statistics that they were taught with: here no data set's, but an untrained bundle's."""
    old, new = Bundle.load(place / "bundle"), Bundle.load(released_bundle())
    assert old.digest != new.digest
    assert torch.equal(old.normaliser.mean, new.normaliser.mean) and torch.equal(old.normaliser.std, new.normaliser.std)


def test_a_second_run_stops_early_and_says_why(
    first: Retraining, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert first.run is not None
    config = place / "config.json"
    config.write_text(config_of().to_json())
    retrain(source=str(place / "drop"), config=config)
    out = capsys.readouterr().out
    revision = first.run.data_revision
    why = f"no new shards at {place / 'drop'}; the champion, version 2, is of data revision {revision} already"
    assert why in " ".join(out.split()) and "ingest-shards" in out and "train" not in out


def test_a_source_that_is_none(place: Path) -> None:
    config = place / "config.json"
    config.write_text(config_of().to_json())
    with pytest.raises(EgoReactError, match=r"source: is 'gs://bucket'; give a folder"):
        retrain(source="gs://bucket", config=config)
