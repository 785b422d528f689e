"""Bad clients, one fault at a time, while a good session beside them must keep the motion that it has alone.

After each try a new session must be answered at once, with its first motion as ever. Runs in the clients' process.
"""

import asyncio
import os
import signal
import time
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from egoreact.bench.service_bad_clients import CUT_AT, FAULTS, GONE_WRONG, SAME_M, Fault, Target
from egoreact.client.live_async import AsyncLiveSession
from egoreact.client.retry import Backoff
from egoreact.client.wire import FPS, FRAMES_PER_TOKEN
from egoreact.errors import EgoReactError

ALONE = 100
"""Tokens of the session that is compared."""
AFTERWARDS = 3
"""Tokens that are compared after a fault."""
PATIENCE_S = 20.0


@dataclass(frozen=True)
class Tried:
    tried: int
    answered: int
    """Of these, after which the service did what it promises and a new session got its motion."""
    apart_m: float | None
    """How far the session beside them came from what it is alone; None where it broke off."""

    @property
    def passed(self) -> bool:
        return self.answered == self.tried and self.apart_m is not None and self.apart_m <= SAME_M


def motion_alone(url: str, images: tuple[bytes, ...]) -> Float32[np.ndarray, "tokens 4 22 3"]:
    return asyncio.run(_alone(url, images, ALONE))


def try_fault(name: str, target: Target, tries: int) -> Tried:
    return asyncio.run(_tried(FAULTS[name], target, tries))


def try_kill(target: Target, worker: int) -> tuple[Tried, float]:
    """Kills the process that holds the model in mid-session; also the seconds until the same client had motion again."""
    return asyncio.run(_killed(target, worker))


async def _tried(fault: Fault, target: Target, tries: int) -> Tried:
    begun, done = asyncio.Event(), asyncio.Event()
    beside = asyncio.create_task(_beside(target, begun, done))
    beside.add_done_callback(lambda _: begun.set())  # also where it breaks off before its first motion
    await begun.wait()
    tried = answered = 0
    for _ in range(tries):
        count, well = await _bounded(fault, target)
        tried += count
        answered += well if await _answers(target) else 0
    done.set()
    return Tried(tried, answered, await beside)


async def _bounded(fault: Fault, target: Target) -> tuple[int, int]:
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await fault(target)
    except GONE_WRONG:
        return 1, 0  # a finding: the count of those answered lacks it


async def _alone(url: str, images: tuple[bytes, ...], tokens: int) -> Float32[np.ndarray, "tokens 4 22 3"]:
    async with AsyncLiveSession(url, seed=0, retry=Backoff(give_up_s=0)) as session:
        return np.stack([await _token(session, token, images) for token in range(tokens)])


async def _token(session: AsyncLiveSession, token: int, images: tuple[bytes, ...]) -> np.ndarray:
    chunk = await session.exchange(FRAMES_PER_TOKEN * token, images[token % len(images)])
    if chunk is None:
        raise EgoReactError("a chunk got lost", where=session.url, remedy="its connection was lost, too")
    return chunk.joints_m


async def _beside(target: Target, begun: asyncio.Event, done: asyncio.Event) -> float | None:
    """A good session at a camera's pace, and the next when it is over, until some tokens after `done`."""
    apart_m, after = 0.0, 0
    try:
        while after < AFTERWARDS:
            async with AsyncLiveSession(target.url, seed=0, retry=Backoff(give_up_s=0)) as session:
                for token in range(len(target.alone_m)):
                    joints_m = await _token(session, token, target.images)
                    apart_m = max(apart_m, float(np.abs(joints_m - target.alone_m[token]).max()))
                    begun.set()
                    after += done.is_set()
                    if after == AFTERWARDS:
                        break
                    await asyncio.sleep(FRAMES_PER_TOKEN / FPS)
    except GONE_WRONG:
        return None
    return apart_m


async def _answers(target: Target) -> bool:
    try:
        async with asyncio.timeout(PATIENCE_S):
            motion_m = await _alone(target.url, target.images, 1)
    except GONE_WRONG:
        return False
    return bool(np.abs(motion_m[0] - target.alone_m[0]).max() <= SAME_M)


async def _killed(target: Target, worker: int) -> tuple[Tried, float]:
    came_s, well = 0.0, False
    try:
        async with (
            asyncio.timeout(5 * PATIENCE_S),
            AsyncLiveSession(target.url, seed=0, on_event=lambda event: None) as session,
        ):
            for token in range(CUT_AT):
                await _token(session, token, target.images)
            os.kill(worker, signal.SIGKILL)
            killed_s, token, chunk = time.monotonic(), CUT_AT, None
            while chunk is None:
                chunk = await session.exchange(FRAMES_PER_TOKEN * token, target.images[0])
                token += 1
            came_s = time.monotonic() - killed_s
            well = chunk.index == 0 and bool(np.abs(chunk.joints_m - target.alone_m[0]).max() <= SAME_M)
        motion_m = await _alone(target.url, target.images, len(target.alone_m))
    except GONE_WRONG:
        return Tried(1, 0, None), came_s
    return Tried(1, int(well), float(np.abs(motion_m - target.alone_m).max())), came_s
