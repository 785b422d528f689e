"""One scheduler for all live sessions: those whose boundary is due share a step of the model.

    event loop        offers frames, forms steps, hands out what they made; never decodes and never waits for the model
    decoding threads  bring a boundary's picture to the eyes' own square, one a session at a time
    inference thread  joins, leaves, and runs perception, transformer and decoder once for all sessions of a step

A step begins as soon as the one before has ended and anybody is ready, with everybody who is ready by then: under load
steps grow by themselves and each session costs less, so nobody is made to wait for company. Where more are ready than
one step takes, those go first who took part longest ago, so nobody starves.

A session has at most one picture that is being decoded and one that is ready; where a newer one is decoded before a step
has taken the older, the older gives way (see `protocol`). It takes part in no step while an answer of its own waits to be
fetched, so a client that does not read slows down nobody else.
"""

import asyncio
import itertools
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from egoreact.client.wire import Frame
from egoreact.errors import EgoReactError
from serving.metrics import gauges
from serving.protocol import Due, FrameClock, Refused
from serving.tracing import span

if TYPE_CHECKING:
    from torch import Tensor

    from egoreact.streaming.live_slots import LiveSlots, LiveStep
    from egoreact.streaming.slots import MotionStep

Decode = Callable[[bytes], np.ndarray]
"""Encoded picture to RGB; raises Refused."""


@dataclass(frozen=True)
class _Ready:
    due: Due
    frame: "Tensor"
    image_ms: float


@dataclass(frozen=True)
class Answer:
    """What one step made for one session."""

    due: Due
    index: int
    motion: "MotionStep"
    batch: int
    """Sessions that shared the step."""
    dropped: int
    """Boundaries passed over so far."""
    timings_ms: dict[str, float]
    """All but `total`."""


class Seat:
    """A session's place: its clock, its slot, and what is under way for it. Used from the event loop alone."""

    def __init__(self, scheduler: "Scheduler", slot: int):
        self.scheduler, self.slot, self.clock = scheduler, slot, FrameClock()
        self.made = 0
        """Chunks so far."""
        self.listening = True
        """Whether anyone fetches answers; while nobody does, they go to `unheard`."""
        self.unheard: Callable[[Answer], None] = lambda answer: None
        self.failure: Exception | None = None
        """Why nothing more will come."""
        self.served = -1
        """Its place in the order in which seats took part in steps."""
        self.ready: _Ready | None = None
        self.answer: Answer | None = None
        self.decoding = self.stepping = self.left = False
        self.changed = asyncio.Event()

    def offer(self, frame: Frame) -> None:
        """Takes in a frame. Raises `Refused` where its seq does not grow."""
        self.clock.offer(frame, time.perf_counter())
        self.scheduler.decode_next(self)

    async def next(self) -> Answer:
        """The next answer, in order. Raises what went wrong: `Refused` for a picture that cannot be perceived."""
        while self.answer is None:
            if self.failure is not None:
                raise self.failure
            self.changed.clear()
            await self.changed.wait()
        answer, self.answer = self.answer, None
        self.scheduler.step()
        return answer

    def mute(self) -> None:
        """Nobody listens from now on."""
        self.listening = False
        if self.answer is not None:
            self.unheard(self.answer)
            self.answer = None
        self.scheduler.step()

    async def settle(self) -> None:
        """Waits until all that was offered to a mute seat has been perceived, and listens again."""
        while self.failure is None and (self.clock.is_due or self.ready or self.decoding or self.stepping):
            self.changed.clear()
            await self.changed.wait()
        self.listening = True


