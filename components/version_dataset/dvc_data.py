"""The data set under DVC, through DVC's own Python API: one folder, one pointer file beside it, one remote.

A revision is the `md5` of the pointer, e.g. `bd930a05491a15d7363723c87f50ec31.dir`: the same bytes give the same
revision on every machine. The remote is `EGOREACT_DVC_REMOTE` (any URL DVC takes), else the repository's own default
remote with its settings, else a folder of the workspace. One DVC process works in a repository at a time.
"""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from egoreact.errors import EgoReactError
from egoreact.files import whole_file
from egoreact.hrd.building import BUILDING, is_unfinished
from egoreact.hrd.shards import ShardCounts
from egoreact.workspace import Workspace

if TYPE_CHECKING:
    from dvc.repo import Repo

REMOTE_VARIABLE = "EGOREACT_DVC_REMOTE"
LOCAL_REMOTE = "local"  # the name that .dvc/config gives the workspace's folder


@dataclass(frozen=True)
class Revision:
    """A revision of the data set, and what it took to send or fetch it."""

    id: str
    shards: ShardCounts
    """Sent: against the revision before. Fetched: against what was in the folder."""
    files_sent: int = 0
    """Everything that the remote lacked, lists of files among them."""


def pointer_path(data_folder: Path) -> Path:
    """`data` -> `data.dvc`, beside it."""
    return data_folder.with_name(f"{data_folder.name}.dvc")


def current_revision(data_folder: Path) -> str | None:
    """The revision that the pointer names, or None where there is no pointer.

    Raises:
        EgoReactError: the pointer is not DVC's.
    """
    path = pointer_path(data_folder)
    if not path.is_file():
        return None
    try:
        return str(yaml.safe_load(path.read_text())["outs"][0]["md5"])
    except (yaml.YAMLError, KeyError, IndexError, TypeError) as error:
        raise EgoReactError("is no DVC pointer", where=path, remedy="restore it with: git checkout data.dvc") from error


def record_revision(data_folder: Path) -> Revision:
    """Adds the folder to DVC and pushes it; nothing is read or sent again that has not changed.

    Returns:
        the revision. The pointer names it only when the remote holds all of it. A process that was killed meanwhile leaves
        a pointer that may be ahead of the remote; repeating this sends what is left.

    Raises:
        EgoReactError: no data set or half of one, another DVC process, or a remote that is away; the pointer is as it was.
    """
    data_folder = data_folder.absolute()
    if not data_folder.is_dir():
        raise EgoReactError("no data set here", where=data_folder, remedy="build one with: egoreact hrd build")
    if is_unfinished(data_folder / "hrd"):
        remedy = "finish it with: egoreact hrd build"
        raise EgoReactError("a build is at work or stopped half-way", where=data_folder / "hrd", remedy=remedy)
    pointer = pointer_path(data_folder)
    with opened(data_folder) as (repo, remote), _restored_on_error(pointer):
        before = shards_of(repo, data_folder) if pointer.is_file() else {}
        repo.add([str(data_folder)])
        after = shards_of(repo, data_folder)
        sent = _transfer(remote, lambda: _push(repo, data_folder))
    revision = current_revision(data_folder)
    assert revision is not None
    unchanged = len(after.items() & before.items())
    return Revision(revision, ShardCounts(unchanged, new=len(after) - unchanged), sent)


