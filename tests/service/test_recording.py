"""A recording holds what the client consented to, is whole or readable up to its last record, and never grows for ever."""

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from egoreact.client.wire import Chunk, Frame, Hello
from egoreact.errors import EgoReactError
from serving.recording import MAX_QUEUED, PARTIAL, SUFFIX, End, Recorded, Recorder

SESSION = "0123456789abcdef0123456789abcdef"
DAY_S = 86400
ROOT = Path(__file__).parents[2]


@pytest.fixture
def recorder(tmp_path):
    return Recorder(tmp_path)


def hello(session: str = SESSION) -> dict:
    message = Hello(
        version="7", digest="d" * 64, joints=["pelvis"], parents=[-1], seed=3, limits={"max_image_side_px": 2048},
        session=session, resumed=False, next_seq=0, next_index=0, recorded=True,
    )  # fmt: skip
    return {"type": "hello"} | asdict(message)


def chunk(index: int) -> Chunk:
    joints_m = np.full((4, 22, 3), index, np.float32)
    timings_ms = dict.fromkeys(("wait", "image", "perception", "gpt", "decode", "total"), 1.5)
    return Chunk(index, 4 * index, 4 * index, 0.05 * 4 * index, joints_m, index, timings_ms, 0, 1, "7", "d" * 64)


def record(recorder: Recorder, tokens: int = 3):
    """A session of so many tokens, four frames each; gives the path of its recording."""
    recording = recorder.open(SESSION, hello(), consent=True)
    assert recording is not None
    for index in range(tokens):
        for tick in range(4 * index, 4 * index + 4):
            recording.frame(tick, 0.05 * tick, b"picture %d" % tick)
        recording.chunk(chunk(index).pack())
    recording.close()
    assert recording.join(60)
    return recording.path


def test_a_closed_recording_gives_back_all_that_came_and_went(recorder, tmp_path):
    path = record(recorder)
    recorded = Recorded.open(path)
    records = list(recorded.records())
    assert [r for r in records if isinstance(r, Frame)] == [
        Frame(tick, 0.05 * tick, b"picture %d" % tick) for tick in range(12)
    ]
    chunks = [r for r in records if isinstance(r, Chunk)]
    assert [c.pack() for c in chunks] == [chunk(index).pack() for index in range(3)]
    assert records[-1] == End("closed")
    assert recorded.hello["seed"] == 3 and recorded.hello["digest"] == "d" * 64
    assert list(tmp_path.iterdir()) == [path] and path.name.endswith(SUFFIX)


def test_the_head_is_a_line_of_json_and_cannot_resume_the_session(recorder):
    content = record(recorder).read_bytes()
    head = json.loads(content.split(b"\n")[0])
    assert head["format"] == "egoreact-recording" and head["schema_version"] == 1
    assert head["hello"]["session"] == SESSION[:8]
    assert SESSION.encode() not in content


