"""Work spread over processes of this machine, its results in order."""

import multiprocessing
import multiprocessing.process
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from egoreact.errors import EgoReactError

Item = TypeVar("Item")
Made = TypeVar("Made")


def map_in_processes(
    function: Callable[[Item], Made], items: Sequence[Item], *, workers: int | None = None
) -> Iterator[Made]:
    """Yields `function(item)` for each item in order. One thread of numerics a process: the processes fill the cores.

    Args:
        function: picklable.
        workers: processes; as many as cores where not given, never more than items.

    Raises:
        EgoReactError: a process was killed, as happens where memory runs out; or what `function` raises.
    """
    count = min(workers or os.cpu_count() or 1, len(items))
    if count == 0:
        return
    # Fork would copy a parent that may run threads (Arrow, OpenMP).
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(count, mp_context=context, initializer=_begin_work) as pool:
            yield from pool.map(function, items)
    except BrokenProcessPool as error:
        raise EgoReactError(
            "a worker process was killed",
            where="this machine",
            remedy="free memory or use fewer workers, and run again",
        ) from error


def _begin_work() -> None:
    """A worker computes in one thread, ends when its parent was killed, and leaves the keyboard's interrupt to it."""
    import torch

    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)
