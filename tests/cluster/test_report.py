"""The step that tells a run's end, and the figures that a person sees of it."""

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from kfp import dsl

from components.promote.registry import EXPERIMENT, Registry
from components.report import step
from components.report.decision import decision_of
from components.report.step import OUTCOME_TAG
from egoreact.errors import EgoReactError
from egoreact.evaluation.record import BASELINES, FIGURES, MetricRecord
from egoreact.training.tracking import PIPELINE_RUN_TAG
from egoreact.workspace import Workspace
from pipelines.cluster.package import told
from pipelines.cluster.show import Comparison, markdown, summary
from pipelines.cluster.submit import Submission
from pipelines.cluster.watch import RunState, StepState
from pipelines.runner import StepError, run_pipeline


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """With MLflow's tables, which take seconds to make."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        workspace = Workspace(tmp_path_factory.mktemp("report"))
        client = Registry(workspace).client
        client.create_experiment(EXPERIMENT, workspace.tracking_artifacts.as_uri())
    return workspace


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", step.WEBHOOK):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(step, "PAUSE_S", 0.0)


def tracked(workspace: Workspace, run_id: str) -> str:
    client = Registry(workspace).client
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    return client.create_run(experiment.experiment_id, tags={PIPELINE_RUN_TAG: run_id}).info.run_id


@dsl.component(base_image="none", packages_to_install=[], install_kfp_package=False)
def stumble(word: str) -> str:
    raise RuntimeError(word)


@dsl.pipeline(name="stumbling")
def stumbling(word: str) -> str:
    return stumble(word=word).output


def test_a_pipeline_that_fails_is_told_of_by_its_last_step(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a cluster is given, on KFP's own local runner: it keeps its name and parameters, fails, and `report` runs."""
    monkeypatch.setenv("EGOREACT_HOME", str(workspace.root))
    with pytest.raises(StepError, match="step stumble"):
        run_pipeline(told(stumbling), {"word": "ouch"}, tmp_path)
    (log,) = tmp_path.glob("logs/*/*-report.log")
    assert "stumbling run" in log.read_text() and "failed: Task exit-handler-1 failed." in log.read_text()


