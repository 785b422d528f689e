"""The data set under DVC, through DVC's own Python API: one folder, one pointer file beside it, one remote.

A revision is the `md5` of the pointer, e.g. `bd930a05491a15d7363723c87f50ec31.dir`: the same bytes give the same
revision on every machine. The remote is `EGOREACT_DVC_REMOTE` (any URL DVC takes), else the repository's own default
remote, else a folder of the workspace. One DVC process works in a repository at a time.
"""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from egoreact.errors import EgoReactError
from egoreact.files import whole_file
from egoreact.workspace import Workspace

if TYPE_CHECKING:
    from dvc.repo import Repo

REMOTE_VARIABLE = "EGOREACT_DVC_REMOTE"
LOCAL_REMOTE = "local"  # the name that .dvc/config gives the workspace's folder


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


def record_revision(data_folder: Path) -> str:
    """Adds the folder to DVC and pushes it; nothing is read or sent again that has not changed.

    Returns:
        the revision. The pointer names it only when the remote holds all of it.

    Raises:
        EgoReactError: no data set, another DVC process, or a remote that is away; the pointer is as it was.
    """
    data_folder = data_folder.absolute()
    if not data_folder.is_dir():
        raise EgoReactError("no data set here", where=data_folder, remedy="build one with: egoreact hrd build")
    pointer = pointer_path(data_folder)
    with _opened(data_folder) as (repo, remote), _restored_on_error(pointer):
        repo.add([str(data_folder)])
        _transfer(remote, lambda: repo.push([str(pointer)]))
    revision = current_revision(data_folder)
    assert revision is not None
    return revision


def ensure_revision(data_folder: Path, revision: str) -> None:
    """Makes sure that the folder holds exactly this revision: checks it, or fetches what is missing.

    Raises:
        EgoReactError: files were changed since they were versioned (they are left alone), or the revision is nowhere.
    """
    data_folder = data_folder.absolute()
    pointer = pointer_path(data_folder)
    with _opened(data_folder) as (repo, remote), _restored_on_error(pointer):
        if data_folder.is_dir() and any(data_folder.iterdir()):
            _refuse_changed_files(repo, pointer, data_folder)
        if current_revision(data_folder) != revision:
            write_pointer(pointer, data_folder.name, revision)
        if repo.status([str(pointer)]):
            _transfer(remote, lambda: repo.fetch([str(pointer)]))
            # DVC's checkout would empty the folder first and then miss what was never fetched.
            if any(out.changed_cache() for out in repo.find_outs_by_path(str(data_folder))):
                remedy = "push it from where it was made"
                raise EgoReactError(f"does not hold all of revision {revision}", where=remote, remedy=remedy)
            repo.checkout([str(pointer)])


def write_pointer(pointer: Path, name: str, revision: str) -> None:
    with whole_file(pointer) as beside:
        beside.write_text(yaml.safe_dump({"outs": [{"md5": revision, "hash": "md5", "path": name}]}, sort_keys=False))


def _refuse_changed_files(repo: "Repo", pointer: Path, data_folder: Path) -> None:
    if not pointer.is_file():
        remedy = "version them with: dvc add"
        raise EgoReactError("holds files that DVC does not know", where=data_folder, remedy=remedy)
    changes = repo.data_status(granular=True)["uncommitted"]
    paths = (Path(repo.root_dir) / name for kind in ("modified", "added") for name in changes.get(kind, []))
    changed = sorted(path for path in paths if path != data_folder and path.is_relative_to(data_folder))
    if changed:
        raise EgoReactError(
            "was changed after it was versioned",
            where=changed[0],
            remedy="run the pipeline from its start to version the change, or undo it with: dvc checkout --force",
        )


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
def _opened(data_folder: Path) -> Iterator[tuple["Repo", str]]:
    """The repository around the folder, made without git where there is none, and the address of its remote."""
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
        remote = os.environ.get(REMOTE_VARIABLE) or configured or str(Workspace.from_environment().dvc_remote)
        settings: dict[str, Any] = {
            "core": core | {"remote": "egoreact", "autostage": False, "analytics": False},
            "remote": {"egoreact": {"url": remote}},
        }
        with Repo(str(root), config=settings) as repo:
            yield repo, remote
    except LockError as error:
        remedy = "wait for it, then run again"
        raise EgoReactError("another DVC process is at work", where=root, remedy=remedy) from error
    except DvcException as error:
        raise EgoReactError(f"DVC refuses ({error})", where=data_folder, remedy="see: dvc status") from error


def _default_remote(config: Any) -> str | None:
    """The address of the repository's default remote, unless it is the workspace's folder under its committed name."""
    name = config.get("core", {}).get("remote")
    if name is None or name == LOCAL_REMOTE:
        return None
    return config.get("remote", {}).get(name, {}).get("url")


def _transfer(remote: str, action: Any) -> None:
    from botocore.exceptions import BotoCoreError, ClientError
    from dvc.exceptions import DvcException
    from dvc.lock import LockError

    try:
        action()
    except LockError:
        raise
    except (DvcException, OSError, BotoCoreError, ClientError) as error:
        cause = error.__cause__ or error.__context__ or error
        reason = str(error) if isinstance(error, DvcException) else f"{type(cause).__name__}: {cause}"
        raise EgoReactError(
            f"the data remote cannot be used ({reason})",
            where=remote,
            remedy=f"check its address ({REMOTE_VARIABLE} or dvc remote modify), credentials and free space",
        ) from error
