"""What a benchmark ran on: the device, what it can do at most, and the memory it took."""

import platform
import resource
import sys
import time
from pathlib import Path

import torch

from egoreact.provenance import git_commit, library_versions


def describe() -> dict[str, object]:
    """`device`, `threads`, `versions`, `commit`."""
    return {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else _processor(),
        "threads": torch.get_num_threads(),
        "versions": library_versions(),
        "commit": git_commit(),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    names = [line for line in cpuinfo.read_text().splitlines() if "model name" in line] if cpuinfo.is_file() else []
    return names[0].partition(":")[2].strip() if names else platform.processor() or platform.machine()


def peak_flops(*, side: int = 1024, seconds: float = 0.5) -> float:
    """Floating-point operations a second of the fastest square float32 product: what training could reach here."""
    a = torch.randn(side, side)
    best = float("inf")
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best


def peak_memory_gb() -> float:
    """Most resident memory that this process, or the largest of those it started, ever had."""
    most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return most * (1 if sys.platform == "darwin" else 1024) / 1e9
