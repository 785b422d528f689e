"""Who is told to stop by SIGTERM is stopped, whatever Python is doing at that moment."""

import os
import signal
import threading
import time

import pytest

from egoreact.termination import sigterm_exit, terminated_by

pytestmark = pytest.mark.timeout(60)


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def test_it_raises_and_leaves_the_handler_as_it_was():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stopped, terminated_by(sigterm_exit):
        terminate()
        time.sleep(10)
    assert stopped.value.code == 143 and signal.getsignal(signal.SIGTERM) == before


def test_a_second_one_does_not_disturb_the_cleaning_up():
    cleaned = False
    with pytest.raises(KeyboardInterrupt), terminated_by(KeyboardInterrupt):
        try:
            terminate()
            time.sleep(10)
        finally:
            terminate()
            time.sleep(0.1)
            cleaned = True
    assert cleaned


class Finalized:
    """Told to stop while it is let go, where Python drops what is raised."""

    times = 0

    def __del__(self):
        Finalized.times += 1
        terminate()
        time.sleep(0.01)


def test_one_that_comes_in_a_finalizer_is_not_lost():
    Finalized.times = 0
    with pytest.raises(SystemExit), terminated_by(sigterm_exit):
        Finalized()
        time.sleep(10)
    assert Finalized.times == 1


def test_one_that_comes_while_a_generator_is_let_go_is_not_lost():
    def generator():
        try:
            yield
        finally:
            terminate()
            time.sleep(0.01)

    with pytest.raises(SystemExit), terminated_by(sigterm_exit):
        next(generator())
        time.sleep(10)


def test_what_else_a_finalizer_raises_is_reported_as_before(monkeypatch):
    class Broken:
        def __del__(self):
            raise ValueError("broken")

    reported = []
    monkeypatch.setattr("sys.unraisablehook", lambda each: reported.append(str(each.exc_value)))
    with terminated_by(sigterm_exit):
        Broken()
    assert reported == ["broken"]


def test_other_threads_are_left_alone():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def work():
        with terminated_by(sigterm_exit):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
