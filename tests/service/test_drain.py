"""On SIGTERM: nobody new, live sessions are told and have their time, parked ones end at once."""

import threading
import time

import pytest
from running import make_frames
from starlette.websockets import WebSocketDisconnect

from egoreact.client.images import encode_image
from egoreact.client.wire import Frame, unpack_message


def receive(socket) -> dict:
    return unpack_message(socket.receive_bytes())


def send(socket, seq: int) -> None:
    socket.send_bytes(Frame(seq, 0.0, encode_image(make_frames(1)[0])).pack())


@pytest.fixture
def drain():
    """Starts the drain of a client's runtime; gives what waits for its end and says how long it took."""

    def drain(client):
        took_s, started = [], time.monotonic()

        def work():
            client.portal.call(client.app.state.runtime.drain)
            took_s.append(time.monotonic() - started)

        thread = threading.Thread(target=work)
        thread.start()
        while not client.app.state.runtime.admission.draining:
            time.sleep(0.005)

        def over() -> float:
            thread.join(60)
            return took_s[0]

        return over

    return drain


def test_live_sessions_are_told_go_on_and_are_closed(connect, drain):
    client = connect(drain_seconds=1)
    with client.websocket_connect("/v1/stream") as socket:
        receive(socket)
        over = drain(client)
        message = receive(socket)
        assert (message["type"], message["seconds_left"]) == ("drain", 1)
        assert message["version"] and message["digest"]
        for seq in (0, 4):
            send(socket, seq)
            assert receive(socket)["type"] == "chunk"
        error = receive(socket)
        assert (error["code"], error["error"], error["retry_after_s"]) == (1012, "the service restarts", 1)
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_bytes()
        assert closed.value.code == 1012
        assert 1 <= over() < 2.5


def test_it_is_over_as_soon_as_nobody_is_left(connect, drain):
    client = connect(drain_seconds=10)
    with client.websocket_connect("/v1/stream") as socket:
        receive(socket)
        over = drain(client)
        assert receive(socket)["type"] == "drain"
    assert over() < 2
    assert client.app.state.runtime.stopping


def test_nobody_new_is_let_in_by_any_door(connect, drain, video):
    client = connect(drain_seconds=1)
    with client.websocket_connect("/v1/stream") as socket:
        token = receive(socket)["session"]
        drain(client)
        for query in ("", f"?resume={token}"):
            with client.websocket_connect(f"/v1/stream{query}") as other:
                error = receive(other)
                assert (error["code"], error["retry_after_s"]) == (1012, 5)
        refused = client.post("/v1/reactions", content=video, headers={"content-type": "video/mp4"})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert client.get("/v1/model").status_code == 200


def test_parked_sessions_end_at_once_and_no_more_are_parked(connect, drain):
    client = connect(drain_seconds=5)
    sessions = client.app.state.runtime.sessions
    with client.websocket_connect("/v1/stream") as socket, client.websocket_connect("/v1/stream") as lost:
        receive(socket)
        receive(lost)
        lost.close(1006)
        while not any(session.connection is None for session in sessions.by_token.values()):
            time.sleep(0.005)
        over = drain(client)
        receive(socket)
        assert len(sessions.by_token) == 1
        socket.close(1006)
        assert over() < 2
    assert not sessions.by_token
