"""The client against the real service: `egoreact serve` as a process, sockets over loopback."""

import asyncio
import io
import re
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest
from lossy import wire_to
from running import ROOT, environment, make_frames, make_video, running

from egoreact.client import live
from egoreact.client.dialogue import Event
from egoreact.client.images import encode_image
from egoreact.client.live import LiveSession
from egoreact.client.place import yaw_rad
from egoreact.client.rest import is_ready, model, react, react_while_made
from egoreact.client.retry import Backoff
from egoreact.client.streams import stream_video, stream_video_async
from egoreact.errors import EgoReactError
from egoreact.models.bundle import Bundle
from egoreact.motion.skeleton import PELVIS
from egoreact.streaming.session import react_to_frames
from egoreact.vision.video import read_video
from serving.tokens import create_token

SOON = Backoff(first_s=0.05, most_s=0.3, give_up_s=60.0)


@pytest.fixture(scope="module")
def service(bundle_folder, tmp_path_factory):
    with running(tmp_path_factory.mktemp("client"), EGOREACT_BUNDLE=bundle_folder, EGOREACT_MAX_SESSIONS=3) as service:
        yield service


@pytest.fixture(scope="module")
def expected(bundle_folder):
    """What the engine makes of the video."""
    return react_to_frames(Bundle.load(bundle_folder), read_video(make_video(), fps=20), seed=2)


@pytest.fixture(scope="module")
def pictures() -> list[bytes]:
    """The video's boundary frames, lossless."""
    return [encode_image(frame, "png") for frame in read_video(make_video(), fps=20)[::4]]


def said_by(told: list[Event]) -> list[str]:
    return [event.kind for event in told if event.kind != "retrying"]


def test_streams_give_what_the_engine_gives(service, expected):
    chunks = list(stream_video(service.url, make_video(), seed=2, encoding="png"))
    streamed_m = np.concatenate([chunk.joints_m for chunk in chunks])[: len(expected.joints_m)]
    np.testing.assert_allclose(streamed_m, expected.joints_m, atol=1e-5)
    assert [chunk.token for chunk in chunks] == expected.tokens.tolist()
    assert {(chunk.digest, chunk.dropped) for chunk in chunks} == {(expected.bundle_digest, 0)}

    async def gather() -> list[int]:
        return [chunk.token async for chunk in stream_video_async(service.url, make_video(), seed=2, encoding="webp")]

    assert asyncio.run(gather()) == expected.tokens.tolist()


def test_a_paced_stream_takes_the_videos_time(service):
    started = time.perf_counter()
    chunks = list(stream_video(service.url, make_video(21), realtime=True))
    assert time.perf_counter() - started >= 1.0
    assert chunks[-1].seq == 20
    assert len(chunks) + chunks[-1].dropped == 6


def test_uploads_come_in_every_form(service, expected):
    whole = react(service.url, make_video(), seed=2)
    np.testing.assert_allclose(whole["joints_m"], expected.joints_m, atol=1e-5)
    with np.load(io.BytesIO(react(service.url, make_video(), seed=2, form="npz"))) as arrays:
        np.testing.assert_allclose(arrays["joints"], expected.joints_m, atol=1e-5)
    assert react(service.url, make_video(5), form="bvh").startswith(b"HIERARCHY")
    assert react(service.url, make_video(5), form="glb").startswith(b"glTF")
    lines = list(react_while_made(service.url, make_video(), seed=2))
    made_m = np.concatenate([line["joints_m"] for line in lines if "joints_m" in line])
    np.testing.assert_allclose(made_m, expected.joints_m, atol=1e-5)


def test_the_model_and_readiness(service, expected):
    assert model(service.url)["digest"] == expected.bundle_digest
    assert is_ready(service.url)
    assert not is_ready("http://127.0.0.1:9")


