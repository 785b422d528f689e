"""The client against what the real service cannot show: other protocols, and connections lost at a chosen moment."""

import asyncio

import numpy as np
import pytest
from lossy import SESSION, answer, hello, scripted, standing_m, turned_m, vanish
from running import free_port

from egoreact.client.dialogue import Event
from egoreact.client.endpoint import Endpoint
from egoreact.client.live import LiveSession
from egoreact.client.live_async import AsyncLiveSession
from egoreact.client.retry import Backoff
from egoreact.client.wire import Drain, ErrorMessage
from egoreact.errors import EgoReactError
from egoreact.motion.skeleton import PELVIS

SOON = Backoff(first_s=0.01, most_s=0.05, give_up_s=20.0)
JPEG = b"\xff\xd8 not looked at here"


def said_by(told: list[Event]) -> list[str]:
    return [event.kind for event in told]


def test_another_protocol_is_named():
    with (
        scripted(lambda connection: connection.send(hello(protocol=1))) as url,
        pytest.raises(EgoReactError, match="speaks protocol 1, this client 2"),
    ):
        LiveSession(url)


def test_a_lost_connection_resumes_where_the_service_still_has_the_session():
    paths, told = [], []

    def first(connection):
        paths.append(connection.request.path)
        connection.send(hello())
        answer(connection, 0)
        connection.recv(timeout=30)  # frame 4 is read off the wire, and lost with the process that read it
        vanish(connection)

    def second(connection):
        paths.append(connection.request.path)
        connection.send(hello(resumed=True, next_seq=1, next_index=1))
        answer(connection, 1)
        answer(connection, 2)

    with (
        scripted(first, vanish, second) as url,
        LiveSession(url, seed=3, retry=SOON, on_event=told.append) as session,
    ):
        came = [session.exchange(seq, JPEG) for seq in (0, 4, 8)]
    assert [(c.index, c.seq) for c in came if c is not None] == [(0, 0), (1, 4), (2, 8)]
    assert "seed=3" in paths[0] and "resume" not in paths[0]
    assert f"resume={SESSION}" in paths[1]
    assert said_by(told) == ["lost", "retrying", "retrying", "resumed"]
    assert told[-1].lost_chunks == 0


def test_a_chunk_that_was_made_but_never_came_is_said():
    told = []

    def first(connection):
        connection.send(hello())
        answer(connection, 0)
        connection.recv(timeout=30)
        vanish(connection)

    def second(connection):
        connection.send(hello(resumed=True, next_seq=5, next_index=2))
        answer(connection, 2)

    with scripted(first, second) as url, LiveSession(url, retry=SOON, on_event=told.append) as session:
        came = [session.exchange(seq, JPEG) for seq in (0, 4, 8)]
        assert session.gaps == 1
    assert [None if c is None else c.index for c in came] == [0, None, 2]
    assert told[-1].lost_chunks == 1


@pytest.mark.parametrize("keep_place", [True, False])
def test_a_new_session_begins_where_the_last_one_ended_on_request(keep_place):
    last_m, told = turned_m(standing_m(), 0.7, 1.5, -2.0), []
    walk_m = np.stack([standing_m() + np.array([0, 0, 0.1 * step]) for step in range(4)])

    def first(connection):
        connection.send(hello())
        answer(connection, 0, np.stack([last_m] * 4))
        connection.recv(timeout=30)
        vanish(connection)

    def second(connection):
        connection.send(hello(session="b" * 32))
        for index in range(2):
            answer(connection, index, walk_m)

    with (
        scripted(first, second) as url,
        LiveSession(url, retry=SOON, keep_place=keep_place, on_event=told.append) as session,
    ):
        came = [session.exchange(seq, JPEG) for seq in (0, 4, 8)]
        assert session.hello.session == "b" * 32
    assert [c.index for c in came] == [0, 0, 1]
    assert told[-1].kind == "restarted"
    again_m = came[1].joints_m
    if not keep_place:
        np.testing.assert_array_equal(again_m, walk_m.astype(np.float32))
        return
    np.testing.assert_allclose(again_m[0], last_m, atol=1e-5)
    way_m = again_m[3, PELVIS] - again_m[0, PELVIS]  # forward is where the body faces
    np.testing.assert_allclose(way_m, [0.3 * np.sin(0.7), 0.0, 0.3 * np.cos(0.7)], atol=1e-5)
    np.testing.assert_allclose(came[2].joints_m, again_m, atol=1e-5)  # the same move for all that follows


