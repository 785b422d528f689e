"""Runs the compiled pipelines on this machine: KFP's own local runner, a process a step, and a report of each.

Retries are a cluster's answer to lost nodes; here a step that fails has failed, so they are taken out. Nothing else
differs from what is compiled.
"""

import contextlib
import fcntl
import io
import json
import logging
import os
import re
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import psutil
import yaml

from egoreact.errors import EgoReactError
from egoreact.files import whole_file, write_json
from egoreact.provenance import code_digest
from egoreact.workspace import Workspace
from pipelines import step_cache

LAST_RUN = "last_run.json"
SAMPLE_S = 0.3

State = Literal["running", "done", "cached", "failed"]


@dataclass(frozen=True)
class Step:
    """One step of a run.

    Args:
        peak_memory_mb: highest sum over all processes of the run while it ran, shared pages counted once.
        log: everything the step printed; empty for a cached one.
    """

    name: str
    state: State
    seconds: float
    peak_memory_mb: float
    log: str = ""


@dataclass(frozen=True)
class RunSummary:
    """What a run did and gave; `pipeline/last_run.json` in the workspace holds the same."""

    config: str
    data_revision: str
    code_digest: str
    started_at: str
    seconds: float
    peak_memory_mb: float
    steps: tuple[Step, ...]
    promoted: bool
    """Whether this run's bundle is the champion now."""
    version: str
    """Of the champion; empty where there is none."""
    digest: str
    record: dict[str, Any]
    """Metric record of this run's bundle."""
    decision: dict[str, Any]
    """Outcome, reasons, checks, and both records."""


@dataclass(frozen=True)
class Retraining:
    """What a look for new data led to."""

    why: str
    """There was reason to train, or none."""
    run: RunSummary | None
    """None where nothing was trained."""


Watch = Callable[[Step, int, str], None]
"""(step, steps in the pipeline, the last line it printed), called when a step starts, prints and ends."""


@dataclass(frozen=True)
class Ran:
    """Any pipeline's run: its outputs by name, its steps, seconds, and the highest memory of all its processes."""

    outputs: dict[str, Any]
    steps: tuple[Step, ...]
    started_at: str
    seconds: float
    peak_memory_mb: float


def compile_pipeline(pipeline: Any, path: Path) -> Path:
    """Writes the IR YAML, the same bytes for the same code and image.

    Raises:
        EgoReactError: the name does not end in .yaml, or the place cannot be written to.
    """
    from kfp import compiler

    if path.suffix != ".yaml":
        raise EgoReactError("is no name for a compiled pipeline", where=path, remedy="let it end in .yaml")
    try:
        with whole_file(path) as beside, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiler.Compiler().compile(pipeline, str(beside))
    except OSError as error:
        raise EgoReactError(f"cannot be written ({error.strerror})", where=path, remedy="name another place") from error
    return path


def run_training(config_json: str, *, workspace: Workspace | None = None, watch: Watch | None = None) -> RunSummary:
    """Runs every step that this configuration, data and code have not been through before.

    Args:
        config_json: `RunConfig` as JSON.
        watch: told of every step as it runs.

    Raises:
        EgoReactError: a step failed: its own error line, or for a bug the place of its log; or another run is at work.
    """
    from pipelines.training import training_pipeline

    workspace = workspace or Workspace.from_environment()
    arguments = _arguments(config_json)
    with _environment({"EGOREACT_HOME": str(workspace.root)}):
        ran = run_pipeline(training_pipeline, arguments, workspace.pipeline_root, watch=watch)
    end = {
        "promoted": bool(ran.outputs["promoted"]),
        "version": ran.outputs["version"],
        "digest": ran.outputs["digest"],
        "decision": json.loads(Path(ran.outputs["decision"].path).read_text()),
    }
    return _summary(workspace, arguments, ran, end)


def run_retraining(
    config_json: str,
    source: str,
    *,
    from_scratch: bool = False,
    workspace: Workspace | None = None,
    watch: Watch | None = None,
) -> Retraining:
    """Looks for new shards at a source and, where there is reason to, goes the whole way to a released model.

    Args:
        config_json: `RunConfig` as JSON.
        source: a folder, `file:///folder` or `s3://bucket/prefix`.
        from_scratch: start from fresh weights instead of the champion's.
        watch: told of every step as it runs.

    Raises:
        EgoReactError: as `run_training`.
    """
    from pipelines.retraining import retraining_pipeline

    workspace = workspace or Workspace.from_environment()
    arguments = _arguments(config_json) | {"source": source, "from_scratch": from_scratch}
    with _environment({"EGOREACT_HOME": str(workspace.root)}):
        ran = run_pipeline(retraining_pipeline, arguments, workspace.pipeline_root, watch=watch)
    if not ran.outputs["trained"]:
        return Retraining(ran.outputs["why"], None)
    return Retraining(ran.outputs["why"], _summary(workspace, arguments, ran, json.loads(ran.outputs["outcome"])))


