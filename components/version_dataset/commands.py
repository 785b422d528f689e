"""The commands that move the data set between this machine and the data remote."""

from collections.abc import Callable
from pathlib import Path


def hrd_push() -> None:
    """Give the data set its revision in data.dvc, and send what the data remote lacks of it."""
    from components.version_dataset.dvc_data import record_revision
    from egoreact.hrd.dataset import data_folder

    sent = record_revision(data_folder())
    print(f"{sent.shards}; {sent.files_sent} files sent")
    print(f"revision {sent.id}")


def hrd_pull(*, force: bool = False) -> None:
    """Fetch the data set that data.dvc names from the data remote, or what is missing of it.

    Args:
        force: undo changes of versioned files too. Files that DVC does not know stay in any case.
    """
    from components.version_dataset.dvc_data import current_revision, ensure_revision, pointer_path
    from egoreact.errors import EgoReactError
    from egoreact.hrd.dataset import data_folder

    folder: Path = data_folder()
    revision = current_revision(folder)
    if revision is None:
        remedy = "run it in a clone of the repository, or let EGOREACT_DATA name the folder beside the pointer"
        raise EgoReactError("there is no DVC pointer", where=pointer_path(folder), remedy=remedy)
    print(ensure_revision(folder, revision, undo_changes=force).shards)
    print(f"{folder}: revision {revision}")


COMMANDS: dict[str, Callable[..., None]] = {"hrd push": hrd_push, "hrd pull": hrd_pull}
