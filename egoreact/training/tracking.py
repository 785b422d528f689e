"""Runs in MLflow, told by a thread beside the training.

Facts go to a spool on disk first (`spool.py`) and from there in batches to the server. So a server that is slow, away
or not there yet costs a warning, never a training; what could not be told is told by the next tracked run, or by
`flush_spool`. A run whose process was killed is told as killed.
"""

import getpass
import json
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from filelock import FileLock

from egoreact.provenance import code_digest, git_commit, library_versions
from egoreact.training.spool import RunDescription, Sent, Spool
from egoreact.workspace import Workspace

log = logging.getLogger(__name__)

SEND_EVERY_S = 5.0
LONGEST_PAUSE_S = 60.0
"""Between attempts while the server is away."""
HTTP_TIMEOUT_S = 10
MAX_PER_BATCH = 100
GROUP_TAG = "egoreact.group"
PIPELINE_RUN, PIPELINE_RUN_TAG = "EGOREACT_PIPELINE_RUN", "egoreact.pipeline_run"
"""The cluster's pipeline run that a run is part of: every pod's environment names it, its last step tags by it."""


class Tracker:
    """One run. Every method returns at once, but `run_id` and the end of the `track` block."""

    def __init__(self, spool: Spool, run: RunDescription):
        self._spool, self._run = spool, run
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send_until_stopped, name="tracking", daemon=True)
        self._warned = False

    @property
    def run_id(self) -> str | None:
        """MLflow's id of the run; None while the server is away. The first time it waits for the server."""
        if self._spool.sent.run_id is None:
            self._try_to_send()
        return self._spool.sent.run_id

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        self._spool.append("metrics", step=step, values=dict(metrics))

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Nested mappings become `outer.inner`."""
        self._spool.append("params", values=flatten(params))

    def set_tags(self, tags: Mapping[str, object]) -> None:
        self._spool.append("tags", values={name: str(value) for name, value in tags.items()})

    def log_artifact(self, path: Path, to: str = "") -> None:
        """A file as it is now; `to` is a folder of the run's artifacts."""
        self._spool.append("file", name=self._spool.keep_file(Path(path)), to=to)

    def log_artifacts(self, folder: Path, to: str = "") -> None:
        """Every file below a folder."""
        for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
            self.log_artifact(path, str(Path(to, path.parent.relative_to(folder))).removeprefix("."))

    def log_data(self, revision: str, manifest_digest: str, *, name: str = "hrd", context: str = "training") -> None:
        """The data set as an input of the run: its DVC revision, and the digest of its manifest."""
        self._spool.append("data", name=name, revision=revision, digest=manifest_digest, context=context)

    def reporter(self) -> "Reporter":
        """For `fit_distributed(on_metrics=…)`: reports to this run from any process, of any machine."""
        far = self.run_id if "RAY_ADDRESS" in os.environ else None
        return Reporter(str(self._spool.folder), self._run.tracking_uri, far)

    def preview_reporter(self) -> "PreviewReporter":
        """For `fit_distributed(on_preview=…)`: files under `previews/<step>`. Processes of this machine alone."""
        return PreviewReporter(str(self._spool.folder))

    def _send_until_stopped(self) -> None:
        pause = 0.0
        while not self._stop.wait(pause):
            pause = SEND_EVERY_S if self._try_to_send() else min(max(2 * pause, SEND_EVERY_S), LONGEST_PAUSE_S)

    def _try_to_send(self) -> bool:
        try:
            send(self._spool)
        except Exception as error:  # whatever the server, the network or its database raise: a training goes on
            if not self._warned:
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                log.warning("MLflow at %s is away (%s); metrics wait on disk", self._run.tracking_uri, reason[:200])
            self._warned = True
            return False
        self._warned = False
        return True

    def _close(self, status: str) -> None:
        self._spool.append("end", status=status)
        self._stop.set()
        self._thread.join()
        if self._try_to_send():
            self._spool.remove()
        else:
            log.warning("MLflow is still away; the rest waits in %s for the next tracked run", self._spool.folder)
            self._spool.release()


