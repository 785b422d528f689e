"""Live sessions through the application, in process."""

import time

import msgpack
import numpy as np
import pytest
from running import make_frames
from starlette.websockets import WebSocketDisconnect

from egoreact.client.images import encode_image
from egoreact.client.wire import Chunk, Frame, unpack_message
from egoreact.streaming.session import ReactionEngine


def receive(socket) -> dict:
    return unpack_message(socket.receive_bytes())


def send(socket, seq, image, captured_at=0.0):
    socket.send_bytes(Frame(seq, captured_at, image).pack())


def image(side=64) -> bytes:
    return encode_image(make_frames(1, side)[0])


def refusal(socket) -> tuple[int, str]:
    """The close code, after the error message that must come before it and say the same."""
    message = receive(socket)
    while message["type"] == "chunk":
        message = receive(socket)
    assert message["type"] == "error"
    assert message["digest"] and message["version"]
    assert "\n" not in message["error"]
    with pytest.raises(WebSocketDisconnect) as closed:
        socket.receive_bytes()
    assert closed.value.code == message["code"]
    return closed.value.code, message["error"]


def test_hello_says_what_a_client_must_know(connect, loaded):
    with connect().websocket_connect("/v1/stream?seed=5") as socket:
        hello = receive(socket)
    assert (hello["type"], hello["protocol"], hello["fps"], hello["frames_per_token"]) == ("hello", 2, 20, 4)
    assert (hello["digest"], hello["seed"], hello["joints"][15]) == (loaded.digest, 5, "head")
    assert (hello["limits"]["max_message_bytes"], hello["limits"]["resume_seconds"]) == (2 * 1024 * 1024, 15)
    assert (hello["resumed"], hello["next_seq"], hello["next_index"], hello["recorded"]) == (False, 0, 0, False)
    assert len(bytes.fromhex(hello["session"])) == 16


def test_a_stream_gives_what_the_engine_gives(connect, loaded):
    """Frames at 20 a second, each waiting for its chunk: the same floats as the session of egoreact.streaming."""
    frames = make_frames(21)
    session = ReactionEngine(loaded.bundle, seed=11).open()
    expected = [chunk for rgb in frames if (chunk := session.push(rgb)) is not None]
    with connect().websocket_connect("/v1/stream?seed=11") as socket:
        receive(socket)
        chunks = []
        for seq, rgb in enumerate(frames):
            send(socket, 100 + seq, encode_image(rgb, "png"), captured_at=seq / 20)
            if seq % 4 == 0:
                chunks.append(Chunk.from_message(receive(socket)))
    assert [chunk.index for chunk in chunks] == [0, 1, 2, 3, 4, 5]
    for chunk, one in zip(chunks, expected, strict=True):
        np.testing.assert_array_equal(chunk.joints_m, one.joints_m)
        assert (chunk.token, chunk.first_frame) == (one.token, one.first_frame)
        assert (chunk.seq, chunk.captured_at) == (100 + one.first_frame, one.first_frame / 20)
        assert (chunk.dropped, chunk.batch, chunk.digest) == (0, 1, loaded.digest)
        assert set(chunk.timings_ms) == {"wait", "image", "perception", "gpt", "decode", "total"}


def test_frames_between_boundaries_need_not_be_images(connect):
    with connect().websocket_connect("/v1/stream") as socket:
        receive(socket)
        send(socket, 0, image())
        receive(socket)
        for seq in (1, 2, 3):
            send(socket, seq, b"never decoded")
        send(socket, 4, image())
        assert receive(socket)["index"] == 1


