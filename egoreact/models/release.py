"""Which bundle is served: the records that the release step writes and the service reads.

`releases/current.json` names the release of this machine. Beside each released bundle lies a record of its own, so that a
service which `EGOREACT_RELEASE_DIGEST` ties to one release finds it whatever is current: pods never follow `current.json`.
"""

import contextlib
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from egoreact.errors import EgoReactError
from egoreact.files import write_json
from egoreact.workspace import Workspace

CURRENT, RECORD = "current.json", "release.json"
VERSION_VARIABLE, DIGEST_VARIABLE = "EGOREACT_RELEASE_VERSION", "EGOREACT_RELEASE_DIGEST"


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
    """The current release.

    Raises:
        EgoReactError: nothing is released yet, or the record is damaged.
    """
    path = workspace.releases / CURRENT
    if not path.is_file():
        raise EgoReactError("no promoted model yet", where=path, remedy="train one with: make run")
    return _read(path)


def write_release(workspace: Workspace, release: Release) -> None:
    """Makes it the current release; the one before keeps a record of its own."""
    path = workspace.releases / CURRENT
    if path.is_file():
        with contextlib.suppress(EgoReactError):  # damaged: what is written now takes its place
            keep_release(workspace, _read(path))
    keep_release(workspace, release)
    write_json(path, asdict(release))


def keep_release(workspace: Workspace, release: Release) -> None:
    """Writes the record beside the bundle, which `EGOREACT_RELEASE_DIGEST` finds, and leaves what is current as it is."""
    write_json(workspace.releases / release.digest / RECORD, asdict(release))


def kept_release(workspace: Workspace, digest: str) -> Release | None:
    """The record of the release of this digest, or None where it was never released here."""
    path = workspace.releases / digest / RECORD
    if path.is_file():
        return _read(path)
    current = workspace.releases / CURRENT
    release = _read(current) if current.is_file() else None
    return release if release is not None and release.digest == digest else None


def served_release(workspace: Workspace) -> Release:
    """The release that a service must serve: the one that `EGOREACT_RELEASE_DIGEST` names, else the current one.

    Raises:
        EgoReactError: nothing is released yet, or not the one that is named, or it has another version than
            `EGOREACT_RELEASE_VERSION`.
    """
    digest, version = os.environ.get(DIGEST_VARIABLE), os.environ.get(VERSION_VARIABLE)
    if not digest:
        return read_release(workspace)
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise EgoReactError(
            f"'{digest}' is no digest of a bundle", where=DIGEST_VARIABLE, remedy="give 64 hex digits, or unset it"
        )
    release = kept_release(workspace, digest)
    if release is None:
        raise EgoReactError(
            "is not released here",
            where=f"{DIGEST_VARIABLE}={digest}",
            remedy=f"release it with: egoreact release, or mount the workspace that has it at {workspace.root}",
        )
    if version and version != release.version:
        raise EgoReactError(
            f"that digest is of version {release.version}",
            where=f"{VERSION_VARIABLE}={version}",
            remedy="set both to one release, or unset it",
        )
    return release


def released_bundle(workspace: Workspace | None = None) -> Path:
    """The folder of the bundle that is current here."""
    workspace = workspace or Workspace.from_environment()
    return workspace.releases / read_release(workspace).bundle


def _read(path: Path) -> Release:
    try:
        return TypeAdapter(Release).validate_json(path.read_bytes())
    except ValidationError as error:
        raise EgoReactError("is no release record", where=path, remedy="release again with: make run") from error
