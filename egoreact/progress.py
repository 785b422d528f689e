"""Progress as plain lines, the same in a terminal, a step's log and a cluster's."""

import sys
import time

EVERY_S = 2.0


class Progress:
    """Prints `name: done/total unit, N s left` to stderr, at most every two seconds, and a last line at the end.

    Lines, not a moving bar: they read the same in a terminal and in the log of a step.
    """

    def __init__(self, name: str, total: int, unit: str):
        self.name, self.total, self.unit = name, total, unit
        self.done = 0
        self.started = self.printed = time.monotonic()

    def advance(self, count: int = 1, note: str = "") -> None:
        self.done += count
        now = time.monotonic()
        if self.done < self.total and now - self.printed < EVERY_S:
            return
        self.printed = now
        seconds = now - self.started
        state = f"{seconds:.0f} s" if self.done >= self.total else f"{self._left(seconds):.0f} s left"
        print(
            f"{self.name}: {self.done}/{self.total} {self.unit}, {state}{', ' if note else ''}{note}",
            file=sys.stderr,
            flush=True,
        )

    def _left(self, seconds: float) -> float:
        return seconds / max(self.done, 1) * (self.total - self.done)
