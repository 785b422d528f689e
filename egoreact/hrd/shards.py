"""Clips on disk: immutable WebDataset tar shards and one manifest that names each clip's shard and each shard's digest.

`<data>/hrd/<split>-<number>.tar`, `<data>/hrd/manifest.parquet` with a row a clip. New data are new shards.
"""

import io
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
import webdataset

from egoreact.errors import EgoReactError
from egoreact.files import sha256_file, whole_file
from egoreact.hrd.clip import Clip, Split

MANIFEST = "manifest.parquet"
COLUMNS = ("clip_id", "shard", "shard_sha256", "split", "category", "frames", "source", "seed")


def write_shard(path: Path, clips: Iterable[Clip]) -> list[dict]:
    """Writes one shard, whole or not at all, and returns its manifest rows. The same clips give the same bytes."""
    rows = []
    with whole_file(path) as beside:
        with beside.open("wb") as file, webdataset.TarWriter(file, mtime=0, encoder=False) as tar:
            for clip in clips:
                tar.write({"__key__": clip.id, **clip.pack()})
                rows.append({
                    "clip_id": clip.id, "shard": path.name, "split": clip.record.split, "category": clip.record.category,
                    "frames": clip.num_frames, "source": clip.record.source, "seed": clip.record.seed,
                })  # fmt: skip
        digest = sha256_file(beside)
    return [row | {"shard_sha256": digest} for row in rows]


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
    with whole_file(folder / MANIFEST) as beside:
        table.to_parquet(beside, index=False)


def read_manifest(folder: Path) -> pd.DataFrame:
    """The manifest, columns `COLUMNS`.

    Raises:
        EgoReactError: there is no manifest, it cannot be read, or a shard it names is missing.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise EgoReactError(
            "no data set here", where=path, remedy="build one with: egoreact hrd build, or fetch it with: dvc pull"
        )
    try:
        table = pd.read_parquet(path)[list(COLUMNS)]
    except (OSError, ValueError, KeyError) as error:
        raise EgoReactError(
            f"cannot be read ({error})", where=path, remedy="fetch it again with: dvc pull --force"
        ) from error
    missing = [name for name in table["shard"].unique() if not (folder / name).is_file()]
    if missing:
        raise EgoReactError(f"names a missing shard, {missing[0]}", where=path, remedy="fetch it with: dvc pull")
    return table


def verify_shards(folder: Path, manifest: pd.DataFrame) -> None:
    """Reads each shard once and compares its digest with the manifest's.

    Raises:
        EgoReactError: a shard's bytes changed; names the shard.
    """
    for name, digest in manifest.drop_duplicates("shard")[["shard", "shard_sha256"]].itertuples(index=False):
        if sha256_file(folder / name) != digest:
            raise EgoReactError(
                "its bytes differ from the manifest's SHA-256",
                where=folder / name,
                remedy="fetch it again with: dvc pull --force",
            )


def read_shard(path: Path) -> Iterator[Clip]:
    """The clips of a shard, in order, one in memory at a time.

    Raises:
        EgoReactError: the file is no complete tar, or a clip in it is not one.
    """
    files: dict[str, bytes] = {}
    current: str | None = None
    for key, ending, content in _members(path):
        if key != current and current is not None:
            yield Clip.unpack(files, where=str(path))
            files = {}
        current = key
        files[ending] = content
    if current is not None:
        yield Clip.unpack(files, where=str(path))


def _members(path: Path) -> Iterator[tuple[str, str, bytes]]:
    try:
        with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as tar:
            for member in tar:
                file = tar.extractfile(member)
                if file is not None:
                    key, _, ending = member.name.partition(".")
                    content = file.read()
                    if len(content) != member.size:
                        raise tarfile.ReadError("unexpected end of data")
                    yield key, ending, content
    except (tarfile.TarError, OSError) as error:
        raise EgoReactError(
            f"is no complete shard ({error})", where=path, remedy="fetch it again with: dvc pull --force"
        ) from error


def read_clips(folder: Path, manifest: pd.DataFrame) -> Iterator[Clip]:
    """The clips that the rows of `manifest` name, shard by shard; rows may have been filtered."""
    for shard, rows in manifest.groupby("shard", sort=True):
        wanted = set(rows["clip_id"])
        for clip in read_shard(folder / str(shard)):
            if clip.id in wanted:
                yield clip
