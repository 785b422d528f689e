"""What freed memory becomes: a step of training frees what the next one asks for."""

import ctypes
import functools
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h
_TWO_GIB = 2**31 - 1


@functools.cache
def keep_freed_memory() -> None:
    """Has glibc keep what this process frees, for as long as it runs; elsewhere it does nothing.

    By default a large tensor is given back to the system when it is freed, and the next one costs a page fault for every
    4 KiB: an eighth of a step of the paper's tokenizer, and half of one where tensors are hundreds of megabytes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, _TWO_GIB)
