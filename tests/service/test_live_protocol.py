"""The wire's bytes, and which frame each token perceives."""

import json
import re
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest

from egoreact.client.wire import PROTOCOL, Chunk, Drain, ErrorMessage, Frame, Hello, Malformed, unpack_message
from serving.protocol import FrameClock, Refused, pack_error

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "wire_v2.json"
TIMINGS_MS = {"wait": 0.5, "image": 0.25, "perception": 3.0, "gpt": 2.0, "decode": 1.0, "total": 7.0}
MESSAGES = {
    "hello": Hello(
        version="7", digest="ab" * 32, joints=["pelvis", "left_hip"], parents=[-1, 0], seed=5,
        limits={"max_sessions": 8, "resume_seconds": 15}, session="5f" * 16, resumed=True, next_seq=6, next_index=2,
        recorded=False,
    ),
    "frame": Frame(4, 1.5, b"\x01\x02\x03"),
    "chunk": Chunk(
        2, 8, 28, 1.5, np.arange(264, dtype=np.float32).reshape(4, 22, 3), 7, TIMINGS_MS, 1, 3, "7", "ab" * 32
    ),
    "drain": Drain(10.0, "7", "ab" * 32),
    "error": ErrorMessage("all 8 session slots are taken; try again in 5 s", 1013, 5, "7", "ab" * 32),
}  # fmt: skip


def frame(seq: int) -> Frame:
    return Frame(seq, seq / 20, b"image %d" % seq)


def plain(packed: bytes) -> dict[str, Any]:
    """The map of a message, bytes as hex digits."""
    message = msgpack.unpackb(packed)
    return {key: value.hex() if isinstance(value, bytes) else value for key, value in message.items()}


@pytest.mark.parametrize("kind", MESSAGES)
def test_each_message_has_its_golden_bytes(kind):
    """A change of these bytes is another protocol: it needs a new number and a new golden file."""
    golden = json.loads(GOLDEN.read_text())
    assert golden["protocol"] == PROTOCOL
    assert set(golden["messages"]) == set(MESSAGES)
    assert MESSAGES[kind].pack().hex() == golden["messages"][kind]["hex"]
    assert plain(bytes.fromhex(golden["messages"][kind]["hex"])) == golden["messages"][kind]["fields"]


def test_each_message_comes_back_whole():
    for kind in (Hello, Drain, ErrorMessage):
        sent = next(message for message in MESSAGES.values() if isinstance(message, kind))
        assert kind.from_message(unpack_message(sent.pack())) == sent
    assert Frame.unpack(MESSAGES["frame"].pack()) == MESSAGES["frame"]
    sent, back = MESSAGES["chunk"], Chunk.from_message(unpack_message(MESSAGES["chunk"].pack()))
    np.testing.assert_array_equal(back.joints_m, sent.joints_m)
    assert back.joints_m.dtype == np.float32
    assert {k: v for k, v in vars(back).items() if k != "joints_m"} == {
        k: v for k, v in vars(sent).items() if k != "joints_m"
    }


def test_a_refusal_is_an_error_message():
    refused = Refused("full.", status=503, close_code=1013, retry_after_s=5)
    assert unpack_message(pack_error(refused, version="3", digest="ab")) == {
        "type": "error", "error": "full.", "code": 1013, "retry_after_s": 5, "version": "3", "digest": "ab"
    }  # fmt: skip


