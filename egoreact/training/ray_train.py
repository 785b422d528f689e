"""The loop on Ray Train: one worker or many, on this machine or a cluster, killed and started again.

One worker with no Ray cluster named (`RAY_ADDRESS`) runs in this process: the loop, the checkpoints and the result are
the same, and the twenty seconds that a Ray cluster needs to start are saved.

Ray's own retries would repeat a bug or a user's mistake as patiently as a lost machine. So a failed attempt comes back
here, and only what may be the machine's fault (a dead worker, RuntimeError, OSError) is tried again, from the newest
checkpoint.
"""

import contextlib
import importlib
import json
import logging
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from egoreact.errors import EgoReactError
from egoreact.training.checkpoint import CheckpointStore, FolderStore
from egoreact.training.curve import Curve, shown
from egoreact.training.loop import FitResult, Learner, LoopConfig, MetricsSink, PreviewSink, fit
from egoreact.training.world import World

log = logging.getLogger(__name__)
SNAPSHOT = "checkpoint_manager_snapshot.json"
"""Where Ray Train notes which checkpoints are complete."""
FINISHED, CURVE = "finished.json", "curve.jsonl"
OBJECT_STORE_BYTES = 200_000_000
START_TIMEOUT_S, START_ATTEMPTS = 600, 3
"""How long, and how often, workers are waited for where the cluster has no room."""
MAY_BE_THE_MACHINE = (RuntimeError, OSError, MemoryError)


class ClusterLostError(EgoReactError):
    """Machines or room for them were missing: another cluster may well finish the run, from its newest checkpoint."""


@dataclass(frozen=True)
class Resources:
    """What a training job gets."""

    num_workers: int = 1
    threads_per_worker: int = 1
    gpus_per_worker: float = 0
    memory_bytes_per_worker: int | None = None


def fit_distributed(
    factory: Callable[..., Learner],
    arguments: dict[str, Any],
    config: LoopConfig,
    *,
    run_name: str,
    storage: Path | str,
    resources: Resources | None = None,
    identity: object = None,
    on_metrics: MetricsSink | None = None,
    on_preview: PreviewSink | None = None,
    strict_resume: bool = False,
    max_failures: int = 3,
) -> FitResult:
    """Teaches what `factory(**arguments)` makes, on every worker alike, until `config.steps`.

    The same `storage` and `run_name` go on where a killed call stopped; a finished one returns at once.

    Args:
        factory: a function or class of a module that workers can import; called after seeding with `config.seed`.
        arguments: JSON-able. Paths absolute, and reachable by all workers.
        storage: a folder that all workers reach, or an address that pyarrow writes to (s3://…).
        identity: JSON-able; only a run of the same identity is resumed. By default the factory's name and arguments;
            to give where arguments are paths whose names say nothing, as digests of what lies there.
        on_metrics: called in the first worker, so it must be picklable where there are more than one.
        on_preview: the same.
        strict_resume: refuse to start anew where a checkpoint of another identity is found.
        max_failures: how many times a lost worker or machine is replaced.

    Raises:
        EgoReactError: another process trains this run, or whatever `fit` and the factory raise, from any worker.
    """
    started = time.monotonic()
    resources = resources or Resources()
    target = _name_of(factory)
    digest = config.identity({"factory": target, "arguments": arguments} if identity is None else identity)
    job = _Job(
        target, arguments, config, run_name, str(storage), digest, resources, on_metrics, on_preview, strict_resume
    )
    with _alone(job), _shown(job):
        if resources.num_workers == 1 and "RAY_ADDRESS" not in os.environ:
            return _fit_here(job)
        done = _finished(job)
        if done is None:
            _mend(job)
            with _ray_cluster(resources):
                done = _fit_with_ray(job, max_failures)
    return replace(done, seconds=time.monotonic() - started)


