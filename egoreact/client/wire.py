"""The live wire, version 2: the messages that cross `WS /v1/stream`, as bytes and as values. Numpy and msgpack only.

Every message is one binary WebSocket message holding one msgpack map; arrays travel as raw little-endian bytes beside
their shape. Both ends use this module: what one packs, the other unpacks. Keys that are not known are ignored, so that
a later peer may say more; a key that is missing or does not fit raises `Malformed`.

    server → client   hello   {type, protocol, version, digest, fps, frames_per_token, joints, parents, seed, limits,
                               session, resumed, next_seq, next_index, recorded}
    client → server   frame   {seq, captured_at, image}
    server → client   chunk   {type, index, first_frame, seq, captured_at, joints, shape, token, timings_ms, dropped,
                               batch, version, digest}
    server → client   drain   {type, seconds_left, version, digest}
    server → client   error   {type, error, code, retry_after_s, version, digest}, then a close with the same code
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import msgpack
import numpy as np
from jaxtyping import Float32

PROTOCOL = 2
SUBPROTOCOL = "egoreact.v2"
"""Offered by a client that can set no header, beside `bearer.TOKEN`; the server answers with it."""
BEARER_PREFIX = "bearer."
FPS = 20
FRAMES_PER_TOKEN = 4
MAX_SEQ = 2**53
"""Browsers count no further."""


class Malformed(ValueError):  # noqa: N818 - what a message is, under the name the standards use
    """Bytes that are no message of this protocol. `line` says why, `close_code` is what a server closes with."""

    def __init__(self, line: str, *, close_code: int = 1007):
        super().__init__(line)
        self.line, self.close_code = line, close_code


@dataclass(frozen=True)
class Hello:
    """The server's first message. `session` (32 hex digits) is the token to resume with after a lost connection.

    `next_seq` is the least seq the session still takes and `next_index` the index of its next chunk: 0 for a new one.
    """

    version: str
    digest: str
    joints: list[str]
    parents: list[int]
    seed: int
    limits: dict[str, Any]
    session: str
    resumed: bool
    next_seq: int
    next_index: int
    recorded: bool
    protocol: int = PROTOCOL
    fps: int = FPS
    frames_per_token: int = FRAMES_PER_TOKEN

    def pack(self) -> bytes:
        return msgpack.packb({"type": "hello"} | asdict(self))

    @staticmethod
    def from_message(message: Mapping[str, Any]) -> "Hello":
        return Hello(**_fields(message, Hello))


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
        """Raises `Malformed`: 1007 where the bytes are no map, 1008 where a value does not fit."""
        message = _unpack_map(content)
        seq, captured_at, image = (message.get(name) for name in ("seq", "captured_at", "image"))
        if not isinstance(seq, int) or isinstance(seq, bool) or not 0 <= seq < MAX_SEQ:
            raise Malformed("seq must be a whole number from 0 to 2^53", close_code=1008)
        if not isinstance(captured_at, int | float) or isinstance(captured_at, bool) or not math.isfinite(captured_at):
            raise Malformed("captured_at must be a finite number of seconds", close_code=1008)
        if not isinstance(image, bytes) or not image:
            raise Malformed("image must be the bytes of a JPEG, PNG or WebP, and holds none", close_code=1008)
        return Frame(seq, float(captured_at), image)


@dataclass(frozen=True)
class Chunk:
    """Four frames of motion, from one token.

    `dropped` counts the boundaries passed over so far in this session, `batch` the sessions that shared this step;
    `timings_ms` has wait, image, perception, gpt, decode and total, on the server's clock.
    """

    index: int
    first_frame: int
    seq: int
    captured_at: float
    joints_m: Float32[np.ndarray, "4 22 3"]
    token: int
    timings_ms: dict[str, float]
    dropped: int
    batch: int
    version: str
    digest: str

    def pack(self) -> bytes:
        return msgpack.packb({
            "type": "chunk", "index": self.index, "first_frame": self.first_frame, "seq": self.seq,
            "captured_at": self.captured_at, "joints": np.ascontiguousarray(self.joints_m, "<f4").tobytes(),
            "shape": list(self.joints_m.shape), "token": self.token, "timings_ms": self.timings_ms,
            "dropped": self.dropped, "batch": self.batch, "version": self.version, "digest": self.digest,
        })  # fmt: skip

    @staticmethod
    def from_message(message: Mapping[str, Any]) -> "Chunk":
        try:
            joints_m = np.frombuffer(message["joints"], "<f4").reshape(message["shape"])
        except (KeyError, ValueError, TypeError) as error:
            raise Malformed("a chunk's joints do not fit their shape") from error
        return Chunk(**_fields({**message, "joints_m": joints_m}, Chunk))


@dataclass(frozen=True)
class Drain:
    """The server restarts: live sessions may go on for `seconds_left`, and are then closed with 1012."""

    seconds_left: float
    version: str
    digest: str

    def pack(self) -> bytes:
        return msgpack.packb({"type": "drain"} | asdict(self))

    @staticmethod
    def from_message(message: Mapping[str, Any]) -> "Drain":
        return Drain(**_fields(message, Drain))


@dataclass(frozen=True)
class ErrorMessage:
    """Why the server closes the connection with `code`; `retry_after_s` where coming back later helps, else None."""

    error: str
    code: int
    retry_after_s: float | None
    version: str
    digest: str

    def pack(self) -> bytes:
        return msgpack.packb({"type": "error"} | asdict(self))

    @staticmethod
    def from_message(message: Mapping[str, Any]) -> "ErrorMessage":
        return ErrorMessage(**_fields(message, ErrorMessage))


class Refusal(Protocol):
    """What a server's refusal must know to be told to a client."""

    line: str
    close_code: int
    retry_after_s: int | None


def pack_error(refused: Refusal, *, version: str, digest: str) -> bytes:
    return ErrorMessage(refused.line, refused.close_code, refused.retry_after_s, version, digest).pack()


def unpack_message(content: bytes) -> dict[str, Any]:
    """A server's message, as a client reads it: its map; `type` says which. Raises `Malformed`."""
    try:
        message = msgpack.unpackb(content)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise Malformed("the message is not a msgpack map") from error
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise Malformed("the message is not a map with a type")
    return message


def _fields(message: Mapping[str, Any], kind: type) -> dict[str, Any]:
    names = kind.__dataclass_fields__  # type: ignore[attr-defined]
    missing = [name for name in names if name not in message]
    if missing:
        raise Malformed(f"a {kind.__name__.lower()} message lacks {', '.join(missing)}")
    return {name: message[name] for name in names}


def _unpack_map(content: bytes) -> dict[Any, Any]:
    try:
        message = msgpack.unpackb(content, max_map_len=16, max_array_len=0, max_ext_len=0, max_str_len=256)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise Malformed("the message is not a msgpack map of a frame") from error
    if not isinstance(message, dict):
        raise Malformed("the message is not a msgpack map of a frame")
    return message
