"""What the gate measures of each shard, kept in the workspace: a shard is measured again only where it or the measures changed.

A table is named by the shard's digest and the digest of the code that measures; bounds are not part of it, so that a changed
bound judges anew without measuring anew.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow

from egoreact.errors import EgoReactError
from egoreact.files import whole_file
from egoreact.hrd import alignment
from egoreact.hrd.alignment import measure
from egoreact.hrd.digests import digests_of
from egoreact.hrd.shards import FETCH, ShardCounts, read_clips
from egoreact.processes import map_in_processes
from egoreact.progress import Progress
from egoreact.provenance import code_digest

CLIPS_A_TASK = 8
READ_BY_MEASURES = (
    "egoreact/hrd/clip.py", "egoreact/hrd/shards.py", "egoreact/motion/camera.py", "egoreact/motion/skeleton.py",
    "egoreact/vision/video.py",
)  # fmt: skip
"""Sources, besides the measures' own, that decide a figure."""
BOUNDS = "thresholds.py"
"""Of the measures' own sources the one that decides none."""


def measuring_sources() -> tuple[str, ...]:
    """All sources that decide a figure, from the project's root."""
    own = sorted(Path(alignment.__file__).parent.glob("*.py"))
    return (*(f"egoreact/hrd/alignment/{path.name}" for path in own if path.name != BOUNDS), *READ_BY_MEASURES)


def measure_clips(
    hrd_folder: Path, manifest: pd.DataFrame, selected: pd.DataFrame, cache: Path, workers: int | None
) -> tuple[pd.DataFrame, ShardCounts]:
    """A row for each selected clip: `clip_id` and a column a measure, NaN where the clip cannot give it.

    Args:
        manifest: the whole one. Of a shard of which all clips are selected the table is kept.
        cache: folder of the tables.

    Raises:
        EgoReactError: a shard that has to be measured is broken, or not the one that the manifest names.
    """
    sizes = manifest["shard"].value_counts()
    code = code_digest(*measuring_sources())
    tables: list[pd.DataFrame] = []
    new: list[tuple[str, pd.DataFrame, Path]] = []
    for (name, digest), rows in selected.groupby(["shard", "shard_sha256"], sort=True):
        path = cache / f"{str(digest)[:24]}-{code[:24]}.parquet"
        kept = _kept(path, rows)
        if kept is None:
            new.append((str(name), rows, path))
        else:
            tables.append(kept)
    _refuse_other_bytes(hrd_folder, [rows for _, rows, _ in new])
    progress = Progress("measuring", len(selected), "clips")
    if tables:
        progress.advance(sum(map(len, tables)), "from the cache")
    pieces = [
        rows.iloc[first : first + CLIPS_A_TASK] for _, rows, _ in new for first in range(0, len(rows), CLIPS_A_TASK)
    ]
    measured = _mapped(partial(_measure_piece, hrd_folder), pieces, workers)
    for name, rows, path in new:
        found: list[dict] = []
        while len(found) < len(rows):
            piece = next(measured)
            found += piece
            progress.advance(len(piece))
        tables.append(_as_table(found))
        if len(rows) == sizes[name]:
            with whole_file(path) as beside:
                tables[-1].to_parquet(beside, index=False)
    return pd.concat(tables, ignore_index=True), ShardCounts(
        unchanged=selected["shard"].nunique() - len(new), new=len(new)
    )


def _as_table(rows: list[dict]) -> pd.DataFrame:
    table = pd.DataFrame(rows)
    return table.astype(dict.fromkeys((name for name in table if name != "clip_id"), "float64"))


def _kept(path: Path, rows: pd.DataFrame) -> pd.DataFrame | None:
    """The shard's table from the cache, cut to these rows; None where it is not there or damaged."""
    try:
        table = pd.read_parquet(path)
        table = table[table["clip_id"].isin(rows["clip_id"])]
    except (OSError, KeyError, ValueError, pyarrow.ArrowException):
        return None
    return table if len(table) == len(rows) else None


def _refuse_other_bytes(hrd_folder: Path, shards: list[pd.DataFrame]) -> None:
    """Figures of other bytes would be kept under the name of these."""
    expected = {hrd_folder.absolute() / rows["shard"].iloc[0]: rows["shard_sha256"].iloc[0] for rows in shards}
    digests = digests_of(expected)
    for path, sha256 in expected.items():
        if digests.get(path) != sha256:
            raise EgoReactError("its bytes differ from the manifest's SHA-256", where=path, remedy=FETCH)


def _mapped(function: partial, pieces: list[pd.DataFrame], workers: int | None) -> Iterator[list[dict]]:
    """In processes, but for few clips in this one."""
    if workers == 1 or (workers is None and len(pieces) <= 3):
        return map(function, pieces)
    return map_in_processes(function, pieces, workers=workers)


def _measure_piece(hrd_folder: Path, rows: pd.DataFrame) -> list[dict]:
    return [{"clip_id": clip.id, **measure(clip)} for clip in read_clips(hrd_folder, rows)]
