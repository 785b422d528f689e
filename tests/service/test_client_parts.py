"""The parts of the client: messages, addresses and tokens, waits, places, and REST against servers of another mind."""

import contextlib
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgpack
import numpy as np
import pytest
from lossy import answer, chunk, hello, scripted, standing_m, turned_m
from running import ROOT

from egoreact.client.endpoint import Endpoint
from egoreact.client.place import Place, yaw_rad
from egoreact.client.rest import model, react, react_while_made
from egoreact.client.retry import Backoff, Outage
from egoreact.client.wire import Chunk, Drain, ErrorMessage, Hello, Malformed, unpack_message
from egoreact.errors import EgoReactError


def test_every_message_comes_back_as_it_was_packed():
    for sent in (
        Hello.from_message(unpack_message(hello())),
        Drain(9.5, "4", "d"),
        ErrorMessage("it is full", 1013, 5, "4", "d"),
    ):
        assert type(sent).from_message(unpack_message(sent.pack())) == sent
    joints_m = np.random.default_rng(0).normal(size=(4, 22, 3)).astype(np.float32)
    came = Chunk.from_message(unpack_message(chunk(3, 12, joints_m)))
    np.testing.assert_array_equal(came.joints_m, joints_m)
    assert (came.index, came.first_frame, came.seq, came.token, came.batch) == (3, 12, 12, 7, 1)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xc1", msgpack.packb([1]), msgpack.packb({"kind": "hello"}), b"\x81"],
    ids=["empty", "not msgpack", "no map", "no type", "cut short"],
)
def test_what_is_no_message_is_malformed(content):
    with pytest.raises(Malformed):
        unpack_message(content)


def test_a_chunk_that_lies_about_its_shape_is_malformed():
    with pytest.raises(Malformed, match="shape"):
        Chunk.from_message(unpack_message(chunk(0, 0)) | {"shape": [5, 22, 3]})
    with pytest.raises(Malformed, match="lacks batch"):
        Chunk.from_message({k: v for k, v in unpack_message(chunk(0, 0)).items() if k != "batch"})


def test_the_token_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("EGOREACT_TOKEN", "of-the-environment")
    assert Endpoint.of("http://localhost:3000").headers() == {"Authorization": "Bearer of-the-environment"}
    assert Endpoint.of("http://localhost:3000", "given").token == "given"
    with pytest.raises(EgoReactError, match="the token holds"):
        Endpoint.of("http://localhost:3000", "two\nlines")


@pytest.mark.parametrize(
    "url", ["localhost:3000", "ftp://a", "http://", "http://a:x", "http://a:0", "http://a..b", "http://a?b=c", ""]
)
def test_what_is_no_address_is_named(url):
    with pytest.raises(EgoReactError, match="is no http address"):
        Endpoint.of(url)


def test_waits_double_within_bounds_and_differ():
    backoff, chance = Backoff(first_s=0.2, most_s=5.0), random.Random(0)
    for attempt, full_s in enumerate([0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]):
        waits_s = [backoff.wait_s(attempt, chance) for _ in range(200)]
        assert full_s / 2 <= min(waits_s) < max(waits_s) <= full_s
    assert backoff.wait_s(10_000, chance) <= 5.0
    assert Outage(backoff).next_wait_s(at_least_s=7.0) == 7.0  # when the service names a time, not before it
    assert Outage(Backoff(give_up_s=5.0)).next_wait_s(at_least_s=7.0) is None


@contextlib.contextmanager
def answering(status: int, body: bytes = b"", **headers: str) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """The address of an HTTP server that gives one answer to all, and the headers of what it was asked."""
    asked: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(dict(self.headers))
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the server's own spelling

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def test_a_redirect_does_not_carry_the_token_to_another_host():
    with answering(200, b'{"version": "4"}') as (there, asked_there), answering(302, Location=there) as (here, asked):
        assert model(here, token="s3cret") == {"version": "4"}
    assert asked[0]["Authorization"] == "Bearer s3cret"
    assert "Authorization" not in asked_there[0]


def test_lines_that_break_off_are_not_taken_for_the_whole():
    lines = b'{"type": "metadata"}\n{"type": "chunk", "index": 0}\n'
    with answering(200, lines) as (url, _):
        came = react_while_made(url, b"video")
        assert [next(came)["type"], next(came)["type"]] == ["metadata", "chunk"]
        with pytest.raises(EgoReactError, match="broke off"):
            next(came)
    with (
        answering(200, lines + b'{"error": "the video ends in the middle"}\n') as (url, _),
        pytest.raises(EgoReactError, match="the video ends in the middle"),
    ):
        list(react_while_made(url, b"video"))


def test_an_answer_that_is_not_the_services_own_is_still_one_line():
    with (
        answering(502, b"<html>bad gateway</html>") as (url, _),
        pytest.raises(EgoReactError, match="the service answered 502 without a reason"),
    ):
        react(url, b"video")


def test_place_leaves_the_first_motion_bit_for_bit_and_knows_a_yaw():
    walk_m = np.random.default_rng(1).normal(size=(4, 22, 3)).astype(np.float32)
    place = Place()
    place.restart()  # before any motion there is no place to keep
    assert place.put(walk_m) is walk_m
    for yaw in (-3.0, -0.5, 0.0, 1.2, 3.0):
        assert yaw_rad(turned_m(standing_m(), yaw, 4.0, 5.0)) == pytest.approx(
            yaw, abs=0.01
        )  # this body's shoulders and hips are not quite even


def test_encoded_pictures_stream_with_torch_opencv_and_pyav_out_of_reach():
    """A fresh interpreter in which those modules cannot be imported."""
    client = """
import sys
for name in ("torch", "cv2", "av", "bentoml", "scipy"):
    sys.modules[name] = None
from egoreact.client.live import LiveSession
from egoreact.client.rest import react
import egoreact.client.display, egoreact.client.streams, egoreact.client.sources, egoreact.client.tally
with LiveSession(sys.argv[1]) as session:
    session.send(0, b"jpeg")
    print(session.receive().joints_m.shape)
"""

    def service(connection):
        connection.send(hello())
        answer(connection, 0)

    with scripted(service) as url:
        done = subprocess.run([sys.executable, "-c", client, url], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "(4, 22, 3)\n"), done.stderr
