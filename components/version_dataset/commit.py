"""Commits the data set's pointer on a branch of its own, beside whatever a person has checked out and staged.

The commit is made from git's objects alone: HEAD, index and working tree stay as they are. Where `EGOREACT_GIT_REMOTE`
names a remote or an address, the branch is pushed there; on a machine that has no clone it is made in a temporary one of
that address. What git refuses stops nothing: the data has its revision already, and the commands that are left are told.
"""

import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from components.version_dataset.dvc_data import current_revision, pointer_path
from egoreact.errors import EgoReactError

REMOTE_VARIABLE = "EGOREACT_GIT_REMOTE"
TIMEOUT_S = 120
AUTHOR = {"NAME": "EgoReAct", "EMAIL": "egoreact@localhost"}


@dataclass(frozen=True)
class Committed:
    """What became of the pointer."""

    branch: str
    """`HEAD` where that holds it already."""
    commit: str
    """Empty where there is none: see `remedy`."""
    pushed: bool
    remedy: str
    """Commands that are left for a person; empty where nothing is."""


class _GitRefusal(Exception):  # noqa: N818 - git says no, and we say how
    """What git said, in one line."""


def commit_pointer(data_folder: Path, revision: str) -> Committed:
    """Puts the pointer of this revision on the branch `data/<first letters of the revision>`; again changes nothing.

    Raises:
        EgoReactError: the pointer beside the folder is of another revision.
    """
    pointer = pointer_path(data_folder.absolute())
    found = current_revision(data_folder)
    if found != revision:
        remedy = "run the pipeline again, one run at a time"
        raise EgoReactError(f"is of revision {found}, not {revision}", where=pointer, remedy=remedy)
    branch, remote = f"data/{revision[:12]}", os.environ.get(REMOTE_VARIABLE, "")
    try:
        top = Path(_git(pointer.parent, "rev-parse", "--show-toplevel"))
    except _GitRefusal as refusal:
        if not remote:
            return _told(branch, pointer.parent, pointer.name, str(refusal))
        with TemporaryDirectory(prefix="egoreact-git-") as clone:
            try:
                _git(Path(clone), "clone", "--quiet", "--depth=1", "--no-checkout", remote, ".")
                return _commit(Path(clone), pointer, pointer.name, branch, revision, "origin", keeps=False)
            except _GitRefusal as second:
                return _told(branch, pointer.parent, pointer.name, str(second))
    name = pointer.resolve().relative_to(top.resolve()).as_posix()
    try:
        return _commit(top, pointer, name, branch, revision, remote, keeps=True)
    except _GitRefusal as refusal:
        return _told(branch, top, name, str(refusal))


def _commit(
    repository: Path, pointer: Path, name: str, branch: str, revision: str, remote: str, *, keeps: bool
) -> Committed:
    """Args:
    keeps: whether a commit that could not be pushed stays for a person to push.
    """
    blob = _git(repository, "hash-object", "-w", str(pointer))
    if _known(repository, f"HEAD:{name}") == blob:
        return Committed("HEAD", _git(repository, "rev-parse", "HEAD"), False, "")
    if remote and (there := _at_remote(repository, blob, name, branch, remote)):
        return Committed(branch, there, True, "")
    commit = _ensure_commit(repository, blob, name, branch, revision)
    if not remote:
        left = "" if not _git(repository, "remote") else f"git push <remote> {branch}"
        return Committed(branch, commit, False, left)
    try:
        _git(repository, "push", "--quiet", remote, f"{commit}:refs/heads/{branch}")
    except _GitRefusal as refusal:
        if not keeps:
            raise
        return Committed(branch, commit, False, f"git push {shlex.quote(remote)} {branch}   # refused: {refusal}")
    return Committed(branch, commit, True, "")


def _at_remote(repository: Path, blob: str, name: str, branch: str, remote: str) -> str:
    """The commit that an earlier attempt pushed, if perhaps from another clone; empty where there is none."""
    try:
        _git(repository, "fetch", "--quiet", "--no-tags", remote, f"refs/heads/{branch}")
    except _GitRefusal:  # it has no such branch, or is away, which the push will tell
        return ""
    return _git(repository, "rev-parse", "FETCH_HEAD") if _known(repository, f"FETCH_HEAD:{name}") == blob else ""


def _ensure_commit(repository: Path, blob: str, name: str, branch: str, revision: str) -> str:
    """The commit on the branch whose tree holds this pointer, made where it is not there."""
    if _known(repository, f"refs/heads/{branch}:{name}") == blob:
        return _git(repository, "rev-parse", f"refs/heads/{branch}")
    head = _known(repository, "HEAD")
    with TemporaryDirectory(prefix="egoreact-index-") as scratch:
        index = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        if head:
            _git(repository, "read-tree", head, settings=index)
        _git(repository, "update-index", "--add", "--cacheinfo", f"100644,{blob},{name}", settings=index)
        tree = _git(repository, "write-tree", settings=index)
    parents = ["-p", head] if head else []
    message = f"Data revision {revision}"
    commit = _git(repository, "commit-tree", tree, *parents, "-m", message, settings=_author(repository))
    _git(repository, "update-ref", f"refs/heads/{branch}", commit)
    return commit


def _author(repository: Path) -> dict[str, str]:
    """Of a machine that has told git no name."""
    if _known(repository, "", "var", "GIT_AUTHOR_IDENT"):
        return {}
    return {f"GIT_{role}_{part}": value for role in ("AUTHOR", "COMMITTER") for part, value in AUTHOR.items()}


def _known(repository: Path, name: str, *command: str) -> str:
    """What a name stands for; empty where it stands for nothing."""
    try:
        return _git(repository, *(command or ("rev-parse", "--verify", "--quiet", name)))
    except _GitRefusal:
        return ""


def _told(branch: str, folder: Path, name: str, reason: str) -> Committed:
    place = shlex.quote(str(folder))
    steps = f"cd {place} && git switch -c {branch} && git add {shlex.quote(name)} && git commit -m 'New data'"
    return Committed(branch, "", False, f"{steps}   # by hand: {reason}")


def _git(folder: Path, *arguments: str, settings: Mapping[str, str] | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in ("GIT_DIR", "GIT_WORK_TREE")}
    environment |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", **(settings or {})}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True, text=True, check=True, env=environment, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise _GitRefusal("there is no git on this machine") from error
    except subprocess.TimeoutExpired as error:
        raise _GitRefusal(f"git {arguments[0]} took more than {TIMEOUT_S} s") from error
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if line.strip() and not line.startswith("warning:")]
        raise _GitRefusal(lines[0] if lines else f"git {arguments[0]} ended with {error.returncode}") from error
    return done.stdout.strip()