def test_refusals_are_the_services_own_lines(service, tmp_path):
    with pytest.raises(EgoReactError, match=service.url):
        react(service.url, b"no video at all")
    with pytest.raises(EgoReactError, match="no such file"):
        react(service.url, tmp_path / "absent.mp4")
    with LiveSession(service.url, retry=SOON) as session:
        session.send(0, b"no picture at all")
        with pytest.raises(EgoReactError, match="JPEG"):
            session.receive()
    with LiveSession(service.url) as one, LiveSession(service.url) as two, LiveSession(service.url) as three:
        assert len({session.hello.session for session in (one, two, three)}) == 3
        with pytest.raises(EgoReactError, match=r"session.*try again in"):
            LiveSession(service.url)


def test_an_upload_refused_at_once_still_hears_why(bundle_folder, tmp_path):
    """The service hangs up on a body that is too large while it is still being sent."""
    limits = {"EGOREACT_MAX_UPLOAD_BYTES": 100_000}
    with (
        running(tmp_path, EGOREACT_BUNDLE=bundle_folder, **limits) as service,
        pytest.raises(EgoReactError, match="100000"),
    ):
        react(service.url, bytes(30_000_000))


def test_a_cut_wire_changes_nothing_of_the_motion(service, expected, pictures):
    told: list[Event] = []
    with (
        wire_to(service.url) as wire,
        LiveSession(wire.url, seed=2, retry=SOON, on_event=told.append) as session,
    ):
        token = session.hello.session
        chunks = []
        for index, picture in enumerate(pictures):
            if index in (2, 5, 6):
                wire.cut()
            chunks.append(session.exchange(4 * index, picture))
        assert session.hello.resumed and session.hello.session == token
    assert [chunk.index for chunk in chunks] == list(range(len(pictures)))
    streamed_m = np.concatenate([chunk.joints_m for chunk in chunks])[: len(expected.joints_m)]
    np.testing.assert_allclose(streamed_m, expected.joints_m, atol=1e-5)
    assert said_by(told) == ["lost", "resumed"] * 3


def test_a_wire_that_falls_silent_is_noticed_and_the_session_taken_over(service, pictures, monkeypatch):
    """Nothing closes; the service still holds the old connection when the new one comes."""
    monkeypatch.setattr(live, "PING_S", 0.3)
    monkeypatch.setattr(live, "PONG_S", 0.7)
    told: list[Event] = []
    with (
        wire_to(service.url) as wire,
        LiveSession(wire.url, retry=SOON, on_event=told.append) as session,
    ):
        session.exchange(0, pictures[0])
        wire.fall_silent()
        assert session.exchange(4, pictures[1]).index == 1
    assert said_by(told) == ["lost", "resumed"]


def test_two_threads_share_a_session_over_cuts(service, pictures):
    """A sender and a receiver both notice; one of them restores the connection, and the stream goes on."""
    told: list[Event] = []
    with (
        wire_to(service.url) as wire,
        LiveSession(wire.url, retry=SOON, on_event=told.append) as session,
    ):

        def send() -> None:
            for tick in range(60):
                session.send(tick, pictures[tick % len(pictures)])
                time.sleep(0.05)

        sender = threading.Thread(target=send)
        sender.start()
        newest_seq, cuts = -1, 0
        while newest_seq < 56:
            chunk = session.poll(10.0)
            assert chunk is not None and chunk.seq > newest_seq
            newest_seq = chunk.seq
            if cuts < 3 and newest_seq > 12 * (cuts + 1):
                wire.cut()
                cuts += 1
        sender.join()
    assert said_by(told) == ["lost", "resumed"] * 3


