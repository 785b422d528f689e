"""Puts a registered version where the service finds it. Quick where it is there already."""

import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from components.promote.registry import RegisteredBundle, Registry
from components.release.bento import bento_tag, ensure_bento
from egoreact.errors import EgoReactError
from egoreact.files import whole_folder
from egoreact.hrd.dataset import rendered_larger
from egoreact.hrd.shards import MANIFEST, read_clips, read_manifest
from egoreact.models.bundle import verify
from egoreact.models.release import CURRENT, Release, read_release, write_release
from egoreact.workspace import Workspace

SAMPLES = 12
"""Videos released beside a bundle, for people to try it with: one of each kind of encounter."""
SAMPLE_SIZE_PX = 224
"""Simulated samples are rendered again for people's eyes; the model scales what it sees anyway."""


def run(workspace: Workspace, version: str, digest: str, *, data_folder: Path | None = None) -> Release:
    """Copies the version's bundle to the releases, packs it as a Bento, and names it in `current.json`, last of all.

    Args:
        version: of the registered model.
        digest: that its bundle must have.
        data_folder: where sample videos are taken from; none are where it holds no data set.

    Raises:
        EgoReactError: no such version, a damaged bundle, or a Bento that cannot be built; the release before stays.
    """
    started = time.monotonic()
    registry = Registry(workspace)
    registered = registry.get(version)
    if registered.digest != digest:
        found = registered.digest[:12]
        raise EgoReactError(
            f"holds bundle {found}, not {digest[:12]}", where=f"version {version}", remedy="promote again"
        )
    folder = workspace.releases / digest
    _ensure_bundle(registry, registered, folder / "bundle")
    _ensure_samples(folder / "samples", data_folder)
    release = Release(
        version=version,
        digest=digest,
        bundle=f"{digest}/bundle",
        bento=bento_tag(digest),
        data_revision=registered.data_revision,
        mlflow_run=registered.mlflow_run,
        released_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    built = ensure_bento(workspace, release)
    current = _same_apart_from_time(workspace, release)
    if current is None:
        write_release(workspace, release)
    state = f"{'built' if built else 'was there'}; {time.monotonic() - started:.1f} s"
    print(f"version {version} is released; Bento {release.bento} {state}", flush=True)
    return current or release


def release_champion(workspace: Workspace, *, data_folder: Path | None = None) -> Release:
    """Releases whatever the registry calls champion.

    Raises:
        EgoReactError: there is no champion, or see `run`.
    """
    champion = Registry(workspace).champion()
    if champion is None:
        remedy = "train one with: egoreact pipeline run"
        raise EgoReactError("no champion yet", where=workspace.tracking_uri, remedy=remedy)
    return run(workspace, champion.version, champion.digest, data_folder=data_folder)


def _ensure_bundle(registry: Registry, registered: RegisteredBundle, folder: Path) -> None:
    if folder.exists():
        try:
            if verify(folder)[1] == registered.digest:
                return
        except EgoReactError as damage:
            print(f"fetching the bundle again: {damage}", flush=True)
    registry.download(registered.version, folder)
    try:
        found = verify(folder)[1]
    except EgoReactError:
        shutil.rmtree(folder)
        raise
    if found != registered.digest:
        shutil.rmtree(folder)
        raise EgoReactError(
            f"version {registered.version} holds bundle {found[:12]}, registered as {registered.digest[:12]}",
            where=registry.uri,
            remedy="go back to a sound version: egoreact rollback --to N",
        )


def _ensure_samples(folder: Path, data_folder: Path | None) -> None:
    if folder.exists() or data_folder is None or not (data_folder / "hrd" / MANIFEST).is_file():
        return
    manifest = read_manifest(data_folder / "hrd")
    test = manifest[manifest["split"] == "test"]
    chosen = test.drop_duplicates("category").head(SAMPLES)
    with whole_folder(folder) as beside:
        for clip in read_clips(data_folder / "hrd", chosen):
            shown = rendered_larger(data_folder / "hrd", clip, SAMPLE_SIZE_PX) or clip
            (beside / f"{clip.record.category}.mp4").write_bytes(shown.video_mp4)


def _same_apart_from_time(workspace: Workspace, release: Release) -> Release | None:
    """The record that says so already."""
    if not (workspace.releases / CURRENT).is_file():
        return None
    try:
        current = read_release(workspace)
    except EgoReactError:
        return None
    return current if replace(release, released_at=current.released_at) == current else None
