"""Clips on disk: immutable WebDataset tar shards and one manifest that names each clip's shard and each shard's digest.

`<data>/hrd/<split>-<number>.tar`, `<data>/hrd/manifest.parquet` with a row a clip. New data are new shards.
"""

import errno
import tarfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import webdataset

from egoreact.errors import EgoReactError
from egoreact.files import sha256_file, whole_file
from egoreact.hrd.clip import Clip, Split

MANIFEST = "manifest.parquet"
COLUMNS = ("clip_id", "shard", "shard_sha256", "split", "category", "frames", "source", "seed")
FETCH = "fetch it again with: egoreact hrd pull --force"


@dataclass(frozen=True)
class ShardCounts:
    """How many shards a step found as it had left them, and how many it had to work on."""

    unchanged: int
    new: int

    def __str__(self) -> str:
        return f"{self.unchanged + self.new} shards: {self.unchanged} unchanged, {self.new} new"


def write_shard(path: Path, clips: Iterable[Clip]) -> list[dict]:
    """Writes one shard, whole or not at all, and returns its manifest rows. The same clips give the same bytes.

    Raises:
        EgoReactError: the disk is full, or may not be written to.
    """
    rows = []
    with disk_errors_named(path), whole_file(path) as beside:
        with beside.open("wb") as file, webdataset.TarWriter(file, mtime=0, encoder=False) as tar:
            for clip in clips:
                tar.write({"__key__": clip.id, **clip.pack()})
                rows.append({
                    "clip_id": clip.id, "shard": path.name, "split": clip.record.split, "category": clip.record.category,
                    "frames": clip.num_frames, "source": clip.record.source, "seed": clip.record.seed,
                })  # fmt: skip
        digest = sha256_file(beside)
    return [row | {"shard_sha256": digest} for row in rows]


@contextmanager
def disk_errors_named(path: object) -> Iterator[None]:
    """What a disk refuses becomes one line.

    Raises:
        EgoReactError: no space, a quota or limit reached, no permission to write, or no folder where one is needed.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            remedy = "free some and run again: what is finished stays"
            raise EgoReactError(f"no space left to write ({error.strerror})", where=path, remedy=remedy) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            remedy = "give another folder, or the right to write there"
            raise EgoReactError(f"cannot be written ({error.strerror})", where=path, remedy=remedy) from error
        raise


def next_shard_path(folder: Path, split: Split) -> Path:
    """The path of the split's next shard: numbers only grow, so a shard is never written twice."""
    numbers = [int(path.stem.split("-")[1]) for path in folder.glob(f"{split}-*.tar")]
    return folder / f"{split}-{max(numbers, default=-1) + 1:05d}.tar"


def write_manifest(folder: Path, rows: Iterable[dict]) -> None:
    """Writes the manifest, rows ordered by shard and clip.

    Raises:
        EgoReactError: a clip id appears twice.
    """
    table = pd.DataFrame(list(rows), columns=list(COLUMNS)).sort_values(["shard", "clip_id"], ignore_index=True)
    table["seed"] = table["seed"].astype("Int64")
    twice = table["clip_id"][table["clip_id"].duplicated()]
    if len(twice):
        raise EgoReactError(
            f"clip id {twice.iloc[0]} appears twice", where=folder / MANIFEST, remedy="give clips unique ids"
        )
    with disk_errors_named(folder / MANIFEST), whole_file(folder / MANIFEST) as beside:
        table.to_parquet(beside, index=False)


def read_manifest(folder: Path) -> pd.DataFrame:
    """The manifest, columns `COLUMNS`.

    Raises:
        EgoReactError: there is no manifest, it cannot be read, or a shard it names is missing.
    """
    table = read_rows(folder)
    check_shards_are_there(folder, table)
    return table


def read_rows(folder: Path) -> pd.DataFrame:
    """`read_manifest`, whether or not the shards it names are there."""
    path = folder / MANIFEST
    if not path.is_file():
        remedy = "build one with: egoreact hrd build, or fetch it with: egoreact hrd pull"
        raise EgoReactError("no data set here", where=path, remedy=remedy)
    try:
        return pd.read_parquet(path)[list(COLUMNS)]
    except (OSError, ValueError, KeyError) as error:
        raise EgoReactError(f"cannot be read ({error})", where=path, remedy=FETCH) from error


def check_shards_are_there(folder: Path, manifest: pd.DataFrame) -> None:
    """Raises:
    EgoReactError: a shard that the rows name is missing.
    """
    missing = [name for name in manifest["shard"].unique() if not (folder / name).is_file()]
    if missing:
        raise EgoReactError(f"names a missing shard, {missing[0]}", where=folder / MANIFEST, remedy=FETCH)


def verify_shards(folder: Path, manifest: pd.DataFrame) -> None:
    """Reads each shard once and compares its digest with the manifest's.

    Raises:
        EgoReactError: a shard's bytes changed; names the shard.
    """
    for name, digest in manifest.drop_duplicates("shard")[["shard", "shard_sha256"]].itertuples(index=False):
        verify_shard(folder / name, digest)


def verify_shard(path: Path, sha256: str) -> None:
    """Raises:
    EgoReactError: the shard is missing, or its bytes changed.
    """
    try:
        found = sha256_file(path)
    except OSError as error:
        raise EgoReactError(f"cannot be read ({error.strerror})", where=path, remedy=FETCH) from error
    if found != sha256:
        raise EgoReactError("its bytes differ from the manifest's SHA-256", where=path, remedy=FETCH)


def read_shard(path: Path, only: Collection[str] | None = None) -> Iterator[Clip]:
    """The clips of a shard, in order, one in memory at a time; only those of these ids, where they are given.

    Raises:
        EgoReactError: the file is no complete tar, a clip in it is not one, or one asked for is not in it.
    """
    files: dict[str, bytes] = {}
    current: str | None = None
    left = None if only is None else set(only)
    for key, ending, content in _members(path, left):
        if key != current and current is not None:
            yield Clip.unpack(files, where=str(path))
            files = {}
        current = key
        files[ending] = content
    if current is not None:
        yield Clip.unpack(files, where=str(path))
    if left:
        raise EgoReactError(f"lacks clip {min(left)}", where=path, remedy=FETCH)


def _members(path: Path, left: set[str] | None) -> Iterator[tuple[str, str, bytes]]:
    """Clip id, ending and content of each file; ids that were met leave `left`, others are passed over."""
    wanted = None if left is None else frozenset(left)
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                key, _, ending = member.name.partition(".")
                file = tar.extractfile(member) if wanted is None or key in wanted else None
                if file is not None:
                    content = file.read()
                    if len(content) != member.size:
                        raise tarfile.ReadError("unexpected end of data")
                    if left is not None:
                        left.discard(key)
                    yield key, ending, content
    except (tarfile.TarError, OSError) as error:
        raise EgoReactError(f"is no complete shard ({error})", where=path, remedy=FETCH) from error


def read_clips(folder: Path, manifest: pd.DataFrame) -> Iterator[Clip]:
    """The clips that the rows of `manifest` name, shard by shard; rows may have been filtered.

    Raises:
        EgoReactError: as `read_shard` does.
    """
    for shard, rows in manifest.groupby("shard", sort=True):
        yield from read_shard(folder / str(shard), rows["clip_id"].tolist())