@contextmanager
def track(
    run_name: str,
    *,
    experiment: str = "egoreact",
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, object] | None = None,
    parent: str | None = None,
    group: str | None = None,
    workspace: Workspace | None = None,
) -> Iterator[Tracker]:
    """A run that ends with the block: finished, or failed where it raises.

    Tagged with commit, code digest and library versions.

    Args:
        params: nested mappings become `outer.inner`.
        parent: id of the run to nest it under; by default the one `MLFLOW_RUN_ID` names, as Kubeflow Pipelines sets it.
        group: where there is no such parent: nested under the run of this name, which the first of the group makes.
            For example a pipeline run's name.
        workspace: whose tracking address and spool to use; by default the environment's.
    """
    workspace = workspace or Workspace.from_environment()
    uri = workspace.tracking_uri
    run = RunDescription(
        name=run_name,
        experiment=experiment,
        tracking_uri=uri,
        artifacts=None if uri.startswith("http") else str(workspace.tracking_artifacts),
        tags=_origin() | {name: str(value) for name, value in (tags or {}).items()},
        parent=parent or os.environ.get("MLFLOW_RUN_ID"),
        group=group,
        started_ms=time.time_ns() // 1_000_000,
    )
    root = spool_root(workspace)
    tracker = Tracker(Spool.create(root, run), run)
    tracker.log_params(params or {})
    tracker._thread.start()
    try:
        yield tracker
    except BaseException:
        tracker._close("FAILED")
        raise
    tracker._close("FINISHED")
    if not tracker._warned:
        flush_spool(workspace)


def spool_root(workspace: Workspace) -> Path:
    return workspace.root / "tracking-spool"


def flush_spool(workspace: Workspace | None = None) -> int:
    """Tells what runs that are over could not. Returns how many of them still wait."""
    waiting = 0
    for spool in Spool.abandoned(spool_root(workspace or Workspace.from_environment())):
        try:
            if spool.run is not None:
                if not spool.ended:
                    spool.append("end", status="KILLED")
                send(spool)
            spool.remove()
        except Exception as error:  # as in the tracker: it waits on
            log.debug("%s waits: %s", spool.folder, error)
            waiting += 1
    return waiting


def end_group(
    group: str, *, experiment: str = "egoreact", status: str = "FINISHED", workspace: Workspace | None = None
) -> None:
    """Ends the run that a group's runs are nested under, if there is one.

    Args:
        status: FINISHED, FAILED or KILLED.
    """
    client = _client((workspace or Workspace.from_environment()).tracking_uri)
    found = client.get_experiment_by_name(experiment)
    run = found and _group_run(client, found.experiment_id, group)
    if run:
        client.set_terminated(run, status)


@dataclass(frozen=True)
class Reporter:
    """Metrics of a run, from a process that need not be the tracker's. Picklable."""

    spool: str
    tracking_uri: str
    run_id: str | None
    """Where workers may be on machines that do not have the spool."""

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        if (Path(self.spool) / "run.json").exists():
            Spool(Path(self.spool)).append("metrics", step=step, values=dict(metrics))
        elif self.run_id:  # another machine: told directly, kept in memory while the server is away
            _FAR.setdefault(self.run_id, _Far(self.tracking_uri, self.run_id)).tell(step, dict(metrics))


@dataclass(frozen=True)
class PreviewReporter:
    """Files that show how far a training is. Picklable."""

    spool: str

    def __call__(self, step: int, folder: Path) -> None:
        spool = Spool(Path(self.spool))
        for path in sorted(path for path in folder.iterdir() if path.is_file()):
            spool.append("file", name=spool.keep_file(path), to=f"previews/{step:07d}")


