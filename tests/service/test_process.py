"""The real thing: `egoreact serve` as a process, and clients over loopback."""

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from running import ROOT, environment, free_port, get, make_bundle, make_frames, make_video, running, serve_command
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from egoreact.errors import EgoReactError
from egoreact.models.bundle import Bundle
from egoreact.models.release import Release, write_release
from egoreact.streaming.session import react_to_frames
from egoreact.vision.video import read_video
from egoreact.workspace import Workspace
from serving.client import LiveSession, react, stream_video, stream_video_async


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
    chunks = list(stream_video(service.url, make_video(), seed=2, encoding="png"))
    streamed = np.concatenate([chunk.joints_m for chunk in chunks])[: len(expected.joints_m)]
    np.testing.assert_allclose(streamed, expected.joints_m, atol=1e-6)
    assert [chunk.token for chunk in chunks] == expected.tokens.tolist()
    assert {(chunk.version, chunk.digest, chunk.dropped) for chunk in chunks} == {("4", expected.bundle_digest, 0)}
    uploaded = react(service.url, make_video(), seed=2)
    np.testing.assert_allclose(uploaded["joints_m"], expected.joints_m, atol=2e-6)
    assert react(service.url, make_video(5), form="bvh").startswith(b"HIERARCHY")

    async def gather():
        return [chunk.token async for chunk in stream_video_async(service.url, make_video(), seed=2, encoding="webp")]

    assert asyncio.run(gather()) == expected.tokens.tolist()


def test_a_camera_gets_its_motion_in_real_time(service):
    started = time.perf_counter()
    chunks = list(stream_video(service.url, make_video(21), realtime=True))
    assert time.perf_counter() - started >= 1.0
    assert chunks[-1].seq == 20
    assert len(chunks) + chunks[-1].dropped == 6


def test_the_transport_neither_compresses_nor_takes_a_message_over_the_limit(service):
    address = service.url.replace("http", "ws") + "/v1/stream"
    with connect(address, compression="deflate") as socket:
        assert socket.protocol.extensions == []
        socket.recv()
        socket.send(bytes(60_000))
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv()
    assert closed.value.rcvd.code == 1009


def test_gauges_count_and_a_full_service_refuses(service):
    with LiveSession(service.url) as one, LiveSession(service.url) as two:
        for session in (one, two):
            session.send(0, make_frames(1)[0])
            session.receive()
        with pytest.raises(EgoReactError, match="all 2 session slots are taken"):
            LiveSession(service.url)
        metrics = get(f"{service.url}/metrics").decode()
    assert 'egoreact_in_progress{kind="session"} 2.0' in metrics
    assert 'egoreact_refused_total{reason="sessions_full"} 1.0' in metrics
    assert "egoreact_token_seconds_bucket" in metrics
    assert (
        f'egoreact_model{{digest="{json.loads(get(service.url + "/v1/model"))["digest"]}",version="4"}} 1.0' in metrics
    )


def test_the_stream_command_prints_each_chunk(service, tmp_path):
    video, out = tmp_path / "ball.mp4", tmp_path / "ball.npz"
    video.write_bytes(make_video(9))
    command = [sys.executable, "-m", "egoreact.cli", "stream", str(video), "--url", service.url, "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "chunk    2  frames 8-11" in done.stdout
    assert "latency p50" in done.stdout.splitlines()[-1]
    assert np.load(out)["joints"].shape == (12, 22, 3)


def test_the_client_needs_no_torch():
    check = "import sys, serving.client, serving.commands; sys.exit('torch' in sys.modules or 'bentoml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT).returncode == 0


def test_it_stops_at_once_in_the_middle_of_work(service):
    """SIGTERM with a live session and a long upload under way: both are told, all processes end within 3 s."""
    long_video = make_video(1190, 48)
    failures = []

    def upload():
        try:
            react(service.url, long_video)
        except EgoReactError as error:
            failures.append(str(error))

    session = LiveSession(service.url)
    session.send(0, make_frames(1)[0])
    session.receive()
    uploading = threading.Thread(target=upload)
    uploading.start()
    time.sleep(0.4)
    assert service.stop() < 3
    with pytest.raises(EgoReactError, match="the connection ended"):
        session.receive()
    uploading.join(10)
    assert len(failures) == 1
    assert "the service stops" in failures[0]
    assert "Traceback" not in service.log.read_text()
    with pytest.raises(EgoReactError, match=r"cannot be reached.*egoreact serve"):
        LiveSession(service.url)


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


def test_a_damaged_bundle_is_refused_by_name(tmp_path):
    bundle = make_bundle(tmp_path / "releases" / "b4")
    release(tmp_path, bundle, "b4")
    weights = tmp_path / "releases" / "b4" / "gpt.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    code, line = refused(tmp_path)
    assert code == 2
    assert "gpt.safetensors" in line and "SHA-256" in line
