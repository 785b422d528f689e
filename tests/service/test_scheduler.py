"""One scheduler for all sessions: each gets what it would get alone, nobody starves, and the event loop never waits."""

import asyncio
import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from egoreact.client.images import encode_image
from egoreact.client.wire import Frame
from egoreact.streaming.live_slots import LiveSlots
from egoreact.streaming.session import ReactionEngine
from serving.admission import decode_image
from serving.protocol import Refused
from serving.scheduler import Scheduler

SIZES = [(56, 56), (40, 72), (90, 64)]


@contextlib.asynccontextmanager
async def scheduling(bundle, capacity=8, *, largest_batch=16, decode=None, step=None):
    """A scheduler; `step(frames, real)` and `decode(image)` stand in for the real ones."""
    slots = LiveSlots(bundle, capacity)
    real = slots.step
    if step is not None:
        slots.step = lambda frames: step(frames, real)
    with ThreadPoolExecutor(1) as inference:
        decode = decode or (lambda image: decode_image(image, 2048))
        scheduler = Scheduler(slots, inference, decode, largest_batch=largest_batch)
        yield scheduler
        scheduler.close()


def pictures(seed: int, count: int) -> np.ndarray:
    """Frames 4t; sizes differ from session to session."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, *SIZES[seed % 3], 3), dtype=np.uint8)


def picture(seed: int, boundary: int) -> bytes:
    return encode_image(pictures(seed, boundary + 1)[boundary], "png")


PICTURE = encode_image(np.full((56, 56, 3), 120, np.uint8))


async def converse(seat, seed: int, boundaries: int, pause_s=lambda: 0.0) -> list:
    """Sends each boundary's frame and waits for its answer."""
    answers = []
    for boundary in range(boundaries):
        await asyncio.sleep(pause_s())
        seat.offer(Frame(4 * boundary, 0.0, picture(seed, boundary)))
        answers.append(await seat.next())
    return answers


async def until(condition, within_s=5.0) -> None:
    give_up_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < give_up_s
        await asyncio.sleep(0.002)


def test_whoever_comes_and_goes_each_session_gets_what_it_gets_alone(untrained_bundle):
    """Thirty sessions of random lengths and pauses, up to eight at a time; each against a session of its own."""
    chance = np.random.default_rng(3)
    lengths = chance.integers(1, 14, 30)

    async def one(scheduler, room, seed):
        async with room:
            seat = await scheduler.join(seed)
            answers = await converse(seat, seed, int(lengths[seed]), lambda: float(chance.exponential(0.003)))
            await scheduler.leave(seat)
            return answers

    async def all_of_them():
        async with scheduling(untrained_bundle) as scheduler:
            room = asyncio.Semaphore(8)
            return await asyncio.gather(*(one(scheduler, room, seed) for seed in range(len(lengths))))

    batches = set()
    for seed, answers in enumerate(asyncio.run(all_of_them())):
        alone = ReactionEngine(untrained_bundle).open(seed)
        frames = pictures(seed, len(answers)).repeat(4, axis=0)
        expected = [chunk for frame in frames if (chunk := alone.push(frame))]
        for answer, chunk in zip(answers, expected, strict=True):
            assert (answer.index, answer.dropped, int(answer.motion.tokens[0])) == (chunk.index, 0, chunk.token)
            np.testing.assert_allclose(answer.motion.joints_m[0].numpy(), chunk.joints_m, atol=1e-5)
            batches.add(answer.batch)
    assert max(batches) >= 4


def test_the_event_loop_waits_for_nobody(untrained_bundle):
    """Eight sessions stream while a picture takes 0.2 s to decode and a step 0.3 s: a heartbeat of 2 ms goes on."""

    def slow_decode(image):
        time.sleep(0.2)
        return decode_image(image, 2048)

    def slow_step(frames, real):
        time.sleep(0.3)
        return real(frames)

    async def main():
        gaps = []

        async def heartbeat():
            while True:
                before = time.perf_counter()
                await asyncio.sleep(0.002)
                gaps.append(time.perf_counter() - before)

        async with scheduling(untrained_bundle, decode=slow_decode, step=slow_step) as scheduler:
            seats = [await scheduler.join(seed) for seed in range(8)]
            beating = asyncio.create_task(heartbeat())
            await asyncio.gather(*(converse(seat, seed, 3) for seed, seat in enumerate(seats)))
            beating.cancel()
        return gaps

    gaps = asyncio.run(main())
    assert len(gaps) > 100
    assert max(gaps) < 0.1


def test_a_bad_picture_ends_its_own_session_alone(untrained_bundle):
    async def main():
        async with scheduling(untrained_bundle) as scheduler:
            good, bad, odd = [await scheduler.join(seed) for seed in range(3)]
            going = asyncio.create_task(converse(good, 0, 6))
            bad.offer(Frame(0, 0.0, b"no picture"))
            odd.offer(Frame(0, 0.0, encode_image(np.zeros((8, 8, 3), np.uint8))))
            for seat, code in ((bad, 1007), (odd, 1008)):
                with pytest.raises(Refused) as refused:
                    await seat.next()
                assert refused.value.close_code == code
                await scheduler.leave(seat)
            assert len(await going) == 6

    asyncio.run(main())


