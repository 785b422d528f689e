"""`egoreact pipeline submit` against a server that speaks Kubeflow Pipelines' API: what works, and each way it can not."""

import base64
import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from kfp_objects import Script
from kfp_server import KfpServer

from egoreact import cli
from pipelines.cluster import client, watch

IMAGE = "egoreact/step@sha256:" + "0" * 64
SUBMIT = ["pipeline", "submit", "--preset", "tiny", "--image", IMAGE]
WAIT = [*SUBMIT, "--wait", "--poll-seconds", "0.005"]
RUNS = "/apis/v2beta1/runs"
A_RUN = r"GET /apis/v2beta1/runs/.+"


@pytest.fixture(scope="module")
def shared() -> Iterator[KfpServer]:
    with KfpServer() as server:
        yield server


@pytest.fixture
def server(shared: KfpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KfpServer:
    shared.reset()
    shared.token = "good"
    for name in (
        "KFP_TOKEN_FILE",
        "MLFLOW_TRACKING_URI",
        "EGOREACT_NAMESPACE",
        "EGOREACT_MAX_GPUS",
        "EGOREACT_STEP_IMAGE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KFP_TOKEN", "good")
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", shared.url)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))
    monkeypatch.setattr(client, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(client, "PATIENCE_S", 0.5)
    monkeypatch.setattr(watch, "OUTAGE_S", 0.5)
    return shared


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    """The one error line."""
    lines = capsys.readouterr().err.splitlines()
    assert not any("Traceback" in line for line in lines)
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1, lines
    return errors[0]


def nothing_created(server: KfpServer) -> bool:
    return not (server.runs or server.pipelines or server.versions or server.experiments or server.recurring)


def test_a_run_is_submitted_and_its_address_printed(server: KfpServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(SUBMIT) == 0
    (run,) = server.runs.values()
    assert capsys.readouterr().out == f"{server.url}/#/runs/details/{run['run_id']}\n"
    assert run["display_name"].startswith("egoreact-training tiny ")
    assert run["service_account"] == "egoreact-pipeline"
    assert json.loads(run["runtime_config"]["parameters"]["config"])["name"] == "tiny"
    (version,) = server.versions.values()
    assert run["pipeline_version_reference"]["pipeline_version_id"] == version["pipeline_version_id"]
    assert version["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]


def test_the_same_code_is_one_version(server: KfpServer) -> None:
    assert [cli.main(SUBMIT), cli.main(SUBMIT)] == [0, 0]
    assert len(server.runs) == 2
    assert len(server.pipelines) == len(server.versions) == len(server.experiments) == 1


def test_waiting_shows_each_step_once_it_changes(server: KfpServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.script = Script(cached=frozenset({"train-encoder"}), not_run=frozenset({"release"}))
    assert cli.main(WAIT) == 0
    shown = capsys.readouterr().out
    assert shown.count("train-reaction       done") == 1
    assert "train-encoder        cached" in shown
    assert "release              skipped" in shown
    assert "driver" not in shown and "executor" not in shown
    assert "succeeded, 12 of 12 steps" in shown


def test_a_failed_run_ends_with_2_and_names_the_step(
    server: KfpServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.script = Script(end="FAILED", failing="train-tokenizer")
    assert cli.main([*WAIT, "--report", str(tmp_path / "report.md")]) == 2
    assert "failed at train-tokenizer; its steps' logs are at http" in error_of(capsys)
    assert "| train-tokenizer | failed |" in (tmp_path / "report.md").read_text()
    assert "| promote | skipped |" in (tmp_path / "report.md").read_text()


def test_a_run_that_somebody_cancels_ends_with_2(server: KfpServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.script = Script(hangs=True)

    def cancel(run: str, look: int) -> None:
        if look == 3:
            server.move(server.runs[run], "CANCELED")

    server.on_look = cancel
    assert cli.main(WAIT) == 2
    assert ": cancelled;" in error_of(capsys)


def test_a_cancelled_workflow_that_ends_as_failed_was_cancelled(server: KfpServer, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    server.script = Script(hangs=True)

    def cancel(run: str, look: int) -> None:
        if look == 3:
            server.move(server.runs[run], "CANCELING")
            server.move(server.runs[run], "FAILED")

    server.on_look = cancel
    assert cli.main(WAIT) == 2
    assert ": cancelled;" in error_of(capsys)


def test_the_stock_waiter_hangs_on_a_cancelled_run_that_ours_ends_with(server: KfpServer) -> None:
    """And the stock client runs a package on this server: it speaks as the real one."""
    import kfp
    from kfp.client import Client

    assert kfp.__version__.startswith("2.17")
    golden = Path(__file__).parents[1] / "golden" / "training.yaml"
    stock = Client(host=server.url, existing_token="good")
    arguments = {"config": "{}", "code_digest": "a", "max_failing_fraction": 0.1}
    made = stock.create_run_from_pipeline_package(str(golden), arguments=arguments, experiment_name="stock")
    run = server.runs[made.run_id]
    assert stock.wait_for_run_completion(made.run_id, 30, sleep_duration=0).state == "SUCCEEDED"  # type: ignore[arg-type]
    server.move(run, "CANCELED")
    with pytest.raises(TimeoutError):
        stock.wait_for_run_completion(made.run_id, 0.2, sleep_duration=0.05)  # type: ignore[arg-type]
    assert watch.read(stock.get_run(made.run_id), ("build-dataset",)).end == "cancelled"
    assert server.count("POST /apis/v2beta1/pipelines.*") == 0
    uploaded = stock.upload_pipeline(str(golden), "stock")
    stock.upload_pipeline_version(str(golden), "second", pipeline_id=uploaded.pipeline_id)
    assert stock.get_pipeline_id("stock") == uploaded.pipeline_id


@pytest.mark.parametrize("status", [429, 500, 502, 503, 0])
def test_looking_goes_on_through_short_outages(server: KfpServer, status: int) -> None:
    with server.fault(A_RUN, status=status, times=3, headers={"Retry-After": "0"}) as fault:
        assert cli.main(WAIT) == 0
    assert fault.times == 0
    assert len(server.runs) == 1


def test_an_outage_that_stays_ends_the_watch_not_the_run(server: KfpServer, capsys: pytest.CaptureFixture[str]) -> None:
    with server.fault(A_RUN, status=503, times=10**6):
        assert cli.main(WAIT) == 2
    out = capsys.readouterr()
    assert "answers 503: injected 503; try again later" in out.err
    assert "the run goes on: http" in out.err
    assert next(iter(server.runs.values()))["state"] == "PENDING"


@pytest.mark.parametrize("status", [0, 500, 504])
@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("what", ["runs", "pipelines", "pipelines/upload_version", "experiments"])
def test_a_lost_answer_makes_nothing_twice(server: KfpServer, what: str, status: int, done: bool) -> None:
    """Whether the cut came before the server acted or after: one of each, in the end."""
    with server.fault(f"POST /apis/v2beta1/{what}", status=status, done=done):
        assert cli.main(SUBMIT) == 0
    assert [len(each) for each in (server.runs, server.pipelines, server.versions, server.experiments)] == [1, 1, 1, 1]


def test_a_busy_server_is_asked_again(server: KfpServer) -> None:
    with server.fault(f"POST {RUNS}", status=429, times=2, headers={"Retry-After": "0"}):
        assert cli.main(SUBMIT) == 0
    assert len(server.runs) == 1


def test_two_submissions_at_once_share_the_version_and_are_two_runs(server: KfpServer) -> None:
    from egoreact.presets import tiny
    from pipelines.cluster.package import make, plan_of
    from pipelines.cluster.submit import arguments_of, submit

    package = make("training", plan_of("cpu"), image=IMAGE)
    arguments = arguments_of(package, tiny())
    together = threading.Barrier(4)
    made: list[str] = []

    def one() -> None:
        api = client.Api(client.Access(server.url, "good"))
        together.wait()
        made.append(submit(api, package, arguments, name="x").run_id)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == len(server.runs) == 4
    assert len(server.pipelines) == len(server.versions) == len(server.experiments) == 1


def test_a_slow_server_is_waited_for_and_a_silent_one_is_not(
    server: KfpServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with server.fault("GET /apis/v2beta1/pipelines", status=200, seconds=0.3):
        assert cli.main(SUBMIT) == 0
    monkeypatch.setattr(client, "ANSWER_S", 0.1)
    with server.fault("GET /apis/v2beta1/pipelines", status=200, seconds=0.4, times=100):
        assert cli.main(SUBMIT) == 2
    assert "does not answer" in error_of(capsys)


def test_waiting_has_a_limit(server: KfpServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.script = Script(end="PENDING")
    assert cli.main([*WAIT, "--timeout-minutes", "0.001"]) == 2
    assert "still pending after 0 minutes" in error_of(capsys)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A shell's background jobs, and so their tests, are started with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_at(server: KfpServer, wanted: int) -> None:
    def interrupt(run: str, look: int) -> None:
        if look == wanted and server.runs[run]["state"] == "RUNNING":
            os.kill(os.getpid(), signal.SIGINT)

    server.script = Script(hangs=True)
    server.on_look = interrupt


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_without_a_terminal_leaves_the_run(server: KfpServer, capsys: pytest.CaptureFixture[str]) -> None:
    interrupt_at(server, 3)
    assert cli.main(WAIT) == 130
    assert "the run goes on: http" in capsys.readouterr().err
    assert server.count("POST .*terminate") == 0


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_cancels_where_told_to(server: KfpServer, capsys: pytest.CaptureFixture[str]) -> None:
    interrupt_at(server, 3)
    with server.fault("POST .*:terminate", status=0, done=True):  # the answer is lost: it is cancelled all the same
        assert cli.main([*WAIT, "--on-interrupt", "cancel"]) == 2
    assert next(iter(server.runs.values()))["state"] == "CANCELED"
    assert ": cancelled;" in error_of(capsys)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_in_a_terminal_asks_and_a_no_leaves_the_run(server: KfpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_at(server, 3)
    answers = io.StringIO("n\n")
    answers.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdin", answers)
    assert cli.main(WAIT) == 130
    assert next(iter(server.runs.values()))["state"] == "RUNNING"


def test_ctrl_c_in_a_terminal_asks_and_a_yes_cancels(server: KfpServer) -> None:
    """The command itself, in a terminal of its own, with the table that redraws itself."""
    server.script = Script(hangs=True)
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "egoreact.cli", *SUBMIT, "--wait", "--poll-seconds", "0.05"]
    environment = os.environ | {"TERM": "xterm"}
    process = subprocess.Popen(
        command, stdin=follower, stdout=follower, stderr=follower, env=environment, start_new_session=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    os.close(follower)
    terminal = Terminal(leader)
    terminal.read_until("running")
    process.send_signal(signal.SIGINT)
    terminal.read_until("[y/N]")
    os.write(leader, b"y\n")
    terminal.read_until("cancelled;")
    assert process.wait(timeout=60) == 2
    os.close(leader)
    assert next(iter(server.runs.values()))["state"] == "CANCELED"


class Terminal:
    def __init__(self, leader: int):
        self.leader, self.shown = leader, ""

    def read_until(self, text: str) -> None:
        stop_at = time.monotonic() + 60
        while text not in self.shown:
            assert time.monotonic() < stop_at, self.shown
            if select.select([self.leader], [], [], 0.05)[0]:
                try:
                    self.shown += os.read(self.leader, 4096).decode(errors="replace")
                except OSError as error:  # the other end is closed
                    raise AssertionError(self.shown) from error


def jwt(expires_s: float) -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": "none"}, {"exp": expires_s})]
    return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), "signature"])


def test_a_token_file_is_read_anew_while_watching(
    server: KfpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "token"
    path.write_text("good\n")
    monkeypatch.delenv("KFP_TOKEN")

    def rotate(run: str, look: int) -> None:
        if look == 2:
            server.token = "newer"
            path.write_text("newer\n")

    server.on_look = rotate
    assert cli.main([*WAIT, "--token-file", str(path)]) == 0


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"KFP_TOKEN": "old"}, "refuses the token: it has expired or is not for this cluster (401); renew the token in KFP_TOKEN"),
        ({"KFP_TOKEN": jwt(1.0)}, "token in KFP_TOKEN: has expired; make a new one: kubectl create token"),
        ({"KFP_TOKEN": ""}, "asks for a token (401); set KFP_TOKEN_FILE or KFP_TOKEN"),
        ({"KFP_TOKEN_FILE": "/nowhere/token"}, "token in /nowhere/token: cannot be read"),
        ({"KF_PIPELINES_ENDPOINT": ""}, "--host: no address of Kubeflow Pipelines; give http(s)://"),
        ({"KF_PIPELINES_ENDPOINT": "kubeflow.example"}, "--host: 'kubeflow.example' is no address"),
        ({"KF_PIPELINES_ENDPOINT": "http://127.0.0.1:9"}, "does not answer"),
        ({"EGOREACT_MAX_GPUS": "many"}, "EGOREACT_MAX_GPUS: 'many' is no number of GPUs"),
    ],
)  # fmt: skip
def test_bad_settings_are_one_line_and_create_nothing(
    server: KfpServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], settings: dict[str, str], line: str,
) -> None:  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert cli.main(SUBMIT) == 2
    assert line in error_of(capsys)
    assert nothing_created(server)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--preset", "huge"], "preset: no preset 'huge'; use one of tiny, demo, paper"),
        (["--preset", "paper", "--max-gpus", "2"], "one step needs 4 GPUs at once, more than the 2 allowed; take a smaller --preset"),
        (["--preset", "paper", "--pods", "cpu"], "its workers need 1 GPU each; take --pods gpu"),
        (["--image", "egoreact/step:latest"], "image egoreact/step:latest: is not named by digest; give --image NAME@sha256:"),
        (["--config", "/nowhere.json"], "/nowhere.json: cannot be read"),
        (["--parameters", "color=red"], "'color=red' is no parameter of egoreact-training; give NAME=VALUE of"),
        (["--parameters", "max_failing_fraction=red"], "parameter max_failing_fraction: 'red' is no number double"),
        (["--pipeline", "retraining"], "egoreact-retraining: needs source; give --parameters source=VALUE"),
        (["--pods", "gpu", "--gpu-nodes", "fast"], "--gpu-nodes: 'fast' is no label; give NAME=VALUE"),
        (["--token-file", "/nowhere/token"], "token in /nowhere/token: cannot be read"),
    ],
)  # fmt: skip
def test_bad_options_are_one_line_and_ask_the_cluster_nothing(
    server: KfpServer, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    assert cli.main([*SUBMIT, *arguments]) == 2
    assert line in error_of(capsys)
    assert not server.requests


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (403, "does not let this token's account do that (403): injected 403; ask for the role"),
        (302, "answers with a page for browsers, not with the API; give a valid token"),
        (400, "refuses (400): injected 400"),
    ],
)
def test_refusals_are_one_line(server: KfpServer, capsys: pytest.CaptureFixture[str], status: int, line: str) -> None:
    with server.fault(".*", status=status, times=10, headers={"Location": "/dex/auth"}):
        assert cli.main(SUBMIT) == 2
    assert line in error_of(capsys)
    assert nothing_created(server)


def test_a_sign_in_page_is_not_taken_for_the_api(server: KfpServer, capsys: pytest.CaptureFixture[str]) -> None:
    with server.fault(".*", status=200, body=b"<html>Log in</html>", times=10):
        assert cli.main(SUBMIT) == 2
    assert "answers with a page for browsers" in error_of(capsys)


def test_a_token_that_expires_while_watching_leaves_the_run(server: KfpServer, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    def expire(run: str, look: int) -> None:
        if look == 2:
            server.token = "other"

    server.on_look = expire
    assert cli.main(WAIT) == 2
    out = capsys.readouterr().err
    assert "refuses the token" in out and "the run goes on: http" in out