def test_a_killed_service_gives_a_new_session_in_the_old_place(bundle_folder, pictures, tmp_path):
    told: list[Event] = []
    settings = {"EGOREACT_BUNDLE": bundle_folder}
    with (
        running(tmp_path / "one", **settings) as one,
        wire_to(one.url) as wire,
        LiveSession(wire.url, retry=SOON, keep_place=True, on_event=told.append) as session,
    ):
        first = session.hello.session
        before = [session.exchange(4 * index, picture) for index, picture in enumerate(pictures)]
        for process in (*psutil.Process(one.process.pid).children(recursive=True), one.process):
            process.kill()
        one.process.wait(60)
        after = []
        coming_back = threading.Thread(target=lambda: after.append(session.exchange(100, pictures[0])))
        coming_back.start()  # while nobody is there
        with running(tmp_path / "two", **settings) as two:
            wire.lead_to(two.url)
            coming_back.join(60)
            after += [session.exchange(100 + 4 * index, pictures[index]) for index in range(1, len(pictures))]
            assert not session.hello.resumed and session.hello.session != first
            plain = list(stream_video(two.url, make_video(), encoding="png"))
    assert sum(event.kind == "retrying" for event in told) > 3
    assert said_by(told) == ["lost", "restarted"]
    assert [chunk.index for chunk in after] == list(range(len(pictures)))
    last_m, anew_m = before[-1].joints_m[-1], after[0].joints_m[0]
    np.testing.assert_allclose(anew_m[PELVIS, [0, 2]], last_m[PELVIS, [0, 2]], atol=1e-5)
    assert yaw_rad(anew_m) == pytest.approx(yaw_rad(last_m), abs=1e-4)
    for placed, made in zip(after, plain, strict=True):  # only moved: heights and sizes are those of the new motion
        np.testing.assert_allclose(placed.joints_m[..., 1], made.joints_m[..., 1], atol=1e-5)


def test_a_draining_service_tells_and_the_next_one_takes_over(bundle_folder, pictures, tmp_path):
    told: list[Event] = []
    settings = {"EGOREACT_BUNDLE": bundle_folder, "EGOREACT_DRAIN_SECONDS": 3}
    with (
        running(tmp_path / "two", **settings) as two,
        running(tmp_path / "one", **settings) as one,
        wire_to(one.url) as wire,
        LiveSession(wire.url, retry=SOON, on_event=told.append) as session,
    ):
        session.exchange(0, pictures[0])
        one.process.terminate()
        index = 0
        while not session.draining:
            index += 1
            session.exchange(4 * index, pictures[0])
            time.sleep(0.05)
        assert session.exchange(4 * index + 4, pictures[1]).index == index + 1  # it may still go on
        wire.lead_to(two.url)
        one.process.wait(60)
        assert session.exchange(4 * index + 8, pictures[2]).index == 0
    assert said_by(told) == ["draining", "lost", "restarted"]
    assert 0 < told[0].seconds <= 3


def test_a_token_opens_what_it_should(bundle_folder, pictures, tmp_path, monkeypatch):
    path = tmp_path / "tokens.json"
    token = create_token(path, "tests", rate_per_minute=60, sessions=2)
    with running(tmp_path / "home", EGOREACT_BUNDLE=bundle_folder, EGOREACT_TOKENS=path) as service:
        for wrong in (None, "wrong"):
            with pytest.raises(EgoReactError, match="EGOREACT_TOKEN"):
                LiveSession(service.url, token=wrong)
            with pytest.raises(EgoReactError, match="EGOREACT_TOKEN"):
                react(service.url, make_video(5), token=wrong)
        monkeypatch.setenv("EGOREACT_TOKEN", token)
        with LiveSession(service.url) as session:
            assert session.exchange(0, pictures[0]).index == 0
        assert len(react(service.url, make_video(5))["tokens"]) == 2


SNIPPETS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "client.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=[f"snippet {number}" for number in range(1, len(SNIPPETS) + 1)])
def test_the_snippets_of_the_documentation_run(service, snippet, tmp_path):
    (tmp_path / "walk.mp4").write_bytes(make_video(9))
    (tmp_path / "walk.jpg").write_bytes(encode_image(make_frames(1)[0]))
    assert "http://127.0.0.1:3000" in snippet
    code = snippet.replace("http://127.0.0.1:3000", service.url)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(tmp_path, PYTHONPATH=ROOT),
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
