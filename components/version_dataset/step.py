"""Gives what was just built its revision."""

from pathlib import Path

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
