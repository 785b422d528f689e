"""The load on the service: paced live sessions over real sockets, from a process of their own.

Each session is a camera: 20 frames a second on its own clock, all of them sent, whatever comes back. Latency counts from
the moment a boundary's frame was *due* on that clock to the moment its motion is there, so a client or a service that
falls behind does not hide it by sending later. How late the client itself sent is told beside it.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from egoreact.client.images import encode_image
from egoreact.client.wire import FPS, FRAMES_PER_TOKEN, ErrorMessage, Frame, unpack_message

SIDE_PX = 112
PICTURES = 40
TOKEN_S = FRAMES_PER_TOKEN / FPS
LEAD_S = 0.3
"""From the last connection to the first frame."""
GRACE_S = 1.0
"""A boundary whose motion is not there so long after the last frame counts as dropped."""
OPENING = 16
"""Connections that are opened at once."""
OPEN_S = 20.0


@dataclass(frozen=True)
class Load:
    url: str
    sessions: int
    seconds: float
    """That count, after those of the warm-up."""
    warm_up_s: float
    images: tuple[bytes, ...]
    """Encoded; each session shows them in turn, for ever."""


@dataclass
class Heard:
    """What the clients of one load saw, of the boundaries whose frames were due in the seconds that count."""

    latencies_ms: list[float] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    """How long after it was due each frame was sent."""
    stages_ms: Counter[str] = field(default_factory=Counter)
    """Sums over the chunks, of the service's own clock."""
    batches: int = 0
    """Sum over the chunks."""
    expected: int = 0
    """Boundaries."""
    cores: float = 0
    """Of the client's process."""
    failures: Counter[str] = field(default_factory=Counter)
    """Why sessions could not begin, or ended."""

    @property
    def dropped_share(self) -> float:
        """Of the boundaries, those whose motion never came."""
        return 1 - len(self.latencies_ms) / self.expected if self.expected else 0.0

    def percentile_ms(self, percent: float) -> float:
        return float(np.percentile(self.latencies_ms, percent)) if self.latencies_ms else math.inf


def moving_picture(count: int = PICTURES, side_px: int = SIDE_PX) -> tuple[bytes, ...]:
    """JPEGs of a textured ground that a camera pans over, while a ball comes closer; the last goes on to the first."""
    chance = np.random.default_rng(0)
    ground = cv2.resize(chance.integers(40, 216, (14, 28, 3), dtype=np.uint8), (2 * side_px, side_px))
    turns = (np.arange(count) / count).tolist()
    return tuple(encode_image(_picture(ground, turn, side_px)) for turn in turns)


def _picture(ground: np.ndarray, turn: float, side_px: int) -> np.ndarray:
    swing = 0.5 - 0.5 * math.cos(2 * math.pi * turn)
    left = round(swing * side_px)
    picture = np.ascontiguousarray(ground[:, left : left + side_px])
    centre = (round(side_px * (0.2 + 0.6 * turn)), round(side_px * 0.5))
    return cv2.circle(picture, centre, round(side_px * (0.04 + 0.3 * swing)), (220, 60, 30), -1, cv2.LINE_AA)


def phase_s(session: int, sessions: int) -> float:
    """When a session's first frame is due: spread evenly over a token, so that boundaries never fall together."""
    return TOKEN_S * session / sessions


def run_load(load: Load) -> Heard:
    """In the client's process. Raises nothing that the service could cause: what went wrong is counted in `failures`."""
    return asyncio.run(_Clients(load).run())