def ensure_revision(data_folder: Path, revision: str, *, undo_changes: bool = False) -> Revision:
    """Makes sure that the folder holds exactly this revision: checks it, or fetches what is missing.

    Args:
        undo_changes: of files that DVC knows. Files that it does not know are left alone in any case.

    Raises:
        EgoReactError: files were changed since they were versioned (they are left alone), or the revision is nowhere.
    """
    data_folder = data_folder.absolute()
    pointer = pointer_path(data_folder)
    with opened(data_folder) as (repo, remote), _restored_on_error(pointer):
        here = {str(path.relative_to(data_folder)) for path in data_folder.rglob("*.tar")}
        stays = current_revision(data_folder) == revision
        before = shards_of(repo, data_folder) if pointer.is_file() else {}
        if data_folder.is_dir() and any(data_folder.iterdir()):
            here -= _refuse_changed_files(repo, pointer, data_folder, undo_changes)
        if not stays:
            write_pointer(pointer, data_folder.name, revision)
        if repo.status([str(pointer)]):
            _transfer(remote, lambda: repo.fetch([str(pointer)]))
            # DVC's checkout would empty the folder first and then miss what was never fetched.
            _refuse_missing_files(repo, remote, data_folder, revision)
            repo.checkout([str(pointer)], force=undo_changes)
        wanted = shards_of(repo, data_folder)
    unchanged = [name for name in here & wanted.keys() if stays or before.get(name) == wanted[name]]
    return Revision(revision, ShardCounts(len(unchanged), new=len(wanted) - len(unchanged)))


def write_pointer(pointer: Path, name: str, revision: str) -> None:
    with whole_file(pointer) as beside:
        beside.write_text(yaml.safe_dump({"outs": [{"md5": revision, "hash": "md5", "path": name}]}, sort_keys=False))


def shards_of(repo: "Repo", data_folder: Path) -> dict[str, str]:
    """The shards of the revision that the pointer names: path in the data folder → DVC's digest; empty where it is unknown."""
    (out,) = repo.find_outs_by_path(str(data_folder))
    listing = out.get_obj()
    files = {"/".join(key): found.value for key, _, found in listing} if listing is not None else {}
    return {name: digest for name, digest in files.items() if name.endswith(".tar")}


def _push(repo: "Repo", data_folder: Path) -> int:
    """Sends what the remote lacks; returns how many files that were."""
    from dvc.exceptions import UploadError
    from dvc_data.hashfile.transfer import transfer

    # Each file is asked for: where the list of files is there, DVC supposes that the files are, though some were lost.
    (out,) = repo.find_outs_by_path(str(data_folder))
    files = {found for _, _, found in out.get_obj()}
    sent = transfer(repo.cache.local, repo.cloud.get_remote_odb(), files)
    if sent.failed:
        raise UploadError(len(sent.failed))
    return len(sent.transferred) + repo.push([str(pointer_path(data_folder))])


def _refuse_missing_files(repo: "Repo", remote: str, data_folder: Path, revision: str) -> None:
    """What is still not in DVC's cache after everything was fetched."""
    (out,) = repo.find_outs_by_path(str(data_folder))
    if not out.changed_cache():
        return
    listing = out.get_obj()
    missing = sorted("/".join(key) for key, _, found in listing or () if not repo.cache.local.exists(found.value))
    what = (
        f"lacks {missing[0]} of revision {revision}, or holds it damaged"
        if missing
        else f"does not hold all of revision {revision}"
    )
    remedy = "send it again with: egoreact hrd push, where it was made; a damaged object has to be deleted there first"
    raise EgoReactError(what, where=remote, remedy=remedy)


def _refuse_changed_files(repo: "Repo", pointer: Path, data_folder: Path, undo_changes: bool) -> set[str]:
    """Returns the versioned files that were changed, from the data folder, where that is to be undone."""
    if not pointer.is_file():
        remedy = "version them with: dvc add"
        raise EgoReactError("holds files that DVC does not know", where=data_folder, remedy=remedy)
    changes = repo.data_status(granular=True)["uncommitted"]

    def inside(kind: str) -> set[Path]:
        paths = {Path(repo.root_dir) / name for name in changes.get(kind, [])}
        return {path for path in paths if path != data_folder and path.is_relative_to(data_folder)}

    added = {path for path in inside("added") if BUILDING not in path.parts}
    if added:
        remedy = "version it with: egoreact hrd push, or move it away"
        raise EgoReactError("is a file that DVC does not know", where=min(added), remedy=remedy)
    changed = inside("modified")
    if changed and not undo_changes:
        raise EgoReactError(
            "was changed after it was versioned",
            where=min(changed),
            remedy="run the pipeline from its start to version the change, or undo it with: egoreact hrd pull --force",
        )
    return {str(path.relative_to(data_folder)) for path in changed}