def test_a_failed_step_ends_the_sessions_in_it_and_no_other(untrained_bundle):
    def step(frames, real):
        if 1 in frames:
            raise ZeroDivisionError
        return real(frames)

    async def main():
        async with scheduling(untrained_bundle, largest_batch=1, step=step) as scheduler:
            seats = [await scheduler.join(seed) for seed in range(3)]
            outcomes = await asyncio.gather(
                *(converse(seat, seed, 3) for seed, seat in enumerate(seats)), return_exceptions=True
            )
            assert [type(outcome) for outcome in outcomes] == [list, ZeroDivisionError, list]

    asyncio.run(main())


def test_nobody_starves_where_more_are_ready_than_a_step_takes(untrained_bundle):
    """Seven sessions, two a step; whenever a step begins, all that are not in the one before are ready."""
    steps, gate = [], threading.Semaphore(0)

    def step(frames, real):
        steps.append(sorted(frames))
        gate.acquire()
        return real(frames)

    async def main():
        async with scheduling(untrained_bundle, step=step, largest_batch=2) as scheduler:
            seats = [await scheduler.join(seed) for seed in range(7)]
            for turn in range(70):
                for seat in seats:
                    if seat.answer:
                        await seat.next()
                    if not seat.ready:
                        seat.offer(Frame(4 * turn, 0.0, PICTURE))
                await until(lambda: all(seat.ready or seat.stepping for seat in seats))
                begun = len(steps)
                gate.release()
                await until(lambda begun=begun: len(steps) > begun)
            scheduler.close()
            gate.release()

    asyncio.run(main())
    assert all(len(taken) == 2 for taken in steps[1:])
    served = [sum(slot in taken for taken in steps[1:71]) for slot in range(7)]
    assert max(served) - min(served) <= 1, served


def test_the_newest_picture_wins_and_what_gave_way_is_counted(untrained_bundle):
    """While a step runs, ten boundaries fall due: the next step sees the last of them, nine were passed over."""
    seen = []

    def step(frames, real):
        time.sleep(0.3)
        return real(frames)

    async def main():
        async with scheduling(untrained_bundle, step=step) as scheduler:
            seat = await scheduler.join(0)
            seat.offer(Frame(0, 0.0, PICTURE))
            await until(lambda: seat.stepping)
            for boundary in range(1, 11):
                seat.offer(Frame(4 * boundary, 0.0, PICTURE))
                await asyncio.sleep(0.01)
            seen.extend([await seat.next(), await seat.next()])

    asyncio.run(main())
    assert [(answer.due.seq, answer.index) for answer in seen] == [(0, 0), (40, 1)]
    assert seen[1].dropped == 9


def test_who_does_not_fetch_slows_down_nobody(untrained_bundle):
    async def main():
        async with scheduling(untrained_bundle) as scheduler:
            lazy, keen = [await scheduler.join(seed) for seed in range(2)]
            for boundary in range(3):
                lazy.offer(Frame(4 * boundary, 0.0, picture(0, boundary)))
                await until(lambda: not lazy.decoding and not lazy.stepping)
            assert len(await converse(keen, 1, 10)) == 10
            assert lazy.made == 1
            answers = [await lazy.next(), await lazy.next()]
            assert [(a.index, a.due.seq, a.dropped) for a in answers] == [(0, 0, 0), (1, 8, 1)]

    asyncio.run(main())


def test_a_mute_seat_perceives_all_that_was_offered_and_settles(untrained_bundle):
    unheard = []

    async def main():
        async with scheduling(untrained_bundle) as scheduler:
            seat = await scheduler.join(0)
            seat.unheard = unheard.append
            seat.offer(Frame(0, 0.0, picture(0, 0)))
            seat.mute()
            await seat.settle()
            assert (seat.made, seat.clock.next_seq) == (1, 1)
            seat.offer(Frame(4, 0.0, picture(0, 1)))
            assert (await seat.next()).index == 1

    asyncio.run(main())
    assert [answer.index for answer in unheard] == [0]


def test_a_slot_is_free_only_when_nothing_of_its_session_is_under_way(untrained_bundle):
    def slow_decode(image):
        time.sleep(0.2)
        return decode_image(image, 2048)

    async def main():
        async with scheduling(untrained_bundle, 1, decode=slow_decode) as scheduler:
            seat = await scheduler.join(0)
            seat.offer(Frame(0, 0.0, PICTURE))
            started = time.perf_counter()
            await scheduler.leave(seat)
            assert time.perf_counter() - started > 0.15
            again = await scheduler.join(1)
            assert again.slot == seat.slot and not again.clock.ticks

    asyncio.run(main())
