"""One connection of a live session: a reader that never waits for the model, and a writer of what the model made.

The two meet in the session's seat (see `scheduler`). A session whose connection is lost is parked; see `sessions`.
"""

import asyncio
import logging
import time
from dataclasses import replace

from starlette.websockets import WebSocket, WebSocketDisconnect

from egoreact.client.wire import FPS, SUBPROTOCOL, Chunk, Drain, Frame, Hello, Malformed, pack_error
from egoreact.motion.skeleton import JOINTS, PARENTS
from serving.logs import NAME, session_log
from serving.metrics import STAGES, gauges
from serving.protocol import Refused
from serving.runtime import Runtime
from serving.scheduler import Answer
from serving.sessions import Session
from serving.tracing import span, token_spans

log = logging.getLogger(NAME)
LOST = (1005, 1006, 1011)
"""Codes of a connection that ended without a word, or because its client heard nothing; any other is somebody's decision."""


async def serve_live(websocket: WebSocket, runtime: Runtime, seed: int) -> None:
    """Runs a connection to its end, whoever ends it. Reads `resume` and `consent` from its address.

    A server that cancels the request does not cancel what frees the session's slot.
    """
    await asyncio.shield(asyncio.create_task(_serve(websocket, runtime, seed)))


async def _serve(websocket: WebSocket, runtime: Runtime, seed: int) -> None:
    offered = websocket.scope.get("subprotocols", [])
    await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
    try:
        owner = runtime.access.check(websocket.headers.get("authorization"), offered)
        runtime.admission.check_open()
        await _Connection(websocket, runtime, owner, seed).run()
    except Refused as refused:
        await _close(websocket, runtime, refused)
    except WebSocketDisconnect:
        pass
    except Exception:
        gauges().refused.labels(reason="failed").inc()
        log.exception("a live session failed")
        failed = Refused("the service failed; its log says why", status=500, close_code=1011)
        await _close(websocket, runtime, failed)


async def _close(websocket: WebSocket, runtime: Runtime, refused: Refused) -> None:
    try:
        await websocket.send_bytes(pack_error(refused, **runtime.stamp()))
        await websocket.close(refused.close_code, refused.line.encode()[:120].decode(errors="ignore"))
    except (WebSocketDisconnect, RuntimeError):  # it has gone already
        return


