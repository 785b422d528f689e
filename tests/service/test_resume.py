"""A session outlives its connection: parked when it is lost, resumed or taken over, given up after a while."""

import time

import numpy as np
import pytest
from running import make_frames
from starlette.websockets import WebSocketDisconnect

from egoreact.client.images import encode_image
from egoreact.client.wire import Chunk, Frame, unpack_message
from egoreact.streaming.session import ReactionEngine
from serving.access import Access
from serving.tokens import create_token

LOST, DONE = 1006, 1000


def receive(socket) -> dict:
    return unpack_message(socket.receive_bytes())


def send(socket, seq: int) -> None:
    socket.send_bytes(Frame(seq, 0.0, encode_image(make_frames(81)[seq], "png")).pack())


def wait_until(condition, within_s=5.0) -> None:
    give_up_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < give_up_s
        time.sleep(0.01)


def parked(client) -> list:
    return [s for s in client.app.state.runtime.sessions.by_token.values() if s.connection is None]


def lose(socket, client) -> None:
    """The connection ends without a word."""
    socket.close(LOST)
    wait_until(lambda: parked(client))


def expected(loaded, seed: int) -> list:
    session = ReactionEngine(loaded.bundle).open(seed)
    return [chunk for rgb in make_frames(81) if (chunk := session.push(rgb))]


