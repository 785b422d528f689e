"""Faults that can be tried in seconds; whole runs are disturbed by `try_faults.py`, which writes docs/faults.md."""

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from components.promote.registry import CROWNED_OVER, Registry
from egoreact.errors import EgoReactError
from egoreact.models.bundle import Bundle, verify
from egoreact.presets import tiny
from egoreact.workspace import Workspace

ROOT = Path(__file__).parents[2]
TEACH = """
import json, resource, sys
sys.path.insert(0, "tests/training")
from pathlib import Path
from learners import RegressionLearner
from egoreact.errors import EgoReactError
from egoreact.training.loop import LoopConfig
from egoreact.training.ray_train import fit_distributed
storage, name, limit = sys.argv[1:]
steps = LoopConfig(steps=20, batch_size=12, learning_rate=1e-2, log_every=5, checkpoint_every=5, seed=3)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
try:
    done = fit_distributed(RegressionLearner, {}, steps, run_name=name, storage=Path(storage), identity="same")
except EgoReactError as error:
    sys.exit(f"error: {error}")
print(json.dumps({"weights": str(done.checkpoint), "resumed_from": done.resumed_from}))
"""


def teach(storage: Path, name: str, limit_bytes: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", TEACH, str(storage), name, limit_bytes],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_disk_that_is_full_in_a_worker_is_one_line_and_what_was_saved_stays(tmp_path):
    """No file over so many bytes, as a full disk or a quota: the checkpoint before is whole, and the run goes on from it."""
    whole = json.loads(teach(tmp_path, "whole").stdout)
    full = teach(tmp_path, "full", "300")
    told = full.stderr.splitlines()[-1]
    assert full.returncode == 1 and "Traceback" not in full.stderr, full.stderr
    assert told.startswith(f"error: {tmp_path}") and "no space left" in told
    assert not list((tmp_path / "full").glob("*checkpoint*"))
    again = json.loads(teach(tmp_path, "full").stdout)
    same = [(Path(each["weights"]) / "module.safetensors").read_bytes() for each in (whole, again)]
    assert same[0] == same[1]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        workspace = Workspace(tmp_path_factory.mktemp("home"))
        Registry(workspace).champion()
        yield workspace


def test_two_promotions_at_once_make_one_version_a_bundle_and_one_champion(home, tmp_path):
    bundles = [tmp_path / "a", tmp_path / "b"]
    for seed, folder in enumerate(bundles):
        Bundle.untrained(tiny().reaction, seed=seed).save(folder)
    submitted = [bundles[0], bundles[0], bundles[1]]
    together = threading.Barrier(len(submitted))

    def promote(bundle: Path) -> None:
        registry = Registry(home)
        together.wait()
        with registry.alone():
            made = registry.register(bundle, verify(bundle)[1], data_revision="a", mlflow_run="none", tags={})
            registry.crown(made.version)

    with ThreadPoolExecutor(len(submitted)) as threads:
        list(threads.map(promote, submitted))
    registry = Registry(home)
    assert {each.digest for each in registry.versions()} == {verify(bundle)[1] for bundle in bundles}
    champion, previous = registry.champion(), registry.previous()
    assert {champion.version, previous.version} == {"1", "2"}
    assert registry.tags(champion.version)[CROWNED_OVER] == previous.version


def test_setting_back_what_is_champion_no_more_changes_nothing(home):
    registry = Registry(home)
    champion, previous = registry.champion(), registry.previous()
    assert registry.uncrown(previous.version, "it failed").version == champion.version
    assert (registry.champion(), registry.previous()) == (champion, previous)


def test_a_registry_whose_files_cannot_be_reached_is_one_line(home, monkeypatch, tmp_path):
    from botocore.exceptions import EndpointConnectionError

    registry = Registry(home)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    def away(*arguments, **named):
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:9")

    monkeypatch.setattr(registry.client, "log_artifacts", away)
    Bundle.untrained(tiny().reaction, seed=7).save(tmp_path / "bundle")
    before = len(registry.versions())
    with pytest.raises(EgoReactError, match=r"127.0.0.1:9: the registry's files cannot be reached"):
        registry.register(tmp_path / "bundle", "7" * 64, data_revision="a", mlflow_run="none", tags={})
    assert len(registry.versions()) == before