@dataclass(frozen=True)
class _Job:
    """All that a worker needs to know. Picklable."""

    factory: str
    arguments: dict[str, Any]
    config: LoopConfig
    run_name: str
    storage: str
    identity: str
    resources: Resources
    on_metrics: MetricsSink | None
    on_preview: PreviewSink | None
    strict_resume: bool

    @property
    def folder(self) -> Path | None:
        """Where the run's files lie, or None where that is no path of this machine."""
        return None if "://" in self.storage else Path(self.storage).absolute() / self.run_name

    @property
    def where(self) -> str:
        return f"{self.storage}/{self.run_name}"

    @property
    def metrics_sink(self) -> MetricsSink | None:
        return self.on_metrics if self.folder is None else Curve(self.folder / CURVE, self.on_metrics)

    def make_learner(self) -> Learner:
        torch.manual_seed(self.config.seed)
        module, _, name = self.factory.partition(":")
        return getattr(importlib.import_module(module), name)(**self.arguments)


def _shown(job: _Job) -> contextlib.AbstractContextManager[None]:
    """Progress lines; the run's figures are kept in `curve.jsonl` beside its checkpoints."""
    if job.folder is None:
        return contextlib.nullcontext()
    return shown(job.folder / CURVE, f"train {job.run_name}", job.config.steps)


def _name_of(factory: Callable[..., Learner]) -> str:
    name = factory.__qualname__
    if "<" in name:
        raise TypeError(f"{name} cannot be imported by a worker; give a function or class of a module")
    return f"{factory.__module__}:{name}"


