"""Clips added to a data set that is there: new shards beside the old ones, which never change."""

from collections.abc import Sequence
from pathlib import Path

from egoreact.errors import EgoReactError
from egoreact.hrd.building import alone
from egoreact.hrd.clip import Clip
from egoreact.hrd.shards import MANIFEST, next_shard_path, read_manifest, write_manifest, write_shard


def known_ids(hrd_folder: Path) -> set[str]:
    """Ids of the clips that a data set has; none where there is no data set."""
    return set(read_manifest(hrd_folder)["clip_id"]) if (hrd_folder / MANIFEST).is_file() else set()


def append_clips(hrd_folder: Path, clips: Sequence[Clip]) -> list[Path]:
    """Adds clips to a data set as new shards, one a split. Older shards stay as they are; the manifest grows at the end, whole.

    Returns:
        The new shards.

    Raises:
        EgoReactError: no clips, another process at work here, or an id that the data set or the clips have already; then
            nothing is written.
    """
    if not clips:
        raise EgoReactError("there are no clips to add", where=hrd_folder, remedy="import a recording first")
    with alone(hrd_folder):
        rows = read_manifest(hrd_folder).to_dict("records") if (hrd_folder / MANIFEST).is_file() else []
        taken = {row["clip_id"] for row in rows}
        for clip in clips:
            if clip.id in taken:
                raise EgoReactError(
                    f"clip id {clip.id} is there already",
                    where=hrd_folder / MANIFEST,
                    remedy="import it once, or rename the recording",
                )
            taken.add(clip.id)
        written: list[Path] = []
        try:
            for split in sorted({clip.record.split for clip in clips}):
                path = next_shard_path(hrd_folder, split)
                new_rows = write_shard(path, (clip for clip in clips if clip.record.split == split))
                written.append(path)
                rows += new_rows
            write_manifest(hrd_folder, rows)
        except BaseException:
            for path in written:  # a shard that no manifest names would be in the way
                path.unlink(missing_ok=True)
            raise
        return written
