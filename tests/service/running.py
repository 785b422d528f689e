"""What the tests of the service share: a random bundle, a video of a ball that comes closer, a service that runs."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from egoreact.models.bundle import Bundle
from egoreact.presets import tiny
from egoreact.vision.video import encode_video

ROOT = Path(__file__).parents[2]


def make_bundle(folder: Path) -> Bundle:
    return Bundle.untrained(tiny().reaction).save(folder)


def make_frames(count: int = 41, side: int = 64) -> np.ndarray:
    """(count, side, side, 3) uint8: a red ball grows before a grey ground."""
    rows, columns = np.mgrid[:side, :side]
    frames = np.full((count, side, side, 3), 90, np.uint8)
    frames[:, : side // 2] = (140, 180, 220)
    for index, frame in enumerate(frames):
        radius = 2 + side * 0.4 * index / count
        frame[(rows - side / 2) ** 2 + (columns - side / 2) ** 2 < radius**2] = (220, 50, 30)
    return frames


def make_video(count: int = 41, side: int = 64) -> bytes:
    return encode_video(make_frames(count, side))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Service:
    process: subprocess.Popen
    url: str
    log: Path

    def stop(self) -> float:
        """SIGTERM; the seconds until it was gone."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        return time.monotonic() - started


def serve_command(port: int) -> list[str]:
    return [sys.executable, "-m", "egoreact.cli", "serve", "--port", str(port)]


def environment(home: Path, **settings: object) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EGOREACT_")}
    settings = {"EGOREACT_HOME": home, "OMP_NUM_THREADS": 1, **settings}
    return kept | {name: str(value) for name, value in settings.items()}


@contextlib.contextmanager
def running(home: Path, **settings: object) -> Iterator[Service]:
    """`egoreact serve` on a free loopback port, from start to stop, with a workspace and settings of its own."""
    home.mkdir(parents=True, exist_ok=True)
    port, log = free_port(), home / "service.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            serve_command(port), cwd=ROOT, env=environment(home, **settings), stdout=output, stderr=subprocess.STDOUT
        )
    service = Service(process, f"http://127.0.0.1:{port}", log)
    try:
        give_up_at = time.monotonic() + 120
        while "ready at" not in log.read_text():
            assert process.poll() is None and time.monotonic() < give_up_at, log.read_text()
            time.sleep(0.1)
        yield service
    finally:
        if process.poll() is None:
            service.stop()


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read()
