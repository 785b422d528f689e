"""Progress: what a person at a terminal sees, and what a log keeps."""

import io

import pytest

from egoreact import progress
from egoreact.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_every_two_seconds_with_the_time_left(clock: list[float]) -> None:
    log = io.StringIO()
    counted = Progress("rendering", 100, "clips", stream=log)
    for _ in range(100):
        clock[0] += 0.5
        counted.advance()
    lines = log.getvalue().splitlines()
    assert lines[0] == "rendering: 4/100 clips, 48 s left"
    assert lines[-1] == "rendering: 100/100 clips, 50 s"
    assert len(lines) == 25


def test_a_terminal_gets_one_line_that_fills(clock: list[float]) -> None:
    screen = Terminal()
    counted = Progress("rendering", 4, "clips", stream=screen)
    for _ in range(4):
        clock[0] += 100
        counted.advance()
    shown = screen.getvalue()
    assert shown.count("\n") == 1 and shown.endswith("4/4 clips, 6 min 40 s\n")
    states = shown.split("\r\x1b[K")[1:]
    assert [state.count("━") for state in states] == [6, 12, 18, 24]
    assert "1/4 clips, 5 min 0 s left" in states[0]


def test_hours_are_named() -> None:
    assert progress._span(7500) == "2 h 5 min"