def _arguments(config_json: str) -> dict[str, Any]:
    fraction = json.loads(config_json)["gate"]["max_failing_fraction"]
    return {"config": config_json, "code_digest": code_digest(), "max_failing_fraction": fraction}


def _summary(workspace: Workspace, arguments: dict[str, Any], ran: Ran, end: dict[str, Any]) -> RunSummary:
    """Args:
    end: `promoted`, `version`, `digest`, `decision`.
    """
    record = end["decision"]["challenger"]
    summary = RunSummary(
        config=json.loads(arguments["config"])["name"],
        data_revision=record["data_revision"],
        code_digest=arguments["code_digest"],
        started_at=ran.started_at,
        seconds=ran.seconds,
        peak_memory_mb=ran.peak_memory_mb,
        steps=ran.steps,
        record=record,
        **end,
    )
    write_json(workspace.pipeline_root / LAST_RUN, asdict(summary))
    return summary


def run_pipeline(pipeline: Any, arguments: dict[str, Any], root: Path, *, watch: Watch | None = None) -> Ran:
    """Compiles a pipeline and runs what it compiled to, a process a step; see `run_training` for what is raised.

    Args:
        pipeline: a function under `dsl.pipeline`.
        root: folder for artifacts, logs and the cache.
    """
    root = root.absolute()
    root.mkdir(parents=True, exist_ok=True)
    with _alone(root), _stopping_children(), _Memory() as memory:
        cache = root / step_cache.FOLDER
        for path in step_cache.check(cache):
            print(f"{path} changed since it was made: its step runs again", flush=True)
        started_at, started = datetime.now(UTC), time.monotonic()
        component = _without_retries(compile_pipeline(pipeline, root / "pipeline.yaml"))
        logs = root / "logs" / started_at.strftime("%Y-%m-%d-%H-%M-%S-%f")
        reader = _Reader(logs, len(_step_names(component)), memory, watch or _ignore, partial(step_cache.seal, cache))
        outputs = _execute(component, arguments, root, reader)
        seconds = time.monotonic() - started
    at = started_at.isoformat(timespec="seconds")
    return Ran(outputs, tuple(reader.steps), at, round(seconds, 2), round(memory.highest_mb))


def _ignore(step: Step, total: int, line: str) -> None:
    pass


def _without_retries(path: Path) -> Any:
    """The compiled pipeline, read back."""
    from kfp import components

    documents = list(yaml.safe_load_all(path.read_text()))
    for dag in (documents[0]["root"], *documents[0]["components"].values()):
        for task in dag.get("dag", {}).get("tasks", {}).values():
            task.pop("retryPolicy", None)
    return components.load_component_from_text(yaml.safe_dump_all(documents))


def _step_names(component: Any) -> list[str]:
    spec = component.pipeline_spec
    dags = [spec.root, *spec.components.values()]
    return [
        name
        for dag in dags
        for name, task in dag.dag.tasks.items()
        if spec.components[task.component_ref.name].WhichOneof("implementation") == "executor_label"
    ]


def _execute(component: Any, arguments: dict[str, Any], root: Path, reader: "_Reader") -> dict[str, Any]:
    from kfp import local

    local.init(
        runner=local.SubprocessRunner(use_venv=False), pipeline_root=str(root), enable_caching=True, raise_on_error=True
    )
    with _environment({"PYTHONUNBUFFERED": "1"}), _captured(reader), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that resources, secrets and volumes mean nothing here
        try:
            return component(**arguments).outputs
        except RuntimeError as error:
            failed = reader.failed()
            if failed is None:
                raise
            raise StepError(failed) from error
        finally:
            reader.close()


class StepError(EgoReactError):
    """A step's own error line; for anything else, that it is a bug and where its log is."""

    def __init__(self, step: Step):
        lines = [line.strip() for line in Path(step.log).read_text(errors="replace").splitlines() if line.strip()]
        told = [line for line in lines if line.startswith(_ERROR)]
        if told:
            what = told[-1].removeprefix(_ERROR)
            Exception.__init__(self, what)
            self.what, self.where, self.remedy = what, f"step {step.name}", f"see {step.log}"
        else:
            crashed = any(line.startswith("Traceback") for line in lines)
            what = f"a bug stopped it ({lines[-1][:300]})" if crashed else "it was killed, perhaps for memory"
            super().__init__(what, where=f"step {step.name}", remedy=f"its log is {step.log}")
        self.step = step


_ERROR = "egoreact.errors.EgoReactError: "
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_STARTED = re.compile(r"^[\d:.]+ - INFO - Executing task '(.+)'$")
_ENDED = re.compile(r"^[\d:.]+ - (?:INFO|ERROR) - Task '(.+)' finished with status (SUCCESS|FAILURE)$")
_CACHED = re.compile(r"^Task (.+) cache hit \(key=")
_NOISE = re.compile(r"^$|^\[KFP Executor |^[\d:.]+ - INFO - |^[][{}\"^]|^Traceback|^File \"")
"""KFP's own lines and the parts of a traceback: for the log, not for a person who watches."""


