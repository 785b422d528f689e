"""Streams of pictures into streams of motion.

for chunk in stream_video("http://127.0.0.1:3000", Path("walk.mp4")):
    print(chunk.index, chunk.joints_m[-1])
"""

import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path

from egoreact.client.dialogue import Event, log_event
from egoreact.client.images import Encoding
from egoreact.client.live import LiveSession
from egoreact.client.live_async import AsyncLiveSession
from egoreact.client.sources import Picture, boundary_frames, paced_frames
from egoreact.client.wire import Chunk
from egoreact.errors import EgoReactError

_POLL_S = 0.25
_LOST_END_S = 2.0
"""How long to wait for the last chunk where chunks were lost with a connection: it may be among them."""


def stream_video(
    url: str,
    video: Path | bytes,
    *,
    seed: int = 0,
    realtime: bool = False,
    encoding: Encoding = "jpeg",
    token: str | None = None,
    keep_place: bool = False,
    on_event: Callable[[Event], None] = log_event,
) -> Iterator[Chunk]:
    """Streams a video and yields its motion.

    Args:
        url: of the service.
        video: a file, or its bytes.
        seed: of sampling.
        realtime: send at the pace of the video, as a camera would: what the service cannot follow is dropped. Otherwise
            each boundary's frame waits for the chunk before it: as fast as the service goes, nothing dropped.
        encoding: of the frames; PNG gives exactly what the pixels give.
        token: bearer token; `EGOREACT_TOKEN` where not given.
        keep_place: see `LiveSession`.
        on_event: see `LiveSession`.

    Raises:
        EgoReactError: the video cannot be read, or the service refuses.
    """
    with LiveSession(url, seed=seed, token=token, keep_place=keep_place, on_event=on_event) as session:
        if realtime:
            stop = threading.Event()
            yield from stream_pictures(session, paced_frames(video, stop), stop, encoding=encoding)
        else:
            yield from stream_in_turn(session, video, encoding=encoding)


async def stream_video_async(
    url: str,
    video: Path | bytes,
    *,
    seed: int = 0,
    encoding: Encoding = "jpeg",
    token: str | None = None,
    keep_place: bool = False,
    on_event: Callable[[Event], None] = log_event,
) -> AsyncIterator[Chunk]:
    """`stream_video` for an event loop, at the service's pace."""
    async with AsyncLiveSession(url, seed=seed, token=token, keep_place=keep_place, on_event=on_event) as session:
        for seq, rgb in boundary_frames(video):
            chunk = await session.exchange(seq, rgb, encoding=encoding)
            if chunk is not None:
                yield chunk


def stream_in_turn(session: LiveSession, video: Path | bytes, *, encoding: Encoding = "jpeg") -> Iterator[Chunk]:
    """Each boundary's frame after the chunk before it."""
    for seq, rgb in boundary_frames(video):
        chunk = session.exchange(seq, rgb, encoding=encoding)
        if chunk is not None:
            yield chunk


def stream_pictures(
    session: LiveSession,
    pictures: Generator[Picture, None, None],
    stop: threading.Event,
    *,
    encoding: Encoding = "jpeg",
) -> Iterator[Chunk]:
    """Sends pictures as they come, from a thread of its own, and yields the motion until the last one's has come.

    `stop` is set in the end, whoever ends it, so that the pictures end too.
    """
    sender = _Sender(session, pictures, stop, encoding)
    gaps, newest_seq, heard_s = session.gaps, -1, time.monotonic()
    sender.start()
    try:
        while sender.is_alive() or newest_seq < sender.last_seq:
            chunk = session.poll(_POLL_S)
            if sender.failure is not None:
                raise sender.failure
            if chunk is not None:
                newest_seq, heard_s = chunk.seq, time.monotonic()
                yield chunk
                continue
            silent_s = time.monotonic() - heard_s
            if not sender.is_alive() and session.gaps > gaps and silent_s > _LOST_END_S:
                return
            if silent_s > session.timeout_s:
                line = f"no motion came for {silent_s:.0f} s"
                raise EgoReactError(line, where=session.url, remedy="check that the service keeps up")
    finally:
        stop.set()
        sender.join(_LOST_END_S)
    if sender.failure is not None:
        raise sender.failure


class _Sender(threading.Thread):
    def __init__(
        self, session: LiveSession, pictures: Generator[Picture, None, None], stop: threading.Event, encoding: Encoding
    ) -> None:
        super().__init__(name="sender", daemon=True)
        self.last_seq = -1
        self.failure: EgoReactError | None = None
        self._session, self._pictures, self._stop_asked, self._encoding = session, pictures, stop, encoding

    def run(self) -> None:
        try:
            with closing(self._pictures):
                for seq, rgb, captured_at in self._pictures:
                    if self._stop_asked.is_set():
                        return
                    self._session.send(seq, rgb, captured_at=captured_at, encoding=self._encoding)
                    self.last_seq = seq
        except EgoReactError as error:
            self.failure = error
