"""`egoreact stream` as a person runs it, against the real service."""

import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from lossy import answer, hello, scripted
from running import ROOT, free_port, make_frames, make_video, running

from egoreact.client.display import sparkline
from egoreact.client.images import encode_image
from egoreact.client.wire import ErrorMessage

SUMMARY = re.compile(
    r"(\d+) chunks, (\d+) dropped, latency p50 [\d.]+ ms, p95 [\d.]+ ms, model \S+, bundle [0-9a-f]{12}"
)


@pytest.fixture(scope="module")
def service(bundle_folder, tmp_path_factory):
    with running(tmp_path_factory.mktemp("stream"), EGOREACT_BUNDLE=bundle_folder) as service:
        yield service


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    """9 frames: boundaries 0, 4 and 8."""
    path = tmp_path_factory.mktemp("videos") / "walk.mp4"
    path.write_bytes(make_video(9))
    return path


@pytest.fixture(scope="module")
def long_walk(tmp_path_factory):
    """20 s."""
    path = tmp_path_factory.mktemp("videos") / "long.mp4"
    path.write_bytes(make_video(400))
    return path


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "egoreact.cli", "stream", *map(str, arguments)]


def ran(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=100)


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stdout + done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stderr


def test_a_video_gives_a_line_a_chunk_and_an_npz(service, walk, tmp_path):
    out = tmp_path / "walk.npz"
    done = ran(walk, "--url", service.url, "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    *lines, summary = done.stdout.splitlines()
    assert len(lines) + int(SUMMARY.fullmatch(summary)[2]) == 3
    assert re.match(
        r"chunk +0  frames 0-3  token +\d+  head [+-][\d. +-]+ m  latency +[\d.]+ ms  \(wait .*total", lines[0]
    )
    with np.load(out) as arrays:
        assert arrays["joints"].shape == (4 * len(lines), 22, 3)
        assert arrays["fps"] == 20


def test_a_video_as_fast_as_it_goes_gives_a_bvh(service, walk, tmp_path):
    out = tmp_path / "walk.bvh"
    done = ran("--video", walk, "--no-realtime", "--url", service.url, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "3 chunks, 0 dropped" in done.stdout
    assert "Frames: 12" in out.read_text()


def test_ctrl_c_ends_cleanly_and_the_file_is_written(service, long_walk, tmp_path):
    out = tmp_path / "long.npz"
    process = subprocess.Popen(
        command(long_walk, "--url", service.url, "--out", out),
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )  # fmt: skip
    for _ in range(4):
        assert process.stdout.readline().startswith("chunk ")
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    chunks = int(SUMMARY.fullmatch(rest.splitlines()[-1])[1])
    assert 4 <= chunks < 50
    with np.load(out) as arrays:
        assert len(arrays["joints"]) == 4 * chunks


def test_a_terminal_shows_a_live_display(service, walk):
    outer, inner = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
    process = subprocess.Popen(
        command(walk, "--url", service.url), cwd=ROOT, stdin=inner, stdout=inner, stderr=inner, env=environment
    )
    os.close(inner)
    content = b""
    while True:
        try:
            piece = os.read(outer, 65536)
        except OSError:  # the far end of a terminal closed
            break
        if not piece:
            break
        content += piece
    os.close(outer)
    assert process.wait(60) == 0
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", content.decode())
    for word in (
        "walk.mp4 → model",
        "session",
        "live",
        "head",
        "token",
        "p50",
        "p95",
        "stages",
        "perception",
        "dropped",
    ):
        assert word in shown
    assert any(bar in shown for bar in "▁▂▃▄▅▆▇█")
    assert SUMMARY.search(shown)


def test_a_sparkline_spans_its_values():
    assert sparkline([1.0, 8.0, 4.4]) == "▁█▄"
    assert sparkline([3.0, 3.0]) == "▁▁"
    assert sparkline([]) == ""


@pytest.fixture
def network_camera():
    """The address of a camera that gives 20 pictures a second over HTTP (MJPEG), for three seconds."""
    pictures = [encode_image(frame) for frame in make_frames(60)]

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for picture in pictures:
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                self.wfile.write(head.encode() + picture + b"\r\n")
                time.sleep(0.05)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/camera.mjpg"
    server.shutdown()
    server.server_close()


def test_a_network_camera_streams_until_it_ends(service, network_camera):
    done = ran("--camera", network_camera, "--url", service.url)
    assert done.returncode == 0, done.stderr
    summary = SUMMARY.fullmatch(done.stdout.splitlines()[-1])
    assert 3 <= int(summary[1]) <= 16


def test_mistakes_are_one_line(service, walk, tmp_path):
    assert "camera 97: is not there" in one_line(ran("--camera", 97, "--url", service.url))
    assert "0 sources given" in one_line(ran("--url", service.url))
    assert "2 sources given" in one_line(ran(walk, "--camera", 0, "--url", service.url))
    assert "no such file" in one_line(ran(tmp_path / "absent.mp4", "--url", service.url))
    assert ".npz or .bvh" in one_line(ran(walk, "--url", service.url, "--out", tmp_path / "walk.fbx"))
    assert "egoreact serve" in one_line(ran(walk, "--url", f"http://127.0.0.1:{free_port()}"))


def test_what_is_no_video_is_one_line_and_leaves_no_file(service, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    line = one_line(ran(tmp_path / "text.mp4", "--url", service.url, "--out", tmp_path / "text.npz"))
    assert "cannot be read as video" in line
    assert not (tmp_path / "text.npz").exists()


def test_what_came_before_a_failure_is_written(walk, tmp_path):
    def fail_at_the_third(connection):
        connection.send(hello(limits={}))
        for index in range(2):
            answer(connection, index)
        connection.recv(timeout=30)
        connection.send(ErrorMessage("the service failed; its log says why", 1011, None, "4", "d").pack())
        connection.close(1011)

    out = tmp_path / "walk.npz"
    with scripted(fail_at_the_third) as url:
        done = ran(walk, "--no-realtime", "--url", url, "--out", out)
    assert "the service failed; its log says why" in one_line(done)
    assert "2 chunks" in done.stdout.splitlines()[-1]
    with np.load(out) as arrays:
        assert len(arrays["joints"]) == 8
