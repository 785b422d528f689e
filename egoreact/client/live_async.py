"""`LiveSession` for an event loop.

async with AsyncLiveSession("http://127.0.0.1:3000") as session:
    await session.send(0, jpeg_bytes)
    print((await session.receive()).joints_m[-1])
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from egoreact.client.dialogue import MOST_RECEIVED_BYTES, TRANSPORT_LOG, Dialogue, Event, Interrupted, log_event
from egoreact.client.endpoint import Endpoint
from egoreact.client.images import Encoding, Rgb
from egoreact.client.live import CLOSE_S, OPEN_S, PING_S, PONG_S
from egoreact.client.retry import Backoff, Outage
from egoreact.client.wire import Chunk, Hello
from egoreact.errors import EgoReactError


class AsyncLiveSession:
    """A live session. One task may send while another receives; the rest is as with `LiveSession`."""

    def __init__(
        self,
        url: str,
        *,
        seed: int = 0,
        token: str | None = None,
        timeout_s: float = 30.0,
        retry: Backoff | None = None,
        keep_place: bool = False,
        consent_to_record: bool = False,
        on_event: Callable[[Event], None] = log_event,
    ):
        """Connects on entry. The arguments are those of `LiveSession`."""
        outage = Outage(retry or Backoff())
        self.timeout_s = timeout_s
        self._dialogue = Dialogue(
            Endpoint.of(url, token), outage, seed=seed, keep_place=keep_place, consent_to_record=consent_to_record,
            on_event=on_event,
        )  # fmt: skip
        self._turn, self._reading = asyncio.Lock(), asyncio.Lock()
        self._inbox: deque[Chunk] = deque()
        self._failure: EgoReactError | None = None
        self._connection: ClientConnection | None = None
        self._connected = 0

    @property
    def hello(self) -> Hello:
        """The service's first message on the present connection: version, digest, joints, limits, …"""
        assert self._dialogue.hello is not None
        return self._dialogue.hello

    @property
    def url(self) -> str:
        return self._dialogue.endpoint.url

    @property
    def draining(self) -> bool:
        """Whether the service said that it restarts."""
        return self._dialogue.draining

    @property
    def gaps(self) -> int:
        """How often chunks that were made got lost with a connection."""
        return self._dialogue.gaps

    async def send(
        self, seq: int, image: Rgb | bytes, *, captured_at: float | None = None, encoding: Encoding = "jpeg"
    ) -> None:
        """Sends the frame of tick `seq`, RGB or encoded. `captured_at` defaults to now, `time.perf_counter`."""
        captured_at = time.perf_counter() if captured_at is None else captured_at
        async with self._turn:
            connection = self._open_connection()
            message = self._dialogue.frame(seq, image, captured_at, encoding)
            try:
                await connection.send(message)
            except ConnectionClosed as error:
                await self._restore(await self._judge(error))

    async def poll(self, timeout_s: float) -> Chunk | None:
        """The next chunk, or None where none came within `timeout_s`; to restore a connection may take longer."""
        give_up_at = time.monotonic() + timeout_s
        while True:
            if self._inbox:
                return self._inbox.popleft()
            self._open_connection()
            connected = self._connected
            try:
                await self._read(max(0.0, give_up_at - time.monotonic()))
            except TimeoutError:
                return None
            except (ConnectionClosed, Interrupted) as why:
                async with self._turn:
                    if connected == self._connected:  # else the sender has restored it already
                        self._open_connection()
                        await self._restore(why if isinstance(why, Interrupted) else await self._judge(why))

    async def receive(self) -> Chunk:
        """The next chunk. Raises EgoReactError with the service's own line where it refuses."""
        chunk = await self.poll(self.timeout_s)
        if chunk is None:
            raise self._dialogue.silent(self.timeout_s)
        return chunk

    async def exchange(
        self, seq: int, image: Rgb | bytes, *, captured_at: float | None = None, encoding: Encoding = "jpeg"
    ) -> Chunk | None:
        """Sends the frame of a boundary (every fourth tick) and waits for its chunk: one at a time, nothing dropped.

        None where the chunk was made but got lost with a connection; the motion goes on with the next.
        """
        gaps, give_up_at = self._dialogue.gaps, time.monotonic() + self.timeout_s
        await self.send(seq, image, captured_at=captured_at, encoding=encoding)
        while (chunk := await self.poll(0.25)) is None:
            if self._dialogue.gaps > gaps:
                return None
            if time.monotonic() > give_up_at:
                raise self._dialogue.silent(self.timeout_s)
        return chunk

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def _open_connection(self) -> ClientConnection:
        if self._failure is not None:
            raise self._failure
        if self._connection is None:
            raise self._dialogue.closed()
        return self._connection

    async def _open(self) -> None:
        """One attempt. Raises `Interrupted` or EgoReactError, and leaves no connection then."""
        try:
            connection = await connect(
                self._dialogue.address(), additional_headers=self._dialogue.endpoint.headers(), compression=None,
                max_size=MOST_RECEIVED_BYTES, logger=TRANSPORT_LOG, open_timeout=min(self.timeout_s, OPEN_S), close_timeout=CLOSE_S,
                ping_interval=PING_S, ping_timeout=PONG_S,
            )  # fmt: skip
        except (OSError, WebSocketException) as error:
            raise self._dialogue.judge(error) from error
        try:
            async with asyncio.timeout(self.timeout_s):
                again = self._dialogue.greet(await connection.recv())
            if again is not None:
                await connection.send(again)
        except (ConnectionClosed, TimeoutError) as error:
            await connection.close()
            raise self._dialogue.judge(error) from error
        except (Interrupted, EgoReactError):
            await connection.close()
            raise
        self._connection = connection
        self._connected += 1

    async def _restore(self, why: Interrupted) -> None:
        """Holding the turn: comes back, or fails for good."""
        lost = self._open_connection()
        try:
            await self._salvage()
            self._dialogue.lost(why)
            await lost.close()
            while True:
                await asyncio.sleep(self._dialogue.wait_s(why))
                if self._connection is None:
                    raise self._dialogue.closed()
                try:
                    return await self._open()
                except Interrupted as again:
                    why = again
        except EgoReactError as error:
            self._failure = error
            raise

    async def _judge(self, error: ConnectionClosed) -> Interrupted:
        """Why it closed, if that may pass; else what the service said last, or the close itself, is raised."""
        judged = self._dialogue.judge(error)
        if isinstance(judged, Interrupted):
            return judged
        await self._salvage()
        self._failure = judged if isinstance(judged, EgoReactError) else None
        raise judged

    async def _salvage(self) -> None:
        """Takes in what a dead connection still holds. Raises what an error message among it tells."""
        while True:
            try:
                await self._read(0.0)
            except (ConnectionClosed, TimeoutError, Interrupted):
                return

    async def _read(self, timeout_s: float) -> None:
        async with self._reading:
            # A timeout of 0 would cancel even a message that is there; a loop's turn lets it come.
            async with asyncio.timeout(max(timeout_s, 1e-3)):
                content = await self._open_connection().recv()
            try:
                chunk = self._dialogue.understand(content)
            except EgoReactError as error:
                self._failure = error
                raise
            if chunk is not None:
                self._inbox.append(chunk)

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except Interrupted as why:
            raise self._dialogue.unreachable(why) from why
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
