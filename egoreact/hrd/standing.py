"""What a data set holds of a recipe, and what it lacks."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pandas as pd
from pydantic import TypeAdapter

from egoreact.hrd.building import BUILDING
from egoreact.hrd.clip import Split
from egoreact.hrd.digests import digests_of
from egoreact.hrd.recipe import RECIPE, ClipPlan, DatasetConfig, ShardPlan, ShardRecord, made_by, plan_clips
from egoreact.hrd.shards import MANIFEST, check_shards_are_there, read_rows


@dataclass(frozen=True)
class Standing:
    """What is there of a recipe, and what is missing."""

    kept: dict[str, ShardRecord]
    """By name, in the data set or in the hidden folder."""
    missing: list[ShardPlan]
    superseded: frozenset[str]
    """Simulated shards that the recipe has no use for."""
    clips: dict[Split, list[ClipPlan]]


def take_stock(config: DatasetConfig, folder: Path) -> Standing:
    """Compares the recipe with the shards on disk. A shard counts where its clips, its code and its bytes are the recipe's.

    Raises:
        EgoReactError: the manifest is damaged, or a shard of another source is missing.
    """
    place = folder / BUILDING
    rows = manifest_rows(folder)
    check_shards_are_there(folder, rows[rows["source"] != "simulator"])
    clips = plan_clips(config)
    others = set(rows["shard"][rows["source"] != "simulator"])
    recorded = {
        name: shard for name, shard in (_recorded(folder) | finished_shards(place)).items() if name not in others
    }
    paths = {name: path for name in recorded for path in (folder / name, place / name) if path.is_file()}
    digests = digests_of(paths.values())
    kept: dict[str, ShardRecord] = {}
    damaged: dict[tuple[Split, int, int], str] = {}
    covered = dict.fromkeys(clips, 0)
    for name, shard in sorted(recorded.items(), key=lambda item: (item[1].split, item[1].first_clip, item[0])):
        end = shard.first_clip + shard.clips
        if shard.made_by != made_by(config.simulator, clips[shard.split][shard.first_clip : end]):
            continue
        if name not in paths or digests[paths[name].absolute()] != shard.sha256:
            damaged[shard.split, shard.first_clip, end] = name
        elif shard.first_clip >= covered[shard.split]:
            kept[name] = shard
            covered[shard.split] = end
    simulated = set(rows["shard"][rows["source"] == "simulator"]) | set(recorded)
    taken = simulated | set(rows["shard"]) | {path.name for path in folder.glob("*.tar")}
    missing = list(_missing(config, clips, kept, damaged, taken))
    superseded = simulated - set(kept) - {shard.name for shard in missing}
    return Standing(kept, missing, frozenset(superseded), clips)


def _missing(
    config: DatasetConfig,
    clips: dict[Split, list[ClipPlan]],
    kept: dict[str, ShardRecord],
    damaged: dict[tuple[Split, int, int], str],
    taken: set[str],
) -> Iterator[ShardPlan]:
    """Shards for the clips that no kept one holds. One that was damaged gets its name again, others the next numbers."""
    for split, planned in clips.items():
        # Numbers only grow, so a shard is never written twice.
        last = max((int(name[:-4].split("-")[1]) for name in taken if _is_numbered(name, split)), default=-1)
        numbers = count(last + 1)
        ends = sorted(
            (shard.first_clip, shard.first_clip + shard.clips) for shard in kept.values() if shard.split == split
        )
        first = 0
        for start, end in [*ends, (len(planned), len(planned))]:
            while first < start:
                mended = [
                    until for place, begin, until in damaged if (place, begin) == (split, first) and until <= start
                ]
                stop = mended[0] if mended else min(first + config.clips_per_shard, start)
                name = damaged[split, first, stop] if mended else f"{split}-{next(numbers):05d}.tar"
                held = tuple(planned[first:stop])
                yield ShardPlan(name, first, held, made_by(config.simulator, held))
                first = stop
            first = end


def _is_numbered(name: str, split: Split) -> bool:
    return name.startswith(f"{split}-") and name[len(split) + 1 : -4].isdigit()


def is_finished(standing: Standing, folder: Path) -> bool:
    """Whether the data set holds the recipe and nothing else that is simulated."""
    if standing.missing or standing.superseded or (folder / BUILDING).exists() or not (folder / MANIFEST).is_file():
        return False
    rows = read_rows(folder)
    named = rows[rows["source"] == "simulator"].drop_duplicates("shard").set_index("shard")["shard_sha256"].to_dict()
    return named == {name: shard.sha256 for name, shard in standing.kept.items()} and (folder / RECIPE).is_file()


def manifest_rows(folder: Path) -> pd.DataFrame:
    """The manifest, empty where there is none."""
    return read_rows(folder) if (folder / MANIFEST).is_file() else pd.DataFrame(columns=["shard", "source"])


def _recorded(folder: Path) -> dict[str, ShardRecord]:
    """Shards that `recipe.json` names; none where it is not there or of an older form."""
    try:
        entries = json.loads((folder / RECIPE).read_text()).get("shards", {})
        return TypeAdapter(dict[str, ShardRecord]).validate_python(entries)
    except (OSError, ValueError, AttributeError):
        return {}


def finished_shards(place: Path) -> dict[str, ShardRecord]:
    """Shards in the hidden folder, by the notes beside them."""
    notes = {path.name.removesuffix(".json"): path.read_text() for path in sorted(place.glob("*.tar.json"))}
    return {name: TypeAdapter(ShardRecord).validate_json(note) for name, note in notes.items()}