def test_drain_is_told_and_the_session_comes_back_after_it():
    told = []

    def first(connection):
        connection.send(hello())
        connection.send(Drain(9.0, "4", "d").pack())
        answer(connection, 0)
        connection.recv(timeout=30)
        connection.close(1012)

    def full(connection):
        connection.send(ErrorMessage("the service stops", 1012, None, "4", "d").pack())
        connection.close(1012)

    def second(connection):
        connection.send(hello(version="5"))
        answer(connection, 0)

    with scripted(first, full, second) as url, LiveSession(url, retry=SOON, on_event=told.append) as session:
        session.exchange(0, JPEG)
        assert session.draining and told[0].seconds == 9.0
        assert session.exchange(4, JPEG).index == 0
        assert not session.draining and session.hello.version == "5"
    assert said_by(told) == ["draining", "lost", "retrying", "retrying", "restarted"]
    assert "the service stops" in told[3].line


def test_a_refusal_is_the_services_own_line_and_is_not_tried_again():
    def refuse(connection):
        connection.send(hello())
        connection.recv(timeout=30)
        connection.send(ErrorMessage("seq went from 4 to 4; it must grow", 1008, None, "4", "d").pack())
        connection.close(1008)

    with scripted(refuse) as url, LiveSession(url, retry=SOON) as session:
        session.send(0, JPEG)
        with pytest.raises(EgoReactError, match="seq went from 4 to 4"):
            session.receive()
        with pytest.raises(EgoReactError, match="seq went from 4 to 4"):
            session.send(8, JPEG)


def test_a_wrong_token_is_refused_with_a_remedy_and_never_printed():
    def refuse(connection):
        assert connection.request.headers["Authorization"] == "Bearer s3cret"
        connection.send(ErrorMessage("no or wrong token", 4401, None, "4", "d").pack())
        connection.close(4401)

    with scripted(refuse) as url, pytest.raises(EgoReactError, match=r"no or wrong token.*EGOREACT_TOKEN") as raised:
        LiveSession(url, token="s3cret")
    assert "s3cret" not in str(raised.value) + repr(Endpoint.of(url, "s3cret"))


def test_it_gives_up_after_its_time():
    def first(connection):
        connection.send(hello())
        connection.recv(timeout=30)
        vanish(connection)

    told = []
    retry = Backoff(first_s=0.02, most_s=0.1, give_up_s=0.5)
    with (
        scripted(first, *[vanish] * 50) as url,
        LiveSession(url, retry=retry, on_event=told.append) as session,
    ):
        session.send(0, JPEG)
        with pytest.raises(EgoReactError, match="the connection ended"):
            session.receive()
    waits_s = [event.seconds for event in told if event.kind == "retrying"]
    assert 5 <= len(waits_s) <= 30
    assert sum(waits_s) <= 0.5


def test_a_service_that_greets_and_dies_does_not_start_the_clock_anew():
    def hopeless(connection):
        connection.send(hello())
        vanish(connection)

    retry = Backoff(first_s=0.02, most_s=0.1, give_up_s=0.5)
    with (
        scripted(*[hopeless] * 50) as url,
        LiveSession(url, retry=retry, on_event=lambda event: None) as session,
        pytest.raises(EgoReactError, match="the connection ended"),
    ):
        session.receive()


def test_a_picture_over_the_limit_is_refused_before_it_is_sent():
    with (
        scripted(lambda connection: connection.send(hello())) as url,
        LiveSession(url) as session,
        pytest.raises(EgoReactError, match=r"frame 0 has 60.. bytes; the service takes at most 5000"),
    ):
        session.send(0, bytes([1] * 6000))


def test_no_service_is_one_line_with_a_remedy():
    with pytest.raises(EgoReactError, match=r"cannot be reached.*egoreact serve"):
        LiveSession(f"http://127.0.0.1:{free_port()}")


def test_the_async_session_resumes_and_restarts_too():
    def first(connection):
        connection.send(hello())
        answer(connection, 0)
        connection.recv(timeout=30)
        vanish(connection)

    def second(connection):
        connection.send(hello(resumed=True, next_seq=1, next_index=1))
        answer(connection, 1)
        connection.recv(timeout=30)
        vanish(connection)

    def third(connection):
        connection.send(hello())
        answer(connection, 0)

    told: list[Event] = []

    async def gather(url: str) -> list[tuple[int, int]]:
        async with AsyncLiveSession(url, retry=SOON, on_event=told.append) as session:
            came = [await session.exchange(seq, JPEG) for seq in (0, 4, 8)]
            return [(chunk.index, chunk.seq) for chunk in came if chunk is not None]

    with scripted(first, second, third) as url:
        assert asyncio.run(gather(url)) == [(0, 0), (1, 4), (0, 8)]
    assert [kind for kind in said_by(told) if kind != "retrying"] == ["lost", "resumed", "lost", "restarted"]


def test_the_async_session_raises_the_services_line():
    def refuse(connection):
        connection.send(ErrorMessage("all 8 session slots are taken", 1013, 5, "4", "d").pack())
        connection.close(1013)

    async def enter(url: str) -> None:
        async with AsyncLiveSession(url):
            pass

    with (
        scripted(refuse) as url,
        pytest.raises(EgoReactError, match=r"all 8 session slots are taken.*try again in 5 s"),
    ):
        asyncio.run(enter(url))
