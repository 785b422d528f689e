"""The real thing: `egoreact serve` as a process, and clients over loopback."""

import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time
from functools import cache

import numpy as np
import psutil
import pytest
from running import ROOT, environment, free_port, get, make_bundle, make_frames, make_video, running, serve_command
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from egoreact.client.images import encode_image
from egoreact.client.live import LiveSession
from egoreact.client.rest import is_ready, react
from egoreact.client.retry import Backoff
from egoreact.client.wire import Chunk, Frame, unpack_message
from egoreact.errors import EgoReactError
from egoreact.models.bundle import Bundle
from egoreact.models.release import Release, write_release
from egoreact.streaming.session import react_to_frames
from egoreact.vision.video import read_video
from egoreact.workspace import Workspace


def release(home, bundle: Bundle, folder: str) -> None:
    write_release(
        Workspace(home), Release("4", bundle.digest, folder, "egoreact:4", "rev-1", "run-1", "2026-01-01T00:00:00Z")
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    release(home, make_bundle(home / "releases" / "b4"), "b4")
    return home


@pytest.fixture(scope="module")
def service(home):
    with running(home, EGOREACT_MAX_SESSIONS=2, EGOREACT_MAX_MESSAGE_BYTES=50_000) as service:
        yield service


@pytest.fixture(scope="module")
def expected(home):
    """What the engine makes of the video."""
    bundle = Bundle.load(home / "releases" / "b4")
    return react_to_frames(bundle, read_video(make_video(), fps=20), seed=2)


def test_the_released_model_is_served(service, expected):
    model = json.loads(get(f"{service.url}/v1/model"))
    assert (model["version"], model["digest"]) == ("4", expected.bundle_digest)
    assert model["release"]["data_revision"] == "rev-1"
    for probe in ("livez", "readyz"):
        get(f"{service.url}/{probe}")


def test_a_stream_and_an_upload_give_what_the_engine_gives(service, expected):
    with LiveSession(service.url, seed=2) as session:
        frames = read_video(make_video(), fps=20)
        chunks = [session.exchange(seq, encode_image(frames[seq], "png")) for seq in range(0, len(frames), 4)]
    streamed = np.concatenate([chunk.joints_m for chunk in chunks])[: len(expected.joints_m)]
    np.testing.assert_allclose(streamed, expected.joints_m, atol=1e-5)
    assert [chunk.token for chunk in chunks] == expected.tokens.tolist()
    assert {(chunk.version, chunk.digest, chunk.dropped) for chunk in chunks} == {("4", expected.bundle_digest, 0)}
    uploaded = react(service.url, make_video(), seed=2)
    np.testing.assert_allclose(uploaded["joints_m"], expected.joints_m, atol=2e-6)


def address(service) -> str:
    return service.url.replace("http", "ws") + "/v1/stream"


def test_a_connection_that_is_reset_can_be_resumed(service, expected):
    """The bytes of TCP end without a close frame: the session waits, and goes on where it was."""
    frames, tokens, session = read_video(make_video(), fps=20), [], ""
    for first in (0, 20):
        with connect(f"{address(service)}?seed=2&resume={session}") as wire:
            hello = unpack_message(wire.recv())
            assert hello["resumed"] == bool(session)
            assert hello["next_seq"] == (first - 3 if first else 0)
            session = hello["session"]
            for seq in range(first, first + 20, 4):
                wire.send(Frame(seq, 0.0, encode_image(frames[seq], "png")).pack())
                tokens.append(Chunk.from_message(unpack_message(wire.recv())).token)
            if not first:
                wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                wire.socket.close()
    assert tokens == expected.tokens.tolist()[:10]


def test_the_transport_neither_compresses_nor_takes_a_message_over_the_limit(service):
    with connect(address(service), compression="deflate") as wire:
        assert wire.protocol.extensions == []
        wire.recv()
        wire.send(bytes(60_000))
        with pytest.raises(ConnectionClosed) as closed:
            wire.recv()
    assert closed.value.rcvd.code == 1009


def test_gauges_count_and_a_full_service_refuses(service):
    with LiveSession(service.url) as one, LiveSession(service.url) as two:
        for session in (one, two):
            session.send(0, make_frames(1)[0])
            session.receive()
        with pytest.raises(EgoReactError, match="all 2 session slots are taken"):
            LiveSession(service.url)
        metrics = get(f"{service.url}/metrics").decode()
    assert 'egoreact_sessions{state="live"} 2.0' in metrics
    assert 'egoreact_refused_total{reason="sessions_full"} 1.0' in metrics
    assert 'egoreact_stage_seconds_bucket{le="0.2",stage="total"}' in metrics
    assert "egoreact_batch_size_count" in metrics
    assert (
        f'egoreact_model{{digest="{json.loads(get(service.url + "/v1/model"))["digest"]}",version="4"}} 1.0' in metrics
    )


def worker_of(service) -> int:
    """The process that answers: a child of BentoML's supervisor, which is the command's child."""
    (supervisor,) = psutil.Process(service.process.pid).children()
    return next(child.pid for child in supervisor.children() if "_bentoml_impl.worker.service" in child.cmdline())


@cache
def long_video() -> bytes:
    """Ten minutes: takes far longer than a drain lasts."""
    return make_video(12_000, 48)


@pytest.mark.parametrize("signalled", ["command", "worker"])
def test_on_sigterm_it_drains(home, tmp_path_factory, signalled):
    """With a live session and an upload under way: not ready, nobody new, both told and given their time, then all ends."""
    long = long_video()
    with running(home, EGOREACT_DRAIN_SECONDS=1, EGOREACT_MAX_UPLOAD_SECONDS=900) as service:
        failures = []

        def upload():
            try:
                react(service.url, long)
            except EgoReactError as error:
                failures.append(str(error))

        told = []
        with LiveSession(service.url, retry=Backoff(give_up_s=0), on_event=told.append) as session:
            session.exchange(0, make_frames(1)[0])
            uploading = threading.Thread(target=upload)
            uploading.start()
            time.sleep(0.4)
            processes = psutil.Process(service.process.pid).children(recursive=True)
            started = time.monotonic()
            os.kill(service.process.pid if signalled == "command" else worker_of(service), signal.SIGTERM)
            while is_ready(service.url):
                assert time.monotonic() - started < 15
            with pytest.raises(EgoReactError, match="restarts"):
                LiveSession(service.url)
            with pytest.raises(EgoReactError, match="restarts"):
                react(service.url, make_video(5))
            assert session.exchange(4, make_frames(1)[0]).index == 1
            assert session.draining
            with pytest.raises(EgoReactError, match="the service restarts"):
                session.receive()
            assert 0.8 < time.monotonic() - started < 15
        uploading.join(60)
        assert len(failures) == 1
        assert "the service stops" in failures[0]
        if signalled == "command":
            service.process.wait(60)
            assert service.process.returncode == 0
            assert not any(process.is_running() for process in processes)
        assert "Traceback" not in service.log.read_text()
    with pytest.raises(EgoReactError, match=r"cannot be reached.*egoreact serve"):
        LiveSession(service.url)


def test_without_anybody_it_stops_at_once(home):
    with running(home, EGOREACT_DRAIN_SECONDS=30) as service:
        assert service.stop() < 20


def test_a_second_signal_ends_a_drain(home):
    with (
        running(home, EGOREACT_DRAIN_SECONDS=30) as service,
        LiveSession(service.url, retry=Backoff(give_up_s=0)) as session,
    ):
        session.exchange(0, make_frames(1)[0])
        service.process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert session.exchange(4, make_frames(1)[0]).index == 1
        assert service.stop() < 20


def refused(home, port=None, **settings) -> tuple[int, str]:
    done = subprocess.run(
        serve_command(port or free_port()),
        cwd=ROOT,
        env=environment(home, **settings),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.returncode, done.stderr


def test_nothing_released_is_one_line_and_code_2(tmp_path):
    code, line = refused(tmp_path)
    assert code == 2
    assert "no promoted model yet" in line and "make run" in line


def test_a_taken_port_and_a_wrong_limit_are_named(home):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, line = refused(home, port)
    assert code == 2
    assert f"127.0.0.1:{port}" in line and "--port" in line
    code, line = refused(home, EGOREACT_MAX_SESSIONS="lots")
    assert code == 2
    assert "EGOREACT_MAX_SESSIONS" in line


def test_an_address_that_others_reach_needs_a_token(home):
    command = [*serve_command(free_port()), "--host", "0.0.0.0"]
    done = subprocess.run(command, cwd=ROOT, env=environment(home), capture_output=True, text=True, timeout=100)
    assert done.returncode == 2
    assert "egoreact token create" in done.stderr


def test_a_damaged_bundle_is_refused_by_name(tmp_path):
    bundle = make_bundle(tmp_path / "releases" / "b4")
    release(tmp_path, bundle, "b4")
    weights = tmp_path / "releases" / "b4" / "gpt.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    code, line = refused(tmp_path)
    assert code == 2
    assert "gpt.safetensors" in line and "SHA-256" in line
