"""A live session kept as a file, to replay it against another bundle: frames as they came, chunks as they were made.

Off unless `EGOREACT_RECORDINGS` names a folder, and then only sessions whose client consented, and of those the share
`EGOREACT_RECORD_SHARE`. A recording is a line of JSON, the head, and then msgpack maps, one after another:

    {kind: "frame", at_s, seq, captured_at, image}    as the client sent it
    {kind: "chunk", at_s, packed}                     the message of the wire, untouched
    {kind: "end", at_s, reason}                       closed, full or slow

`at_s` counts seconds from the first record's moment on the server. While it is written the file is called `….partial`;
each record reaches the system whole before the next, so what a killed process leaves can be read up to its last record.
The head holds the first 8 digits of the session's id, never all: with all of them one could resume the session.
"""

import json
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import msgpack

from egoreact.client.wire import Chunk, Frame, unpack_message
from egoreact.errors import EgoReactError
from serving.logs import session_log, short

FORMAT, SCHEMA_VERSION = "egoreact-recording", 1
SUFFIX, PARTIAL = ".egorec", ".egorec.partial"
MAX_QUEUED = 64
"""Records that wait for the disk, 3 s of a camera. A recording with a gap could not be replayed, so it ends instead."""
MAX_HEAD_BYTES = 64 * 1024
MAX_RECORD_BYTES = 64 * 1024 * 1024
UNTOUCHED_S = 3600
"""A partial file that nobody wrote to for so long is left over: live sessions write many times a second."""


@dataclass(frozen=True)
class Recorder:
    """What is recorded and what is kept. `folder` None: nothing."""

    folder: Path | None = None
    share: float = 1.0
    max_bytes: int = 256 * 1024 * 1024
    """Of one recording; it ends there, the session goes on."""
    folder_bytes: int = 8 * 1024 * 1024 * 1024
    """Of all; the oldest are deleted."""
    days: int = 30
    """Older ones are deleted."""

    @staticmethod
    def from_environment() -> "Recorder":
        """From `EGOREACT_RECORDINGS`, `EGOREACT_RECORD_SHARE`, `EGOREACT_RECORDING_BYTES`, `EGOREACT_RECORDINGS_BYTES`
        and `EGOREACT_RECORDINGS_DAYS`.

        Raises:
            EgoReactError: a setting does not fit, or the folder cannot be written to.
        """
        named = os.environ.get("EGOREACT_RECORDINGS")
        if not named:
            return Recorder()
        folder = Path(named)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _no_folder(error.strerror) from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise _no_folder("not writable")
        return Recorder(
            folder,
            _number("EGOREACT_RECORD_SHARE", float, "a number from 0 to 1", Recorder.share, most=1),
            _number("EGOREACT_RECORDING_BYTES", int, "a whole number of bytes", Recorder.max_bytes),
            _number("EGOREACT_RECORDINGS_BYTES", int, "a whole number of bytes", Recorder.folder_bytes),
            _number("EGOREACT_RECORDINGS_DAYS", int, "a whole number of days", Recorder.days),
        )

    def open(self, session_id: str, hello: Mapping[str, Any], *, consent: bool = False) -> "Recording | None":
        """A recording of this session, or None: not switched on, no consent, or not in the sample.

        Touches no disk itself, so it may be called from an event loop. `hello` is the message as the client gets it.
        """
        if self.folder is None or not consent or not _sampled(session_id, self.share):
            return None
        return Recording(self, self.folder, session_id, hello)

    def prune(self) -> None:
        """Deletes what is too old, and then the oldest until the rest leaves room for one more recording."""
        assert self.folder is not None
        now_s = time.time()
        kept: list[tuple[float, int, Path]] = []
        for path in self.folder.iterdir():
            if not path.name.endswith((SUFFIX, PARTIAL)):
                continue
            stat = path.stat()
            age_s = now_s - stat.st_mtime
            if path.name.endswith(PARTIAL) and age_s < UNTOUCHED_S:
                continue
            if age_s > self.days * 86400:
                path.unlink(missing_ok=True)
            else:
                kept.append((stat.st_mtime, stat.st_size, path))
        total = sum(size for _, size, _ in kept)
        for _, size, path in sorted(kept):
            if total <= max(0, self.folder_bytes - self.max_bytes):
                break
            path.unlink(missing_ok=True)
            total -= size