def test_a_lost_session_goes_on_exactly_where_it_was(connect, loaded):
    """Lost three times, once with a frame that was never answered: the motion is that of a session without a gap."""
    client, chunks = connect(), []
    token, lost_chunks = "", 0
    for first, last in ((0, 12), (16, 28), (32, 40), (44, 80)):
        with client.websocket_connect(f"/v1/stream?seed=6&resume={token}") as socket:
            hello = receive(socket)
            assert hello["resumed"] == bool(token)
            assert hello["seed"] == 6
            token = hello["session"]
            if first:
                assert (hello["next_seq"], hello["next_index"]) == (first - 3, first // 4)
            for seq in range(first, last + 1, 4):
                send(socket, seq)
                if seq == 28:
                    lost_chunks += 1
                else:
                    chunks.append(Chunk.from_message(receive(socket)))
            lose(socket, client) if last < 80 else None
    assert lost_chunks == 1
    assert [chunk.index for chunk in chunks] == [*range(7), *range(8, 21)]
    for chunk in chunks:
        same = expected(loaded, 6)[chunk.index]
        assert (chunk.token, chunk.seq, chunk.dropped) == (same.token, same.first_frame, 0)
        np.testing.assert_allclose(chunk.joints_m, same.joints_m, atol=1e-5)


def test_others_join_and_leave_while_a_session_is_away(connect, loaded):
    client = connect(max_sessions=2)
    with client.websocket_connect("/v1/stream?seed=1") as socket:
        token = receive(socket)["session"]
        send(socket, 0)
        receive(socket)
        lose(socket, client)
    for seed in (2, 3):
        with client.websocket_connect(f"/v1/stream?seed={seed}") as other:
            receive(other)
            send(other, 0)
            assert receive(other)["token"] == expected(loaded, seed)[0].token
        wait_until(lambda: len(client.app.state.runtime.sessions.by_token) == 1)
    with client.websocket_connect(f"/v1/stream?resume={token}") as socket:
        assert receive(socket)["resumed"]
        send(socket, 4)
        back = Chunk.from_message(receive(socket))
    np.testing.assert_allclose(back.joints_m, expected(loaded, 1)[1].joints_m, atol=1e-5)


def test_an_unknown_token_opens_a_new_session(connect):
    with connect().websocket_connect(f"/v1/stream?resume={'ab' * 16}") as socket:
        hello = receive(socket)
    assert (hello["resumed"], hello["next_seq"]) == (False, 0)
    assert hello["session"] != "ab" * 16


def test_a_parked_session_holds_its_slot_for_its_time_and_no_longer(connect):
    client = connect(max_sessions=1, resume_seconds=1)
    with client.websocket_connect("/v1/stream") as socket:
        token = receive(socket)["session"]
        lose(socket, client)
    with client.websocket_connect("/v1/stream") as second:
        error = receive(second)
        assert (error["type"], error["code"], error["retry_after_s"]) == ("error", 1013, 1)
    wait_until(lambda: client.app.state.runtime.admission.in_progress["session"] == 0)
    with client.websocket_connect(f"/v1/stream?resume={token}") as socket:
        assert not receive(socket)["resumed"]


def test_a_client_that_is_done_frees_its_slot_at_once(connect):
    client = connect(max_sessions=1)
    with client.websocket_connect("/v1/stream") as socket:
        token = receive(socket)["session"]
        socket.close(DONE)
        wait_until(lambda: client.app.state.runtime.admission.in_progress["session"] == 0)
    with client.websocket_connect(f"/v1/stream?resume={token}") as socket:
        assert not receive(socket)["resumed"]


def test_a_refused_session_cannot_be_resumed(connect):
    client = connect()
    with client.websocket_connect("/v1/stream") as socket:
        token = receive(socket)["session"]
        socket.send_bytes(b"garbage")
        assert receive(socket)["code"] == 1007
    with client.websocket_connect(f"/v1/stream?resume={token}") as socket:
        assert not receive(socket)["resumed"]


def test_a_second_connection_takes_the_session_over(connect, loaded):
    client = connect(max_sessions=1)
    with client.websocket_connect("/v1/stream?seed=4") as first:
        token = receive(first)["session"]
        send(first, 0)
        receive(first)
        with client.websocket_connect(f"/v1/stream?resume={token}") as second:
            hello = receive(second)
            assert (hello["resumed"], hello["next_seq"], hello["next_index"]) == (True, 1, 1)
            error = receive(first)
            assert (error["code"], error["error"]) == (1008, "another connection took this session over")
            with pytest.raises(WebSocketDisconnect) as closed:
                first.receive_bytes()
            assert closed.value.code == 1008
            send(second, 4)
            back = Chunk.from_message(receive(second))
    np.testing.assert_allclose(back.joints_m, expected(loaded, 4)[1].joints_m, atol=1e-5)
    wait_until(lambda: client.app.state.runtime.admission.in_progress["session"] == 0)


def test_the_parked_time_counts_towards_a_sessions_end(connect):
    client = connect(session_seconds=1)
    with client.websocket_connect("/v1/stream") as socket:
        token = receive(socket)["session"]
        lose(socket, client)
    time.sleep(1)
    with client.websocket_connect(f"/v1/stream?resume={token}") as socket:
        assert receive(socket)["resumed"]
        assert receive(socket)["error"].startswith("the session reached its 1 s")


def test_nobody_resumes_a_session_of_another_bearer(connect, tmp_path):
    tokens = tmp_path / "tokens.jsonl"
    mine, theirs = (create_token(tokens, name, rate_per_minute=60, sessions=1) for name in ("mine", "theirs"))
    client = connect(access=Access(tokens))
    with client.websocket_connect("/v1/stream", headers={"authorization": f"Bearer {mine}"}) as socket:
        token = receive(socket)["session"]
        lose(socket, client)
    for secret, resumed in ((theirs, False), (mine, True)):
        address, headers = f"/v1/stream?resume={token}", {"authorization": f"Bearer {secret}"}
        with client.websocket_connect(address, headers=headers) as socket:
            assert receive(socket)["resumed"] == resumed


def test_a_parked_session_counts_against_its_bearer(connect, tmp_path):
    tokens = tmp_path / "tokens.jsonl"
    headers = {"authorization": f"Bearer {create_token(tokens, 'one', rate_per_minute=60, sessions=1)}"}
    client = connect(access=Access(tokens), resume_seconds=1)
    with client.websocket_connect("/v1/stream", headers=headers) as socket:
        receive(socket)
        lose(socket, client)
    with client.websocket_connect("/v1/stream", headers=headers) as socket:
        assert receive(socket)["code"] == 1013
    wait_until(lambda: not client.app.state.runtime.sessions.by_token)
    with client.websocket_connect("/v1/stream", headers=headers) as socket:
        assert receive(socket)["type"] == "hello"


def test_a_token_is_taken_from_the_subprotocol_and_the_server_names_its_own(connect, tmp_path):
    tokens = tmp_path / "tokens.jsonl"
    secret = create_token(tokens, "page", rate_per_minute=60, sessions=1)
    client = connect(access=Access(tokens))
    with client.websocket_connect("/v1/stream", subprotocols=["egoreact.v2", f"bearer.{secret}"]) as socket:
        assert socket.accepted_subprotocol == "egoreact.v2"
        assert receive(socket)["type"] == "hello"
    for subprotocols in ([], ["egoreact.v2", "bearer.wrong"]):
        with client.websocket_connect("/v1/stream", subprotocols=subprotocols) as socket:
            assert receive(socket)["code"] == 4401
            with pytest.raises(WebSocketDisconnect) as closed:
                socket.receive_bytes()
            assert closed.value.code == 4401
