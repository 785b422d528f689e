"""What a benchmark ran on: the device, what it can do at most, and the memory it took."""

import platform
import resource
import sys
import time
from collections.abc import Callable
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


def peak_flops(
    *,
    side: int = 1024,
    seconds: float = 0.5,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> float:
    """Floating-point operations a second of the fastest square product: what networks could reach here."""
    a = torch.randn(side, side, device=device, dtype=dtype)
    return 2 * side**3 / fastest_s(lambda: a @ a, a.device, seconds)


def peak_bandwidth(*, device: torch.device | str, megabytes: int = 1024, seconds: float = 0.5) -> float:
    """Bytes a second that the fastest copy reads and writes."""
    a = torch.zeros(megabytes << 20, dtype=torch.uint8, device=device)
    b = torch.empty_like(a)
    return 2 * a.nbytes / fastest_s(lambda: b.copy_(a), a.device, seconds)


def fastest_s(work: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Of all rounds within that time, and at least two."""
    rounds: list[float] = []
    end = time.perf_counter() + seconds
    while len(rounds) < 2 or time.perf_counter() < end:
        rounds.append(run_s(work, device))
    return min(rounds)


def run_s(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of one run, to its very end on the device."""
    synchronise(device)
    started = time.perf_counter()
    work()
    synchronise(device)
    return time.perf_counter() - started


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def resident_mb() -> float:
    """Memory that this process holds now; where the system does not say, the most it ever held."""
    statm = Path("/proc/self/statm")
    if statm.is_file():
        return int(statm.read_text().split()[1]) * resource.getpagesize() / 1e6
    return peak_memory_gb() * 1e3


def peak_memory_gb() -> float:
    """Most resident memory that this process, or the largest of those it started, ever had."""
    most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return most * (1 if sys.platform == "darwin" else 1024) / 1e9
