"""Which release the running service is to serve: the workspace's current one, as it changes.

A service that `EGOREACT_RELEASE_DIGEST` or `EGOREACT_BUNDLE` ties to one bundle follows nothing: a new one comes with a new
start, as Kubernetes does it.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from egoreact.errors import EgoReactError
from egoreact.models.local_services import Note, noted
from egoreact.models.release import CURRENT, DIGEST_VARIABLE, VERSION_VARIABLE, read_release
from egoreact.workspace import Workspace
from serving.logs import say
from serving.runtime import Served


class Releases:
    """Follows the workspace's current release and tells it, in the service's note, what became of each.

    `note` None: nothing is followed.
    """

    def __init__(self, workspace: Workspace, note: Note | None):
        self._path, self._workspace, self._note = workspace.releases / CURRENT, workspace, note
        self._seen = self._mark()

    def pin(self, served: Served) -> dict[str, str]:
        """Settings for a child that must serve this and nothing else, whatever is current when it starts."""
        if self._note is None or served.release is None:
            return {}
        return {VERSION_VARIABLE: served.version, DIGEST_VARIABLE: served.digest}

    def newer(self, served: Served) -> Served | None:
        """What was made current since this was last asked, if it is another bundle than the one served, and whole."""
        mark = self._mark()
        if self._note is None or mark is None or mark == self._seen:
            return None
        self._seen = mark
        named = ""
        try:
            named = read_release(self._workspace).digest
            found = Served.find(self._workspace)
        except EgoReactError as error:
            say(f"the new release cannot be served: {error}")
            self._note.refuse(named, str(error))
            return None
        if found.digest == served.digest:
            return None
        self._note.accept(found.digest)
        return found

    def ready(self, served: Served) -> None:
        if self._note is not None:
            self._note.tell(served.digest)

    def begin(self, served: Served) -> None:
        """From now on nothing is served until `ready`."""
        if self._note is not None:
            self._note.tell("")

    def refuse(self, served: Served, why: str) -> None:
        if self._note is not None:
            self._note.refuse(served.digest, why)

    def _mark(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino


@contextmanager
def followed_release(served: Served, url: str) -> Iterator[Releases]:
    """Follows where nothing ties the service to one bundle, and its workspace can be written to."""
    workspace = Workspace.from_environment()
    if served.release is None or os.environ.get(DIGEST_VARIABLE):
        yield Releases(workspace, None)
        return
    with ExitStack() as place:
        try:
            note = place.enter_context(noted(workspace, url))
        except OSError as error:
            say(f"new releases are taken at the next start: no note in {workspace.root} ({error.strerror})")
            note = None
        yield Releases(workspace, note)
