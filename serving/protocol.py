"""What a session does with the messages of `egoreact.client.wire`: when a frame becomes motion, and what is refused.

The protocol itself, for whoever writes a client, is docs/stream-protocol.md.

**Time.** One token is 4 ticks, 0.2 s, of motion. The token of boundary b (ticks 0, 4, 8, … of the session) perceives
the newest frame whose seq is at most b: what the camera showed at that tick, never a later one. It is due as soon as a
frame with seq ≥ b has come. A frame that no boundary needs is held and never decoded.

**The newest wins.** At most one boundary of a session waits for a step. Where the next falls due before that, the older
gives way: it is passed over, and so are boundaries that fell into a gap of `seq`. Motion stays whole all the same:
`index` counts what the model made, from 0 and without gaps, while `seq` is the boundary's own tick.
"""

from dataclasses import dataclass

from egoreact.client.wire import FPS, FRAMES_PER_TOKEN, PROTOCOL, Chunk, Frame, pack_error, unpack_message

__all__ = [
    "FPS", "FRAMES_PER_TOKEN", "PROTOCOL", "Chunk", "Due", "Frame", "FrameClock", "Refused", "pack_error",
    "unpack_message",
]  # fmt: skip


class Refused(Exception):  # noqa: N818 - it is an answer, not a failure
    """Something the service will not do for a client. One line, no path, no trace; it reaches the client as it is."""

    def __init__(self, line: str, *, status: int, close_code: int, retry_after_s: int | None = None):
        super().__init__(line)
        self.line, self.status, self.close_code, self.retry_after_s = line, status, close_code, retry_after_s


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

    @property
    def next_seq(self) -> int:
        """The least seq that is taken."""
        return 0 if self._held is None else self._held.seq + 1

    def offer(self, frame: Frame, now_s: float) -> None:
        """Takes in a frame. Raises `Refused` where its seq does not grow."""
        if self._held is not None and frame.seq <= self._held.seq:
            line = f"seq went from {self._held.seq} to {frame.seq}; it must grow from frame to frame"
            raise Refused(line, status=400, close_code=1008)
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

    @property
    def is_due(self) -> bool:
        return self._due is not None

    def take(self) -> Due | None:
        """The boundary that is due, once; None where none is."""
        due, self._due = self._due, None
        return due

    def pass_over(self) -> None:
        """A boundary that was taken gave way to the next after all."""
        self.dropped += 1