@contextlib.contextmanager
def _restored_on_error(pointer: Path) -> Iterator[None]:
    before = pointer.read_bytes() if pointer.is_file() else None
    try:
        yield
    except BaseException:
        if before is None:
            pointer.unlink(missing_ok=True)
        elif pointer.read_bytes() != before:
            with whole_file(pointer) as beside:
                beside.write_bytes(before)
        raise


@contextlib.contextmanager
def opened(data_folder: Path) -> Iterator[tuple["Repo", str]]:
    """The repository around the folder, made without git where there is none, and the address of its remote.

    Raises:
        EgoReactError: another DVC process is at work there, or DVC refuses.
    """
    os.environ.setdefault("DVC_NO_ANALYTICS", "1")
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.lock import LockError
    from dvc.repo import Repo

    logging.getLogger("dvc").setLevel(logging.CRITICAL)  # what fails is raised; hints for a person typing dvc are noise
    root = data_folder.parent
    root.mkdir(parents=True, exist_ok=True)
    # A repository's files may be here without its .git, as in an image.
    core: dict[str, Any] = {"no_scm": not any((folder / ".git").exists() for folder in (root, *root.parents))}
    try:
        try:
            with Repo(str(root), config={"core": core}) as repo:
                configured = _default_remote(repo.config)
        except NotDvcRepoError:
            Repo.init(str(root), no_scm=core["no_scm"], subdir=not core["no_scm"]).close()
            configured = None
        remote: dict[str, Any] = {"url": os.environ.get(REMOTE_VARIABLE)}
        if not remote["url"]:
            remote = configured or {"url": str(Workspace.from_environment().dvc_remote)}
        settings: dict[str, Any] = {
            "core": core | {"remote": "egoreact", "autostage": False, "analytics": False},
            # What comes back is hashed again: else a damaged object would pass for the file it is named after.
            "remote": {"egoreact": remote | {"verify": True}},
        }
        with Repo(str(root), config=settings) as repo:
            yield repo, str(remote["url"])
    except LockError as error:
        remedy = "wait for it, then run again"
        raise EgoReactError("another DVC process is at work", where=root, remedy=remedy) from error
    except DvcException as error:
        raise EgoReactError(f"DVC refuses ({error})", where=data_folder, remedy="see: dvc status") from error


def _default_remote(config: Any) -> dict[str, Any] | None:
    """Settings of the repository's default remote, unless it is the workspace's folder under its committed name."""
    name = config.get("core", {}).get("remote")
    if name is None or name == LOCAL_REMOTE:
        return None
    return config.get("remote", {}).get(name)


def _transfer(remote: str, action: Callable[[], int]) -> int:
    from botocore.exceptions import BotoCoreError, ClientError
    from dvc.exceptions import DvcException
    from dvc.lock import LockError

    with _overheard() as reasons:
        try:
            return action()
        except LockError:
            raise
        except (DvcException, OSError, BotoCoreError, ClientError) as error:
            cause = error.__cause__ or error.__context__ or error
            reason = str(error) if isinstance(error, DvcException) else f"{type(cause).__name__}: {cause}"
            raise EgoReactError(
                f"the data remote cannot be used ({'; '.join([reason, *reasons[:1]])})",
                where=remote,
                remedy=f"check its address ({REMOTE_VARIABLE} or dvc remote modify), credentials and free space",
            ) from error


@contextlib.contextmanager
def _overheard() -> Iterator[list[str]]:
    """Why transfers fail: DVC's lower layers print that and raise no more than how many did."""
    reasons: list[str] = []

    class Reasons(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info and record.exc_info[1]:
                reasons.append(str(record.exc_info[1]))

    loggers = [logging.getLogger(name) for name in ("dvc_data", "dvc_objects")]
    before = [(logger.handlers, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [Reasons(logging.ERROR)], False
    try:
        yield reasons
    finally:
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
