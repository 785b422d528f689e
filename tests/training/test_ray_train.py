import copy
import json
import math
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
import torch
from filelock import FileLock
from learners import FatedLearner, RegressionLearner, on_two_processes

from egoreact.errors import EgoReactError
from egoreact.training import ray_train
from egoreact.training.checkpoint import MODULE, OPTIMIZER, FolderStore
from egoreact.training.loop import LoopConfig, fit, sample_indices
from egoreact.training.ray_train import SNAPSHOT, Resources, fit_distributed

CONFIG = LoopConfig(steps=30, batch_size=12, learning_rate=1e-2, log_every=5, checkpoint_every=5, seed=3)
PAIR = Resources(num_workers=2)

DRIVER = """
import json, sys
from learners import FatedLearner
from egoreact.training.loop import LoopConfig
from egoreact.training.ray_train import Resources, fit_distributed
arguments, storage, config = json.loads(sys.argv[1]), sys.argv[2], LoopConfig(**json.loads(sys.argv[3]))
fit_distributed(FatedLearner, arguments, config, run_name="run", storage=storage, resources=Resources(num_workers=2),
                identity="fate")
"""


def plain_values(config):
    return {name: value for name, value in vars(config).items() if name != "betas"}


class TestInThisProcess:
    """One worker, no Ray."""

    def test_teaches_resumes_and_returns_at_once_when_finished(self, tmp_path):
        def run(name, config=CONFIG):
            return fit_distributed(RegressionLearner, {"dropout": 0.2}, config, run_name=name, storage=tmp_path)

        whole = run("whole")
        run("parts", LoopConfig(**{**vars(CONFIG), "steps": 10}))
        resumed, again = run("parts"), run("parts")
        assert (whole.resumed_from, resumed.resumed_from, again.resumed_from) == (0, 10, 30)
        assert (whole.checkpoint / MODULE).read_bytes() == (resumed.checkpoint / MODULE).read_bytes()
        assert again.metrics == resumed.metrics
        assert "ray" not in sys.modules or not sys.modules["ray"].is_initialized()

    def test_starting_weights_depend_on_the_seed_alone_and_the_caller_s_generator_stays(self, tmp_path):
        torch.manual_seed(1)
        before = torch.get_rng_state()
        for name in ("a", "b"):
            fit_distributed(RegressionLearner, {}, CONFIG, run_name=name, storage=tmp_path)
            assert torch.equal(torch.get_rng_state(), before)
            torch.rand(1)
            before = torch.get_rng_state()
        a, b = (next((tmp_path / name).glob("checkpoint-*30")) / MODULE for name in ("a", "b"))
        assert a.read_bytes() == b.read_bytes()

    def test_prints_progress_and_keeps_the_curve(self, tmp_path, capsys):
        told = {}
        for steps in (10, 30):
            config = LoopConfig(**{**vars(CONFIG), "steps": steps})
            fit_distributed(RegressionLearner, {}, config, run_name="a", storage=tmp_path, on_metrics=told.__setitem__)
        lines = [json.loads(line) for line in (tmp_path / "a" / "curve.jsonl").read_text().splitlines()]
        assert {line.pop("step"): line for line in lines} == told and list(told) == [5, 10, 15, 20, 25, 30]
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith("train a: 30/30 steps") and f"loss {told[30]['train/loss']:.4g}" in last

    def test_other_arguments_are_another_run(self, tmp_path):
        fit_distributed(RegressionLearner, {}, CONFIG, run_name="a", storage=tmp_path)
        with pytest.raises(EgoReactError, match="another configuration"):
            fit_distributed(
                RegressionLearner, {"dropout": 0.1}, CONFIG, run_name="a", storage=tmp_path, strict_resume=True
            )

    def test_two_processes_do_not_train_one_run(self, tmp_path):
        (tmp_path / "a").mkdir()
        with FileLock(tmp_path / "a" / ".lock"), pytest.raises(EgoReactError, match="another process trains this run"):
            fit_distributed(RegressionLearner, {}, CONFIG, run_name="a", storage=tmp_path)

    def test_a_factory_that_workers_cannot_import_is_refused(self, tmp_path):
        with pytest.raises(TypeError, match="cannot be imported"):
            fit_distributed(lambda: RegressionLearner(), {}, CONFIG, run_name="a", storage=tmp_path)


