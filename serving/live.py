"""One live session over a WebSocket: a reader that never waits for the model, and a loop that feeds the model.

The two meet in a `FrameClock`, which holds at most one boundary that waits: the newest frame wins (see `protocol`).
"""

import asyncio
import logging
import time
from typing import Any

import msgpack
from starlette.websockets import WebSocket, WebSocketDisconnect

from serving.admission import decode_image, gauges
from serving.protocol import FPS, Chunk, Due, Frame, FrameClock, Refused, pack_error
from serving.runtime import Runtime

log = logging.getLogger("bentoml.egoreact")


async def serve_live(websocket: WebSocket, runtime: Runtime, seed: int) -> None:
    """Runs a session to its end, whoever ends it."""
    await websocket.accept()
    try:
        with runtime.admission.slot("session"):
            await _Live(websocket, runtime, seed).run()
    except Refused as refused:
        await _close(websocket, runtime, refused)
    except WebSocketDisconnect:
        pass
    except Exception:
        log.exception("a live session failed")
        failed = Refused("the service failed; its log says why", status=500, close_code=1011)
        await _close(websocket, runtime, failed)


async def _close(websocket: WebSocket, runtime: Runtime, refused: Refused) -> None:
    try:
        await websocket.send_bytes(pack_error(refused, **runtime.stamp()))
        await websocket.close(refused.close_code, refused.line.encode()[:120].decode(errors="ignore"))
    except (WebSocketDisconnect, RuntimeError):  # it has gone already
        return


class _Live:
    def __init__(self, websocket: WebSocket, runtime: Runtime, seed: int):
        self.websocket, self.runtime, self.seed, self.limits = websocket, runtime, seed, runtime.limits
        self.clock = FrameClock()
        self.came = asyncio.Event()
        self.dropped_told = 0

    async def run(self) -> None:
        hello = self.runtime.hello() | {"type": "hello", "seed": self.seed}
        await self.websocket.send_bytes(msgpack.packb(hello))
        tasks = {asyncio.create_task(self._read()), asyncio.create_task(self._answer())}
        try:
            async with asyncio.timeout(self.limits.session_seconds):
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            raise self._over() from None
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            failures = [task.exception() for task in tasks if not task.cancelled()]
        raise next(failure for failure in failures if failure)

    async def _read(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self.limits.idle_seconds):
                    message = await self.websocket.receive()
            except TimeoutError:
                line = f"no frame came for {self.limits.idle_seconds} s"
                raise Refused(line, status=408, close_code=1008) from None
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1005), message.get("reason"))
            content = message.get("bytes")
            if content is None:
                raise Refused("text messages are not understood; send msgpack", status=400, close_code=1003)
            if len(content) > self.limits.max_message_bytes:
                line = f"a message has {len(content)} bytes; at most {self.limits.max_message_bytes}"
                raise Refused(line, status=413, close_code=1009)
            self.clock.offer(Frame.unpack(content), time.perf_counter())
            if self.clock.ticks > self.limits.session_seconds * FPS:
                raise self._over()
            self.came.set()

    def _over(self) -> Refused:
        return Refused(
            f"the session reached its {self.limits.session_seconds} s; open another", status=408, close_code=1008
        )

    async def _answer(self) -> None:
        loop, thread = asyncio.get_running_loop(), self.runtime.live_thread
        advance = await loop.run_in_executor(thread, self.runtime.open_session, self.seed)
        while True:
            await self.came.wait()
            self.came.clear()
            due = self.clock.take()
            if due is None:
                continue
            chunk = await loop.run_in_executor(thread, self._perceive, advance, due)
            try:
                async with asyncio.timeout(self.limits.idle_seconds):
                    await self.websocket.send_bytes(chunk)
            except TimeoutError:
                line = f"no chunk was read for {self.limits.idle_seconds} s"
                raise Refused(line, status=408, close_code=1008) from None
            gauges().tokens.inc()
            gauges().token_seconds.observe(time.perf_counter() - due.since_s)
            gauges().dropped.inc(self.clock.dropped - self.dropped_told)
            self.dropped_told = self.clock.dropped

    def _perceive(self, advance: Any, due: Due) -> bytes:
        started = time.perf_counter()
        rgb = decode_image(due.frame.image, self.limits.max_image_side_px)
        decoded = time.perf_counter()
        made = advance(rgb)
        timings_ms = {"wait": (started - due.since_s) * 1e3, "image": (decoded - started) * 1e3, **made.timings_ms}
        timings_ms["total"] = (time.perf_counter() - due.since_s) * 1e3
        return Chunk(
            index=made.index, first_frame=made.first_frame, seq=due.seq, captured_at=due.frame.captured_at,
            joints_m=made.joints_m, token=made.token, timings_ms={k: round(v, 3) for k, v in timings_ms.items()},
            dropped=self.clock.dropped, **self.runtime.stamp(),
        ).pack()  # fmt: skip
