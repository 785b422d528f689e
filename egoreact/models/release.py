"""Which bundle is served on this machine: the record that the release step writes and the service reads."""

from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from egoreact.errors import EgoReactError
from egoreact.files import write_json
from egoreact.workspace import Workspace

CURRENT = "current.json"


@dataclass(frozen=True)
class Release:
    version: str
    """Of the registered model."""
    digest: str
    """Of the bundle."""
    bundle: str
    """Its folder, relative to the releases."""
    bento: str
    """Tag of the Bento made of it."""
    data_revision: str
    mlflow_run: str
    released_at: str
    """UTC, ISO 8601."""


def read_release(workspace: Workspace) -> Release:
    """Raises:
    EgoReactError: nothing is released yet, or the record is damaged.
    """
    path = workspace.releases / CURRENT
    if not path.is_file():
        raise EgoReactError("no promoted model yet", where=path, remedy="train one with: make run")
    try:
        return TypeAdapter(Release).validate_json(path.read_bytes())
    except ValidationError as error:
        raise EgoReactError("is no release record", where=path, remedy="release again with: make run") from error


def write_release(workspace: Workspace, release: Release) -> None:
    write_json(workspace.releases / CURRENT, asdict(release))


def released_bundle(workspace: Workspace | None = None) -> Path:
    """The folder of the bundle being served."""
    workspace = workspace or Workspace.from_environment()
    return workspace.releases / read_release(workspace).bundle
