"""What a live session says and understands, over any transport: no socket and no thread is known here.

`LiveSession` and `AsyncLiveSession` move the bytes; when a connection is worth restoring, what became of the session and
which frame must be sent again is decided here, once for both.
"""

import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from websockets.exceptions import ConnectionClosed, InvalidProxy, InvalidStatus, InvalidURI

from egoreact.client.endpoint import GIVE_A_TOKEN, START_IT, Endpoint, first_line
from egoreact.client.images import Encoding, Rgb, encode_image
from egoreact.client.place import Place
from egoreact.client.retry import Outage
from egoreact.client.wire import PROTOCOL, Chunk, Drain, ErrorMessage, Frame, Hello, Malformed, unpack_message
from egoreact.errors import EgoReactError

log = logging.getLogger("egoreact.client")
TRANSPORT_LOG = logging.getLogger("egoreact.client.transport")
"""For websockets, which would print a traceback of every connection that is lost."""
TRANSPORT_LOG.propagate = False
TRANSPORT_LOG.addHandler(logging.NullHandler())

MOST_RECEIVED_BYTES = 1024 * 1024
_PASSING_CODES = frozenset({1001, 1005, 1006, 1012, 1013, 1014})
"""Closes after which the same session, or a new one, may be had by connecting again."""
_PASSING_STATUSES = frozenset({429, 502, 503, 504})


@dataclass(frozen=True)
class Event:
    """Something that happened to the connection; `line` says it to a person.

    `seconds` is the time to the next attempt (`retrying`) or to the end of the session's time (`draining`);
    `lost_chunks` the chunks that were made but never came (`resumed`).
    """

    kind: Literal["lost", "retrying", "resumed", "restarted", "draining"]
    line: str
    seconds: float | None = None
    lost_chunks: int = 0


def log_event(event: Event) -> None:
    log.warning(event.line)


class Interrupted(Exception):  # noqa: N818 - it passes
    """The connection is gone, for a reason that may pass; `told` where the service itself gave it."""

    def __init__(self, line: str, *, retry_after_s: float | None = None, told: bool = False):
        super().__init__(line)
        self.line, self.retry_after_s, self.told = line, retry_after_s or 0.0, told


