"""A thin client: frames up, motion down, and whole videos by REST. Needs no torch.

for chunk in stream_video("http://127.0.0.1:3000", Path("walk.mp4")):
    print(chunk.index, chunk.joints_m[-1])
"""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import cv2
import numpy as np
from jaxtyping import UInt8
from websockets.asyncio.client import ClientConnection as AsyncConnection
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.sync.client import ClientConnection, connect

from egoreact.errors import EgoReactError
from egoreact.vision.video import iterate_video
from serving.protocol import FPS, FRAMES_PER_TOKEN, PROTOCOL, Chunk, Frame, unpack_message

Encoding = Literal["jpeg", "png", "webp"]
Rgb = UInt8[np.ndarray, "height width 3"]
_RECEIVE_BYTES = 1024 * 1024


def encode_image(rgb: Rgb, encoding: Encoding = "jpeg") -> bytes:
    """JPEG at quality 90, lossless PNG, or lossless WebP."""
    options = {
        "jpeg": [cv2.IMWRITE_JPEG_QUALITY, 90],
        "png": [cv2.IMWRITE_PNG_COMPRESSION, 1],
        "webp": [cv2.IMWRITE_WEBP_QUALITY, 101],
    }
    _, encoded = cv2.imencode(f".{encoding}", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options[encoding])
    return encoded.tobytes()


class _Wire:
    """What both clients say and understand; how the bytes travel is theirs."""

    def __init__(self, url: str, seed: int):
        self.url = url.rstrip("/")
        self.address = self.url.replace("http", "ws", 1) + f"/v1/stream?seed={seed}"
        self.hello: dict[str, Any] = {}
        """The server's first message: protocol, version, digest, joints, limits, …"""

    def greet(self, content: bytes | str) -> None:
        message = self.understand(content)
        if message.get("protocol") != PROTOCOL:
            spoken = message.get("protocol")
            raise EgoReactError(
                f"the service speaks protocol {spoken}, this client {PROTOCOL}", where=self.url, remedy="update one"
            )
        self.hello = message

    def understand(self, content: bytes | str) -> dict[str, Any]:
        message = unpack_message(content if isinstance(content, bytes) else content.encode())
        if message["type"] == "error":
            raise EgoReactError(message["error"], where=self.url, remedy="see the limits at /v1/model")
        return message

    def gone(self, error: Exception) -> EgoReactError:
        return EgoReactError(
            f"the connection ended ({_line(error)})", where=self.url, remedy="check that the service runs"
        )

    def unreachable(self, error: Exception) -> EgoReactError:
        return EgoReactError(
            f"cannot be reached ({_line(error)})", where=self.url, remedy="start it with: egoreact serve"
        )


class LiveSession(_Wire):
    """A live session. `send` and `receive` may be used from two threads."""

    def __init__(self, url: str, *, seed: int = 0, timeout_s: float = 30.0):
        """Args:
        url: of the service, for example http://127.0.0.1:3000.
        seed: of sampling.
        timeout_s: to wait for the connection and for each chunk.

        Raises:
            EgoReactError: no service there, it is full, or it speaks another protocol.
        """
        super().__init__(url, seed)
        self.timeout_s = timeout_s
        try:
            self.connection: ClientConnection = connect(
                self.address, compression=None, max_size=_RECEIVE_BYTES, open_timeout=timeout_s
            )
        except (OSError, InvalidHandshake, InvalidURI) as error:
            raise self.unreachable(error) from error
        self.greet(self._next())

    def send(
        self, seq: int, image: Rgb | bytes, *, captured_at: float | None = None, encoding: Encoding = "jpeg"
    ) -> None:
        """Sends the frame of tick `seq`, RGB or encoded. `captured_at` defaults to now, `time.perf_counter`."""
        captured_at = time.perf_counter() if captured_at is None else captured_at
        image = image if isinstance(image, bytes) else encode_image(image, encoding)
        try:
            self.connection.send(Frame(seq, captured_at, image).pack())
        except ConnectionClosed as error:
            self._next()  # the service's last words, if it had any
            raise self.gone(error) from error

    def receive(self) -> Chunk:
        """The next chunk. Raises EgoReactError with the service's own line where it refuses."""
        return Chunk.from_message(self.understand(self._next()))

    def _next(self) -> bytes | str:
        try:
            return self.connection.recv(timeout=self.timeout_s)
        except (ConnectionClosed, TimeoutError) as error:
            raise self.gone(error) from error

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncLiveSession(_Wire):
    """`LiveSession` for an event loop: `async with AsyncLiveSession(url) as session`."""

    def __init__(self, url: str, *, seed: int = 0, timeout_s: float = 30.0):
        super().__init__(url, seed)
        self.timeout_s = timeout_s
        self.connection: AsyncConnection | None = None

    async def __aenter__(self) -> Self:
        try:
            self.connection = await connect_async(
                self.address, compression=None, max_size=_RECEIVE_BYTES, open_timeout=self.timeout_s
            )
        except (OSError, InvalidHandshake, InvalidURI) as error:
            raise self.unreachable(error) from error
        self.greet(await self._next())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.connection is not None
        await self.connection.close()

    async def send(
        self, seq: int, image: Rgb | bytes, *, captured_at: float | None = None, encoding: Encoding = "jpeg"
    ) -> None:
        assert self.connection is not None
        captured_at = time.perf_counter() if captured_at is None else captured_at
        image = image if isinstance(image, bytes) else encode_image(image, encoding)
        try:
            await self.connection.send(Frame(seq, captured_at, image).pack())
        except ConnectionClosed as error:
            raise self.gone(error) from error

    async def receive(self) -> Chunk:
        return Chunk.from_message(self.understand(await self._next()))

    async def _next(self) -> bytes | str:
        import asyncio

        assert self.connection is not None
        try:
            async with asyncio.timeout(self.timeout_s):
                return await self.connection.recv()
        except (ConnectionClosed, TimeoutError) as error:
            raise self.gone(error) from error


