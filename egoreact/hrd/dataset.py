"""The simulated part of HRD, made from a recipe: same recipe, same clips, whatever the number of workers.

A shard that holds what the recipe asks for stays as it is, byte for byte; what is missing goes into new shards. A build that
stops at any moment leaves the data set as it was and goes on where it stopped: finished clips and shards wait in a hidden
folder (`egoreact.hrd.building`). At the end new shards move in, then the manifest and the recipe, then what they replace is
deleted. In memory are one clip a worker, and one here.
"""

import json
import os
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from pydantic import TypeAdapter

from egoreact.errors import EgoReactError
from egoreact.files import sha256_file, write_json
from egoreact.hrd.building import building
from egoreact.hrd.clip import Clip, Split
from egoreact.hrd.digests import remember
from egoreact.hrd.recipe import RECIPE, ClipPlan, DatasetConfig, ShardPlan, ShardRecord, made_by
from egoreact.hrd.shards import (
    MANIFEST,
    ShardCounts,
    disk_errors_named,
    read_rows,
    read_shard,
    write_manifest,
    write_shard,
)
from egoreact.hrd.simulate import SimulatorConfig, simulate_clip
from egoreact.hrd.standing import Standing, finished_shards, is_finished, manifest_rows, take_stock
from egoreact.processes import map_in_processes
from egoreact.progress import Progress

__all__ = [
    "Built", "DatasetConfig", "build_dataset", "data_folder", "manifest_digest", "rendered_larger",
]  # fmt: skip

SUPERSEDED = "superseded.json"
"""In the hidden folder: shards to delete once the new manifest is there."""


@dataclass(frozen=True)
class Built:
    """What a build did."""

    shards: ShardCounts
    """Of the whole data set, other sources' shards among them."""
    clips_rendered: int = 0
    worker_memory_mb: float = 0.0
    """Most that any one worker ever had resident."""


def data_folder() -> Path:
    """The folder under DVC: `EGOREACT_DATA`, or `data` under the current one. The shards lie in its `hrd/`."""
    return Path(os.environ.get("EGOREACT_DATA", "data")).absolute()


def build_dataset(config: DatasetConfig, folder: Path, *, workers: int | None = None) -> Built:
    """Renders what is missing of the simulated shards and writes the manifest. Shards of other sources stay.

    Raises:
        EgoReactError: another build is at work here, the disk is full, or manifest or other sources' shards are damaged.
    """
    standing = take_stock(config, folder)
    if is_finished(standing, folder):
        return Built(ShardCounts(unchanged=read_rows(folder)["shard"].nunique(), new=0))
    with disk_errors_named(folder), building(folder) as place:
        standing = take_stock(config, folder)
        if standing.superseded:
            write_json(place / SUPERSEDED, sorted(standing.superseded | _superseded(place)))
        clips_rendered, memory_mb = _render_missing(config.simulator, standing.missing, place, workers)
        made = _move_in(config, standing, folder, place)
        total = read_rows(folder)["shard"].nunique()
        return Built(ShardCounts(unchanged=total - made, new=made), clips_rendered, memory_mb)


def rendered_larger(folder: Path, clip: Clip, image_size_px: int) -> Clip | None:
    """The same simulated clip, its pictures of another size; None for a clip that the recipe did not make."""
    path = folder / RECIPE
    if clip.record.source != "simulator" or clip.record.seed is None or not path.is_file():
        return None
    simulator = TypeAdapter(SimulatorConfig).validate_python(json.loads(path.read_text())["config"]["simulator"])
    config = replace(simulator, image_size_px=image_size_px)
    return simulate_clip(config, clip.record.category, clip.record.seed, clip.id, clip.record.split)


def manifest_digest(folder: Path) -> str:
    """Digest of the manifest, and so of every shard it names."""
    return sha256_file(folder / MANIFEST)