class _Connection:
    def __init__(self, websocket: WebSocket, runtime: Runtime, owner: str, seed: int):
        self.websocket, self.runtime, self.owner, self.seed = websocket, runtime, owner, seed
        self.limits, self.sessions = runtime.limits, runtime.sessions
        self.released = asyncio.Event()
        self._stopped = asyncio.Event()
        self._why: Refused | None = None
        self._announcement: asyncio.Task[None] | None = None

    def stop(self, why: Refused) -> None:
        self._why = self._why or why
        self._stopped.set()

    def announce_end(self, seconds_left: float) -> None:
        drain = Drain(seconds_left=seconds_left, **self.runtime.stamp()).pack()
        self._announcement = asyncio.create_task(self._tell(drain))

    async def _tell(self, message: bytes) -> None:
        try:
            await self.websocket.send_bytes(message)
        except (WebSocketDisconnect, RuntimeError):  # the reader will know
            return

    async def run(self) -> None:
        asked = self.websocket.query_params
        session = None
        if token := asked.get("resume"):
            session = await self.sessions.claim(token, self.owner, self)
        resumed = session is not None
        session = session or await self.sessions.open(self.seed, self.owner, self)
        told, over = session_log(session.token, self.runtime.digest), True
        told.info("resumed" if resumed else "opened")
        try:
            await self._greet(session, resumed, consent=asked.get("consent") == "record")
            with span("session", session=session.token, digest=self.runtime.digest):
                await self._talk(session)
        except WebSocketDisconnect as gone:
            over = gone.code not in LOST or self.runtime.admission.draining
            raise
        except Refused as refused:
            gauges().refused.labels(reason=str(refused.close_code)).inc()
            raise
        finally:
            self.released.set()
            if session.connection is self:  # else another connection has taken it over
                told.info("ended" if over else "lost; its client may come back")
                if over:
                    await self.sessions.end(session)
                else:
                    self.sessions.park(session)

    async def _greet(self, session: Session, resumed: bool, *, consent: bool) -> None:
        seat = session.seat
        hello = Hello(
            version=self.runtime.version, digest=self.runtime.digest, joints=list(JOINTS), parents=list(PARENTS),
            seed=session.seed, limits=self.limits.public(), session=session.token, resumed=resumed,
            next_seq=seat.clock.next_seq, next_index=seat.made, recorded=session.recording is not None,
        )  # fmt: skip
        if not resumed:
            as_told = vars(replace(hello, recorded=True))
            session.recording = self.runtime.recorder.open(session.token, as_told, consent=consent)
            if recording := session.recording:
                hello = replace(hello, recorded=True)
                seat.unheard = lambda answer: recording.chunk(self._pack(answer))
        await self.websocket.send_bytes(hello.pack())

    async def _talk(self, session: Session) -> None:
        """Until somebody ends it; raises why."""
        tasks = {asyncio.create_task(work) for work in (self._read(session), self._answer(session), self._wait())}
        left_s = session.begun_s + self.limits.session_seconds - time.monotonic()
        try:
            done, _ = await asyncio.wait(tasks, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            failures = [task.exception() for task in tasks if not task.cancelled()]
        if not done:
            raise self._over()
        raise next(failure for failure in failures if failure)

    async def _wait(self) -> None:
        await self._stopped.wait()
        assert self._why is not None
        raise self._why

    async def _read(self, session: Session) -> None:
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
            try:
                frame = Frame.unpack(content)
            except Malformed as malformed:
                raise Refused(malformed.line, status=400, close_code=malformed.close_code) from malformed
            session.seat.offer(frame)
            if session.seat.clock.ticks > self.limits.session_seconds * FPS:
                raise self._over()
            if session.recording is not None:
                session.recording.frame(frame.seq, frame.captured_at, frame.image)

    def _over(self) -> Refused:
        return Refused(
            f"the session reached its {self.limits.session_seconds} s; open another", status=408, close_code=1008
        )

    async def _answer(self, session: Session) -> None:
        while True:
            answer = await session.seat.next()
            chunk = self._pack(answer)
            if session.recording is not None:
                session.recording.chunk(chunk)
            try:
                async with asyncio.timeout(self.limits.idle_seconds):
                    await self.websocket.send_bytes(chunk)
            except TimeoutError:
                line = f"no chunk was read for {self.limits.idle_seconds} s"
                raise Refused(line, status=408, close_code=1008) from None
            gauges().tokens.inc()
            for stage in STAGES[:-1]:
                gauges().stage_seconds.labels(stage=stage).observe(answer.timings_ms[stage] / 1e3)
            gauges().stage_seconds.labels(stage="total").observe(time.perf_counter() - answer.due.since_s)
            token_spans(
                answer.due.since_s, {stage: answer.timings_ms[stage] for stage in ("image", "wait", *STAGES[2:-1])},
                session=session.token, index=answer.index, seq=answer.due.seq, batch=answer.batch,
            )  # fmt: skip
            gauges().dropped.inc(answer.dropped - session.dropped_told)
            session.dropped_told = answer.dropped

    def _pack(self, answer: Answer) -> bytes:
        timings_ms = answer.timings_ms | {"total": (time.perf_counter() - answer.due.since_s) * 1e3}
        return Chunk(
            index=answer.index, first_frame=4 * answer.index, seq=answer.due.seq,
            captured_at=answer.due.frame.captured_at, joints_m=answer.motion.joints_m[0].numpy(),
            token=int(answer.motion.tokens[0]), timings_ms={k: round(v, 3) for k, v in timings_ms.items()},
            dropped=answer.dropped, batch=answer.batch, **self.runtime.stamp(),
        ).pack()  # fmt: skip
