"""Tries what goes wrong in production on whole runs of the `tiny` pipeline, and writes the table of docs/faults.md.

    python tests/production/try_faults.py                  all of it, about half an hour on two cores
    python tests/production/try_faults.py s3 killed        some: s3, mlflow, killed, cancelled, worker, twice

A run is disturbed at a step, watched until it ends, and started again until every step asked for was disturbed once; then
one undisturbed run ends it. After each run and at the end it is counted what got lost and what was promoted.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "browser"), str(ROOT / "tests" / "training")]

import psutil  # noqa: E402
from relay import Relay  # noqa: E402
from servers import Servers, missing, production  # noqa: E402

from components.promote.registry import Registry  # noqa: E402
from components.release.shards import shards_of_revision  # noqa: E402
from components.version_dataset.dvc_data import current_revision  # noqa: E402
from egoreact.models.bundle import verify  # noqa: E402
from egoreact.models.release import CURRENT, read_release, released_bundle  # noqa: E402
from egoreact.training.tracking import flush_spool  # noqa: E402
from egoreact.workspace import Workspace  # noqa: E402

STEPS = (
    "build-dataset", "version-dataset", "validate-alignment", "train-encoder", "train-evaluator", "train-tokenizer",
    "extract-features", "train-reaction", "evaluate", "promote", "release",
)  # fmt: skip
TRAININGS = ("train-encoder", "train-evaluator", "train-tokenizer", "train-reaction")
INTO_STEP_S = 6.0
"""How long a step may run before its process is killed, or the run cancelled; a training only up to its first checkpoint."""


@dataclass
class Row:
    """One kind of fault: what was disturbed, and what became of it."""

    fault: str
    tried: list[str] = field(default_factory=list)
    unharmed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Step → the line that the person read."""
    lost: list[str] = field(default_factory=list)
    wrongly_promoted: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class Place:
    """A person's folder and the environment that runs in it."""

    folder: Path
    settings: dict[str, str]

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("EGOREACT_", "MLFLOW_", "AWS_"))}
        own = {
            "EGOREACT_HOME": str(self.folder / "home"), "EGOREACT_DATA": str(self.folder / "data"), "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        return kept | own | self.settings

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.folder / "home")

    def checkpoints(self) -> Iterator[Path]:
        return self.workspace.training.glob("*/checkpoint-*")

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """For questions asked from here."""
        before = dict(os.environ)
        os.environ.clear()
        os.environ.update(self.environment())
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


