"""What a run takes of this machine's memory: its own process and all that it starts."""

import contextlib
import threading
from pathlib import Path

import psutil

SAMPLE_S = 0.3


class Memory:
    """Watches the memory of this process and all that it starts."""

    def __init__(self) -> None:
        self.peak_mb = self.highest_mb = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def restart(self) -> None:
        self.peak_mb = 0.0
        self._sample()

    def _run(self) -> None:
        while not self._stop.wait(SAMPLE_S):
            self._sample()

    def _sample(self) -> None:
        me = psutil.Process()
        total_mb = sum(resident_mb(process.pid) for process in [me, *me.children(recursive=True)])
        self.peak_mb, self.highest_mb = max(self.peak_mb, total_mb), max(self.highest_mb, total_mb)


def resident_mb(pid: int) -> float:
    """Proportional set size: a page that n processes share counts 1/n in each. 0 for a process that ended."""
    try:
        with Path(f"/proc/{pid}/smaps_rollup").open() as file:
            for line in file:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) / 1024
    except FileNotFoundError:
        with contextlib.suppress(psutil.Error):
            return psutil.Process(pid).memory_info().rss / 2**20  # systems without /proc
    except OSError:
        pass
    return 0.0
