"""Bytes of an upload in, bytes of its answer out, at the pace of the client and within limits on it.

Neither direction blocks the event loop, and neither waits for ever: a client that sends or reads too slowly loses its
slot. An answer is written in pieces, each once the transport has room, so that what a slow reader has not taken is never
more than the one answer its slot holds.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from serving.admission import Limits
from serving.protocol import Refused

log = logging.getLogger("bentoml.egoreact")
PIECE_BYTES = 64 * 1024
SLOWEST_BYTES_A_SECOND = 32 * 1024
"""Of an upload, from `Limits.idle_seconds` on: slower ones would hold their slot for many minutes."""
FORM_BYTES = 4096
"""A form's own lines around its file."""


async def read_video(request: Request, limits: Limits) -> bytes:
    """The uploaded video: the body, or the field `video` of a form.

    Raises:
        Refused: of another type, empty, too large, too slow, or broken off.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if not (kind in ("multipart/form-data", "application/octet-stream") or kind.startswith("video/")):
        line = (
            f"cannot take {kind or 'a body without a content type'}; send video/mp4, video/webm or a form with `video`"
        )
        raise Refused(line, status=415, close_code=1003)
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limits.max_upload_bytes + FORM_BYTES:
        raise _too_large(limits)
    limited = Request(request.scope, _limited(request.receive, limits))
    try:
        if kind != "multipart/form-data":
            pieces = [piece async for piece in limited.stream()]
            video = await asyncio.to_thread(b"".join, pieces)  # tens of megabytes take a while to copy
        else:
            async with limited.form(max_files=1, max_fields=4, max_part_size=FORM_BYTES) as form:
                field = form.get("video")
                video = await field.read() if isinstance(field, UploadFile) else b""
    except ClientDisconnect:
        raise Refused("the client went away", status=499, close_code=1001) from None
    if not video:
        raise Refused("the upload holds no video", status=400, close_code=1008)
    return video


def _limited(receive: Receive, limits: Limits) -> Receive:
    taken = 0
    started = asyncio.get_running_loop().time()

    async def limited() -> Message:
        nonlocal taken
        slowest_s = limits.idle_seconds + taken / SLOWEST_BYTES_A_SECOND
        try:
            async with asyncio.timeout_at(started + slowest_s), asyncio.timeout(limits.idle_seconds):
                message = await receive()
        except TimeoutError:
            line = f"the upload stood still for {limits.idle_seconds} s, or came too slowly"
            raise Refused(line, status=408, close_code=1008) from None
        taken += len(message.get("body", b""))
        if taken > limits.max_upload_bytes + FORM_BYTES:
            raise _too_large(limits)
        return message

    return limited


def _too_large(limits: Limits) -> Refused:
    return Refused(f"the upload is larger than {limits.max_upload_bytes} bytes", status=413, close_code=1009)


class Caller:
    """Whether the client of a request is still there; to be made once its body was read."""

    def __init__(self, receive: Receive):
        self._gone = asyncio.Event()
        self._watcher = asyncio.create_task(self._watch(receive))

    def gone(self) -> bool:
        """May be asked from any thread."""
        return self._gone.is_set()

    def leave(self) -> None:
        """Ends the watch; whoever still works for this client gives up."""
        self._gone.set()
        self._watcher.cancel()

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone.set()


class PacedAnswer(Response):
    """Writes pieces as they come, and calls `close` at its end, whatever ends it."""

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        *,
        caller: Caller,
        close: Callable[[], Awaitable[None]],
        idle_seconds: float,
        media_type: str,
        headers: Mapping[str, str] | None = None,
    ):
        """Args:
        pieces: of the body.
        caller: who reads; where it leaves, no more pieces are asked for.
        close: frees what the answer held.
        idle_seconds: how long one piece may wait for the client to read those before it.
        media_type: of the answer.
        headers: more of them, for example the length where it is known.
        """
        self.status_code, self.media_type, self.background, self.body = 200, media_type, None, b""
        self.pieces, self.caller, self.close, self.idle_seconds = pieces, caller, close, idle_seconds
        self.init_headers(headers)
        if headers is None or "content-length" not in headers:
            del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def paced(message: Message) -> None:
            async with asyncio.timeout(self.idle_seconds):
                await send(message)

        try:
            await paced({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for piece in self.pieces:
                if self.caller.gone():
                    return
                await paced({"type": "http.response.body", "body": piece, "more_body": True})
            await paced({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            log.warning("a client read nothing for %s s; its answer was given up", self.idle_seconds)
        except OSError:  # it has gone in the middle of a piece
            return
        finally:
            await self.pieces.aclose()
            await self.close()


async def in_pieces(content: bytes) -> AsyncGenerator[bytes, None]:
    """Bytes that are there already, a piece at a time."""
    view = memoryview(content)
    for start in range(0, len(view), PIECE_BYTES):
        yield bytes(view[start : start + PIECE_BYTES])
