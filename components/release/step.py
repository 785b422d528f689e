"""Puts the champion where the service finds it, and has it served or goes back. Quick where it is served already."""

import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from components.promote.registry import RegisteredBundle, Registry
from components.release.bento import bento_tag, ensure_bento
from components.release.place import Place, place_from_environment
from egoreact.errors import EgoReactError
from egoreact.files import whole_folder
from egoreact.hrd.dataset import rendered_larger
from egoreact.hrd.shards import MANIFEST, disk_errors_named, read_clips, read_manifest
from egoreact.models.bundle import verify
from egoreact.models.release import Release, keep_release, read_release, write_release
from egoreact.termination import sigterm_exit, terminated_by
from egoreact.workspace import Workspace

SAMPLES = 12
"""Videos released beside a bundle, for people to try it with: one of each kind of encounter."""
SAMPLE_SIZE_PX = 224
"""Simulated samples are rendered again for people's eyes; the model scales what it sees anyway."""


def run(
    workspace: Workspace, version: str, digest: str, *, data_folder: Path | None = None, place: Place | None = None
) -> Release:
    """Copies the champion's bundle to the releases, packs it as a Bento, and has it served where `place` is.

    It is released, and `current.json` names it, once a service has reacted with it. Where that or anything before it fails,
    what was served before is served again, both aliases are what they were before this version was crowned, and its tag
    `not_released` says why.

    Args:
        version: of the registered model: the champion.
        digest: that its bundle must have.
        data_folder: where sample videos are taken from; none are where it holds no data set.
        place: where it is served; by default what the environment says.

    Raises:
        EgoReactError: no such version or not the champion, a damaged bundle, a Bento that cannot be built, or a service
            that does not come up or react with it.
    """
    started = time.monotonic()
    registry = Registry(workspace)
    with registry.alone(), terminated_by(sigterm_exit):  # a cancelled run goes back too
        registered = _champion(registry, version, digest)
        before = _current_digest(workspace)
        try:
            place = place or place_from_environment(workspace)
            before = place.before()
            release, built = _prepare(workspace, registry, registered, data_folder)
            place.serve(release)
        except EgoReactError as error:
            raise _gone_back(registry, registered, place, before, error) from error
        except BaseException as error:  # cancelled, or a bug: the same, without waiting
            what = type(error).__name__
            _gone_back(registry, registered, place, before, EgoReactError(what, where="release", remedy=""), wait=False)
            raise
        write_release(workspace, release)
    state = f"{'built' if built else 'was there'}; {time.monotonic() - started:.1f} s"
    print(f"version {version} is released; Bento {release.bento} {state}", flush=True)
    return release


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


def _champion(registry: Registry, version: str, digest: str) -> RegisteredBundle:
    registered = registry.get(version)
    if registered.digest != digest:
        found = registered.digest[:12]
        raise EgoReactError(
            f"holds bundle {found}, not {digest[:12]}", where=f"version {version}", remedy="promote again"
        )
    champion = registry.champion()
    if champion is None or champion.version != version:
        who = f"version {champion.version} is, which its own run releases" if champion else "there is none"
        why = registry.why_not_released(version) or who
        remedy = f"release it with: egoreact rollback --to {version}"
        raise EgoReactError(f"is not the champion: {why}", where=f"version {version}", remedy=remedy)
    return registered


def _prepare(
    workspace: Workspace, registry: Registry, registered: RegisteredBundle, data_folder: Path | None
) -> tuple[Release, bool]:
    """Everything that a service needs; the record is kept, but not made current. Also whether a Bento was built."""
    folder = workspace.releases / registered.digest
    with disk_errors_named(folder):
        _ensure_bundle(registry, registered, folder / "bundle")
        _ensure_samples(folder / "samples", data_folder)
    release = Release(
        version=registered.version,
        digest=registered.digest,
        bundle=f"{registered.digest}/bundle",
        bento=bento_tag(registered.digest),
        data_revision=registered.data_revision,
        mlflow_run=registered.mlflow_run,
        released_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    built = ensure_bento(workspace, release)
    release = _same_apart_from_time(workspace, release) or release
    keep_release(workspace, release)
    return release, built


def _gone_back(
    registry: Registry, registered: RegisteredBundle, place: Place | None, before: str | None, error: EgoReactError, *,
    wait: bool = True,
) -> EgoReactError:  # fmt: skip
    """Puts back what was served, and the aliases; the error that also says so."""
    told, remedy = [error.what], error.remedy
    try:
        if place is not None:
            told.append(place.go_back(wait=wait))
    except EgoReactError as again:
        told.append(f"and what was before does not serve ({again})")
    try:
        if before != registered.digest:
            champion = registry.uncrown(registered.version, str(error))
            told.append(f"the champion is version {champion.version}" if champion else "there is no champion")
    except EgoReactError as again:
        told.append(f"and the aliases could not be set back ({again})")
        remedy = f"then: egoreact rollback; {remedy}"
    return EgoReactError("; ".join(filter(None, told)), where=error.where, remedy=remedy)


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


def _current_digest(workspace: Workspace) -> str | None:
    try:
        return read_release(workspace).digest
    except EgoReactError:  # none, or damaged
        return None


def _same_apart_from_time(workspace: Workspace, release: Release) -> Release | None:
    """The record that says so already."""
    try:
        current = read_release(workspace)
    except EgoReactError:
        return None
    return current if replace(release, released_at=current.released_at) == current else None