class Run:
    """A run as a process, its events as they come."""

    def __init__(self, place: Place, seed: int = 0):
        command = [sys.executable, str(Path(__file__).with_name("run_tiny.py")), str(seed)]
        self.process = subprocess.Popen(
            command,
            cwd=place.folder,
            env=place.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.error, self.done = "", {}

    def steps(self) -> Iterator[tuple[str, str]]:
        """(name, state) until the run ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            word, _, rest = line.strip().partition(" ")
            if word == "STEP":
                name, state = rest.split()
                yield name, state
            elif word == "ERROR":
                self.error = rest
            elif word == "DONE":
                self.done = json.loads(rest)
        self.process.wait()
        if self.process.returncode and not self.error:
            self.error = f"exit code {self.process.returncode}"

    def step_process(self) -> psutil.Process | None:
        """KFP's process of the step that runs."""
        return next(iter(psutil.Process(self.process.pid).children()), None)


Disturb = Callable[[Run], None]


def disturbed(
    place: Place, row: Row, steps: tuple[str, ...], begin: Disturb, end: Callable[[], None], seed: int = 0
) -> dict:
    """Runs until every step was disturbed once, then once undisturbed; gives what that one says."""
    todo = list(steps)
    while todo:
        run, hit, unended = Run(place, seed), "", set()
        for name, state in run.steps():
            if state == "running" and name in todo:
                todo.remove(name)
                row.tried.append(name)
                unended.add(name)
                hit = name
                begin(run)
            elif state in ("done", "failed") and name in unended:
                end()
                if state == "done":
                    row.unharmed.append(name)
                    unended.remove(name)
        end()
        row.failed |= dict.fromkeys(unended, run.error)  # steps that do not need each other may fail in one run
        _check_promoted(place, row, hit if unended else "")
        print(f"  {row.fault}: {', '.join(unended) or 'all the way'}: {run.error or 'done'}", flush=True)
        if not hit and todo:  # nothing was left to disturb: its steps are cached
            row.notes.append(f"not reached: {', '.join(todo)}")
            break
    last = Run(place, seed)
    list(last.steps())
    if last.error:
        row.lost.append(f"the undisturbed run failed: {last.error}")
    return last.done


def _check_promoted(place: Place, row: Row, hit: str) -> None:
    """No champion before the promotion was reached; nothing is released that is not the champion."""
    with place.entered():
        champion = Registry(place.workspace).champion()
        released = read_release(place.workspace).digest if (place.workspace.releases / CURRENT).exists() else None
        if released is not None and (champion is None or champion.digest != released):
            row.wrongly_promoted.append(f"released is not the champion, after {hit}")
        if champion is not None and STEPS.index(hit or "release") < STEPS.index("promote"):
            row.wrongly_promoted.append(f"version {champion.version} after {hit}")


def check_whole(place: Place, row: Row, done: dict) -> None:
    """At the end: one version a bundle, aliases that fit, a sound release, every shard on the remote, every metric."""
    with place.entered():
        registry = Registry(place.workspace)
        found, champion = registry.versions(), registry.champion()
        if not found or len({each.digest for each in found}) != len(found):
            row.wrongly_promoted.append(f"{len(found)} versions of {len({each.digest for each in found})} bundles")
        if champion is None or champion.digest != done.get("digest"):
            row.wrongly_promoted.append("the champion is not what the run said")
        if champion and verify(released_bundle(place.workspace))[1] != champion.digest:
            row.lost.append("the release")
        revision = current_revision(place.folder / "data")
        shards = shards_of_revision(place.folder / "data", str(revision))
        if not shards or revision != done.get("data_revision"):
            row.lost.append("the data revision")
        if left := flush_spool(place.workspace):
            row.lost.append(f"{left} runs' metrics still wait")
        for kind, steps in _told_steps(registry).items():
            if missing_steps := {5, 10, 15, 20} - steps:
                row.lost.append(f"{kind}: metrics of steps {sorted(missing_steps)}")


def _told_steps(registry: Registry) -> dict[str, set[int]]:
    """Of each training: the steps whose loss MLflow knows, over all runs of it, those that were killed included."""
    told: dict[str, set[int]] = {}
    experiment = registry.client.get_experiment_by_name("egoreact")
    for run in registry.client.search_runs([experiment.experiment_id], max_results=1000):
        if (kind := run.data.tags.get("kind")) is None:
            continue
        for name in run.data.metrics:
            if name.endswith("loss") and name.startswith("train/"):
                history = registry.client.get_metric_history(run.info.run_id, name)
                told.setdefault(kind, set()).update(metric.step for metric in history)
    return told


def through_relays(servers: Servers, s3: Relay, mlflow: Relay) -> dict[str, str]:
    s3.lead_to(servers.s3)
    mlflow.lead_to(servers.mlflow)
    return servers.settings() | {"AWS_ENDPOINT_URL": s3.url, "MLFLOW_TRACKING_URI": mlflow.url, "AWS_MAX_ATTEMPTS": "2"}


def try_servers_away(folder: Path, which: str) -> Row:
    """S3 at every step, or MLflow at every training and evaluation, away from the step's begin to its end."""
    row = Row({"s3": "S3 away during the step", "mlflow": "MLflow away during the step"}[which])
    folder.mkdir()
    with production(folder) as servers, Relay() as s3, Relay() as mlflow:
        place = Place(folder, through_relays(servers, s3, mlflow))
        relay = {"s3": s3, "mlflow": mlflow}[which]
        done = disturbed(place, row, STEPS, lambda run: relay.cut(), relay.plug)
        check_whole(place, row, done)
    return row


def try_killed(folder: Path) -> Row:
    """SIGKILL to the step's process, as when its pod is evicted or out of memory."""
    row = Row("the step's process killed")

    def kill(run: Run) -> None:
        give_up_s, known = time.monotonic() + INTO_STEP_S, set(place.checkpoints())
        while time.monotonic() < give_up_s and not set(place.checkpoints()) - known:
            time.sleep(0.005)
        process = run.step_process()
        if process is not None:
            for child in [*process.children(recursive=True), process]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()

    folder.mkdir()
    place = Place(folder, {})
    check_whole(place, row, disturbed(place, row, STEPS, kill, lambda: None))
    return row


def try_cancelled(folder: Path) -> Row:
    """SIGTERM to the whole run; nothing that it started may be left."""
    row = Row("the run cancelled")
    left: list[int] = []

    def cancel(run: Run) -> None:
        time.sleep(INTO_STEP_S / 3)
        children = psutil.Process(run.process.pid).children(recursive=True)
        run.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.process.wait(20)
        left.extend(child.pid for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE)

    folder.mkdir()
    place = Place(folder, {})
    done = disturbed(
        place, row, ("version-dataset", "train-reaction", "evaluate", "promote", "release"), cancel, lambda: None
    )
    check_whole(place, row, done)
    row.notes.append(f"{len(left)} processes left behind")
    return row


def try_twice(folder: Path) -> Row:
    """Two submissions at once: in one workspace, and in two with one registry and one remote."""
    row = Row("two submissions at once")
    folder.mkdir()
    with production(folder) as servers:
        places = [Place(folder / name, servers.settings()) for name in ("a", "b")]
        for place in places:
            place.folder.mkdir()
        owners = [places[0], places[0], places[1]]
        runs = [Run(owner) for owner in owners]
        for run in runs:
            list(run.steps())
        names = ["one of two in a workspace", "the other", "in another workspace, with the same registry and remote"]
        row.tried = names
        row.unharmed = [name for name, run in zip(names, runs, strict=True) if run.done]
        row.failed = {name: run.error for name, run in zip(names, runs, strict=True) if not run.done}
        with places[0].entered():
            champion = Registry(places[0].workspace).champion()
        # Whoever promoted the champion released it; the other workspace has what it had.
        crowned = [
            (owner, run.done) for owner, run in zip(owners, runs, strict=True)
            if champion and run.done.get("promoted") and run.done["digest"] == champion.digest
        ]  # fmt: skip
        if crowned:
            check_whole(crowned[-1][0], row, crowned[-1][1])
        else:
            row.wrongly_promoted.append("no run promoted the champion")
    return row


def try_worker(folder: Path) -> Row:
    """One of two Ray workers killed between two checkpoints; compared with a run that nobody disturbed."""
    from learners import FatedLearner

    from egoreact.training.checkpoint import MODULE
    from egoreact.training.loop import LoopConfig
    from egoreact.training.ray_train import Resources, fit_distributed

    row = Row("a worker killed mid-epoch", tried=["rank 1 of 2 at step 13, checkpoints every 5"])
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "training")])
    config = LoopConfig(steps=20, batch_size=12, learning_rate=1e-2, log_every=5, checkpoint_every=5, seed=3)
    results = {}
    for name, fate in (("undisturbed", {}), ("killed", {"die_at": 13})):
        notes = folder / name / "notes"
        notes.mkdir(parents=True)
        results[name] = fit_distributed(
            FatedLearner, {"notes": str(notes), **fate}, config, run_name=name, storage=folder, identity="fate",
            resources=Resources(num_workers=2),
        )  # fmt: skip
    begun = {int(path.name.rpartition("-")[2]) for path in (folder / "killed" / "notes").glob("started-at-*")}
    row.notes.append(f"begun at steps {sorted(begun)}: {13 - max(begun)} steps done again")
    same = [(result.checkpoint / MODULE).read_bytes() for result in results.values()]
    (row.unharmed if same[0] == same[1] else row.lost).append("the weights, byte for byte")
    if 13 - max(begun) > config.checkpoint_every:
        row.lost.append("more than one checkpoint interval")
    return row


