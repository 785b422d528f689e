"""What KubeRay does with a training's entrypoint, on a real Ray cluster: a head without CPUs, the workers on another node."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from new_shards import config_of, data_set

from components.train.exchange import ERROR, Exchange
from components.version_dataset.dvc_data import record_revision
from egoreact.presets import WorkersConfig

ROOT = Path(__file__).parents[2]
CONFIG = replace(config_of(), workers=WorkersConfig(count=2))
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def address():
    """Of a Ray cluster as the template of RayJobs describes it."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        store = {"object_store_memory": 100_000_000}
        cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "num_gpus": 0, "include_dashboard": False, **store}
        )
        cluster.add_node(num_cpus=2, num_gpus=0, **store)
        cluster.wait_for_nodes()
        yield cluster.address
        cluster.shutdown()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The shared volume: workspace, data set, and its revision."""
    folder = tmp_path_factory.mktemp("volume")
    data_set(folder / "data")
    return folder, record_revision(folder / "data").id


def run_entrypoint(address: str, folder: Path, exchange: Exchange) -> subprocess.CompletedProcess[str]:
    """The head's shell: Ray's job API sets `RAY_ADDRESS`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("EGOREACT_", "MLFLOW_", "RAY_"))}
    own = {
        "RAY_ADDRESS": address, "EGOREACT_HOME": str(folder / "home"), "EGOREACT_DATA": str(folder / "data"),
        "EGOREACT_PIPELINE_RUN": "3f1c", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    command = [sys.executable, "-m", "components.train.job_entry", "--exchange", exchange.address]
    return subprocess.run(command, env=kept | own, cwd=folder, capture_output=True, text=True, timeout=200)


def test_two_workers_train_what_the_step_asked_for(address, place, tmp_path):
    folder, revision = place
    exchange = Exchange(str(folder / "jobs" / "a"))
    quarantine = json.dumps({"quarantined": []})
    parameters = {"config": CONFIG.to_json(), "data_revision": revision, "quarantine": quarantine}
    exchange.send_request("tokenizer", parameters, {})
    done = run_entrypoint(address, folder, exchange)
    assert done.returncode == 0, done.stderr[-2000:]
    assert exchange.fetch_result(tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "config.json", "statistics.safetensors", "weights.safetensors",
    }  # fmt: skip
    assert list((folder / "home" / "training").glob("*/checkpoint_*/checkpoint.json"))


def test_a_mistake_ends_it_for_good_and_is_written_down(address, place):
    folder, _ = place
    exchange = Exchange(str(folder / "jobs" / "b"))
    parameters = {"config": CONFIG.to_json(), "data_revision": "0" * 32 + ".dir", "quarantine": '{"quarantined": []}'}
    exchange.send_request("tokenizer", parameters, {})
    done = run_entrypoint(address, folder, exchange)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    note = exchange.read_note(ERROR)
    assert note is not None and note["final"] and "0" * 32 in f"{note['what']} {note['where']}"
