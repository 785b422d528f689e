"""Where a release is served, and what every such place can do."""

import os
from typing import Protocol

from egoreact.models.release import Release
from egoreact.workspace import Workspace

DEPLOYMENT_VARIABLE = "EGOREACT_DEPLOYMENT"


class Place(Protocol):
    """One release's way there and back; made anew for each."""

    def before(self) -> str | None:
        """Digest of the bundle that is served there now, or meant to be; None where there is none. Changes nothing.

        Raises:
            EgoReactError: the place cannot be used: it is not there, or it refuses us.
        """

    def serve(self, release: Release) -> None:
        """Has it served, and returns once a service has reacted with it.

        Raises:
            EgoReactError: why it does not serve. What was changed stays until `go_back`.
        """

    def go_back(self, *, wait: bool = True) -> str:
        """Puts back what was there before `serve`, and says what that is; says nothing where nothing was changed.

        Args:
            wait: until it serves again.

        Raises:
            EgoReactError: it does not come back.
        """


def place_from_environment(workspace: Workspace) -> Place:
    """The Deployment that `EGOREACT_DEPLOYMENT` names, on a cluster; else the services of this machine."""
    if name := os.environ.get(DEPLOYMENT_VARIABLE):
        from components.release.deployment import Deployment

        return Deployment.from_environment(name)
    from components.release.local import LocalServices

    return LocalServices(workspace)
