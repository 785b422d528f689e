"""The whole workflow against MLflow on PostgreSQL, artifacts and the DVC remote on S3, by configuration alone.

`EGOREACT_TEST_PRESET=demo` runs the preset of that name instead of `tiny`, a quarter of an hour on two cores.
"""

import json
import os
from dataclasses import replace
from pathlib import Path

import boto3
import numpy as np
import pytest
import servers as production_servers
from servers import ACCESS_KEY, BUCKET, SECRET_KEY, Servers, production

from components.promote.registry import Registry
from components.release.commands import lineage
from components.release.lineage import lineage as walk_back
from egoreact.models.bundle import Bundle
from egoreact.models.release import read_release, released_bundle
from egoreact.presets import WorkersConfig, by_name
from egoreact.streaming.session import react_to_frames
from egoreact.workspace import Workspace
from pipelines.local import RunSummary, run_training
from serving.answers import metadata_line, render, summary_line
from serving.recording import FORMAT, SCHEMA_VERSION

CONFIG = replace(by_name(os.environ.get("EGOREACT_TEST_PRESET", "tiny")), workers=WorkersConfig(count=1))
pytestmark = [
    pytest.mark.timeout(600 if CONFIG.name == "tiny" else 7200),
    pytest.mark.skipif(bool(production_servers.missing()), reason=production_servers.missing() or "all is here"),
]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory):
    with production(tmp_path_factory.mktemp("servers")) as started:
        yield started


@pytest.fixture(scope="module")
def place(servers: Servers, tmp_path_factory: pytest.TempPathFactory):
    """A folder of a person who has nothing but the settings."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in servers.settings().items():
            patch.setenv(name, value)
        patch.setenv("EGOREACT_HOME", str(folder / "home"))
        patch.setenv("EGOREACT_DATA", str(folder / "data"))
        patch.delenv("EGOREACT_DEPLOYMENT", raising=False)
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def ran(place: Path) -> RunSummary:
    return run_training(CONFIG.to_json())


def keys() -> list[str]:
    pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return [each["Key"] for page in pages for each in page.get("Contents", [])]


def test_everything_lies_where_production_has_it(ran, place):
    """Data and artifacts on S3, runs and versions in PostgreSQL, nothing of either in the workspace."""
    assert ran.promoted and ran.version == "1" and {step.state for step in ran.steps} == {"done"}
    stored = keys()
    assert any(key.startswith("dvc/files/md5/") and key.endswith(".dir") for key in stored)
    assert any(key.startswith("mlflow/") and key.endswith("/bundle/gpt.safetensors") for key in stored)
    assert any(key.endswith(".mp4") and "/samples/" in key for key in stored)
    workspace = Workspace.from_environment()
    assert not (workspace.root / "mlflow.db").exists() and not workspace.dvc_remote.exists()
    assert not workspace.tracking_artifacts.exists()
    assert not list((workspace.root / "tracking-spool").iterdir())


def test_runs_metrics_and_aliases_are_in_the_database(ran, servers):
    import psycopg2

    with psycopg2.connect(servers.database) as connection, connection.cursor() as cursor:
        cursor.execute("select alias, version from registered_model_aliases")
        assert cursor.fetchall() == [("champion", 1)]
        cursor.execute("select count(*) from metrics where key = 'train/loss'")
        assert cursor.fetchone()[0] >= 3
        cursor.execute("select status, count(*) from runs group by status")
        assert dict(cursor.fetchall()) == {"FINISHED": 5}  # four trainings and the run they are nested under


def test_credentials_are_nowhere_but_in_the_environment(ran, place):
    for path in place.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            assert SECRET_KEY.encode() not in content and ACCESS_KEY.encode() not in content, path
    client = Registry(Workspace.from_environment()).client
    for run in client.search_runs([each.experiment_id for each in client.search_experiments()]):
        assert SECRET_KEY not in json.dumps(run.to_dictionary())


def test_a_machine_that_has_only_the_settings_walks_back_to_the_shards(ran, place, tmp_path, capsys):
    """Another workspace and data folder: the bundle's description comes from S3, and so do the lists of the shards."""
    walk = walk_back(ran.digest[:12], Workspace(tmp_path / "home"), tmp_path / "data")
    assert walk["bundle"]["digest"] == ran.digest and "registry" in walk["bundle"]["where"]
    assert walk["version"]["version"] == "1" and walk["version"]["aliases"] == ["champion"]
    assert walk["run"]["name"] == f"reaction {CONFIG.name}" and walk["run"]["status"] == "FINISHED"
    assert walk["data"]["revision"] == ran.data_revision
    settings = CONFIG.dataset
    assert walk["shards"]["clips"] == settings.train_clips + settings.val_clips + settings.test_clips
    assert all(len(shard["sha256"]) == 64 for shard in walk["shards"]["shards"])


@pytest.mark.parametrize("form", ["json", "ndjson", "npz", "glb", "recording", "bundle", "1", "champion"])
def test_every_answer_and_name_leads_to_the_same_bundle(ran, answers, form, capsys):
    lineage(str(answers.get(form, form)))
    told = capsys.readouterr().out
    for link in (
        ran.digest,
        "registered version  1",
        f"reaction {CONFIG.name}",
        ran.data_revision,
        "hrd/train-00000.tar",
        "released at",
    ):
        assert link in told, told


@pytest.fixture(scope="module")
def answers(ran: RunSummary, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What the service answers, as files, from the served bundle."""
    folder = tmp_path_factory.mktemp("answers")
    bundle = Bundle.load(released_bundle())
    stamp = {"version": "1", "digest": bundle.digest}
    reaction = react_to_frames(bundle, np.zeros((8, 56, 56, 3), np.uint8))
    made = {"bundle": released_bundle()}
    for form in ("json", "npz", "glb"):
        made[form] = folder / f"answer.{form}"
        made[form].write_bytes(render(reaction, form, stamp, seed=0))
    made["ndjson"] = folder / "answer.ndjson"
    made["ndjson"].write_bytes(metadata_line(stamp, 0) + summary_line(stamp, frames=8, chunks=2, seconds=0.1))
    made["recording"] = folder / "session.egorec"
    head = {"format": FORMAT, "schema_version": SCHEMA_VERSION, "begun_at": "2026-01-01T00:00:00Z", "hello": stamp}
    made["recording"].write_bytes(json.dumps(head).encode() + b"\n\x81")
    return made


def test_a_second_run_trains_nothing_and_changes_nothing(ran, place):
    before = keys()
    again = run_training(CONFIG.to_json())
    assert {step.state for step in again.steps if step.name.startswith("train-")} == {"cached"}
    assert again.decision["outcome"] == "already_champion"
    assert [key for key in keys() if key not in before and "/decision/" not in key] == []
    release = read_release(Workspace.from_environment())
    assert release.digest == Bundle.load(released_bundle()).digest == ran.digest
