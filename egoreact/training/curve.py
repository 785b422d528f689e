"""A run's figures as lines of JSON beside its checkpoints, and as progress for the person who waits.

The first worker writes; the process that started the training reads, wherever the worker is, as long as both reach the
folder.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from egoreact.progress import Progress
from egoreact.training.loop import MetricsSink

LOOK_EVERY_S = 0.5


@dataclass(frozen=True)
class Curve:
    """`{"step": …, "train/loss": …}` a line, in the order reported; a resumed run repeats what it did twice. Picklable."""

    path: Path
    then: MetricsSink | None = None
    """Is told as well."""

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, **metrics}) + "\n")
        if self.then:
            self.then(step, dict(metrics))


@contextmanager
def shown(path: Path, name: str, steps: int) -> Iterator[None]:
    """Prints the figures that are appended to the curve while the block runs."""
    start = path.stat().st_size if path.exists() else 0
    ended = threading.Event()
    thread = threading.Thread(target=_show, args=(path, start, Progress(name, steps, "steps"), ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _show(path: Path, position: int, progress: Progress, ended: threading.Event) -> None:
    last_look = False
    while not last_look:
        last_look = ended.wait(LOOK_EVERY_S)
        if not path.exists():
            continue
        with path.open() as file:
            file.seek(position)
            while (line := file.readline()).endswith("\n"):
                position = file.tell()
                report = json.loads(line)
                notes = [f"{key.removeprefix('train/')} {report[key]:.4g}" for key in _SHOWN if key in report]
                if report["step"] > progress.done:  # a resumed run repeats some
                    progress.advance(report["step"] - progress.done, ", ".join(notes))


_SHOWN = ("train/loss", "train/samples_per_second")
