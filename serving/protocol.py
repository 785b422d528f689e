"""The live wire, version 1: what crosses `WS /v1/stream`, and when a frame becomes motion.

Every message is one binary WebSocket message holding one msgpack map; text messages are refused. Numbers are seconds,
metres and milliseconds as their names say; arrays travel as raw little-endian bytes beside their shape.

    server → client   hello   {type, protocol, version, digest, fps, frames_per_token, joints, parents, seed, limits}
    client → server   frame   {seq, captured_at, image}
    server → client   chunk   {type, index, first_frame, seq, captured_at, joints, shape, token, timings_ms, dropped,
                               version, digest}
    server → client   error   {type, error, code, version, digest}, followed by a close with the same code

`hello` comes first and unasked. `seq` is a tick of the client's clock at 20 a second; it must grow from frame to frame,
and the first frame's is the session's tick 0, whatever its number. `captured_at` is the client's own clock, in seconds,
and comes back untouched, so that a client measures latency without a common clock. `image` is a JPEG, PNG or WebP.

**Time.** One token is 4 ticks, 0.2 s, of motion. The token of boundary b (ticks 0, 4, 8, … of the session) perceives
the newest frame whose seq is at most b: what the camera showed at that tick, never a later one. It is due as soon as a
frame with seq ≥ b has come. A frame that no boundary needs is held and never decoded, so a client that sends only its
frames 0, 4, 8, … spares three quarters of the wire and gets the same motion; one whose camera gives 15 frames a second
sends seq 0, 1, 3, 4, 5, 7, … and loses nothing.

**The newest wins.** While the model works on one boundary at most one other waits. Where the next falls due before
that, the older gives way: it is passed over, and so are boundaries that fell into a gap of `seq`. `dropped` counts the
boundaries passed over so far; each is 4 frames of motion that were not made. Motion stays whole all the same: `index`
and `first_frame` = 4 · index count what the model made, from 0 and without gaps, while `seq` is the boundary's own
tick. A client that waits for each chunk before it sends the next boundary's frame drops none, and its motion is exactly
what `egoreact.streaming` gives for those frames and that seed.

**Close codes.** 1000 the client is done · 1003 a text message · 1007 not msgpack, or an image that cannot be read ·
1008 a value outside its limits, an idle or an overlong session · 1009 a message too large · 1011 the service failed ·
1012 it restarts · 1013 it is full, try again. All but 1000, 1009 and 1012 follow an `error` message that says why.
"""

import math
from dataclasses import dataclass
from typing import Any

import msgpack
import numpy as np
from jaxtyping import Float32

PROTOCOL = 1
FPS = 20
FRAMES_PER_TOKEN = 4
MAX_SEQ = 2**53
"""Browsers count no further."""


class Refused(Exception):  # noqa: N818 - it is an answer, not a failure
    """Something the service will not do for a client. One line, no path, no trace; it reaches the client as it is."""

    def __init__(self, line: str, *, status: int, close_code: int, retry_after_s: int | None = None):
        super().__init__(line)
        self.line, self.status, self.close_code, self.retry_after_s = line, status, close_code, retry_after_s


@dataclass(frozen=True)
class Frame:
    """A picture of the client's camera at tick `seq`; `image` is encoded, `captured_at` in seconds of its own clock."""

    seq: int
    captured_at: float
    image: bytes

    def pack(self) -> bytes:
        return msgpack.packb({"seq": self.seq, "captured_at": self.captured_at, "image": self.image})

    @staticmethod
    def unpack(content: bytes) -> "Frame":
        """Raises `Refused` where the bytes are no frame. Unknown keys are ignored: a later client may say more."""
        message = _unpack_map(content)
        seq, captured_at, image = (message.get(name) for name in ("seq", "captured_at", "image"))
        if not isinstance(seq, int) or isinstance(seq, bool) or not 0 <= seq < MAX_SEQ:
            raise _unfit("seq must be a whole number from 0 to 2^53")
        if not isinstance(captured_at, int | float) or isinstance(captured_at, bool) or not math.isfinite(captured_at):
            raise _unfit("captured_at must be a finite number of seconds")
        if not isinstance(image, bytes) or not image:
            raise _unfit("image must be the bytes of a JPEG, PNG or WebP, and holds none")
        return Frame(seq, float(captured_at), image)


