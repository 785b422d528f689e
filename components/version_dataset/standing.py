"""How the data folder stands to its pointer: whether it is the revision that `data.dvc` names, or something else."""

from dataclasses import dataclass
from pathlib import Path

from components.version_dataset.dvc_data import current_revision, opened, shards_of
from egoreact.errors import EgoReactError


@dataclass(frozen=True)
class Standing:
    revision: str
    """That the pointer names."""
    unchanged: bool
    """Whether the folder holds exactly that; otherwise it holds more."""


def compare_with_pointer(data_folder: Path) -> Standing | None:
    """Where the folder stands; None where there is no pointer. Asks no remote.

    Raises:
        EgoReactError: the folder lacks a shard of the pointer's revision, so that a revision made of it would lose data.
    """
    data_folder = data_folder.absolute()
    revision = current_revision(data_folder)
    if revision is None:
        return None
    with opened(data_folder) as (repo, _):
        (out,) = repo.find_outs_by_path(str(data_folder))
        unchanged = out.exists and not out.changed_checksum()  # `dvc status` asks its own copies first
        named = shards_of(repo, data_folder)
    if unchanged:
        return Standing(revision, unchanged=True)
    missing = sorted(name for name in named if not (data_folder / name).is_file())
    if missing or not named:
        what = f"lacks {missing[0]} of revision {revision}" if missing else f"is not revision {revision}"
        raise EgoReactError(what, where=data_folder, remedy="fetch it with: egoreact hrd pull --force")
    return Standing(revision, unchanged=False)
