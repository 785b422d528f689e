"""Gives what was just built its revision, and commits the pointer to it."""

from pathlib import Path

from components.version_dataset.commit import commit_pointer
from components.version_dataset.dvc_data import record_revision
from egoreact.errors import EgoReactError
from egoreact.hrd.dataset import manifest_digest as digest_of


def run(data_folder: Path, manifest_digest: str) -> str:
    """Records the data set's revision; see `record_revision` for what is written, sent and raised.

    Raises:
        EgoReactError: the folder is not the one that was built, for example because two builds ran at once.
    """
    found = digest_of(data_folder / "hrd")
    if found != manifest_digest:
        raise EgoReactError(
            f"manifest {found[:12]} is here, {manifest_digest[:12]} was built",
            where=data_folder / "hrd",
            remedy="run the pipeline again, one run at a time",
        )
    revision = record_revision(data_folder)
    print(f"{revision.shards}; {revision.files_sent} files sent; data revision {revision.id}", flush=True)
    return revision.id


def run_commit(data_folder: Path, revision: str) -> str:
    """Commits the revision's pointer and says where, or how a person does what is left. Returns the branch with the commit.

    Raises:
        EgoReactError: the pointer is of another revision.
    """
    done = commit_pointer(data_folder, revision)
    if done.commit:
        where = "pushed" if done.pushed else "in this repository"
        print(f"{revision}: commit {done.commit[:12]} on branch {done.branch}, {where}", flush=True)
    if done.remedy:
        print(f"left to do: {done.remedy}", flush=True)
    return done.branch if done.commit else ""
