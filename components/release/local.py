"""The services of this machine, which follow the workspace's current release: `egoreact serve`."""

import time

from components.release.warm_up import warm_up
from egoreact.client.rest import model
from egoreact.errors import EgoReactError
from egoreact.models.local_services import LocalService, local_services
from egoreact.models.release import CURRENT, Release, read_release, write_release
from egoreact.workspace import Workspace

TAKE_OVER_S = 300.0
"""For a service to drain its sessions, load the new bundle, and go back to the one before where it cannot."""
POLL_S = 0.2


class LocalServices:
    """A `Place`. Where no service runs, a release is served by the next that starts."""

    def __init__(self, workspace: Workspace, *, take_over_s: float = TAKE_OVER_S):
        self.workspace, self.take_over_s = workspace, take_over_s
        self._before: Release | None = None
        self._changed = False

    def before(self) -> str | None:
        self._before = self._current()
        for service in local_services(self.workspace):
            if service.digest:
                model(service.url)  # it refuses us now rather than half-way
        return self._before.digest if self._before else None

    def serve(self, release: Release) -> None:
        self._changed = self._before is None or self._before.digest != release.digest
        if self._before != release:
            write_release(self.workspace, release)
        for service in local_services(self.workspace):
            self._await(service.url, release.digest)
            slowest_s = warm_up(service.url, release.digest)
            print(f"{service.url} serves version {release.version}, {1000 * slowest_s:.0f} ms a reaction", flush=True)

    def go_back(self, *, wait: bool = True) -> str:
        if not self._changed:
            return ""
        if self._before is None:
            (self.workspace.releases / CURRENT).unlink(missing_ok=True)
            return "nothing was released before"
        write_release(self.workspace, self._before)
        for service in local_services(self.workspace) if wait else []:
            self._await(service.url, self._before.digest)
        return f"version {self._before.version} is the release again"

    def _current(self) -> Release | None:
        if not (self.workspace.releases / CURRENT).is_file():
            return None
        try:
            return read_release(self.workspace)
        except EgoReactError as damage:
            print(f"the record of the release before is gone: {damage}", flush=True)
            return None

    def _await(self, url: str, digest: str) -> None:
        """Until the service at this address serves it, refuses it, or is gone."""
        give_up_s = time.monotonic() + self.take_over_s
        while (service := self._at(url)) is not None and service.digest != digest:
            if digest in service.refused:
                raise EgoReactError(
                    f"it refuses ({service.refused[digest]})", where=url, remedy="see the service's log"
                )
            if time.monotonic() > give_up_s:
                remedy = "see the service's log, and start it again with: egoreact serve"
                raise EgoReactError(
                    f"it does not serve {digest[:12]} after {self.take_over_s:.0f} s", where=url, remedy=remedy
                )
            time.sleep(POLL_S)

    def _at(self, url: str) -> LocalService | None:
        return next((service for service in local_services(self.workspace) if service.url == url), None)
