"""SIGTERM as an exception that arrives, so that whoever is told to stop cleans up behind itself."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN_S = 0.05


def sigterm_exit() -> SystemExit:
    """Ends the process with the code by which a shell tells that SIGTERM did."""
    return SystemExit(128 + signal.SIGTERM)


@contextmanager
def terminated_by(error: Callable[[], BaseException]) -> Iterator[None]:
    """Within the block SIGTERM raises `error()` in the main thread, once: a second one does not disturb the cleaning up.

    Python drops what is raised while it finalizes an object (a generator that is let go, a closed response) and tells
    `sys.unraisablehook` alone. A signal can come just then; its exception is raised again. Off the main thread, which
    gets no signals, the block changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    raised: BaseException | None = None

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal raised
        if raised is None:
            raised = error()
            raise raised

    def dropped(unraisable: "sys.UnraisableHookArgs") -> None:
        nonlocal raised
        if raised is None or unraisable.exc_value is not raised:
            report(unraisable)
            return
        raised = None
        # From another thread and later: raised in here, it would be dropped for good.
        threading.Timer(AGAIN_S, os.kill, (os.getpid(), signal.SIGTERM)).start()

    before, report = signal.signal(signal.SIGTERM, stop), sys.unraisablehook
    sys.unraisablehook = dropped
    try:
        yield
    finally:
        sys.unraisablehook = report
        # None: a handler that was not set from Python, which cannot be put back.
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