@contextlib.contextmanager
def _alone(job: _Job) -> Iterator[None]:
    """Two processes that write one run's checkpoints would spoil it."""
    if job.folder is None:
        yield
        return
    job.folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(job.folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise EgoReactError(
            "another process trains this run", where=job.where, remedy="wait for it, or choose another run name"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _fit_here(job: _Job) -> FitResult:
    if job.folder is None:
        raise EgoReactError(
            "a single worker without a Ray cluster writes to a folder",
            where=job.where,
            remedy="give a path, or RAY_ADDRESS",
        )
    threads = torch.get_num_threads()
    torch.set_num_threads(job.resources.threads_per_worker)
    device = torch.device("cuda" if job.resources.gpus_per_worker and torch.cuda.is_available() else "cpu")
    try:
        with torch.random.fork_rng():
            return fit(
                job.make_learner(),
                job.config,
                store=FolderStore(job.folder, job.identity),
                world=World(device=device),
                on_metrics=job.metrics_sink,
                on_preview=job.on_preview,
                strict_resume=job.strict_resume,
            )
    finally:
        torch.set_num_threads(threads)


def _fit_with_ray(job: _Job, max_failures: int) -> FitResult:
    import ray.train
    from ray.train.torch import TorchConfig, TorchTrainer

    resources = job.resources
    per_worker: dict[str, float] = {"CPU": resources.threads_per_worker}
    if resources.gpus_per_worker:
        per_worker["GPU"] = resources.gpus_per_worker
    if resources.memory_bytes_per_worker:
        per_worker["memory"] = resources.memory_bytes_per_worker
    threads = {"OMP_NUM_THREADS": str(resources.threads_per_worker), "OMP_WAIT_POLICY": "PASSIVE"}
    for attempt in range(max_failures + 1):
        trainer = TorchTrainer(
            _worker,  # type: ignore[arg-type]  # Ray's annotation knows no return value; its Result does
            train_loop_config={"job": job},
            scaling_config=ray.train.ScalingConfig(
                num_workers=resources.num_workers,
                use_gpu=bool(resources.gpus_per_worker),
                resources_per_worker=per_worker,
            ),
            run_config=ray.train.RunConfig(
                name=job.run_name,
                storage_path=job.storage if job.folder is None else str(job.folder.parent),
                checkpoint_config=ray.train.CheckpointConfig(num_to_keep=2),
                failure_config=ray.train.FailureConfig(
                    max_failures=0,
                    controller_failure_limit=START_ATTEMPTS - 1,  # type: ignore[call-arg]  # of Train V2
                ),
                worker_runtime_env={"env_vars": threads},  # type: ignore[call-arg]  # of Train V2
            ),
            torch_config=TorchConfig(backend="nccl" if resources.gpus_per_worker else "gloo"),
        )
        try:
            with _own_interrupt_handler():
                result = trainer.fit()
        except ray.train.WorkerGroupError as error:
            _raise_unless_retried(error, job, attempt, max_failures)
            continue
        except ray.train.ControllerError as error:
            raise ClusterLostError(
                f"Ray could not run it ({str(error.controller_failure).splitlines()[0]})",
                where=job.where,
                remedy=f"check that the cluster has room for {resources.num_workers} workers of {per_worker}",
            ) from error
        return _settle(job, result)
    raise AssertionError("the last attempt either returns or raises")


def _raise_unless_retried(error: Any, job: _Job, attempt: int, max_failures: int) -> None:
    causes = list(error.worker_failures.values())
    for cause in causes:
        if isinstance(cause, EgoReactError):
            raise cause from None
        if not may_be_the_machine(cause):
            raise error
    reasons = "; ".join(dict.fromkeys(f"{type(cause).__name__}: {cause}".splitlines()[0][:160] for cause in causes))
    if attempt == max_failures:
        raise ClusterLostError(
            f"lost its workers {attempt + 1} times ({reasons})",
            where=job.where,
            remedy="look at memory and the machines' logs; started again, it goes on from its newest checkpoint",
        ) from error
    log.warning("%s: attempt %d failed (%s); going on from the newest checkpoint", job.where, attempt + 1, reasons)


def may_be_the_machine(error: BaseException) -> bool:
    """Whether trying again, elsewhere perhaps, may help. Mistakes and bugs are the same on every machine."""
    if isinstance(error, EgoReactError):
        return isinstance(error, ClusterLostError)
    # Ray's own exceptions say that a worker is gone; all others were raised by the training function.
    return isinstance(error, MAY_BE_THE_MACHINE) or type(error).__module__.startswith("ray.")


def _settle(job: _Job, result: Any) -> FitResult:
    """Notes that the run is finished and removes what a killed attempt left; the checkpoint as a local folder."""
    values = result.return_value
    name = Path(result.checkpoint.path).name
    note = {"identity": job.identity, "step": values["step"], "metrics": values["metrics"], "checkpoint": name}
    filesystem, path = _filesystem(job)
    with filesystem.open_output_stream(f"{path}/{FINISHED}") as stream:
        stream.write(json.dumps(note, indent=2).encode())
    if job.folder is not None:
        known = {Path(checkpoint.path).name for checkpoint, _ in result.best_checkpoints} | {name}
        for stray in job.folder.glob("checkpoint_*"):
            if stray.is_dir() and stray.name not in known:
                shutil.rmtree(stray)
    return FitResult(_local(job, name), **values)


def _finished(job: _Job) -> FitResult | None:
    """The result of a run of this identity that needs no more steps."""
    import pyarrow.fs

    filesystem, path = _filesystem(job)
    if filesystem.get_file_info(f"{path}/{FINISHED}").type != pyarrow.fs.FileType.File:
        return None
    with filesystem.open_input_stream(f"{path}/{FINISHED}") as stream:
        content = stream.read()
    try:
        note = json.loads(content)
        same = note["identity"] == job.identity and note["step"] == job.config.steps
        folder = _local(job, note["checkpoint"]) if same else None
        return FitResult(folder, note["step"], note["metrics"], note["step"], 0.0) if folder else None
    except (ValueError, KeyError, TypeError, FileNotFoundError):
        return None  # torn: the run is resumed, and finds that nothing is left to do


def _filesystem(job: _Job) -> tuple[Any, str]:
    import pyarrow.fs

    if job.folder is not None:
        return pyarrow.fs.LocalFileSystem(), str(job.folder)
    return pyarrow.fs.FileSystem.from_uri(job.where)


def _local(job: _Job, name: str) -> Path:
    """A checkpoint as a folder of this machine; fetched where the storage is remote."""
    import pyarrow.fs

    if job.folder is not None:
        folder = job.folder / name
        if not folder.is_dir():
            raise FileNotFoundError(folder)
        return folder
    filesystem, path = _filesystem(job)
    folder = Path(tempfile.mkdtemp(prefix=f"{job.run_name}-"))
    pyarrow.fs.copy_files(f"{path}/{name}", str(folder), source_filesystem=filesystem)
    return folder


def _mend(job: _Job) -> None:
    """Ray writes its snapshot in place. Torn by a kill it would refuse the run, so it goes; the checkpoints stay."""
    if job.folder is None or not (job.folder / SNAPSHOT).exists():
        return
    try:
        json.loads((job.folder / SNAPSHOT).read_text())
    except ValueError:
        log.warning("%s: Ray's snapshot is torn; going on from the newest whole checkpoint", job.where)
        (job.folder / SNAPSHOT).unlink()


@contextlib.contextmanager
def _ray_cluster(resources: Resources) -> Iterator[None]:
    """The cluster that `RAY_ADDRESS` names or that is connected already; else one on this machine, for this block."""
    for name, value in {
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",  # each report waits for it
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(START_TIMEOUT_S),
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }.items():
        os.environ.setdefault(name, value)
    local = "RAY_ADDRESS" not in os.environ
    if local:
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    if ray.is_initialized():
        yield
        return
    if local:
        cpus = resources.num_workers * resources.threads_per_worker
        ray.init(
            address="local",
            num_cpus=max(cpus, os.cpu_count() or 1),
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.WARNING,
        )
    else:
        ray.init(log_to_driver=False, logging_level=logging.WARNING)
    try:
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _own_interrupt_handler() -> Iterator[None]:
    """Ray Train leaves its SIGINT handler behind."""
    try:
        before = signal.getsignal(signal.SIGINT)
        yield
    finally:
        with contextlib.suppress(ValueError):  # not the main thread: it was never changed
            signal.signal(signal.SIGINT, before)


def _worker(loop_config: dict[str, Any]) -> dict[str, Any]:
    """What each Ray worker runs; the process group is set up. Returns the fields of FitResult but the checkpoint."""
    import ray.train.torch

    job: _Job = loop_config["job"]
    torch.set_num_threads(job.resources.threads_per_worker)
    result = fit(
        job.make_learner(),
        job.config,
        store=_RayStore(job),
        world=World.of_process_group(ray.train.torch.get_device()),
        on_metrics=job.metrics_sink,
        on_preview=job.on_preview,
        strict_resume=job.strict_resume,
    )
    values = {name: value for name, value in vars(result).items() if name != "checkpoint"}
    return values


class _RayStore(CheckpointStore):
    """Checkpoints that Ray Train copies to the run's storage and registers."""

    def __init__(self, job: _Job):
        self.identity, self.where, self.folder = job.identity, job.where, job.folder

    def candidates(self) -> Iterator[Path]:
        import ray.train

        checkpoint = ray.train.get_checkpoint()
        if checkpoint is not None:
            with checkpoint.as_directory() as folder:
                yield Path(folder)
        elif self.folder is not None:  # the snapshot was torn
            yield from sorted(self.folder.glob("checkpoint_*/"), reverse=True)

    def save(self, step: int, write: Callable[[Path], None] | None, metrics: dict[str, float]) -> Path:
        import ray.train

        with tempfile.TemporaryDirectory() as name:
            if write is None:
                ray.train.report({"step": step})
            else:
                write(Path(name))
                ray.train.report({"step": step, **metrics}, checkpoint=ray.train.Checkpoint.from_directory(name))
                # Reported is not yet registered: a worker that died now would cost the interval before this one too.
                ray.train.get_all_reported_checkpoints(ray.train.CheckpointConsistencyMode.COMMITTED)
        return Path(name)