@dataclass(frozen=True)
class Chunk:
    """Four frames of motion, from one token. `dropped` counts the boundaries passed over so far in this session."""

    index: int
    first_frame: int
    seq: int
    captured_at: float
    joints_m: Float32[np.ndarray, "4 22 3"]
    token: int
    timings_ms: dict[str, float]
    dropped: int
    version: str
    digest: str

    def pack(self) -> bytes:
        return msgpack.packb({
            "type": "chunk", "index": self.index, "first_frame": self.first_frame, "seq": self.seq,
            "captured_at": self.captured_at, "joints": np.ascontiguousarray(self.joints_m, "<f4").tobytes(),
            "shape": list(self.joints_m.shape), "token": self.token, "timings_ms": self.timings_ms,
            "dropped": self.dropped, "version": self.version, "digest": self.digest,
        })  # fmt: skip

    @staticmethod
    def from_message(message: dict[str, Any]) -> "Chunk":
        joints = np.frombuffer(message["joints"], "<f4").reshape(message["shape"])
        names = ("index", "first_frame", "seq", "captured_at", "token", "timings_ms", "dropped", "version", "digest")
        return Chunk(joints_m=joints, **{name: message[name] for name in names})


def pack_error(refused: Refused, *, version: str, digest: str) -> bytes:
    return msgpack.packb(
        {"type": "error", "error": refused.line, "code": refused.close_code, "version": version, "digest": digest}
    )


def unpack_message(content: bytes) -> dict[str, Any]:
    """A server's message, as a client reads it: its map; `type` says which."""
    return msgpack.unpackb(content)


def _unpack_map(content: bytes) -> dict[Any, Any]:
    try:
        message = msgpack.unpackb(content, max_map_len=16, max_array_len=0, max_ext_len=0, max_str_len=256)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise Refused("the message is not a msgpack map of a frame", status=400, close_code=1007) from error
    if not isinstance(message, dict):
        raise Refused("the message is not a msgpack map of a frame", status=400, close_code=1007)
    return message


def _unfit(line: str) -> Refused:
    return Refused(line, status=400, close_code=1008)


@dataclass(frozen=True)
class Due:
    """A boundary to perceive: its tick on the client's clock, the frame on show at that tick, and when it fell due."""

    seq: int
    frame: Frame
    since_s: float


class FrameClock:
    """Which frame each token perceives: the rules under **Time** and **The newest wins** above, nothing else.

    `offer` what comes, `take` what is due; `dropped` is the count so far. Holds at most two frames.
    """

    def __init__(self, frames_per_token: int = FRAMES_PER_TOKEN):
        self.dropped = 0
        self._frames_per_token = frames_per_token
        self._first_seq: int | None = None
        self._last_due = -frames_per_token
        self._held: Frame | None = None
        self._due: Due | None = None

    @property
    def ticks(self) -> int:
        """Ticks from the first frame to the newest, both counted."""
        return 0 if self._held is None or self._first_seq is None else self._held.seq - self._first_seq + 1

    def offer(self, frame: Frame, now_s: float) -> None:
        """Takes in a frame. Raises `Refused` where its seq does not grow."""
        if self._held is not None and frame.seq <= self._held.seq:
            raise _unfit(f"seq went from {self._held.seq} to {frame.seq}; it must grow from frame to frame")
        if self._first_seq is None:
            self._first_seq = frame.seq
        tick = frame.seq - self._first_seq
        boundary = tick - tick % self._frames_per_token
        if boundary > self._last_due:
            passed_over = (boundary - self._last_due) // self._frames_per_token - 1 + (self._due is not None)
            self.dropped += passed_over
            # Held frames are older than every boundary that was not yet due, so the hold never looks ahead.
            shown = frame if tick == boundary or self._held is None else self._held
            self._due = Due(self._first_seq + boundary, shown, now_s)
            self._last_due = boundary
        self._held = frame

    def take(self) -> Due | None:
        """The boundary that is due, once; None where none is."""
        due, self._due = self._due, None
        return due