class _Reader(io.TextIOBase):
    """Stands in for stdout while KFP runs: makes steps, logs and progress of what KFP and the steps print."""

    def __init__(self, logs: Path, total: int, memory: "_Memory", watch: Watch, between: Callable[[], None]):
        self.steps: list[Step] = []
        self.logs, self.total, self.memory, self.watch, self.between = logs, total, memory, watch, between
        self.partial = ""
        self.log: io.TextIOBase | None = None
        self.started = 0.0
        self.running: Step | None = None

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self.partial = (self.partial + text).split("\n")
        for line in lines:
            self._line(_COLOUR.sub("", line.rpartition("\r")[2]))
        return len(text)

    def _line(self, line: str) -> None:
        if match := _STARTED.match(line):
            self._start(match[1])
        elif match := _ENDED.match(line):
            self._end("done" if match[2] == "SUCCESS" else "failed")
        elif match := _CACHED.match(line):
            self._start(match[1], cached=True)
        elif self.log is not None and self.running is not None:
            self.log.write(line.removeprefix("    ") + "\n")
            self.log.flush()
            if not _NOISE.match(line.strip()):
                self.watch(self._now(self.running), self.total, line.strip())

    def _start(self, name: str, cached: bool = False) -> None:
        self.between()
        if cached:
            self.steps.append(Step(name, "cached", 0.0, 0.0))
            self.watch(self.steps[-1], self.total, "")
            return
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"{len(self.steps) + 1:02}-{name}.log"
        self.log = log.open("w")
        self.started = time.monotonic()
        self.memory.restart()
        self.running = Step(name, "running", 0.0, 0.0, str(log))
        self.watch(self.running, self.total, "")

    def _end(self, state: State) -> None:
        if self.running is None or self.log is None:
            return
        self.log.close()
        self.log = None
        self.steps.append(replace(self._now(self.running), state=state))
        self.running = None
        self.watch(self.steps[-1], self.total, "")

    def _now(self, step: Step) -> Step:
        seconds, peak_mb = round(time.monotonic() - self.started, 2), round(self.memory.peak_mb)
        return replace(step, seconds=seconds, peak_memory_mb=peak_mb)

    def failed(self) -> Step | None:
        return next((step for step in self.steps if step.state == "failed"), None)

    def close(self) -> None:
        if self.log is not None:
            self.log.close()
        self.between()


class _Memory:
    """Watches the memory of this process and all that it starts."""

    def __init__(self) -> None:
        self.peak_mb = self.highest_mb = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "_Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def restart(self) -> None:
        self.peak_mb = 0.0
        self._sample()

    def _run(self) -> None:
        while not self._stop.wait(SAMPLE_S):
            self._sample()

    def _sample(self) -> None:
        me = psutil.Process()
        total_mb = sum(_resident_mb(process.pid) for process in [me, *me.children(recursive=True)])
        self.peak_mb, self.highest_mb = max(self.peak_mb, total_mb), max(self.highest_mb, total_mb)


def _resident_mb(pid: int) -> float:
    """Proportional set size: a page that n processes share counts 1/n in each. 0 for a process that ended."""
    try:
        with Path(f"/proc/{pid}/smaps_rollup").open() as file:
            for line in file:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) / 1024
    except FileNotFoundError:
        with contextlib.suppress(psutil.Error):
            return psutil.Process(pid).memory_info().rss / 2**20  # systems without /proc
    except OSError:
        pass
    return 0.0


@contextlib.contextmanager
def _captured(reader: _Reader) -> Iterator[None]:
    """KFP prints to stdout and logs to the root logger at level INFO: both go to the reader."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    handler = logging.StreamHandler(reader)
    root.handlers, root.level = [handler], logging.INFO
    try:
        with contextlib.redirect_stdout(reader):
            yield
    finally:
        root.handlers, root.level = handlers, level


@contextlib.contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    """One run at a time in a workspace; the lock goes with the process that holds it."""
    with (root / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            remedy = "wait for it, or name another workspace in EGOREACT_HOME"
            raise EgoReactError("another pipeline run is at work here", where=root, remedy=remedy) from error
        yield


@contextlib.contextmanager
def _stopping_children() -> Iterator[None]:
    """When the run is interrupted or terminated, so is everything it started."""
    me = psutil.Process()
    before = set(me.children(recursive=True))

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    main = threading.current_thread() is threading.main_thread()
    previous = signal.signal(signal.SIGTERM, stop) if main else None
    try:
        yield
    finally:
        if main:
            signal.signal(signal.SIGTERM, previous)
        started = [process for process in me.children(recursive=True) if process not in before]
        for process in started:
            with contextlib.suppress(psutil.Error):
                process.terminate()
        for process in psutil.wait_procs(started, timeout=5)[1]:
            with contextlib.suppress(psutil.Error):
                process.kill()
