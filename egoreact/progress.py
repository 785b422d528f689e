"""Progress of anything longer than two seconds: a bar in a terminal, plain lines in a step's log and a cluster's."""

import sys
import time
from typing import TextIO

EVERY_S = 2.0
"""Between lines in a log."""
BAR_EVERY_S = 0.1
BAR_WIDTH = 24


class Progress:
    """Says on stderr `name: done/total unit, time left`, and at the end how long it took.

    In a terminal one line with a bar that is written over; elsewhere a line at most every two seconds.
    """

    def __init__(self, name: str, total: int, unit: str, *, stream: TextIO | None = None):
        self.name, self.total, self.unit = name, total, unit
        self.stream = stream or sys.stderr
        self.bar = self.stream.isatty()
        self.done = 0
        self.started = self.printed = time.monotonic()

    def advance(self, count: int = 1, note: str = "") -> None:
        self.done += count
        now = time.monotonic()
        ended = self.done >= self.total
        if not ended and now - self.printed < (BAR_EVERY_S if self.bar else EVERY_S):
            return
        self.printed = now
        seconds = now - self.started
        state = _span(seconds) if ended else f"{_span(self._left(seconds))} left"
        line = f"{self.done}/{self.total} {self.unit}, {state}{', ' if note else ''}{note}"
        if self.bar:
            full = round(BAR_WIDTH * min(self.done / max(self.total, 1), 1.0))
            bar = "━" * full + "·" * (BAR_WIDTH - full)
            print(f"\r\x1b[K{self.name} {bar} {line}", end="\n" if ended else "", file=self.stream, flush=True)
        else:
            print(f"{self.name}: {line}", file=self.stream, flush=True)

    def _left(self, seconds: float) -> float:
        return seconds / max(self.done, 1) * (self.total - self.done)


def _span(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
