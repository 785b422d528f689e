"""A whole video in, its reaction out: an upload's slot, its limits, and the inference in a thread of its own."""

import asyncio
import dataclasses
import io
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from egoreact.errors import EgoReactError
from egoreact.vision.video import iterate_video
from serving.admission import RETRY_AFTER_S, Limits
from serving.answers import MEDIA_TYPES, Format, Whole, chunk_line, error_line, metadata_line, render, summary_line
from serving.metrics import gauges
from serving.protocol import FPS, FRAMES_PER_TOKEN, Refused
from serving.runtime import Runtime
from serving.transfer import Caller, PacedAnswer, in_pieces, read_video

if TYPE_CHECKING:
    from egoreact.streaming.session import MotionChunk, Reaction

log = logging.getLogger("bentoml.egoreact")
FAILED = "the service failed; its log says why"


async def answer_upload(request: Request, runtime: Runtime, form: Format, seed: int) -> Response:
    """The answer to `POST /v1/reactions`. It holds a slot from before the first byte comes until the last one has gone.

    Raises:
        Refused: no slot, an upload that cannot be taken, a video that cannot be read or is beyond the limits.
    """
    async with AsyncExitStack() as held:
        held.enter_context(runtime.admission.slot("upload"))
        video = await read_video(request, runtime.limits)
        caller = Caller(request.receive)
        held.callback(caller.leave)
        headers = {}
        if form == "ndjson":
            pieces = await _by_chunk(runtime, video, seed, caller)
        else:
            loop = asyncio.get_running_loop()
            reaction = await loop.run_in_executor(
                runtime.upload_threads, react_to_upload, runtime, video, seed, caller.gone
            )
            body = await loop.run_in_executor(
                runtime.upload_threads, render, reaction, cast(Whole, form), runtime.stamp(), seed
            )
            pieces, headers = in_pieces(body), {"content-length": str(len(body))}
        return PacedAnswer(
            pieces, caller=caller, close=held.pop_all().aclose, idle_seconds=runtime.limits.idle_seconds,
            media_type=MEDIA_TYPES[form], headers=headers,
        )  # fmt: skip


async def _by_chunk(runtime: Runtime, video: bytes, seed: int, caller: Caller) -> AsyncGenerator[bytes, None]:
    """The lines of NDJSON. The next chunk is made once the client has taken the one before: nothing piles up."""
    chunks = react_by_chunk(runtime, video, seed, caller.gone)
    started = time.perf_counter()

    async def make() -> Any:
        return await asyncio.get_running_loop().run_in_executor(runtime.upload_threads, next, chunks, None)

    first = await make()  # before the status is sent: what is no video gets its own

    async def lines() -> AsyncGenerator[bytes, None]:
        yield metadata_line(runtime.stamp(), seed)
        chunk, frames, count = first, 0, 0
        try:
            while chunk is not None:
                frames, count = frames + len(chunk.joints_m), count + 1
                yield chunk_line(chunk)
                chunk = await make()
        except Refused as refused:
            yield error_line(refused.line, runtime.stamp())
        except Exception:
            gauges().refused.labels(reason="failed").inc()
            log.exception("an upload failed between two chunks")
            yield error_line(FAILED, runtime.stamp())
        else:
            seconds = time.perf_counter() - started
            yield summary_line(runtime.stamp(), frames=frames, chunks=count, seconds=seconds)

    return lines()


def react_to_upload(runtime: Runtime, video: bytes, seed: int, gone: Callable[[], bool]) -> "Reaction":
    """Runs in a thread of its own. Gives up between two frames once `gone` says that nobody waits any more.

    Raises:
        Refused: not a video, or one beyond the limits; the client went, or the service stops.
    """
    from egoreact.streaming.session import react_to_frames

    _check_header(video, runtime.limits)
    try:
        return react_to_frames(runtime.bundle, _frames(video, runtime, gone), seed=seed)
    except EgoReactError as error:
        raise _unfit(error) from error


def react_by_chunk(runtime: Runtime, video: bytes, seed: int, gone: Callable[[], bool]) -> Iterator["MotionChunk"]:
    """The same motion, a token at a time, each as soon as it is made; the last chunk ends with the video.

    Raises:
        Refused: as `react_to_upload`, before or between chunks.
    """
    from egoreact.streaming.session import ReactionEngine

    _check_header(video, runtime.limits)
    session = ReactionEngine(runtime.bundle, seed=seed).open()
    made, frames = None, 0
    try:
        for rgb in _frames(video, runtime, gone):
            made = session.push(rgb) or made
            frames += 1
            if made is not None and frames % FRAMES_PER_TOKEN == 0:
                yield made
                made = None
    except EgoReactError as error:
        raise _unfit(error) from error
    if made is not None:
        kept = frames - made.first_frame
        yield dataclasses.replace(made, joints_m=made.joints_m[:kept], features=made.features[:kept])


def _frames(video: bytes, runtime: Runtime, gone: Callable[[], bool]) -> Iterator[np.ndarray]:
    for index, rgb in enumerate(iterate_video(video, fps=FPS, name="video")):
        if index >= runtime.limits.max_upload_seconds * FPS:  # whatever its header said
            raise _too_long(runtime.limits)
        if runtime.stopping:
            line = "the service stops; send the video again in a while"
            raise Refused(line, status=503, close_code=1012, retry_after_s=RETRY_AFTER_S)
        if gone():
            raise Refused("the client went away", status=499, close_code=1001)
        yield rgb


def _check_header(video: bytes, limits: Limits) -> None:
    """Length and size as the container states them, before a frame is decoded. The decoder says what is no video."""
    import av

    try:
        with av.open(io.BytesIO(video)) as container:
            seconds = (getattr(container, "duration", None) or 0) / av.time_base
            side_px = max((max(s.width, s.height) for s in container.streams.video), default=0)
    except (av.FFmpegError, OSError, ValueError):
        return
    if seconds > limits.max_upload_seconds + 0.5:
        raise _too_long(limits)
    if side_px > limits.max_upload_side_px:
        line = f"the video's frames are {side_px} px long; at most {limits.max_upload_side_px} px"
        raise Refused(line, status=422, close_code=1008)


def _too_long(limits: Limits) -> Refused:
    line = f"the video is longer than {limits.max_upload_seconds} s; cut it, or stream it live"
    return Refused(line, status=413, close_code=1009)


def _unfit(error: EgoReactError) -> Refused:
    return Refused(f"the video {error.what}", status=422, close_code=1007)
