"""The MLflow here is the real one: its SQLite store in process, and its server as a process that is killed."""

import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace

import pytest

from egoreact.training import tracking
from egoreact.training.tracking import end_group, flush_spool, spool_root, track
from egoreact.workspace import Workspace


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    return Workspace(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A workspace whose database is made once."""
    workspace = Workspace(tmp_path_factory.mktemp("shared"))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        yield workspace


def client_of(workspace):
    from mlflow import MlflowClient

    return MlflowClient(workspace.tracking_uri)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def history(client, run_id, name):
    return [(metric.step, metric.value) for metric in client.get_metric_history(run_id, name)]


def test_a_run_tells_what_made_it(shared, tmp_path):
    (tmp_path / "previews").mkdir()
    (tmp_path / "previews" / "a.txt").write_text("hello")
    with track(
        "tokenizer", params={"model": {"width": 16}, "steps": 3}, tags={"stage": "test"}, workspace=shared
    ) as tracker:
        for step in range(3):
            tracker.log_metrics(step, {"train/loss": 1 / (step + 1), "train/nan": float("nan")})
        tracker.log_data("abc123.dir", "f" * 64)
        tracker.log_artifacts(tmp_path / "previews", "previews")
        (tmp_path / "previews" / "a.txt").unlink()  # what was logged stays
        run_id = tracker.run_id
    client = client_of(shared)
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED" and run.info.run_name == "tokenizer"
    assert run.data.params == {"model.width": "16", "steps": "3"}
    assert run.data.tags["stage"] == "test" and run.data.tags["version.torch"].startswith("2.")
    assert len(run.data.tags["egoreact.code_digest"]) == 64 and run.data.tags["mlflow.source.git.commit"]
    assert run.data.tags["egoreact.data_revision"] == "abc123.dir"
    assert "abc123.dir" in run.inputs.dataset_inputs[0].dataset.source
    assert history(client, run_id, "train/loss") == [(0, 1.0), (1, 0.5), (2, pytest.approx(1 / 3))]
    assert (shared.tracking_artifacts / run_id / "artifacts" / "previews" / "a.txt").read_text() == "hello"
    assert list(spool_root(shared).iterdir()) == []


def test_a_run_that_raises_has_failed(shared):
    with pytest.raises(ZeroDivisionError), track("fails", workspace=shared) as tracker:
        run_id = tracker.run_id
        raise ZeroDivisionError
    assert client_of(shared).get_run(run_id).info.status == "FAILED"


def test_nests_under_a_parent_the_environment_s_run_or_its_group(shared, monkeypatch):
    with track("outer", workspace=shared) as outer, track("inner", parent=outer.run_id, workspace=shared) as inner:
        parent, child = outer.run_id, inner.run_id
    client = client_of(shared)
    assert client.get_run(child).data.tags["mlflow.parentRunId"] == parent
    grouped = []
    for name in ("first", "second"):
        with track(name, group="pipeline-7", workspace=shared) as tracker:
            grouped.append(tracker.run_id)
    parents = {client.get_run(run).data.tags["mlflow.parentRunId"] for run in grouped}
    assert len(parents) == 1
    end_group("pipeline-7", workspace=shared)
    assert client.get_run(parents.pop()).info.status == "FINISHED"
    monkeypatch.setenv("MLFLOW_RUN_ID", parent)
    with track("of a step", group="pipeline-7", workspace=shared) as tracker:
        step = tracker.run_id
    assert client.get_run(step).data.tags["mlflow.parentRunId"] == parent


def test_a_reporter_reports_from_another_process(shared):
    with track("reported", workspace=shared) as tracker:
        content = pickle.dumps(tracker.reporter())
        code = "import pickle, sys; pickle.loads(sys.stdin.buffer.read())(5, {'train/loss': 0.25})"
        subprocess.run([sys.executable, "-c", code], input=content, check=True)
        run_id = tracker.run_id
    assert history(client_of(shared), run_id, "train/loss") == [(5, 0.25)]


def test_a_reporter_of_another_machine_tells_the_server_itself(shared, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "somewhere")
    with track("far", workspace=shared) as tracker:
        reporter = replace(tracker.reporter(), spool=str(tmp_path / "not here"))
        away = replace(reporter, tracking_uri=f"http://127.0.0.1:{free_port()}", run_id="0" * 32)
        reporter(5, {"train/loss": 0.25})
        away(5, {"train/loss": 0.25})  # costs a warning
        assert history(client_of(shared), tracker.run_id, "train/loss") == [(5, 0.25)]


def test_what_the_server_refuses_does_not_hold_up_the_rest(shared, caplog):
    with track("refused", params={"a": 1}, workspace=shared) as tracker:
        tracker.log_params({"a": 2})  # MLflow's params never change
        tracker.log_metrics(1, {"train/loss": 0.5})
        run_id = tracker.run_id
    assert "MLflow refused params" in caplog.text
    run = client_of(shared).get_run(run_id)
    assert (run.data.params, run.data.metrics, run.info.status) == ({"a": "1"}, {"train/loss": 0.5}, "FINISHED")


def test_nobody_at_the_address_costs_two_warnings_and_no_metric(workspace, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    with track("alone", workspace=workspace) as tracker:
        tracker.log_metrics(1, {"train/loss": 0.5})
        assert tracker.run_id is None
    warnings = [record.message for record in caplog.records if record.name == tracking.__name__]
    assert len(warnings) == 2 and "is away" in warnings[0] and "waits in" in warnings[1]
    assert flush_spool(workspace) == 1


def test_a_killed_run_is_told_as_killed(shared):
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from egoreact.training.tracking import track\n"
        "from egoreact.workspace import Workspace\n"
        "with track('killed', workspace=Workspace(Path(sys.argv[1]))) as tracker:\n"
        "    print(tracker.run_id, flush=True)\n"
        "    tracker.log_metrics(3, {'train/loss': 0.125})\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(shared.root)], stdout=subprocess.PIPE, text=True)
    assert done.returncode == -signal.SIGKILL
    assert flush_spool(shared) == 0
    run = client_of(shared).get_run(done.stdout.strip())
    assert (run.info.status, run.data.metrics) == ("KILLED", {"train/loss": 0.125})


def test_two_processes_may_make_the_database(workspace):
    code = (
        "import sys; from pathlib import Path\n"
        "from egoreact.training.tracking import track\n"
        "from egoreact.workspace import Workspace\n"
        "with track(sys.argv[2], group='race', workspace=Workspace(Path(sys.argv[1]))) as tracker:\n"
        "    assert tracker.run_id\n"
    )
    command = [sys.executable, "-c", code, str(workspace.root)]
    both = [subprocess.Popen([*command, name], stderr=subprocess.PIPE, text=True) for name in ("a", "b")]
    for process in both:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0 and "away" not in errors, errors
    names = [run.info.run_name for run in client_of(workspace).search_runs(["1"])]
    assert sorted(names) == ["a", "b", "race"]


@pytest.fixture
def server(workspace, monkeypatch):
    """Starts (again) and kills a server of one database and one port."""
    port = free_port()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    processes = []

    def start():
        command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{workspace.root}/server.db"]
        command += ["--default-artifact-root", str(workspace.root / "files")]
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        environment.pop("MLFLOW_TRACKING_URI")
        quiet = subprocess.DEVNULL
        processes.append(subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet, start_new_session=True))
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
                    return
            except OSError:
                time.sleep(0.1)
        raise TimeoutError("the MLflow server did not start")

    def kill():
        os.killpg(processes[-1].pid, signal.SIGKILL)
        processes[-1].wait()

    start()
    yield start, kill
    kill()


def test_metrics_of_a_server_killed_meanwhile_arrive_later(workspace, server, caplog):
    start, kill = server
    with track("long", workspace=workspace) as tracker:
        tracker.log_metrics(1, {"train/loss": 0.5})
        run_id = tracker.run_id
        assert run_id
        kill()
        tracker.log_metrics(2, {"train/loss": 0.25})
    assert "waits in" in caplog.text and len(list(spool_root(workspace).iterdir())) == 1
    start()
    with caplog.at_level(logging.WARNING), track("next", workspace=workspace):
        pass
    assert list(spool_root(workspace).iterdir()) == []
    client = client_of(workspace)
    assert history(client, run_id, "train/loss") == [(1, 0.5), (2, 0.25)]
    assert client.get_run(run_id).info.status == "FINISHED"
