"""`egoreact serve` as a child on loopback: started, waited for, looked at from outside, stopped whole."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from egoreact.errors import EgoReactError

if TYPE_CHECKING:
    import psutil

READY_S, STOP_S = 180.0, 20.0
WHERE = "bench service"
NOT_PASSED_ON = ("EGOREACT_TOKENS", "EGOREACT_RECORDINGS", "EGOREACT_LOG", "EGOREACT_MAX_BATCH", "BENTOML_HOME")
"""Settings of a person's own that would change what is measured."""


class ServiceProcess:
    """`with ServiceProcess(…) as service`: it answers from the first line of the block to the last.

    It has a workspace of its own: the bearer tokens and the logs of a person's stay out of it.

    Raises EgoReactError, on entry, with the service's own line where it does not start.
    """

    def __init__(self, bundle: Path, settings: Mapping[str, object], *, port: int = 0):
        """Args:
        bundle: folder that is served.
        settings: of the environment, for example `{"EGOREACT_MAX_BATCH": 1}`.
        port: of loopback; a free one where 0.
        """
        self.port = port or _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        kept = {name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON}
        self._home = tempfile.TemporaryDirectory(prefix="egoreact-bench-", ignore_cleanup_errors=True)
        own = {"EGOREACT_BUNDLE": bundle.absolute(), "EGOREACT_HOME": self._home.name}
        self._environment = kept | {name: str(value) for name, value in {**own, **settings}.items()}
        self._log = Path(self._home.name) / "service.log"
        self._process: subprocess.Popen[bytes]
        self._seen: set[psutil.Process] = set()
        """All processes it ever had, so that none outlives it."""

    def check(self) -> None:
        """Raises EgoReactError, with the last line it said, where it has ended."""
        if self._process.poll() is not None:
            raise self._died()

    def memory_gb(self) -> float:
        """Proportional set size of all its processes: what they share counts once. 0 where they have just ended."""
        return sum(_pss(process) for process in self._tree()) / 1e9

    def cpu_s(self) -> float:
        """Processor time that its processes have taken."""
        import psutil

        total_s = 0.0
        for process in self._tree():
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total_s += times.user + times.system
        return total_s

    def worker_pid(self) -> int:
        """The process that holds the model: the largest."""
        return max(self._tree(), key=_pss).pid

    def log(self) -> str:
        """All that it said so far."""
        return self._log.read_text(errors="replace")

    def wait_ready(self) -> None:
        give_up_s = time.monotonic() + READY_S
        while not self._answers():
            self.check()
            if time.monotonic() > give_up_s:
                raise EgoReactError(
                    f"it is not ready after {READY_S:.0f} s", where=self.url, remedy="see egoreact serve"
                )
            time.sleep(0.1)
        self._tree()

    def __enter__(self) -> Self:
        self._check_port()
        command = [sys.executable, "-m", "egoreact.cli", "serve", "--port", str(self.port)]
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                command, env=self._environment, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )
        try:
            self.wait_ready()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _check_port(self) -> None:
        """The child would refuse it too, but later: meanwhile whoever has it would be taken for the child."""
        try:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", self.port))
                probe.listen()
        except (OSError, OverflowError) as error:
            what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            remedy = "stop what uses it, or give another: --port 0 takes a free one"
            raise EgoReactError(
                f"cannot listen there ({what})", where=f"127.0.0.1:{self.port}", remedy=remedy
            ) from error

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=1):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def _died(self) -> EgoReactError:
        """The service's line, taken apart again: `error: where: what; remedy`."""
        said = [line.strip() for line in self.log().splitlines() if line.strip()]
        errors = [line.removeprefix("error: ") for line in said if line.startswith("error: ")]
        place, _, remedy = (errors[-1] if errors else "").rpartition("; ")
        where, _, what = place.partition(": ")
        if not what:
            code, last = self._process.returncode, said[-1][:200] if said else "nothing"
            return EgoReactError(
                f"the service ended with code {code}; its last line: {last}", where=WHERE, remedy="try: egoreact serve"
            )
        return EgoReactError(what, where=where, remedy=remedy)

    def _tree(self) -> "list[psutil.Process]":
        import psutil

        try:
            top = psutil.Process(self._process.pid)
            tree = [top, *top.children(recursive=True)]
        except psutil.NoSuchProcess:
            raise self._died() from None
        self._seen.update(tree)
        return tree

    def _stop(self) -> None:
        """Gently at first; what is left of its processes then is killed."""
        import psutil

        if self._process.poll() is None:
            self._tree()
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for process in self._seen:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._home.cleanup()


def _pss(process: "psutil.Process") -> int:
    """Bytes; resident ones where the system does not tell shared from own."""
    import psutil

    try:
        memory = process.memory_full_info()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0
    return getattr(memory, "pss", 0) or memory.rss


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