class _Far:
    def __init__(self, tracking_uri: str, run_id: str):
        self.tracking_uri, self.run_id = tracking_uri, run_id
        self.facts: list[dict[str, Any]] = []
        self.not_before = 0.0

    def tell(self, step: int, values: dict[str, float]) -> None:
        self.facts.append({"step": step, "values": values, "time_ms": time.time_ns() // 1_000_000})
        if time.monotonic() < self.not_before:
            return
        try:
            _send_metrics(_client(self.tracking_uri), self.run_id, self.facts)
            self.facts.clear()
        except Exception as error:  # as in the tracker
            log.warning("MLflow at %s is away (%s); metrics wait in memory", self.tracking_uri, type(error).__name__)
            self.not_before = time.monotonic() + LONGEST_PAUSE_S


_FAR: dict[str, _Far] = {}


def send(spool: Spool) -> None:
    """Tells the server all that the spool holds, making the run first. Raises whatever the client does."""
    run = spool.run
    assert run is not None
    with spool.sending:
        facts = spool.unsent()
        if not facts and spool.sent.run_id:
            return
        client = _client(run.tracking_uri)
        if spool.sent.run_id is None:
            spool.sent = replace(spool.sent, run_id=_create_run(client, run))
        run_id = spool.sent.run_id
        assert run_id is not None
        position = iter(facts)
        while part := list(islice(position, MAX_PER_BATCH)):
            _send_part(client, run_id, spool, part)


def _send_part(client: Any, run_id: str, spool: Spool, part: list[tuple[dict[str, Any], int]]) -> None:
    _send_metrics(client, run_id, [fact for fact, _ in part if fact["kind"] == "metrics"])
    for fact, _ in part:
        with _refusals_dropped(fact["kind"]):
            _send_fact(client, run_id, spool, fact)
    spool.sent = Sent(run_id, part[-1][1])


def _send_fact(client: Any, run_id: str, spool: Spool, fact: dict[str, Any]) -> None:
    from mlflow.entities import Param, RunTag

    match fact["kind"]:
        case "metrics":
            pass  # sent together
        case "params":
            params = [Param(name, value[:6000]) for name, value in fact["values"].items()]
            for start in range(0, len(params), MAX_PER_BATCH):
                client.log_batch(run_id, params=params[start : start + MAX_PER_BATCH])
        case "tags":
            client.log_batch(run_id, tags=[RunTag(name, value[:8000]) for name, value in fact["values"].items()])
        case "file":
            if path := spool.kept_file(fact["name"]):
                client.log_artifact(run_id, str(path), fact["to"] or None)
                path.unlink()
        case "data":
            client.log_inputs(run_id, [_dataset(fact)])
            client.set_tag(run_id, "egoreact.data_revision", fact["revision"])
        case "end":
            client.set_terminated(run_id, fact["status"], fact["time_ms"])
        case unknown:
            raise AssertionError(unknown)


def _send_metrics(client: Any, run_id: str, facts: list[dict[str, Any]]) -> None:
    from mlflow.entities import Metric

    metrics = [
        Metric(name, float(value), fact["time_ms"], fact["step"])
        for fact in facts
        for name, value in fact["values"].items()
    ]
    for start in range(0, len(metrics), 1000):
        with _refusals_dropped("metrics"):
            client.log_batch(run_id, metrics=metrics[start : start + 1000])


@contextmanager
def _refusals_dropped(what: str) -> Iterator[None]:
    """A server that is there and says no will say no again: the fact is given up, not the facts behind it."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code not in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"):
            raise
        log.warning("MLflow refused %s: %s", what, str(error).splitlines()[0][:200])


def _dataset(fact: dict[str, Any]) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = json.dumps({"dvc_revision": fact["revision"], "manifest_sha256": fact["digest"]})
    dataset = Dataset(name=fact["name"], digest=fact["digest"][:36], source_type="dvc", source=source)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", fact["context"])])


def _create_run(client: Any, run: RunDescription) -> str:
    experiment = _experiment(client, run)
    parent = run.parent
    if parent is None and run.group:
        with _one_at_a_time(run.tracking_uri):
            parent = _group_run(client, experiment, run.group)
            if parent is None:
                tags = {GROUP_TAG: run.group, "mlflow.user": run.tags.get("mlflow.user", "")}
                parent = client.create_run(experiment, tags=tags, run_name=run.group).info.run_id
    tags = run.tags | ({"mlflow.parentRunId": parent} if parent else {})
    return client.create_run(experiment, start_time=run.started_ms, tags=tags, run_name=run.name).info.run_id


def _experiment(client: Any, run: RunDescription) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(run.experiment)
    if found:
        return found.experiment_id
    try:
        return client.create_experiment(run.experiment, Path(run.artifacts).as_uri() if run.artifacts else None)
    except MlflowException:  # another process was faster
        found = client.get_experiment_by_name(run.experiment)
        if found is None:
            raise
        return found.experiment_id


def _group_run(client: Any, experiment: str, group: str) -> str | None:
    quoted = group.replace("'", "\\'")
    runs = client.search_runs([experiment], f"tags.`{GROUP_TAG}` = '{quoted}'", max_results=1)
    return runs[0].info.run_id if runs else None


def _client(tracking_uri: str) -> Any:
    """A client whose calls fail within seconds. The first of an SQLite file makes its tables, one process at a time."""
    for name, value in {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(HTTP_TIMEOUT_S),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }.items():
        os.environ.setdefault(name, value)
    for name in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.WARNING)
    from mlflow import MlflowClient

    with _one_at_a_time(tracking_uri):
        client = MlflowClient(tracking_uri)
        if not tracking_uri.startswith("http"):
            client.search_experiments(max_results=1)
    return client


@contextmanager
def _one_at_a_time(tracking_uri: str) -> Iterator[None]:
    if not tracking_uri.startswith("sqlite:///"):
        yield
        return
    path = Path(tracking_uri.removeprefix("sqlite:///"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        yield


def _origin() -> dict[str, str]:
    tags = {
        "mlflow.source.name": "egoreact",
        "mlflow.source.git.commit": git_commit(),
        "egoreact.code_digest": code_digest(),
    }
    try:
        tags["mlflow.user"] = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        tags["mlflow.user"] = str(os.getuid())
    if run := os.environ.get(PIPELINE_RUN):
        tags[PIPELINE_RUN_TAG] = run
    return tags | {f"version.{name}": version for name, version in library_versions().items()}


def flatten(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in params.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = str(value)
    return flat
