"""A recorded session replayed: the recorded bundle differs in nothing, another one in what the table says."""

import io
import re
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from running import make_frames, running
from websockets.sync.client import connect

from egoreact.cli import run
from egoreact.client.wire import Chunk, Frame, Hello, unpack_message
from egoreact.errors import EgoReactError
from egoreact.models.bundle import Bundle
from egoreact.presets import tiny
from egoreact.streaming.live_slots import LiveSlots
from serving.protocol import FrameClock
from serving.recording import SUFFIX, Recorded, Recorder
from serving.replay import replay_recording
from serving.replay_commands import COMMANDS
from serving.replay_report import rows

SESSION = "0123456789abcdef0123456789abcdef"
SEED = 11
SEQS = [*range(100, 121), 123, 126, 127, 133, 140, 141, 142, 143, 144, 145]
"""A camera's ticks with gaps, in which boundaries are passed over."""
LATE = (*range(112, 117), *range(140, 145))
"""Ticks at which the service is still busy: a boundary that waits gives way to the next."""


def jpeg(rgb: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(rgb).save(content, "jpeg")
    return content.getvalue()


@pytest.fixture(scope="module")
def bundle(bundle_folder) -> Bundle:
    return Bundle.load(bundle_folder)


@pytest.fixture(scope="module")
def challenger_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("challenger") / "bundle"
    Bundle.untrained(tiny().reaction, seed=1).save(folder)
    return folder


@pytest.fixture(scope="module")
def recording(bundle, tmp_path_factory) -> Path:
    return record(bundle, tmp_path_factory.mktemp("recordings"))


def record(bundle: Bundle, folder: Path, seqs: list[int] = SEQS, **changed: object) -> Path:
    """A session as the service would run it, recorded. `changed` is what the hello says instead."""
    hello = Hello(
        version="7", digest=bundle.digest, joints=["pelvis"], parents=[-1], seed=SEED,
        limits={"max_image_side_px": 2048}, session=SESSION, resumed=False, next_seq=0, next_index=0, recorded=True,
    )  # fmt: skip
    recording = Recorder(folder).open(SESSION, asdict(replace(hello, **changed)), consent=True)
    slots, clock, made = LiveSlots(bundle, 3), FrameClock(), 0
    slots.join(99)  # in company
    slot = slots.join(SEED)
    for seq, rgb in zip(seqs, make_frames(len(seqs)), strict=True):
        frame = Frame(seq, seq / 20, jpeg(rgb))
        recording.frame(frame.seq, frame.captured_at, frame.image)
        clock.offer(frame, time.perf_counter())
        due = None if seq in LATE else clock.take()
        if due is None:
            continue
        seen = np.array(Image.open(io.BytesIO(due.frame.image)))
        step = slots.step({slot: slots.prepare(slot, seen)})
        timings_ms = {"wait": 1.0, "image": 2.0, **step.spans_ms, "total": 50.0 + made}
        motion = step.motion[slot]
        recording.chunk(Chunk(
            made, 4 * made, due.seq, due.frame.captured_at, motion.joints_m[0].numpy(), int(motion.tokens[0]),
            timings_ms, clock.dropped, 1, "7", bundle.digest,
        ).pack())  # fmt: skip
        made += 1
    recording.close()
    assert recording.join(60)
    return recording.path


def test_the_recorded_bundle_does_what_it_did_whatever_was_dropped(recording, bundle_folder):
    replay = replay_recording(recording, bundle_folder)
    assert replay.dropped == 4, "else this shows nothing"
    assert replay.recorded.digest == replay.challenger.digest
    np.testing.assert_array_equal(replay.challenger.tokens, replay.recorded.tokens)
    np.testing.assert_allclose(replay.challenger.joints_m, replay.recorded.joints_m, atol=1e-5)
    assert replay.token_agreement == 1 and replay.joint_distance_cm.max() < 1e-3 > replay.head_errors_cm.max()


def test_another_bundle_differs_by_what_the_figures_say(recording, challenger_folder):
    replay = replay_recording(recording, challenger_folder)
    old, new = replay.recorded, replay.challenger
    assert old.digest != new.digest and new.joints_m.shape == old.joints_m.shape
    apart_cm = 100 * np.sqrt(((old.joints_m - new.joints_m) ** 2).sum(-1))
    assert replay.joint_distance_cm.mean() == pytest.approx(apart_cm.mean(), rel=1e-5) and apart_cm.mean() > 0.1
    assert replay.token_agreement == np.mean([a == b for a, b in zip(old.tokens, new.tokens, strict=True)]) < 1


def test_the_table_has_the_percentiles_of_each_stage_on_both_sides(recording, challenger_folder):
    replay = replay_recording(recording, challenger_folder)
    table = {row[0]: row[1:] for row in rows(replay)}
    tokens = len(replay.recorded.tokens)
    p50, p95 = np.percentile(50.0 + np.arange(tokens), (50, 95))
    assert table["total, ms, p50 / p95"][0] == f"{p50:.3g} / {p95:.3g}"
    assert table["wait, ms, p50 / p95"] == ("1 / 1", "–", "–")
    assert all(" / " in table[f"{stage}, ms, p50 / p95"][1] for stage in ("image", "perception", "gpt", "decode"))
    before, after, difference = table["foot skate, cm"]
    assert float(after) - float(before) == pytest.approx(float(difference), abs=0.02 * (abs(float(after)) + 0.1))


def test_the_command_prints_the_table_and_writes_report_and_plot(recording, challenger_folder, tmp_path, capsys):
    out = tmp_path / "reports" / "night.md"
    arguments = [str(recording), "--bundle", str(challenger_folder), "--out", str(out)]
    run(COMMANDS["replay"], "replay", arguments)
    printed = capsys.readouterr().out
    assert re.search(r"^mean joint distance, cm\s+–\s+–\s+[\d.]+$", printed, re.MULTILINE)
    assert printed.endswith(f"{out}\n{out.with_suffix('.png')}\n")
    page = out.read_text()
    assert "| mean joint distance, cm | – | – |" in page and "(night.png)" in page
    assert Image.open(out.with_suffix(".png")).size[0] > 800
    assert {path.name for path in out.parent.iterdir()} == {"night.md", "night.png"}


def test_a_recording_of_a_killed_process_is_replayed_as_far_as_it_goes(recording, bundle_folder, tmp_path):
    cut = tmp_path / f"cut{SUFFIX}.partial"
    cut.write_bytes(recording.read_bytes()[: recording.stat().st_size // 2])
    replay = replay_recording(cut, bundle_folder)
    assert replay.ended == "cut off" and replay.token_agreement == 1
    assert 1 <= len(replay.recorded.tokens) < len(replay_recording(recording, bundle_folder).recorded.tokens)


def test_a_recording_without_its_frames_is_refused(recording, bundle_folder, tmp_path):
    recorded = Recorded.open(recording)
    torn = Recorder(tmp_path).open(SESSION, recorded.hello, consent=True)
    for each in recorded.records():
        if isinstance(each, Frame) and each.seq != SEQS[8]:
            torn.frame(each.seq, each.captured_at, each.image)
        elif isinstance(each, Chunk):
            torn.chunk(each.pack())
    torn.close()
    assert torn.join(60)
    with pytest.raises(EgoReactError, match=r"chunk 2 \(seq 108\) does not follow"):
        replay_recording(torn.path, bundle_folder)


def test_a_session_without_motion_is_refused(bundle, bundle_folder, tmp_path):
    path = record(bundle, tmp_path, seqs=[])
    with pytest.raises(EgoReactError, match="holds no motion"):
        replay_recording(path, bundle_folder)


def test_a_session_at_another_rate_is_refused(bundle, bundle_folder, tmp_path):
    path = record(bundle, tmp_path, seqs=[0], fps=30)
    with pytest.raises(EgoReactError, match="30 frames a second"):
        replay_recording(path, bundle_folder)


def test_a_folder_that_is_no_bundle_is_refused(recording, tmp_path):
    with pytest.raises(EgoReactError, match="bundle"):
        replay_recording(recording, tmp_path)


def test_a_report_of_another_kind_is_refused_before_anything_runs(recording, challenger_folder, tmp_path):
    with pytest.raises(EgoReactError, match=r"name a \.md file"):
        run(COMMANDS["replay"], "replay", [str(recording), "--bundle", "nowhere", "--out", str(tmp_path / "a.pdf")])


def stream(url: str, query: str, tokens: int = 4) -> dict:
    """A session of so many tokens against a running service; gives its hello."""
    with connect(f"{url.replace('http', 'ws')}/v1/stream?{query}") as socket:
        hello = unpack_message(socket.recv())
        for index, rgb in enumerate(make_frames(tokens)):
            socket.send(Frame(4 * index, 0.2 * index, jpeg(rgb)).pack())
            assert unpack_message(socket.recv())["type"] == "chunk"
    return hello


def test_the_service_records_who_consents_and_replay_gives_the_same(bundle_folder, tmp_path):
    folder = tmp_path / "recordings"
    with running(tmp_path / "home", EGOREACT_BUNDLE=bundle_folder, EGOREACT_RECORDINGS=folder) as service:
        assert stream(service.url, "seed=5")["recorded"] is False
        hello = stream(service.url, "seed=5&consent=record")
        give_up_at = time.monotonic() + 60
        while not list(folder.glob(f"*{SUFFIX}")) and time.monotonic() < give_up_at:
            time.sleep(0.05)
        log = service.log.read_text()
    assert hello["recorded"] is True
    (path,) = folder.iterdir()
    assert hello["session"][:8] in path.name and hello["session"] not in log
    replay = replay_recording(path, bundle_folder)
    assert replay.recorded.digest == replay.challenger.digest and len(replay.recorded.tokens) == 4
    assert replay.token_agreement == 1 and replay.joint_distance_cm.max() < 1e-3


def test_the_service_says_in_one_line_that_it_cannot_record(bundle_folder, tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(AssertionError, match="EGOREACT_RECORDINGS: cannot record there"),
        running(tmp_path / "home", EGOREACT_BUNDLE=bundle_folder, EGOREACT_RECORDINGS=tmp_path / "file"),
    ):
        pass