class Scheduler:
    def __init__(self, slots: "LiveSlots", inference: ThreadPoolExecutor, decode: Decode, *, largest_batch: int):
        """Args:
        inference: one thread, which alone touches the slots' memory.
        largest_batch: sessions of one step, at most.
        """
        self.slots, self.inference, self.decode, self.largest_batch = slots, inference, decode, largest_batch
        self.pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)), "decode", one_torch_thread)
        self.seats: set[Seat] = set()
        self._turns = itertools.count()
        self.stepping = self.closed = False

    async def join(self, seed: int) -> Seat:
        """A seat for a new session. Raises EgoReactError where all are taken: admission comes first."""
        loop = asyncio.get_running_loop()
        seat = Seat(self, await loop.run_in_executor(self.inference, self.slots.join, seed))
        self.seats.add(seat)
        return seat

    async def leave(self, seat: Seat) -> None:
        """Frees the seat, once nothing of it is under way."""
        seat.left, seat.ready = True, None
        while seat.decoding or seat.stepping:
            seat.changed.clear()
            await seat.changed.wait()
        self.seats.discard(seat)
        await asyncio.get_running_loop().run_in_executor(self.inference, self.slots.leave, seat.slot)

    def decode_next(self, seat: Seat) -> None:
        """Begins with the picture of the boundary that is due, where none of this seat is being decoded."""
        if not (seat.decoding or seat.left or seat.failure or self.closed) and (due := seat.clock.take()):
            seat.decoding = True
            work = asyncio.get_running_loop().run_in_executor(self.pool, self._prepare, seat.slot, due)
            work.add_done_callback(lambda done: self._prepared(seat, done))

    def _prepare(self, slot: int, due: Due) -> _Ready:
        """In a decoding thread."""
        started = time.perf_counter()
        rgb = self.decode(due.frame.image)
        try:
            frame = self.slots.prepare(slot, rgb)
        except EgoReactError as error:
            raise Refused(f"{error.where} {error.what}", status=400, close_code=1008) from error
        return _Ready(due, frame, (time.perf_counter() - started) * 1e3)

    def _prepared(self, seat: Seat, done: "asyncio.Future[_Ready]") -> None:
        seat.decoding = False
        if failure := _failure(done):
            seat.failure = failure
        else:
            if seat.ready is not None:
                seat.clock.pass_over()
            seat.ready = None if seat.left else done.result()
        seat.changed.set()
        self.decode_next(seat)
        self.step()

    def step(self) -> None:
        """Begins a step, where none is under way and anybody is ready."""
        if self.stepping or self.closed:
            return
        able = [seat for seat in self.seats if seat.ready and not (seat.answer or seat.failure)]
        if not able:
            return
        able.sort(key=lambda seat: seat.served)
        batch = {seat: seat.ready for seat in able[: self.largest_batch] if seat.ready}
        self.stepping = True
        for seat in batch:
            seat.ready, seat.stepping, seat.served = None, True, next(self._turns)
        frames = {seat.slot: ready.frame for seat, ready in batch.items()}
        started = time.perf_counter()
        work = asyncio.get_running_loop().run_in_executor(self.inference, self._infer, frames)
        work.add_done_callback(lambda done: self._stepped(batch, started, done))

    def _infer(self, frames: dict[int, "Tensor"]) -> "LiveStep":
        """In the inference thread."""
        with span("step", batch=len(frames)):
            return self.slots.step(frames)

    def _stepped(self, batch: dict[Seat, _Ready], started_s: float, done: "asyncio.Future[LiveStep]") -> None:
        self.stepping = False
        failure = _failure(done)
        if failure is None:
            gauges().batch_size.observe(len(batch))
        for seat, ready in batch.items():
            seat.stepping = False
            if failure is not None:
                seat.failure = failure
            else:
                self._hand_out(seat, ready, started_s, len(batch), done.result())
            seat.changed.set()
        self.step()

    def _hand_out(self, seat: Seat, ready: _Ready, started_s: float, batch: int, step: "LiveStep") -> None:
        waited_ms = (started_s - ready.due.since_s) * 1e3 - ready.image_ms
        timings_ms = {"wait": waited_ms, "image": ready.image_ms, **step.spans_ms}
        motion, dropped = step.motion[seat.slot], seat.clock.dropped
        answer = Answer(ready.due, seat.made, motion, batch, dropped, timings_ms)
        seat.made += 1
        if seat.listening:
            seat.answer = answer
        else:
            seat.unheard(answer)

    def close(self) -> None:
        """Begins nothing more."""
        self.closed = True
        self.pool.shutdown(wait=False, cancel_futures=True)


def _failure(done: "asyncio.Future[Any]") -> Exception | None:
    """Of a piece of work; one that was cancelled because the worker shuts down is one too."""
    if done.cancelled():
        return Refused("the service stops", status=503, close_code=1012)
    error = done.exception()
    assert error is None or isinstance(error, Exception)
    return error


def one_torch_thread() -> None:
    """Of the thread that calls it; others keep theirs."""
    import torch

    torch.get_num_threads()  # the first question in a thread sets its count
    torch.set_num_threads(1)