class Hook:
    """A webhook that answers with these statuses, one a request, then 200."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.taken: list[dict[str, str]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = hook.statuses.pop(0) if hook.statuses else 200
                if status == 200:
                    hook.taken.append(json.loads(body))
                self.send_response(status)
                self.end_headers()

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/secret-path"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    hook = Hook()
    monkeypatch.setenv(step.WEBHOOK, hook.url)
    yield hook
    hook.http.shutdown()
    hook.http.server_close()


@pytest.mark.parametrize(
    ("said", "state", "status"),
    [
        ("SUCCEEDED", "SUCCEEDED", "RUNNING"),
        ("Succeeded", "SUCCEEDED", "RUNNING"),
        ("FAILED", "FAILED", "FAILED"),
        ("Error", "FAILED", "FAILED"),
        ("CANCELED", "CANCELLED", "KILLED"),
        ("CANCELLED", "CANCELLED", "KILLED"),
    ],
)
def test_log_mlflow_and_webhook_are_told(
    workspace: Workspace, hook: Hook, capsys: pytest.CaptureFixture[str], said: str, state: str, status: str
) -> None:
    mlflow_run, other = tracked(workspace, f"run-{said}"), tracked(workspace, "another")
    step.run(workspace, "egoreact-training", f"run-{said}", said, "Task exit-handler-1 failed.")
    assert f"egoreact-training run run-{said} {state.lower()}: Task" in capsys.readouterr().out
    found = Registry(workspace).client.get_run(mlflow_run)
    assert (found.data.tags[OUTCOME_TAG], found.info.status) == (state, status)
    assert OUTCOME_TAG not in Registry(workspace).client.get_run(other).data.tags
    (told,) = hook.taken
    assert (told["pipeline"], told["run"], told["state"]) == ("egoreact-training", f"run-{said}", state)
    assert told["text"].startswith("egoreact-training run")


def test_a_webhook_that_stumbles_is_told_again(workspace: Workspace, hook: Hook) -> None:
    hook.statuses = [500, 429]
    step.run(workspace, "p", "r", "SUCCEEDED")
    assert len(hook.taken) == 1


@pytest.mark.parametrize("statuses", [[404], [500, 500, 500]])
def test_a_webhook_that_refuses_fails_nothing_and_stays_secret(
    workspace: Workspace, hook: Hook, caplog: pytest.LogCaptureFixture, statuses: list[int]
) -> None:
    hook.statuses = list(statuses)
    with caplog.at_level(logging.WARNING):
        assert step.run(workspace, "p", "r", "FAILED").state == "FAILED"
    assert not hook.taken and not hook.statuses
    assert f"the webhook was not told: it answers {statuses[0]}" in caplog.text
    assert "secret-path" not in caplog.text


def test_no_webhook_address_is_a_warning(
    workspace: Workspace, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(step.WEBHOOK, "file:///etc/passwd")
    step.run(workspace, "p", "r", "FAILED")
    assert "EGOREACT_WEBHOOK is no http address" in caplog.text


def test_mlflow_away_fails_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert step.run(Workspace(tmp_path), "p", "r", "FAILED").state == "FAILED"
    assert "MLflow was not told" in caplog.text
    with pytest.raises(EgoReactError, match="the figures cannot be read"):
        decision_of(Workspace(tmp_path), "r")


def record(digest: str, head_error_cm: float) -> MetricRecord:
    figures = dict.fromkeys(FIGURES, 1.0) | {"head_trajectory_error_cm": head_error_cm, "reaction_accuracy": 0.5}
    return MetricRecord(
        bundle_digest=digest * 64, data_revision="ab12.dir", samples=16, repeats=2, categories=("ball_left",), chance=0.1,
        figures=figures, intervals=dict.fromkeys(FIGURES), truth=dict.fromkeys(FIGURES),
        baselines={name: {"head_trajectory_error_cm": 100.0} for name in BASELINES},
    )  # fmt: skip


def document(champion: MetricRecord | None) -> dict[str, object]:
    reasons = ["head_trajectory_error_cm 8: under 9.9, the champion's 10 less 1%"]
    return {"outcome": "promote", "reasons": reasons, "checks": [], "challenger": record("a", 8.0).to_json(),
            "champion": champion.to_json() if champion else None}  # fmt: skip


def test_the_decision_of_a_pipeline_run_is_found_by_its_id(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "decision"
    path.write_text(json.dumps(document(record("b", 10.0))))
    tracked(workspace, "with")  # a run of the same pipeline run that decided nothing
    Registry(workspace).client.log_artifact(tracked(workspace, "with"), str(path), "decision")
    found = decision_of(workspace, "with")
    assert found is not None and found["outcome"] == "promote"
    assert decision_of(workspace, "without") is None


def test_figures_are_shown_beside_the_champions() -> None:
    comparison = Comparison.of(document(record("b", 10.0)))
    head = next(delta for delta in comparison.deltas if delta.figure == "head_trajectory_error_cm")
    assert (head.run, head.champion, head.better) == (8.0, 10.0, True)
    assert head.cells == ("head_trajectory_error_cm", "8", "10", "-2 better")
    assert next(delta for delta in comparison.deltas if delta.figure == "diversity").better is None
    assert Comparison.of(document(record("b", 7.0))).deltas[3].cells[-1] == "+1 worse"


@pytest.mark.parametrize("champion", [None, record("a", 8.0)])
def test_a_first_or_unchanged_champion_has_nothing_to_compare_with(champion: MetricRecord | None) -> None:
    assert all(delta.champion is None and delta.better is None for delta in Comparison.of(document(champion)).deltas)


def test_the_comment_holds_run_figures_reasons_and_steps() -> None:
    submission = Submission("id", "egoreact-training demo", "https://kubeflow.example/#/runs/details/id")
    steps = (StepState("build-dataset", "cached", 0.0), StepState("train-reaction", "done", 3725.0))
    state = RunState("succeeded", steps, "succeeded")
    text = markdown(submission, state, Comparison.of(document(record("b", 10.0))), "")
    assert text.startswith("### [egoreact-training demo](https://kubeflow.example/#/runs/details/id): succeeded\n")
    assert "| head_trajectory_error_cm | 8 | 10 | -2 better |" in text
    assert "| train-reaction | done | 1 h 2 min |" in text
    assert "- head_trajectory_error_cm 8: under 9.9" in text
    assert "no figures" in markdown(submission, state, None, "no figures: away")
    assert summary(state, None, "no figures: away")