class Recording:
    """One session being recorded. Its calls only queue; a thread of its own writes, and failures end no session."""

    def __init__(self, recorder: Recorder, folder: Path, session_id: str, hello: Mapping[str, Any]):
        self.recorder = recorder
        self.started_s = time.monotonic()
        begun = datetime.now(UTC)
        session = short(session_id)
        self.path = folder / f"{begun:%Y%m%dT%H%M%S}-{session}{SUFFIX}"
        self.partial = folder / f"{begun:%Y%m%dT%H%M%S}-{session}{PARTIAL}"
        self.head = {
            "format": FORMAT, "schema_version": SCHEMA_VERSION, "begun_at": f"{begun:%Y-%m-%dT%H:%M:%SZ}",
            "hello": {**hello, "session": session},
        }  # fmt: skip
        self.log = session_log(session_id, str(hello["digest"]))
        self._over = False
        self._reason = "closed"
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name=f"recording {session}", daemon=True)
        self._thread.start()

    def frame(self, seq: int, captured_at: float, image: bytes) -> None:
        self._put({"kind": "frame", "seq": seq, "captured_at": captured_at, "image": image})

    def chunk(self, packed: bytes) -> None:
        """The chunk's message as it goes over the wire, also where the client is away and never gets it."""
        self._put({"kind": "chunk", "packed": packed})

    def close(self) -> None:
        """Nothing more comes. Returns at once; `join` waits until the file has its name."""
        self._finish("closed")

    def join(self, timeout_s: float) -> bool:
        """Whether the file is done within that time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _put(self, record: dict[str, Any]) -> None:
        if self._over:
            return
        if self._queue.qsize() >= MAX_QUEUED:
            self._finish("slow")
            return
        self._queue.put(self._pack(record))

    def _pack(self, record: dict[str, Any]) -> bytes:
        return msgpack.packb({"at_s": round(time.monotonic() - self.started_s, 6)} | record)

    def _finish(self, reason: str) -> None:
        if not self._over:
            self._over, self._reason = True, reason
            self._queue.put(None)

    def _write(self) -> None:
        try:
            self.recorder.prune()
            with self.partial.open("xb") as file:
                self._write_records(file)
            self.partial.replace(self.path)
        except OSError as error:
            self.log.warning("the recording failed: %s", error.strerror)
        else:
            self.log.info("recorded to %s (%s)", self.path.name, self._reason)
        finally:
            self._over = True

    def _write_records(self, file: BinaryIO) -> None:
        room = self.recorder.max_bytes
        head = json.dumps(self.head, separators=(",", ":")).encode() + b"\n"
        file.write(head)
        file.flush()
        while (record := self._queue.get()) is not None:
            room -= len(record)
            if room < 0:
                self._finish("full")
                break
            file.write(record)
            file.flush()  # to the system, which outlives this process
        file.write(self._pack({"kind": "end", "reason": self._reason}))


@dataclass(frozen=True)
class End:
    """Why a recording ends: `closed` by the session, `full` or `slow`."""

    reason: str


@dataclass(frozen=True)
class Recorded:
    """A recording on disk, finished or not. Its records are read as they are asked for."""

    path: Path
    hello: dict[str, Any]
    begun_at: str
    offset: int
    """Bytes of the head."""

    @staticmethod
    def open(path: Path) -> "Recorded":
        """Raises:
        EgoReactError: no such file, no recording, or one of a later version.
        """
        try:
            with path.open("rb") as file:
                line = file.readline(MAX_HEAD_BYTES)
        except OSError as error:
            raise EgoReactError(
                f"cannot be read ({error.strerror})", where=path, remedy=f"name a {SUFFIX} file"
            ) from error
        try:
            head = json.loads(line)
            version = head["schema_version"] if head["format"] == FORMAT else None
            hello, begun_at = dict(head["hello"]), str(head["begun_at"])
        except (ValueError, KeyError, TypeError) as error:
            raise _no_recording(path) from error
        if version != SCHEMA_VERSION:
            if version is None:
                raise _no_recording(path)
            what = f"a recording of version {version}, this reads {SCHEMA_VERSION}"
            raise EgoReactError(what, where=path, remedy="replay it with the release that wrote it")
        return Recorded(path, hello, begun_at, len(line))

    def records(self) -> Iterator[Frame | Chunk | End]:
        """In the order in which they were written, up to the last whole one.

        Raises:
            EgoReactError: something in it is no record.
        """
        with self.path.open("rb") as file:
            file.seek(self.offset)
            unpacker = msgpack.Unpacker(file, max_buffer_size=MAX_RECORD_BYTES)
            try:
                for record in unpacker:
                    yield _record(record)
            except (ValueError, KeyError, TypeError, msgpack.UnpackException) as error:
                raise EgoReactError(
                    "is damaged: something in it is no record", where=self.path, remedy="use another recording"
                ) from error


def _record(record: Any) -> Frame | Chunk | End:
    if record["kind"] == "frame":
        return Frame(record["seq"], record["captured_at"], record["image"])
    if record["kind"] == "chunk":
        return Chunk.from_message(unpack_message(record["packed"]))
    return End(record["reason"])


def _sampled(session_id: str, share: float) -> bool:
    """By the id alone, so that a session that is resumed falls into the same sample."""
    return int.from_bytes(sha256(session_id.encode()).digest()[:8], "big") < share * 2**64


def _number(name: str, kind: Callable[[str], Any], wanted: str, default: Any, most: float = float("inf")) -> Any:
    text = os.environ.get(name)
    if text is None:
        return default
    try:
        value = kind(text)
    except ValueError:
        value = -1
    if not 0 < value <= most:
        raise EgoReactError(f"{text!r} is not {wanted}, more than 0", where=name, remedy="set one, or unset it")
    return value


def _no_folder(why: str | None) -> EgoReactError:
    return EgoReactError(
        f"cannot record there ({why})", where="EGOREACT_RECORDINGS", remedy="name a folder to write to"
    )


def _no_recording(path: Path) -> EgoReactError:
    return EgoReactError("is no recording of a session", where=path, remedy=f"name a {SUFFIX} file")