@pytest.fixture(scope="module")
def cluster():
    """One Ray cluster for the tests below. Its workers find `learners`."""
    import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        patch.delenv("RAY_ADDRESS", raising=False)
        with ray_train._ray_cluster(PAIR):
            yield ray


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The storage of a run of two Ray workers whose driver was killed in step 12 (SIGKILL), and its arguments."""
    folder = tmp_path_factory.mktemp("killed")
    arguments = {"notes": str(folder), "wait_at": 12, "die_at": 22}
    command = [sys.executable, "-c", DRIVER, json.dumps(arguments), str(folder), json.dumps(plain_values(CONFIG))]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    environment["PYTHONPATH"] = str(Path(__file__).parent)
    with (folder / "driver.log").open("w") as output:
        driver = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    for _ in range(3000):
        if (folder / "waiting").exists():
            break
        assert driver.poll() is None, (folder / "driver.log").read_text()
        time.sleep(0.1)
    processes = psutil.Process(driver.pid).children(recursive=True)
    driver.kill()
    driver.wait()
    # What could still write. Ray's agents take some minutes to see that their cluster is gone.
    agents = [process for process in processes if process.is_running() and "Agent" in process.name()]
    _, alive = psutil.wait_procs([process for process in processes if process not in agents], timeout=30)
    for agent in agents:
        agent.kill()
    assert not alive, "the cluster of a killed driver goes on"
    assert (folder / "waiting").exists()
    return folder, arguments


def train_uninterrupted(folder, world, answers):
    torch.manual_seed(CONFIG.seed)
    learner = FatedLearner(notes=str(folder))
    answers.put(fit(learner, CONFIG, store=FolderStore(folder, "x"), world=world).checkpoint)


@pytest.mark.timeout(600)
def test_killed_driver_and_killed_worker_end_where_an_uninterrupted_run_ends(killed, cluster, tmp_path, caplog):
    folder, arguments = killed
    (folder / "run" / SNAPSHOT).write_text('{"ray_version"')  # as a kill may leave it

    def run():
        return fit_distributed(
            FatedLearner, arguments, CONFIG, run_name="run", storage=folder, resources=PAIR, identity="fate"
        )

    resumed = run()
    assert (folder / "died").exists() and "going on from the newest checkpoint" in caplog.text
    assert "snapshot is torn" in caplog.text
    # Begun at 0; after the driver's death at 10; after the worker's at 20: at most one interval is done again.
    starts = sorted(int(path.name.removeprefix("started-at-")) for path in folder.glob("started-at-*"))
    assert starts == [0, 10, 20] and resumed.resumed_from == 20
    assert len(list((folder / "run").glob("checkpoint_*/"))) == 2

    whole = on_two_processes(partial(train_uninterrupted, tmp_path))[0]
    for name in (MODULE, OPTIMIZER):
        assert (resumed.checkpoint / name).read_bytes() == (whole / name).read_bytes(), name

    again = run()
    assert (again.checkpoint, again.resumed_from, again.metrics) == (resumed.checkpoint, 30, resumed.metrics)


@pytest.mark.timeout(600)
def test_a_nan_is_told_in_one_line_and_not_tried_again(cluster, tmp_path, caplog):
    config = LoopConfig(**{**vars(CONFIG), "checkpoint_every": 1})
    poisoned = int(sample_indices(RegressionLearner.num_samples, config, 3)[0])
    with pytest.raises(EgoReactError, match="the loss is nan at step 3, samples") as error:
        fit_distributed(
            RegressionLearner, {"poisoned": poisoned}, config,
            run_name="nan", storage=tmp_path, resources=PAIR,
        )  # fmt: skip
    assert "\n" not in str(error.value)
    records = [json.loads((path / "checkpoint.json").read_text()) for path in (tmp_path / "nan").glob("checkpoint_*/")]
    assert max(record["step"] for record in records) == 3
    assert all(math.isfinite(record["metrics"].get("train/loss", 0)) for record in records)


def test_bugs_and_mistakes_are_not_retried_and_lost_machines_are():
    from ray.train import WorkerGroupError
    from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

    def decide(failure, attempt=0):
        error = copy.deepcopy(WorkerGroupError("boom", {1: failure}))  # pickles, as on the way to the driver
        ray_train._raise_unless_retried(error, job, attempt, 3)

    job = ray_train._Job("m:f", {}, CONFIG, "run", "/nowhere", "x", PAIR, None, None, False)
    decide(RuntimeError("Connection closed by peer"))
    decide(WorkerHealthCheckFailedError("A worker health check failed.", OSError("killed")))
    with pytest.raises(EgoReactError, match="mistake"):
        decide(EgoReactError("mistake", where="there", remedy="undo it"))
    with pytest.raises(WorkerGroupError):
        decide(TypeError("bug"))
    with pytest.raises(EgoReactError, match=r"lost its workers 4 times .*Connection closed"):
        decide(RuntimeError("Connection closed by peer"), attempt=3)