class _Clients:
    def __init__(self, load: Load):
        self.load, self.heard = load, Heard()
        self._opening = asyncio.Semaphore(OPENING)
        self._start_s = 0.0

    async def run(self) -> Heard:
        load = self.load
        connections = await asyncio.gather(*(self._open() for _ in range(load.sessions)))
        self._start_s = time.perf_counter() + LEAD_S
        tasks = []
        for session, connection in enumerate(connections):
            boundaries = self._counted(phase_s(session, load.sessions))
            self.heard.expected += len(boundaries)
            if connection is not None:
                tasks.append(asyncio.create_task(self._talk(connection, session, set(boundaries))))
        usage = asyncio.create_task(self._measure_cores())
        await asyncio.gather(usage, *tasks)
        await asyncio.gather(*(connection.close() for connection in connections if connection is not None))
        return self.heard

    async def _open(self) -> ClientConnection | None:
        async with self._opening:
            try:
                connection = await connect(
                    f"{self.load.url.replace('http', 'ws', 1)}/v1/stream", compression=None, ping_interval=None,
                    open_timeout=OPEN_S, close_timeout=2,
                )  # fmt: skip
                async with asyncio.timeout(OPEN_S):
                    hello = await connection.recv(decode=False)
            except (OSError, TimeoutError, WebSocketException) as error:
                self._failed(error)
                return None
        if not self._is_error(hello):
            return connection
        await connection.close()
        return None

    async def _talk(self, connection: ClientConnection, session: int, awaited: set[int]) -> None:
        reader = asyncio.create_task(self._read(connection, awaited))
        phase, until_s = phase_s(session, self.load.sessions), self.load.warm_up_s + self.load.seconds
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + LEAD_S + until_s + GRACE_S):
                await self._send(connection, phase)
                await asyncio.wait([reader], timeout=GRACE_S)
        except TimeoutError as error:
            self._failed(error)
        except ConnectionClosed:
            pass  # the reader says why
        reader.cancel()
        await asyncio.wait([reader])
        if not reader.cancelled():
            reader.result()

    async def _send(self, connection: ClientConnection, phase: float) -> None:
        for seq, due_s in frames_due(phase, self.load.warm_up_s + self.load.seconds):
            await asyncio.sleep(max(0.0, self._start_s + due_s - time.perf_counter()))
            late_s = time.perf_counter() - self._start_s - due_s
            if due_s >= self.load.warm_up_s:
                self.heard.late_ms.append(1e3 * late_s)
            await connection.send(Frame(seq, due_s, self.load.images[seq % len(self.load.images)]).pack())

    async def _read(self, connection: ClientConnection, awaited: set[int]) -> None:
        """Until all that is awaited has come, or the connection ends."""
        heard = self.heard
        try:
            while awaited:
                content = await connection.recv(decode=False)
                now_s = time.perf_counter() - self._start_s
                if self._is_error(content):
                    return
                chunk = unpack_message(content)
                if chunk["type"] == "chunk" and chunk["seq"] in awaited:
                    awaited.remove(chunk["seq"])
                    heard.latencies_ms.append(1e3 * (now_s - chunk["captured_at"]))
                    heard.stages_ms.update(chunk["timings_ms"])
                    heard.batches += chunk["batch"]
        except ConnectionClosed as error:
            self._failed(error)

    async def _measure_cores(self) -> None:
        begin_s, seconds = self._start_s + self.load.warm_up_s, self.load.seconds
        await asyncio.sleep(max(0.0, begin_s - time.perf_counter()))
        cpu_s = time.process_time()
        await asyncio.sleep(seconds)
        self.heard.cores = (time.process_time() - cpu_s) / (time.perf_counter() - begin_s)

    def _counted(self, phase: float) -> list[int]:
        return [
            seq
            for seq, due_s in frames_due(phase, self.load.warm_up_s + self.load.seconds)
            if seq % FRAMES_PER_TOKEN == 0 and due_s >= self.load.warm_up_s
        ]

    def _is_error(self, content: bytes) -> bool:
        message = unpack_message(content)
        if message["type"] != "error":
            return False
        told = ErrorMessage.from_message(message)
        self.heard.failures[f"{told.code}: {told.error}"] += 1
        return True

    def _failed(self, error: Exception) -> None:
        self.heard.failures[(str(error) or type(error).__name__).splitlines()[0]] += 1


def frames_due(phase: float, until_s: float) -> Iterator[tuple[int, float]]:
    """Number and time, in seconds from the start, of each frame of a camera before `until_s`."""
    for seq in range(max(0, math.ceil((until_s - phase) * FPS - 1e-9))):
        yield seq, phase + seq / FPS
