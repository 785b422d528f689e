"""Runs any pipeline on this machine: KFP's own local runner, a process a step.

Retries are a cluster's answer to lost nodes; here a step that fails has failed, so they are taken out. Nothing else
differs from what is compiled.
"""

import contextlib
import fcntl
import os
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import yaml

from egoreact.errors import EgoReactError
from egoreact.files import whole_file
from egoreact.termination import terminated_by
from pipelines import step_cache
from pipelines.memory import Memory
from pipelines.step_reader import Step, StepReader, Watch, captured


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


def run_pipeline(pipeline: Any, arguments: dict[str, Any], root: Path, *, watch: Watch | None = None) -> Ran:
    """Compiles a pipeline and runs what it compiled to, a process a step; see `run_training` for what is raised.

    Args:
        pipeline: a function under `dsl.pipeline`.
        root: folder for artifacts, logs and the cache.
    """
    root = root.absolute()
    root.mkdir(parents=True, exist_ok=True)
    with _alone(root), _stopping_children(), Memory() as memory:
        cache = root / step_cache.FOLDER
        for path in step_cache.check(cache):
            print(f"{path} changed since it was made: its step runs again", flush=True)
        started_at, started = datetime.now(UTC), time.monotonic()
        component = _without_retries(compile_pipeline(pipeline, root / "pipeline.yaml"))
        logs = root / "logs" / started_at.strftime("%Y-%m-%d-%H-%M-%S-%f")
        reader = StepReader(
            logs, len(_step_names(component)), memory, watch or _ignore, partial(step_cache.seal, cache)
        )
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


def _execute(component: Any, arguments: dict[str, Any], root: Path, reader: StepReader) -> dict[str, Any]:
    from kfp import local

    local.init(
        runner=local.SubprocessRunner(use_venv=False), pipeline_root=str(root), enable_caching=True, raise_on_error=True
    )
    with environment({"PYTHONUNBUFFERED": "1"}), captured(reader), warnings.catch_warnings():
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


@contextlib.contextmanager
def environment(settings: dict[str, str]) -> Iterator[None]:
    """Variables of this process, and of what it starts, until the block ends."""
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
    with terminated_by(KeyboardInterrupt):
        try:
            yield
        finally:
            started = [process for process in me.children(recursive=True) if process not in before]
            for process in started:
                with contextlib.suppress(psutil.Error):
                    process.terminate()
            for process in psutil.wait_procs(started, timeout=5)[1]:
                with contextlib.suppress(psutil.Error):
                    process.kill()