@pytest.mark.parametrize(
    ("recorder", "consent"),
    [(Recorder(), True), (Recorder("folder"), False), (Recorder("folder", share=1e-9), True)],
    ids=["no folder", "no consent", "not in the sample"],
)
def test_nothing_is_recorded_without_folder_consent_and_luck(recorder, consent, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if recorder.folder:
        recorder = replace(recorder, folder=tmp_path / "folder")
        recorder.folder.mkdir()
    assert recorder.open(SESSION, hello(), consent=consent) is None
    assert not list(tmp_path.rglob("*.egorec*"))


def test_the_sample_is_the_share_that_was_asked_for_and_the_same_for_a_session_that_comes_back(tmp_path):
    recorder = Recorder(tmp_path, share=0.25)
    ids = [f"{number:032x}" for number in range(400)]

    def taken() -> list[bool]:
        recordings = [recorder.open(each, hello(each), consent=True) for each in ids]
        for recording in recordings:
            if recording is not None:
                recording.close()
        return [recording is not None for recording in recordings]

    first = taken()
    assert 70 < sum(first) < 130
    assert taken() == first


def test_a_killed_process_leaves_a_recording_that_is_read_up_to_its_last_whole_record(tmp_path):
    program = f"""
import os, signal, sys, time
from pathlib import Path
from serving.recording import Recorded, Recorder
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_recording import SESSION, chunk, hello
recording = Recorder(Path({str(tmp_path)!r})).open(SESSION, hello(), consent=True)
recording.frame(0, 0.0, b"picture")
recording.chunk(chunk(0).pack())
recording.frame(4, 0.2, b"x" * 1000)
deadline = time.monotonic() + 60
while time.monotonic() < deadline and not recording.partial.exists():
    time.sleep(0.01)
while time.monotonic() < deadline and len(list(Recorded.open(recording.partial).records())) < 3:
    time.sleep(0.01)
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=60).returncode == -signal.SIGKILL
    (path,) = tmp_path.iterdir()
    assert path.name.endswith(PARTIAL)
    kinds = [type(r) for r in Recorded.open(path).records()]
    assert kinds == [Frame, Chunk, Frame]


def test_wherever_a_recording_is_cut_the_whole_records_before_it_are_read(recorder, tmp_path):
    content = record(recorder, tokens=1).read_bytes()
    head = content.index(b"\n") + 1
    counts = []
    for end in range(head, len(content) + 1):
        cut = tmp_path / "cut.egorec"
        cut.write_bytes(content[:end])
        counts.append(len(list(Recorded.open(cut).records())))
    assert counts == sorted(counts) and set(counts) == set(range(7))


def test_a_recording_ends_where_it_is_full_and_says_so(tmp_path):
    recorder = Recorder(tmp_path, max_bytes=5000)
    recording = recorder.open(SESSION, hello(), consent=True)
    for seq in range(20):
        recording.frame(seq, 0.0, b"x" * 900)
    assert recording.join(60)
    recording.frame(20, 0.0, b"late")
    recording.close()
    records = list(Recorded.open(recording.path).records())
    assert [r.seq for r in records[:-1]] == [0, 1, 2, 3, 4]
    assert records[-1] == End("full")


def test_a_disk_that_is_too_slow_ends_the_recording_and_holds_up_nobody(tmp_path):
    free = threading.Event()

    class Slow(Recorder):
        def prune(self) -> None:
            free.wait(60)

    recording = Slow(tmp_path).open(SESSION, hello(), consent=True)
    for seq in range(MAX_QUEUED + 10):
        recording.frame(seq, 0.0, b"picture")
    free.set()
    assert recording.join(60)
    records = list(Recorded.open(recording.path).records())
    assert [r.seq for r in records[:-1]] == list(range(MAX_QUEUED)) and records[-1] == End("slow")


def test_a_disk_that_fails_is_told_in_the_log_and_ends_no_session(tmp_path, caplog):
    folder = tmp_path / "gone"
    recording = Recorder(folder).open(SESSION, hello(), consent=True)
    assert recording.join(60)
    recording.frame(0, 0.0, b"picture")
    recording.close()
    assert "recording failed" in caplog.text and str(tmp_path) not in caplog.text


def _age(path, days: float, size: int) -> None:
    path.write_bytes(b"x" * size)
    then_s = path.stat().st_mtime - days * DAY_S
    os.utime(path, (then_s, then_s))


def test_what_is_too_old_and_then_the_oldest_make_room(tmp_path):
    recorder = Recorder(tmp_path, max_bytes=100, folder_bytes=300, days=30)
    _age(tmp_path / f"old{SUFFIX}", 31, 1)
    _age(tmp_path / f"killed{PARTIAL}", 31, 1)
    _age(tmp_path / f"writing{PARTIAL}", 0, 500)
    _age(tmp_path / "notes.txt", 400, 500)
    for days in (1, 2, 3):
        _age(tmp_path / f"day{days}{SUFFIX}", days, 90)
    recorder.prune()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {f"writing{PARTIAL}", "notes.txt", f"day1{SUFFIX}", f"day2{SUFFIX}"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EGOREACT_RECORD_SHARE", "1.5"),
        ("EGOREACT_RECORD_SHARE", "0"),
        ("EGOREACT_RECORD_SHARE", "nan"),
        ("EGOREACT_RECORDING_BYTES", "many"),
        ("EGOREACT_RECORDINGS_BYTES", "-1"),
        ("EGOREACT_RECORDINGS_DAYS", "0.5"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(name, value, tmp_path, monkeypatch):
    monkeypatch.setenv("EGOREACT_RECORDINGS", str(tmp_path))
    monkeypatch.setenv(name, value)
    with pytest.raises(EgoReactError, match=f"{name}: '{value}' is not .*; set one, or unset it"):
        Recorder.from_environment()


def test_a_folder_that_cannot_be_one_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EGOREACT_RECORDINGS", str(tmp_path / "file"))
    with pytest.raises(EgoReactError, match="cannot record there"):
        Recorder.from_environment()


def test_settings_come_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("EGOREACT_RECORDINGS", raising=False)
    assert Recorder.from_environment() == Recorder()
    monkeypatch.setenv("EGOREACT_RECORDINGS", str(tmp_path / "new"))
    monkeypatch.setenv("EGOREACT_RECORD_SHARE", "0.1")
    monkeypatch.setenv("EGOREACT_RECORDINGS_DAYS", "7")
    assert Recorder.from_environment() == Recorder(tmp_path / "new", share=0.1, days=7)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"not json\n", "is no recording"),
        (b'{"format": "other"}\n', "is no recording"),
        (b'{"format": "egoreact-recording", "schema_version": 9, "begun_at": "", "hello": {}}\n', "of version 9"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_recording_is_refused_in_one_line(content, what, tmp_path):
    path = tmp_path / "thing.egorec"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EgoReactError, match=what):
        Recorded.open(path)


def test_a_damaged_record_is_no_motion(recorder, tmp_path):
    content = record(recorder).read_bytes()
    head = content.index(b"\n") + 1
    damaged = tmp_path / "damaged.egorec"
    damaged.write_bytes(content[:head] + b"\x05" + content[head:])
    with pytest.raises(EgoReactError, match="is damaged"):
        list(Recorded.open(damaged).records())
