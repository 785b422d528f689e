"""Makes steps, logs and progress of what KFP's local runner and the steps print."""

import contextlib
import io
import logging
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pipelines.memory import Memory

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


Watch = Callable[[Step, int, str], None]
"""(step, steps in the pipeline, the last line it printed), called when a step starts, prints and ends."""

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_STARTED = re.compile(r"^[\d:.]+ - INFO - Executing task '(.+)'$")
_ENDED = re.compile(r"^[\d:.]+ - (?:INFO|ERROR) - Task '(.+)' finished with status (SUCCESS|FAILURE)$")
_CACHED = re.compile(r"^Task (.+) cache hit \(key=")
_NOISE = re.compile(r"^$|^\[KFP Executor |^[\d:.]+ - INFO - |^[][{}\"^]|^Traceback|^File \"")
"""KFP's own lines and the parts of a traceback: for the log, not for a person who watches."""


class StepReader(io.TextIOBase):
    """Stands in for stdout while KFP runs: makes steps, logs and progress of what KFP and the steps print."""

    def __init__(self, logs: Path, total: int, memory: Memory, watch: Watch, between: Callable[[], None]):
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


@contextlib.contextmanager
def captured(reader: StepReader) -> Iterator[None]:
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