class Dialogue:
    def __init__(
        self, endpoint: Endpoint, outage: Outage, *, seed: int, keep_place: bool, consent_to_record: bool,
        on_event: Callable[[Event], None],
    ):  # fmt: skip
        self.endpoint, self.outage, self.on_event = endpoint, outage, on_event
        self.hello: Hello | None = None
        self.newest: Frame | None = None
        self.gaps = 0
        """How often chunks were lost with a connection."""
        self.draining = False
        self._query: dict[str, object] = {"seed": seed} | ({"consent": "record"} if consent_to_record else {})
        self._place = Place() if keep_place else None
        self._next_index = 0

    def address(self) -> str:
        resume = {} if self.hello is None else {"resume": self.hello.session}
        return self.endpoint.websocket(self._query | resume)

    def frame(self, seq: int, image: Rgb | bytes, captured_at: float, encoding: Encoding) -> bytes:
        """The message of a frame, which is now the newest. Raises EgoReactError where the service would not take it."""
        assert self.hello is not None
        image = image if isinstance(image, bytes) else encode_image(image, encoding)
        frame = Frame(seq, captured_at, image)
        message = frame.pack()
        most_bytes = self.hello.limits.get("max_message_bytes")
        if most_bytes is not None and len(message) > most_bytes:
            raise EgoReactError(
                f"frame {seq} has {len(message)} bytes; the service takes at most {most_bytes}",
                where=self.endpoint.url, remedy="send smaller pictures, or JPEG",
            )  # fmt: skip
        self.newest = frame
        return message

    def greet(self, content: bytes | str) -> bytes | None:
        """Takes in the first message of a connection; gives the message to send again, where the service missed it."""
        message = self._message(content)
        if message.get("protocol") != PROTOCOL:
            raise EgoReactError(
                f"the service speaks protocol {message.get('protocol')}, this client {PROTOCOL}",
                where=self.endpoint.url, remedy="update one of them",
            )  # fmt: skip
        again, self.hello = self.hello is not None, self._parsed(Hello.from_message, message)
        self.draining = False
        if not again:
            return None
        if self.hello.resumed:
            lost = max(0, self.hello.next_index - self._next_index)
            self.gaps += lost > 0
            self._next_index = max(self._next_index, self.hello.next_index)
            self._tell(Event("resumed", f"the session goes on; chunks lost: {lost}", lost_chunks=lost))
        else:
            self._next_index = 0
            line = "the session is gone; a new one begins"
            if self._place is not None:
                self._place.restart()
                line += " where the last one ended"
            self._tell(Event("restarted", line))
        missed = self.newest is not None and self.newest.seq >= self.hello.next_seq
        return self.newest.pack() if missed and self.newest is not None else None

    def understand(self, content: bytes | str) -> Chunk | None:
        """A message after the first; None for all that is not motion. Raises what an error message tells."""
        message = self._message(content)
        if message["type"] == "drain":
            drain = self._parsed(Drain.from_message, message)
            self.draining = True
            line = f"the service restarts; this session may go on for {drain.seconds_left:.0f} s"
            self._tell(Event("draining", line, seconds=drain.seconds_left))
        if message["type"] != "chunk":
            return None  # a later service may say more
        chunk = self._parsed(Chunk.from_message, message)
        self.outage.over()
        self._next_index = chunk.index + 1
        return chunk if self._place is None else replace(chunk, joints_m=self._place.put(chunk.joints_m))

    def wait_s(self, why: Interrupted) -> float:
        """Seconds before the next attempt. Raises EgoReactError where it is time to give up."""
        wait_s = self.outage.next_wait_s(why.retry_after_s)
        if wait_s is None:
            raise self._refusal(f"the connection ended ({why.line})", remedy="check that the service runs")
        self._tell(Event("retrying", f"not connected ({why.line}); next attempt in {wait_s:.1f} s", seconds=wait_s))
        return wait_s

    def lost(self, why: Interrupted) -> None:
        self._tell(Event("lost", f"the connection was lost ({why.line})"))

    def judge(self, error: Exception) -> Exception:
        """What a transport's failure means: `Interrupted` where it may pass, EgoReactError where it will not."""
        if isinstance(error, ConnectionClosed):
            code = 1006 if error.rcvd is None else error.rcvd.code
            reason = error.rcvd.reason if error.rcvd is not None and error.rcvd.reason else first_line(error)
            if code in _PASSING_CODES:
                return Interrupted(reason)
            return self._refusal(f"the connection ended ({reason})", remedy="see the close codes of the protocol")
        if isinstance(error, InvalidStatus):
            return self._judge_status(error)
        if isinstance(error, InvalidURI | InvalidProxy | ssl.SSLCertVerificationError):
            return self._refusal(f"cannot be reached ({first_line(error)})", remedy="check the address")
        return Interrupted(first_line(error))

    def unreachable(self, why: Interrupted) -> EgoReactError:
        """For the first connection, which is not tried twice."""
        if why.told:
            later = f"in {why.retry_after_s:.0f} s" if why.retry_after_s else "later"
            return self._refusal(why.line, remedy=f"try again {later}")
        return self._refusal(f"cannot be reached ({why.line})", remedy=START_IT)

    def silent(self, timeout_s: float) -> EgoReactError:
        return self._refusal(f"no chunk came for {timeout_s:.0f} s", remedy="send the frames of boundaries: 0, 4, 8, …")

    def closed(self) -> EgoReactError:
        return self._refusal("this session is closed", remedy="open another")

    def _judge_status(self, error: InvalidStatus) -> Exception:
        status, retry_after = error.response.status_code, error.response.headers.get("Retry-After", "")
        if status in _PASSING_STATUSES:
            wait_s = float(retry_after) if retry_after.isdecimal() else None
            return Interrupted(f"the service answered {status}", retry_after_s=wait_s, told=True)
        remedy = GIVE_A_TOKEN if status in (401, 403) else "check the address"
        return self._refusal(f"the service answered {status}", remedy=remedy)

    def _message(self, content: bytes | str) -> dict[str, Any]:
        if isinstance(content, str):
            raise self._refusal("sent text", remedy="check that an EgoReAct service is there")
        message = self._parsed(unpack_message, content)
        if message["type"] != "error":
            return message
        told = self._parsed(ErrorMessage.from_message, {"retry_after_s": None} | message)
        if told.code in _PASSING_CODES:
            raise Interrupted(told.error, retry_after_s=told.retry_after_s, told=True)
        raise self._refusal(told.error, remedy=GIVE_A_TOKEN if told.code == 4401 else "see the limits at /v1/model")

    def _parsed(self, parse: Callable[[Any], Any], content: Any) -> Any:
        try:
            return parse(content)
        except Malformed as error:
            raise self._refusal(error.line, remedy="check that an EgoReAct service is there") from error

    def _refusal(self, line: str, *, remedy: str) -> EgoReactError:
        return EgoReactError(line, where=self.endpoint.url, remedy=remedy)

    def _tell(self, event: Event) -> None:
        self.on_event(event)