def _render_missing(
    simulator: SimulatorConfig, shards: list[ShardPlan], place: Path, workers: int | None
) -> tuple[int, float]:
    """Fills the hidden folder with the missing shards; returns clips rendered and the largest worker's memory, MB."""
    files = {
        clip: place / f"{clip.clip_id}-{made_by(simulator, [clip])[:16]}.clip"
        for shard in shards
        for clip in shard.clips
    }
    wanted = [(clip, path) for clip, path in files.items() if not _is_whole(path, clip)]
    if len(wanted) < len(files):
        print(f"{len(files) - len(wanted)} clips are there from a build that stopped")
    progress = Progress("rendering", len(wanted), "clips")
    memory_mb = 0.0
    unrendered = {clip for clip, _ in wanted}
    with closing(_rendered(simulator, wanted, workers)) as rendered:
        for shard in shards:
            for _ in unrendered.intersection(shard.clips):
                memory_mb = max(memory_mb, next(rendered))
                progress.advance()
            rows = write_shard(place / shard.name, (clip for plan in shard.clips for clip in read_shard(files[plan])))
            sha256 = rows[0]["shard_sha256"]
            record = ShardRecord(shard.split, shard.first_clip, len(shard.clips), shard.made_by, sha256)
            write_json(place / f"{shard.name}.json", asdict(record))
            for plan in shard.clips:
                files[plan].unlink()
    return len(wanted), memory_mb


def _rendered(
    simulator: SimulatorConfig, wanted: list[tuple[ClipPlan, Path]], workers: int | None
) -> Generator[float, None, None]:
    """Renders in order, in processes; in this one where one worker is asked for."""
    render = partial(_render_clip, simulator)
    yield from map(render, wanted) if workers == 1 else map_in_processes(render, wanted, workers=workers)


def _render_clip(simulator: SimulatorConfig, item: tuple[ClipPlan, Path]) -> float:
    """Writes one clip; returns the most memory that this process ever had, MB."""
    plan, path = item
    write_shard(path, [simulate_clip(simulator, plan.category, plan.seed, plan.clip_id, plan.split)])
    return _peak_memory_mb()


def _peak_memory_mb() -> float:
    # Not getrusage: its maximum starts with what the parent had when it forked.
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    return next((float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def _is_whole(path: Path, plan: ClipPlan) -> bool:
    if not path.is_file():
        return False
    try:
        return [clip.id for clip in read_shard(path)] == [plan.clip_id]
    except EgoReactError:  # the machine itself stopped while it was written
        return False


def _move_in(config: DatasetConfig, standing: Standing, folder: Path, place: Path) -> int:
    """Puts new shards, manifest and recipe in place, deletes what they replace, and returns how many shards are new.

    Raises:
        EgoReactError: an import took the name of a new shard.
    """
    finished = finished_shards(place)
    records = standing.kept | {shard.name: finished[shard.name] for shard in standing.missing}
    made = [name for name in records if (place / name).is_file()]
    rows = manifest_rows(folder)
    rows = rows[rows["source"] != "simulator"]  # read again: an import may have added to them meanwhile
    for name in made:
        if name in set(rows["shard"]):
            raise EgoReactError("was taken by an import meanwhile", where=folder / name, remedy="build again")
        (place / name).replace(folder / name)
    write_manifest(place, [*rows.to_dict("records"), *_simulated_rows(config, standing.clips, records)])
    (place / MANIFEST).replace(folder / MANIFEST)
    write_json(
        place / RECIPE, {"config": asdict(config), "shards": {name: asdict(records[name]) for name in sorted(records)}}
    )
    (place / RECIPE).replace(folder / RECIPE)
    for name in _superseded(place) - set(records) - set(rows["shard"]):
        (folder / name).unlink(missing_ok=True)
    remember({folder / name: shard.sha256 for name, shard in records.items()})
    return len(made)


def _simulated_rows(
    config: DatasetConfig, clips: dict[Split, list[ClipPlan]], records: dict[str, ShardRecord]
) -> Iterator[dict]:
    for name, shard in records.items():
        for plan in clips[shard.split][shard.first_clip : shard.first_clip + shard.clips]:
            yield {
                "clip_id": plan.clip_id, "shard": name, "shard_sha256": shard.sha256, "split": plan.split,
                "category": plan.category, "frames": config.simulator.frames, "source": "simulator", "seed": plan.seed,
            }  # fmt: skip


def _superseded(place: Path) -> set[str]:
    path = place / SUPERSEDED
    return set(json.loads(path.read_text())) if path.is_file() else set()