TRIALS: dict[str, Callable[[Path], Row]] = {
    "s3": lambda folder: try_servers_away(folder, "s3"),
    "mlflow": lambda folder: try_servers_away(folder, "mlflow"),
    "killed": try_killed,
    "cancelled": try_cancelled,
    "worker": try_worker,
    "twice": try_twice,
}


def table(rows: list[Row]) -> str:
    lines = [
        "| fault | tried | went on | failed, one line each | lost | wrongly promoted |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        counts = (len(row.tried), len(row.unharmed), len(row.failed), len(row.lost), len(row.wrongly_promoted))
        lines.append("| " + " | ".join([row.fault, *map(str, counts)]) + " |")
    for row in rows:
        lines += [
            "",
            f"**{row.fault}**: {'; '.join(row.notes + row.lost + row.wrongly_promoted) or 'nothing more to say'}",
        ]
        lines += [f"- `{step}`: {line}" for step, line in row.failed.items()]
    return "\n".join(lines)


def main(names: list[str]) -> None:
    if lacking := missing():
        sys.exit(lacking)
    unknown = [name for name in names if name not in TRIALS]
    if unknown:
        sys.exit(f"no trial {unknown[0]}; there are {', '.join(TRIALS)}")
    rows = []
    with tempfile.TemporaryDirectory(prefix="egoreact-faults-") as folder:
        for name in names or TRIALS:
            started = time.monotonic()
            rows.append(TRIALS[name](Path(folder) / name))
            print(f"{name}: {time.monotonic() - started:.0f} s\n{table(rows[-1:])}", flush=True)
    print(table(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