def test_a_client_faster_than_the_model_gets_the_newest(connect):
    client = connect()
    slots = client.app.state.runtime.scheduler.slots
    step = slots.step
    slots.step = lambda frames: (time.sleep(0.2), step(frames))[1]
    with client.websocket_connect("/v1/stream") as socket:
        receive(socket)
        for seq in range(0, 40, 4):
            send(socket, seq, image())
        chunks = [receive(socket)]
        while chunks[-1]["seq"] < 36:
            chunks.append(receive(socket))
    assert len(chunks) <= 4
    assert chunks[-1]["dropped"] == 10 - len(chunks)
    assert [chunk["index"] for chunk in chunks] == list(range(len(chunks)))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"garbage", 1007),
        (b"", 1007),
        (msgpack.packb({"seq": 0, "captured_at": 0.0, "image": b""}), 1008),
        (msgpack.packb({"seq": 0, "captured_at": 0.0, "image": b"no image"}), 1007),
        (msgpack.packb({"seq": 0, "captured_at": 0.0, "image": image(8)}), 1008),
        (msgpack.packb({"seq": 0, "captured_at": 0.0, "image": image(80)}), 1008),
        (b"\xc6" + bytes(40_000), 1009),
    ],
    ids=["garbage", "nothing", "no image", "broken image", "too small", "too large", "too long"],
)
def test_what_cannot_be_perceived_ends_the_session_with_a_reason(connect, content, code):
    client = connect(max_image_side_px=72, max_message_bytes=32_000)
    with client.websocket_connect("/v1/stream") as socket:
        receive(socket)
        socket.send_bytes(content)
        assert refusal(socket)[0] == code
    assert client.app.state.runtime.admission.in_progress["session"] == 0


def test_text_is_not_understood(connect):
    with connect().websocket_connect("/v1/stream") as socket:
        receive(socket)
        socket.send_text("{}")
        assert refusal(socket)[0] == 1003


def test_seq_must_grow(connect):
    with connect().websocket_connect("/v1/stream") as socket:
        receive(socket)
        send(socket, 4, image())
        send(socket, 4, image())
        assert refusal(socket) == (1008, "seq went from 4 to 4; it must grow from frame to frame")


def test_a_full_service_turns_the_next_away_and_frees_the_slot(connect):
    client = connect(max_sessions=1)
    with client.websocket_connect("/v1/stream") as socket:
        receive(socket)
        with client.websocket_connect("/v1/stream") as second:
            code, line = refusal(second)
        assert code == 1013
        assert line.endswith("try again in 5 s")
        assert "1 session slots" in line
        assert client.get("/v1/model").status_code == 200  # live sessions do not lock REST out
    for _ in range(50):  # the slot comes back once the server has seen the close
        if client.app.state.runtime.admission.in_progress["session"] == 0:
            break
        time.sleep(0.02)
    with client.websocket_connect("/v1/stream") as socket:
        assert receive(socket)["type"] == "hello"


def test_an_idle_session_is_closed(connect):
    with connect(idle_seconds=1).websocket_connect("/v1/stream") as socket:
        receive(socket)
        assert refusal(socket) == (1008, "no frame came for 1 s")


def test_a_session_has_an_end_by_clock_and_by_ticks(connect):
    with connect(session_seconds=1).websocket_connect("/v1/stream") as socket:
        receive(socket)
        assert refusal(socket)[1].startswith("the session reached its 1 s")
    with connect(session_seconds=10).websocket_connect("/v1/stream") as socket:
        receive(socket)
        send(socket, 0, image())
        send(socket, 200, image())
        assert refusal(socket)[1].startswith("the session reached its 10 s")


def test_a_failure_inside_is_told_in_one_line(connect):
    client = connect()
    client.app.state.runtime.scheduler.slots.step = lambda frames: 1 / 0
    with client.websocket_connect("/v1/stream") as socket:
        receive(socket)
        send(socket, 0, image())
        code, line = refusal(socket)
    assert code == 1011
    assert "zero" not in line


def test_another_sites_page_cannot_open_a_session(connect):
    with (
        pytest.raises(WebSocketDisconnect),
        connect().websocket_connect("/v1/stream", headers={"origin": "https://elsewhere.example"}),
    ):
        pass
    own = {"origin": "http://localhost:3000", "host": "localhost:3000"}
    with connect().websocket_connect("/v1/stream", headers=own) as socket:
        assert receive(socket)["type"] == "hello"
