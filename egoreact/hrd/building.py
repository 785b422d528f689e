"""A build's unfinished work lies in one hidden folder of the data set until it is whole; one build works there at a time.

A process killed at any moment leaves the folder, which the next build goes on from, and no lock: the system frees it.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from egoreact.errors import EgoReactError

BUILDING = ".building.tmp"
"""`.dvcignore` leaves such names out."""
_LOCK = "lock"


@contextlib.contextmanager
def building(folder: Path) -> Iterator[Path]:
    """Gives the folder for unfinished work, with what an earlier build left there; empties it when the block ends well.

    Raises:
        EgoReactError: another process is changing the same data set.
    """
    with alone(folder) as place:
        yield place
        for path in place.iterdir():
            if path.name != _LOCK:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[Path]:
    """Keeps other processes from changing the data set meanwhile. Gives the folder for unfinished work, and leaves it be.

    Raises:
        EgoReactError: another process is changing the data set.
    """
    place = folder / BUILDING
    handle = _take(place / _LOCK)
    try:
        yield place
    finally:
        (place / _LOCK).unlink()
        os.close(handle)
        with contextlib.suppress(OSError):  # work is left in it, or the next build is there already
            place.rmdir()


def is_unfinished(folder: Path) -> bool:
    """Whether a build is at work in this data set, or stopped half-way."""
    return (folder / BUILDING).is_dir()


def _take(lock: Path) -> int:
    while True:
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:
            continue  # a build that ended just now took the folder away
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            process = os.pread(handle, 20, 0).decode() or "?"
            os.close(handle)
            raise EgoReactError(
                f"another build or import is at work here (process {process})",
                where=lock.parent.parent,
                remedy="wait for it, then run again",
            ) from error
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), lock.stat()):
                os.ftruncate(handle, 0)
                os.pwrite(handle, str(os.getpid()).encode(), 0)
                return handle
        os.close(handle)  # locked a file that its owner had already taken away
