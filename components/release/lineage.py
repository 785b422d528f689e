"""From an answer back to the shards: answer, bundle, version, release, run, commit, data revision, shards.

Each link is read from where it is kept (the file, the workspace, the registry, MLflow, DVC, git), and what cannot be reached
is said in its place (`missing`): the walk goes as far as it can.
"""

import json
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from components.promote.registry import NOT_RELEASED, RegisteredBundle, Registry
from components.release.answers import Answer, read_answer
from components.release.shards import shards_of_revision
from egoreact.errors import EgoReactError
from egoreact.files import sha256_file
from egoreact.models.bundle import MANIFEST
from egoreact.models.release import kept_release, read_release
from egoreact.workspace import Workspace

Link = dict[str, Any]
ALIASES = ("champion", "previous")
SHORTEST_DIGEST = 6
UNKNOWN = ("", "none", "unknown")
ORIGIN = ("data_revision", "commit", "code_digest", "mlflow_run", "seed", "versions", "metrics")


def lineage(what: str, workspace: Workspace, data_folder: Path) -> dict[str, Link]:
    """Walks back from an answer's file, a version's number or alias, or a bundle's digest or its beginning.

    Returns:
        links by name, in the order of the walk. JSON-able.

    Raises:
        EgoReactError: nothing of that name, or a bundle that neither workspace nor registry knows.
    """
    walk: dict[str, Link] = {}
    registry = _reached(lambda: Registry(workspace))
    digest, answer = _start(what, workspace, registry)
    if answer is not None:
        walk["answer"] = {name: value for name, value in vars(answer).items() if value}
    versions = registry.versions() if isinstance(registry, Registry) else []
    registered = next((each for each in versions if each.digest == digest), None)
    manifest, where = _manifest(digest, workspace, registry, registered)
    if manifest is None and registered is None:
        raise EgoReactError(
            f"no bundle {digest[:12]} here",
            where=f"{workspace.releases} and the registry {workspace.tracking_uri}",
            remedy="name the workspace that served it (EGOREACT_HOME) and its registry (MLFLOW_TRACKING_URI)",
        )
    origin = {name: manifest[name] for name in ORIGIN if name in manifest} if manifest else {}
    walk["bundle"] = {"digest": digest, "where": where, **origin}
    walk["version"] = _version(registry, registered)
    walk["release"] = _release(workspace, digest)
    run_ids = (str(origin.get("mlflow_run", "")), registered.mlflow_run if registered else "")
    walk["run"] = _run(registry, next((known for known in run_ids if known not in UNKNOWN), ""), digest)
    walk["commit"] = _commit(str(origin.get("commit", "")))
    revision = str(origin.get("data_revision") or (registered.data_revision if registered else ""))
    walk["data"] = {"revision": revision} | _committed(data_folder, revision)
    walk["shards"] = _shards(data_folder, revision)
    return walk


def _start(what: str, workspace: Workspace, registry: Any) -> tuple[str, Answer | None]:
    """The digest to begin with."""
    path = Path(what)
    if path.exists():
        answer = read_answer(path)
        return answer.digest, answer
    if what.isdecimal() and len(what) < SHORTEST_DIGEST:
        return _sure(registry).get(what).digest, None
    if what in ALIASES:
        found = _sure(registry).champion() if what == "champion" else _sure(registry).previous()
        if found is None:
            raise EgoReactError(
                f"there is no {what} yet", where=workspace.tracking_uri, remedy="train one with: make run"
            )
        return found.digest, None
    if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST_DIGEST},64}}", what):
        remedy = f"give an answer's file, a version, an alias ({', '.join(ALIASES)}), or {SHORTEST_DIGEST} or more digits of a digest"
        raise EgoReactError("is no file, version or digest", where=what, remedy=remedy)
    if len(what) == 64:
        return what, None
    known = {folder.name for folder in workspace.releases.glob(f"{what}*") if len(folder.name) == 64}
    if isinstance(registry, Registry):
        known |= {each.digest for each in registry.versions() if each.digest.startswith(what)}
    if len(known) != 1:
        state = (
            "no bundle has a digest that begins so" if not known else f"{len(known)} bundles have digests that begin so"
        )
        raise EgoReactError(
            state, where=what, remedy="give more digits, or check EGOREACT_HOME and MLFLOW_TRACKING_URI"
        )
    return known.pop(), None


def _sure(registry: Any) -> Registry:
    if isinstance(registry, EgoReactError):
        raise registry
    return registry


def _reached(ask: Callable[[], Any]) -> Any:
    """What was asked for, or the error that says why it cannot be had."""
    try:
        return ask()
    except EgoReactError as error:
        return error


