"""A live session: frames up, motion down, over a connection that is restored when it is lost.

with LiveSession("http://127.0.0.1:3000") as session:
    session.send(0, jpeg_bytes)
    print(session.receive().joints_m[-1])
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection, connect

from egoreact.client.dialogue import MOST_RECEIVED_BYTES, TRANSPORT_LOG, Dialogue, Event, Interrupted, log_event
from egoreact.client.endpoint import Endpoint
from egoreact.client.images import Encoding, Rgb
from egoreact.client.retry import Backoff, Outage
from egoreact.client.wire import Chunk, Hello
from egoreact.errors import EgoReactError

PING_S, PONG_S = 3.0, 6.0
"""A connection that died without a word is noticed while the service still keeps the session."""
OPEN_S, CLOSE_S = 10.0, 2.0


class LiveSession:
    """A live session. One thread may send while another receives.

    Where the connection is lost, the call that notices restores it: the session goes on where it was if the service
    still has it, with the newest frame sent again if it had not arrived; else a new session begins, with `index` from 0.
    """

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
        """Args:
        url: of the service, for example http://127.0.0.1:3000.
        seed: of sampling.
        token: bearer token; `EGOREACT_TOKEN` where not given.
        timeout_s: to wait for the connection and for each chunk.
        retry: how to come back after a lost connection; `Backoff(give_up_s=0)` never does.
        keep_place: a body that begins anew, because its session is gone, stands and faces as the last one did.
        consent_to_record: lets the service keep this session's frames and motion, where it is set to.
        on_event: told of losses, attempts, returns and restarts; the log `egoreact.client` where not given.

        Raises:
            EgoReactError: no service there, it refuses, or it speaks another protocol.
        """
        outage = Outage(retry or Backoff())
        self.timeout_s = timeout_s
        self._dialogue = Dialogue(
            Endpoint.of(url, token), outage, seed=seed, keep_place=keep_place, consent_to_record=consent_to_record,
            on_event=on_event,
        )  # fmt: skip
        self._turn, self._reading, self._over = threading.Lock(), threading.Lock(), threading.Event()
        self._inbox: deque[Chunk] = deque()
        self._failure: EgoReactError | None = None
        self._connection: ClientConnection
        self._connected = 0
        try:
            self._open()
        except Interrupted as why:
            raise self._dialogue.unreachable(why) from why

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

    def send(
        self, seq: int, image: Rgb | bytes, *, captured_at: float | None = None, encoding: Encoding = "jpeg"
    ) -> None:
        """Sends the frame of tick `seq`, RGB or encoded. `captured_at` defaults to now, `time.perf_counter`."""
        captured_at = time.perf_counter() if captured_at is None else captured_at
        with self._turn:
            self._check()
            message = self._dialogue.frame(seq, image, captured_at, encoding)
            try:
                self._connection.send(message)
            except ConnectionClosed as error:
                self._restore(self._judge(error))

    def poll(self, timeout_s: float) -> Chunk | None:
        """The next chunk, or None where none came within `timeout_s`; to restore a connection may take longer."""
        give_up_at = time.monotonic() + timeout_s
        while True:
            if self._inbox:
                return self._inbox.popleft()
            self._check()
            connected = self._connected
            try:
                self._read(max(0.0, give_up_at - time.monotonic()))
            except TimeoutError:
                return None
            except (ConnectionClosed, Interrupted) as why:
                with self._turn:
                    if connected == self._connected:  # else the sender has restored it already
                        self._check()
                        self._restore(why if isinstance(why, Interrupted) else self._judge(why))

    def receive(self) -> Chunk:
        """The next chunk. Raises EgoReactError with the service's own line where it refuses."""
        chunk = self.poll(self.timeout_s)
        if chunk is None:
            raise self._dialogue.silent(self.timeout_s)
        return chunk

    def exchange(
        self, seq: int, image: Rgb | bytes, *, captured_at: float | None = None, encoding: Encoding = "jpeg"
    ) -> Chunk | None:
        """Sends the frame of a boundary (every fourth tick) and waits for its chunk: one at a time, nothing dropped.

        None where the chunk was made but got lost with a connection; the motion goes on with the next.
        """
        gaps, give_up_at = self._dialogue.gaps, time.monotonic() + self.timeout_s
        self.send(seq, image, captured_at=captured_at, encoding=encoding)
        while (chunk := self.poll(0.25)) is None:
            if self._dialogue.gaps > gaps:
                return None
            if time.monotonic() > give_up_at:
                raise self._dialogue.silent(self.timeout_s)
        return chunk

    def close(self) -> None:
        self._over.set()
        self._connection.close()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._over.is_set():
            raise self._dialogue.closed()

    def _open(self) -> None:
        """One attempt. Raises `Interrupted` or EgoReactError, and leaves no connection then."""
        try:
            connection = connect(
                self._dialogue.address(), additional_headers=self._dialogue.endpoint.headers(), compression=None,
                max_size=MOST_RECEIVED_BYTES, logger=TRANSPORT_LOG, open_timeout=min(self.timeout_s, OPEN_S), close_timeout=CLOSE_S,
                ping_interval=PING_S, ping_timeout=PONG_S, legacy=True,
            )  # fmt: skip
        except (OSError, WebSocketException) as error:
            raise self._dialogue.judge(error) from error
        try:
            again = self._dialogue.greet(connection.recv(timeout=self.timeout_s))
            if again is not None:
                connection.send(again)
        except (ConnectionClosed, TimeoutError) as error:
            connection.close()
            raise self._dialogue.judge(error) from error
        except (Interrupted, EgoReactError):
            connection.close()
            raise
        self._connection = connection
        self._connected += 1

    def _restore(self, why: Interrupted) -> None:
        """Holding the turn: comes back, or fails for good."""
        try:
            self._salvage()
            self._dialogue.lost(why)
            self._connection.close()
            while True:
                if self._over.wait(self._dialogue.wait_s(why)):
                    raise self._dialogue.closed()
                try:
                    return self._open()
                except Interrupted as again:
                    why = again
        except EgoReactError as error:
            self._failure = error
            raise

    def _judge(self, error: ConnectionClosed) -> Interrupted:
        """Why it closed, if that may pass; else what the service said last, or the close itself, is raised."""
        judged = self._dialogue.judge(error)
        if isinstance(judged, Interrupted):
            return judged
        self._salvage()
        self._failure = judged if isinstance(judged, EgoReactError) else None
        raise judged

    def _salvage(self) -> None:
        """Takes in what a dead connection still holds. Raises what an error message among it tells."""
        while True:
            try:
                self._read(0.0)
            except (ConnectionClosed, TimeoutError, Interrupted):
                return

    def _read(self, timeout_s: float) -> None:
        with self._reading:
            content = self._connection.recv(timeout=timeout_s)
            try:
                chunk = self._dialogue.understand(content)
            except EgoReactError as error:
                self._failure = error
                raise
            if chunk is not None:
                self._inbox.append(chunk)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