def boundary_frames(video: Path | bytes) -> Iterator[tuple[int, Rgb]]:
    """(seq, RGB) of the frames that tokens perceive, at 20 a second by wall clock: 0, 4, 8, …"""
    for seq, rgb in enumerate(iterate_video(video, fps=FPS)):
        if seq % FRAMES_PER_TOKEN == 0:
            yield seq, rgb


def stream_video(
    url: str, video: Path | bytes, *, seed: int = 0, realtime: bool = False, encoding: Encoding = "jpeg"
) -> Iterator[Chunk]:
    """Streams a video and yields its motion.

    Args:
        url: of the service.
        video: a file, or its bytes.
        seed: of sampling.
        realtime: send at the pace of the video, as a camera would: what the service cannot follow is dropped. Otherwise
            each boundary's frame waits for the chunk before it: as fast as the service goes, nothing dropped.
        encoding: of the frames; PNG gives exactly what the pixels give.
    """
    with LiveSession(url, seed=seed) as session:
        if not realtime:
            for seq, rgb in boundary_frames(video):
                session.send(seq, rgb, encoding=encoding)
                yield session.receive()
            return
        yield from _paced(session, video, encoding)


def _paced(session: LiveSession, video: Path | bytes, encoding: Encoding) -> Iterator[Chunk]:
    frames = list(boundary_frames(video))
    failed: list[EgoReactError] = []

    def send() -> None:
        started = time.perf_counter()
        try:
            for seq, rgb in frames:
                time.sleep(max(0.0, started + seq / FPS - time.perf_counter()))
                session.send(seq, rgb, encoding=encoding)
        except EgoReactError as error:
            failed.append(error)

    sender = threading.Thread(target=send, name="camera", daemon=True)
    sender.start()
    last_seq = frames[-1][0]
    while True:
        chunk = session.receive()
        yield chunk
        if chunk.seq >= last_seq:  # the newest wins: the last boundary is never passed over
            break
    sender.join()
    if failed:
        raise failed[0]


async def stream_video_async(
    url: str, video: Path | bytes, *, seed: int = 0, encoding: Encoding = "jpeg"
) -> AsyncIterator[Chunk]:
    """`stream_video` for an event loop, at the service's pace."""
    async with AsyncLiveSession(url, seed=seed) as session:
        for seq, rgb in boundary_frames(video):
            await session.send(seq, rgb, encoding=encoding)
            yield await session.receive()


def react(url: str, video: Path | bytes, *, seed: int = 0, form: Literal["json", "npz", "bvh"] = "json") -> Any:
    """The reaction to a whole video by REST: a map for JSON, bytes for npz and bvh.

    Raises:
        EgoReactError: the service's own line where it refuses.
    """
    body = video.read_bytes() if isinstance(video, Path) else video
    address = f"{url.rstrip('/')}/v1/reactions?format={form}&seed={seed}"
    request = urllib.request.Request(address, body, {"Content-Type": "application/octet-stream"})
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            content = answer.read()
    except urllib.error.HTTPError as error:
        line = _error_line(error.read())
        raise EgoReactError(line, where=url, remedy=f"the service answered {error.code}") from error
    except OSError as error:
        raise EgoReactError(
            f"cannot be reached ({_line(error)})", where=url, remedy="start it with: egoreact serve"
        ) from error
    return json.loads(content) if form == "json" else content


def _error_line(content: bytes) -> str:
    try:
        return str(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        return "the service refused without a reason"


def _line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
