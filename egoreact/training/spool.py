"""What a run has to tell the tracking server, on disk until it is told: a folder a run, one line a fact.

`run.json` (how to make the run), `records.jsonl` (facts in order), `sent.json` (the run's id once there is one, and how
many bytes of the records are told), `files/` (artifacts on their way), `owner.lock` (held while the run goes on).
Appending a line is one write, so several processes of a machine may report to one spool.
"""

import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from egoreact.files import write_json

JUST_MADE_S = 60
"""A spool without `run.json` may still be being made for so long."""


@dataclass(frozen=True)
class RunDescription:
    """Enough to make the run later."""

    name: str
    experiment: str
    tracking_uri: str
    artifacts: str | None
    """Where a new experiment's files go, or None where the server decides."""
    tags: dict[str, str] = field(default_factory=dict)
    parent: str | None = None
    group: str | None = None
    started_ms: int = 0


@dataclass(frozen=True)
class Sent:
    run_id: str | None = None
    bytes: int = 0


class Spool:
    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.owner = FileLock(self.folder / "owner.lock")
        self._sending = FileLock(self.folder / "sending.lock")

    @staticmethod
    def create(root: Path, run: RunDescription) -> "Spool":
        """A new spool, owned by this process until `release` or its end."""
        spool = Spool(root / f"{time.time_ns()}-{uuid.uuid4().hex[:8]}")
        spool.folder.mkdir(parents=True)
        spool.owner.acquire()
        write_json(spool.folder / "run.json", asdict(run))
        return spool

    @staticmethod
    def abandoned(root: Path) -> Iterator["Spool"]:
        """Spools of runs that ended or whose process is gone, oldest first; owned by the caller while it has them."""
        for folder in sorted(root.glob("*/")):
            spool = Spool(folder)
            if spool.run is None and time.time() - folder.stat().st_mtime < JUST_MADE_S:
                continue
            try:
                spool.owner.acquire(timeout=0)
            except (Timeout, OSError):  # held, or removed meanwhile
                continue
            try:
                yield spool
            finally:
                spool.release()

    @property
    def run(self) -> RunDescription | None:
        """None where the process was killed before it had written anything."""
        try:
            return RunDescription(**json.loads((self.folder / "run.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None

    @property
    def sent(self) -> Sent:
        try:
            return Sent(**json.loads((self.folder / "sent.json").read_text()))
        except (OSError, ValueError, TypeError):
            return Sent()

    @sent.setter
    def sent(self, sent: Sent) -> None:
        write_json(self.folder / "sent.json", asdict(sent))

    @property
    def sending(self) -> FileLock:
        """Held by whoever sends."""
        return self._sending

    def append(self, kind: str, **fact: Any) -> None:
        line = json.dumps({"kind": kind, "time_ms": time.time_ns() // 1_000_000, **fact}) + "\n"
        handle = os.open(self.folder / "records.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)

    def keep_file(self, path: Path) -> str:
        """A hard link to (or copy of) a file that may be gone before it is sent. Returns the name of its folder."""
        name = uuid.uuid4().hex
        kept = self.folder / "files" / name / path.name
        kept.parent.mkdir(parents=True)
        try:
            os.link(path, kept)
        except OSError:
            shutil.copyfile(path, kept)
        return name

    def kept_file(self, name: str) -> Path | None:
        folder = self.folder / "files" / name
        return next(folder.iterdir(), None) if folder.is_dir() else None

    def unsent(self) -> list[tuple[dict[str, Any], int]]:
        """Facts not told yet, each with the number of bytes that are told once it is."""
        return list(self._facts(self.sent.bytes))

    @property
    def ended(self) -> bool:
        return any(fact["kind"] == "end" for fact, _ in self._facts(0))

    def _facts(self, start: int) -> Iterator[tuple[dict[str, Any], int]]:
        path = self.folder / "records.jsonl"
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(start)
            for line in file:
                if not line.endswith(b"\n"):
                    return  # still being written
                start += len(line)
                yield json.loads(line), start

    def release(self) -> None:
        self.owner.release()

    def remove(self) -> None:
        self.release()
        shutil.rmtree(self.folder, ignore_errors=True)