def test_the_page_that_describes_the_protocol_names_this_version_and_every_field():
    page = (ROOT / "docs" / "stream-protocol.md").read_text()
    assert re.search(r"^# The live wire, version (\d+)$", page, re.MULTILINE)[1] == str(PROTOCOL)
    for kind, message in MESSAGES.items():
        for field in plain(message.pack()):
            assert f"`{field}`" in page or field == "type", (kind, field)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", 1007),
        (b"\xc1", 1007),
        (b"not msgpack at all", 1007),
        (msgpack.packb([1, 2, 3]), 1007),
        (msgpack.packb(5), 1007),
        (b"\x81" * 2000, 1007),  # maps in maps in maps
        (b"\xdf\xff\xff\xff\xff", 1007),  # a map that claims four thousand million entries
        (msgpack.packb({"seq": 0, "captured_at": 0.0}), 1008),
        (msgpack.packb({"seq": 0, "captured_at": 0.0, "image": b""}), 1008),
        (msgpack.packb({"seq": 0, "captured_at": 0.0, "image": "text"}), 1008),
        (msgpack.packb({"seq": -1, "captured_at": 0.0, "image": b"x"}), 1008),
        (msgpack.packb({"seq": True, "captured_at": 0.0, "image": b"x"}), 1008),
        (msgpack.packb({"seq": 2**60, "captured_at": 0.0, "image": b"x"}), 1008),
        (msgpack.packb({"seq": 1.0, "captured_at": 0.0, "image": b"x"}), 1008),
        (msgpack.packb({"seq": 0, "captured_at": float("nan"), "image": b"x"}), 1008),
        (msgpack.packb({"seq": 0, "captured_at": None, "image": b"x"}), 1008),
    ],
)
def test_what_is_no_frame_is_refused_in_one_line(content, code):
    with pytest.raises(Malformed) as refused:
        Frame.unpack(content)
    assert refused.value.close_code == code
    assert "\n" not in refused.value.line


def test_a_later_client_may_say_more():
    content = msgpack.packb({"seq": 3, "captured_at": 1, "image": b"x", "gyro": 0.5})
    assert Frame.unpack(content) == Frame(3, 1.0, b"x")


class TestFrameClock:
    def perceived(self, seqs, *, every=1):
        """(seq of the boundary, seq of the frame it perceives) where the model takes after each `every` frames."""
        clock, taken = FrameClock(), []
        for count, seq in enumerate(seqs, 1):
            clock.offer(frame(seq), 0.0)
            if count % every == 0 and (due := clock.take()):
                taken.append((due.seq, due.frame.seq))
        return taken, clock.dropped

    def test_each_boundary_perceives_its_own_frame(self):
        assert self.perceived(range(13)) == ([(0, 0), (4, 4), (8, 8), (12, 12)], 0)

    def test_boundaries_alone_are_enough(self):
        assert self.perceived(range(0, 13, 4)) == ([(0, 0), (4, 4), (8, 8), (12, 12)], 0)

    def test_a_slower_camera_is_held_never_looked_ahead(self):
        assert self.perceived(range(0, 16, 3)) == ([(0, 0), (4, 3), (8, 6), (12, 12)], 0)

    def test_the_first_frame_is_tick_zero(self):
        assert self.perceived([102, 103, 104, 105, 106]) == ([(102, 102), (106, 106)], 0)

    def test_the_newest_wins_over_one_that_waits(self):
        assert self.perceived(range(0, 20, 4), every=5) == ([(16, 16)], 4)

    def test_a_gap_counts_what_fell_into_it(self):
        assert self.perceived([0, 4, 20, 24]) == ([(0, 0), (4, 4), (20, 20), (24, 24)], 3)
        assert self.perceived([0, 3, 22]) == ([(0, 0), (20, 3)], 4)

    def test_a_jump_to_the_end_of_time_costs_nothing(self):
        taken, dropped = self.perceived([0, 2**53 - 4])
        assert taken[-1][0] == 2**53 - 4
        assert dropped == 2**51 - 2

    @pytest.mark.parametrize("seqs", [[5, 5], [5, 4]])
    def test_seq_must_grow(self, seqs):
        clock = FrameClock()
        clock.offer(frame(seqs[0]), 0.0)
        with pytest.raises(Refused, match="must grow"):
            clock.offer(frame(seqs[1]), 0.0)

    def test_what_is_passed_over_after_all_is_counted(self):
        clock = FrameClock()
        clock.offer(frame(0), 0.0)
        assert clock.take() is not None
        clock.pass_over()
        assert clock.dropped == 1

    def test_the_least_seq_that_is_taken_follows_the_newest_frame(self):
        clock = FrameClock()
        assert clock.next_seq == 0
        clock.offer(frame(7), 0.0)
        assert clock.next_seq == 8