def _manifest(
    digest: str, workspace: Workspace, registry: Any, registered: RegisteredBundle | None
) -> tuple[dict[str, Any] | None, str]:
    """The bundle's own description, and where it was found: a release's folder, or the registry's files."""
    kept = workspace.releases / digest / "bundle" / MANIFEST
    if kept.is_file() and sha256_file(kept) == digest:
        return json.loads(kept.read_bytes()), str(kept.parent)
    if registered is None:
        return None, ""
    with TemporaryDirectory(prefix="egoreact-lineage-") as folder:
        path = _reached(lambda: registry.manifest(registered.version, Path(folder)))
        if isinstance(path, EgoReactError):
            return None, str(path)
        if sha256_file(path) != digest:
            return None, f"the registry's files of version {registered.version} are another bundle's"
        return json.loads(path.read_bytes()), f"registry {registry.uri}"


def _version(registry: Any, registered: RegisteredBundle | None) -> Link:
    if isinstance(registry, EgoReactError):
        return {"missing": str(registry)}
    if registered is None:
        return {"missing": "it was never registered: it lost, or its run did not come so far"}
    tags = registry.tags(registered.version)
    aliases = [
        alias
        for alias, holder in (("champion", registry.champion()), ("previous", registry.previous()))
        if holder is not None and holder.version == registered.version
    ]
    told = {name: tags[name] for name in ("decision", "reasons", "crowned_over", NOT_RELEASED) if tags.get(name)}
    return {"version": registered.version, "aliases": aliases, "registry": registry.uri, **told}


def _release(workspace: Workspace, digest: str) -> Link:
    kept = _reached(lambda: kept_release(workspace, digest))
    if kept is None or isinstance(kept, EgoReactError):
        return {"missing": str(kept) if kept else f"it was never released in {workspace.root}"}
    current = _reached(lambda: read_release(workspace))
    return {
        "released_at": kept.released_at,
        "bento": kept.bento,
        "current": not isinstance(current, EgoReactError) and current.digest == digest,
    }


def _run(registry: Any, run_id: str, digest: str) -> Link:
    """The run that trained it; found by its tag where the bundle could not know it, as MLflow was away."""
    if isinstance(registry, EgoReactError):
        return {"id": run_id, "missing": str(registry)}
    run = _reached(lambda: registry.run_of(run_id, digest))
    if run is None or isinstance(run, EgoReactError):
        return {"id": run_id, "missing": str(run) if run else f"{registry.uri} knows no such run"}
    started = datetime.fromtimestamp(run.info.start_time / 1000, UTC)
    return {
        "id": run.info.run_id,
        "name": run.info.run_name,
        "status": run.info.status,
        "started_at": started.isoformat(timespec="seconds"),
        "preset": run.data.tags.get("preset", ""),
        "config_digest": run.data.tags.get("config_digest", ""),
        "artifacts": run.info.artifact_uri,
    }


def _committed(data_folder: Path, revision: str) -> Link:
    """The commit whose pointer names the revision."""
    if revision in UNKNOWN:
        return {"missing": "the bundle names no data revision"}
    pointer = f"{data_folder.name}.dvc"
    found = _git(data_folder.parent, "log", "--all", "--format=%H %cs %s", "-S", revision, "--", pointer)
    if not found:
        return {"missing": f"no commit here names it in {pointer}"}
    commit, date, subject = found.splitlines()[-1].split(" ", 2)  # the oldest: it brought it
    return {"commit": commit, "date": date, "subject": subject}


def _commit(commit: str) -> Link:
    """The code's."""
    if commit in UNKNOWN:
        return {"missing": "the bundle names no commit of the code"}
    bare = commit.removesuffix("-dirty")
    found = _git(Path(__file__).parent, "log", "-1", "--format=%cs %s", bare)
    link: Link = {"commit": bare, "uncommitted_changes": commit != bare}
    if not found:
        return link | {"missing": "it is not in the repository here"}
    date, _, subject = found.partition(" ")
    return link | {"date": date, "subject": subject}


def _git(folder: Path, *arguments: str) -> str:
    """Its output; empty where there is no git, no repository, or nothing found."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _shards(data_folder: Path, revision: str) -> Link:
    if revision in UNKNOWN:
        return {"missing": "the bundle names no data revision"}
    rows = _reached(lambda: shards_of_revision(data_folder, revision))
    if isinstance(rows, EgoReactError):
        return {"missing": str(rows)}
    return {"count": len(rows), "clips": sum(row.get("clips", 0) for row in rows), "shards": rows}
