"""`bentoml serve` as a child: refused where it could not work, its address printed once it answers, stopped whole."""

import ipaddress
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from egoreact.errors import EgoReactError
from egoreact.workspace import Workspace
from serving.access import Access, require_tokens
from serving.admission import Limits
from serving.logs import form as log_form
from serving.logs import say
from serving.recording import Recorder
from serving.releases import Releases, followed_release
from serving.runtime import Served

REFUSED_MARK = "egoreact cannot serve: "
STOP_S = 3.0
"""For the service to end once its drain is over."""


def run_service(*, host: str, port: int) -> None:
    """Serves until SIGTERM, SIGINT or the child's own end. What is in progress gets its time; a second signal ends that.

    A new release of the workspace is taken while it runs: the present one drains, then the new one starts in its place. One
    that cannot start is refused, and the one before serves again.

    Raises:
        EgoReactError: nothing is released, the bundle is damaged, a limit or another setting is wrong, the port is
            taken, others could reach the service without a token, or it ended by itself.
    """
    served = Served.find()
    limits = Limits.from_environment()
    Access.from_environment()
    Recorder.from_environment()
    log_form()
    host = "127.0.0.1" if host == "localhost" else host
    require_tokens(host)
    _check_address(host, port)
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    url = f"http://{shown}:{port}"
    asked_to_stop, at_once = threading.Event(), threading.Event()

    def asked(number: int, frame: FrameType | None) -> None:
        (at_once if asked_to_stop.is_set() else asked_to_stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, asked)
    with followed_release(served, url) as releases:
        _Supervisor((host, port), url, releases, limits.drain_seconds + STOP_S, asked_to_stop, at_once).serve(served)


@dataclass
class _Supervisor:
    """One child at a time: the release that is served, and while it takes over, the one to go back to.

    Args:
        url: where the child answers once it is ready.
        stop_within_s: for a child to drain and end.
    """

    listen: tuple[str, int]
    url: str
    releases: Releases
    stop_within_s: float
    asked_to_stop: threading.Event
    at_once: threading.Event
    served: Served = field(init=False)
    before: Served | None = field(init=False)
    """What served until the present one took over; none once the present one is ready."""
    ready: bool = field(init=False)

    def serve(self, served: Served) -> None:
        """Until it is asked to stop.

        Raises:
            EgoReactError: the child refuses, or ended by itself.
        """
        say(f"starting: model {served.version}, bundle {served.digest[:12]}")
        child = self._started(served, None)
        try:
            while not self.asked_to_stop.wait(0.1):
                following, before = None, None
                if child.ended:
                    if self.before is None:
                        break
                    following = self._refused(child, self.before)
                elif self.ready:
                    following, before = self._released(), self.served
                elif child.answers(self.url):
                    self._is_ready()
                if following is not None:
                    child.stop(self.stop_within_s, self.at_once)
                    if not self.asked_to_stop.is_set():
                        child = self._started(following, before)
        finally:
            child.stop(self.stop_within_s, self.at_once)
        if not self.asked_to_stop.is_set():
            raise child.why_it_ended(self.url)

    def _started(self, served: Served, before: Served | None) -> "_Child":
        self.served, self.before, self.ready = served, before, False
        return _Child(*self.listen, self.releases.pin(served))

    def _is_ready(self) -> None:
        self.ready, self.before = True, None
        self.releases.ready(self.served)
        say(f"ready at {self.url}  (Ctrl+C stops it)")

    def _released(self) -> Served | None:
        """What is to take over."""
        newer = self.releases.newer(self.served)
        if newer is not None:
            say(f"version {newer.version}, bundle {newer.digest[:12]}, is released: it takes over")
            self.releases.begin(newer)
        return newer

    def _refused(self, child: "_Child", before: Served) -> Served:
        """What serves again, since the present one cannot be served."""
        why = str(child.why_it_ended(self.url))
        self.releases.refuse(self.served, why)
        say(f"version {self.served.version} cannot be served: {why}; version {before.version} serves again")
        return before


def _check_address(host: str, port: int) -> None:
    try:
        version = ipaddress.ip_address(host).version
    except ValueError as error:
        raise EgoReactError(f"'{host}' is no IP address", where="--host", remedy="give 127.0.0.1 or 0.0.0.0") from error
    try:
        with socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen()
    except (OSError, OverflowError) as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise EgoReactError(
            f"cannot listen there ({what})",
            where=f"{host}:{port}",
            remedy="stop what uses it, or give another: --port 3001",
        ) from error


class _Child:
    def __init__(self, host: str, port: int, settings: dict[str, str]):
        """`settings` are added to the environment."""
        self.refused: str | None = None
        environment = os.environ | {
            "BENTOML_DO_NOT_TRACK": "True",
            "BENTOML_HOME": os.environ.get("BENTOML_HOME", str(Workspace.from_environment().root / "bentoml")),
            "PYTHONUNBUFFERED": "1",
            **settings,
        }
        command = [sys.executable, "-m", "bentoml", "serve", "serving.service:ReactionService"]
        command += ["--host", host, "--port", str(port), "--working-dir", str(Path(__file__).parents[1])]
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            start_new_session=True,
        )  # fmt: skip
        self.log = threading.Thread(target=self._pass_on, daemon=True)
        self.log.start()

    def _pass_on(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(REFUSED_MARK):
                self.refused = line.removeprefix(REFUSED_MARK).strip()
            elif self.refused is None:
                print(line, end="", flush=True)

    @property
    def ended(self) -> bool:
        return self.refused is not None or self.process.poll() is not None

    def why_it_ended(self, url: str) -> EgoReactError:
        """In its own words, where it said any."""
        if self.refused is None:
            what = f"the service ended by itself with code {self.process.returncode}"
            return EgoReactError(what, where=url, remedy="the lines above say why")
        place, _, remedy = self.refused.rpartition("; ")
        where, _, what = place.partition(": ")
        return EgoReactError(what, where=where, remedy=remedy)

    def answers(self, url: str) -> bool:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=1):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def stop(self, within_s: float, at_once: threading.Event) -> None:
        """Ends the service and all its processes, gently at first."""
        if self.process.poll() is None:
            self._signal(signal.SIGTERM)
            give_up_s = time.monotonic() + within_s
            while self.process.poll() is None and time.monotonic() < give_up_s and not at_once.wait(0.05):
                pass
        self._signal(signal.SIGKILL)  # also a worker that outlived its supervisor
        self.process.wait()
        self.log.join(1)

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return
