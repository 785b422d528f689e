"""The wire's bytes, and which frame each token perceives."""

import msgpack
import numpy as np
import pytest

from serving.protocol import Chunk, Frame, FrameClock, Refused, pack_error, unpack_message

GOLDEN_FRAME = "83a373657104ab63617074757265645f6174cb3ff8000000000000a5696d616765c403010203"
GOLDEN_ERROR = (
    "85a474797065a56572726f72a56572726f72a566756c6c2ea4636f6465cd03f5a776657273696f6ea133a6646967657374a26162"
)


def chunk() -> Chunk:
    joints_m = np.arange(4 * 22 * 3, dtype=np.float32).reshape(4, 22, 3)
    return Chunk(2, 8, 28, 1.5, joints_m, 7, {"gpt": 3.25}, 1, "3", "abcd")


def frame(seq: int) -> Frame:
    return Frame(seq, seq / 20, b"image %d" % seq)


def test_a_frame_has_the_bytes_of_version_1():
    assert Frame(4, 1.5, b"\x01\x02\x03").pack().hex() == GOLDEN_FRAME
    assert Frame.unpack(bytes.fromhex(GOLDEN_FRAME)) == Frame(4, 1.5, b"\x01\x02\x03")


def test_a_chunk_has_the_bytes_of_version_1():
    packed = chunk().pack()
    start = "8ca474797065a56368756e6ba5696e64657802ab66697273745f6672616d6508a37365711c"
    joints = "a66a6f696e7473c50420" + np.arange(264, dtype="<f4").tobytes().hex() + "a5736861706593041603"
    end = "a5746f6b656e07aa74696d696e67735f6d7381a3677074cb400a000000000000a764726f7070656401"
    assert packed.hex().startswith(start)
    assert joints in packed.hex()
    assert end in packed.hex()


def test_a_chunk_comes_back_whole():
    back = Chunk.from_message(unpack_message(chunk().pack()))
    np.testing.assert_array_equal(back.joints_m, chunk().joints_m)
    assert back.joints_m.dtype == np.float32
    assert (back.index, back.first_frame, back.seq, back.token, back.dropped) == (2, 8, 28, 7, 1)
    assert (back.version, back.digest, back.timings_ms, back.captured_at) == ("3", "abcd", {"gpt": 3.25}, 1.5)


def test_an_error_has_the_bytes_of_version_1():
    packed = pack_error(Refused("full.", status=503, close_code=1013), version="3", digest="ab")
    assert unpack_message(packed) == {"type": "error", "error": "full.", "code": 1013, "version": "3", "digest": "ab"}
    assert packed.hex() == GOLDEN_ERROR


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
    with pytest.raises(Refused) as refused:
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
