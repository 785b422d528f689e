"""The services of this machine that serve a workspace's release: each keeps a note, and whoever releases reads them.

`<workspace>/services/<address>-<port>.json`, with a lock beside it that is held while the service lives, so that the note
of a service which was killed says nothing.
"""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from egoreact.files import write_json
from egoreact.workspace import Workspace

FOLDER = "services"


@dataclass(frozen=True)
class LocalService:
    """What a service says of itself."""

    url: str
    digest: str = ""
    """Of the bundle it serves; empty while it starts, drains or stops."""
    refused: dict[str, str] = field(default_factory=dict)
    """Digests that it could not serve, and why; it went back to the one before."""


class Note:
    """A service's own note, while it lives."""

    def __init__(self, path: Path, service: LocalService):
        self._path, self._service = path, service
        self.tell(service.digest)

    def tell(self, digest: str) -> None:
        """What is served now; empty: nothing."""
        self._write(replace(self._service, digest=digest))

    def refuse(self, digest: str, why: str) -> None:
        self._write(replace(self._service, refused=self._service.refused | {digest: why}))

    def accept(self, digest: str) -> None:
        """It is tried (again): what was said against it holds no longer."""
        others = {name: why for name, why in self._service.refused.items() if name != digest}
        self._write(replace(self._service, refused=others))

    def _write(self, service: LocalService) -> None:
        self._service = service
        write_json(self._path, asdict(service))


@contextmanager
def noted(workspace: Workspace, url: str) -> Iterator[Note]:
    """Keeps a service's note until the block ends."""
    path = _folder(workspace) / f"{url.rpartition('/')[2].replace(':', '-').strip('[]')}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            yield Note(path, LocalService(url))
        finally:
            path.unlink(missing_ok=True)


def local_services(workspace: Workspace) -> list[LocalService]:
    """Those that live now."""
    found = []
    for path in sorted(_folder(workspace).glob("*.json")):
        if not _is_held(path.with_suffix(".lock")):
            continue
        try:
            found.append(LocalService(**json.loads(path.read_text())))
        except (OSError, ValueError, TypeError):  # it ended meanwhile
            continue
    return found


def _folder(workspace: Workspace) -> Path:
    return workspace.root / FOLDER


def _is_held(lock: Path) -> bool:
    try:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
