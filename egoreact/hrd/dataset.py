"""The simulated part of HRD, made from a recipe: same recipe, same bytes, whatever the number of workers."""

import json
import os
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from egoreact.files import sha256_file, sha256_json, write_json
from egoreact.hrd.clip import SPLITS, Clip, Split
from egoreact.hrd.shards import MANIFEST, read_manifest, write_manifest, write_shard
from egoreact.hrd.simulate import SimulatorConfig, simulate_clip
from egoreact.processes import map_in_processes
from egoreact.progress import Progress
from egoreact.provenance import code_digest

RECIPE = "recipe.json"
"""Beside the manifest: the digest of what made the simulated shards."""

DECIDES = (
    "egoreact/hrd/simulate", "egoreact/hrd/clip.py", "egoreact/hrd/shards.py", "egoreact/motion/camera.py",
    "egoreact/motion/skeleton.py", "egoreact/vision/video.py",
)  # fmt: skip
"""Sources that decide a simulated shard's bytes."""


@dataclass(frozen=True)
class DatasetConfig:
    simulator: SimulatorConfig = field(default_factory=SimulatorConfig)
    train_clips: int = 560
    val_clips: int = 40
    test_clips: int = 120
    clips_per_shard: int = 40
    seed: int = 0


@dataclass(frozen=True)
class ClipPlan:
    clip_id: str
    category: str
    seed: int
    split: Split


def data_folder() -> Path:
    """The folder under DVC: `EGOREACT_DATA`, or `data` under the current one. The shards lie in its `hrd/`."""
    return Path(os.environ.get("EGOREACT_DATA", "data")).absolute()


def plan_shards(config: DatasetConfig, taken: frozenset[str] = frozenset()) -> dict[str, list[ClipPlan]]:
    """Shard file names to the clips in them. Categories take turns, so each split and shard is balanced.

    Args:
        taken: names of other shards of the folder, which are passed over.
    """
    categories = config.simulator.categories
    shards: dict[str, list[ClipPlan]] = {}
    for split, clips in zip(SPLITS, (config.train_clips, config.val_clips, config.test_clips), strict=True):
        names = (name for name in (f"{split}-{number:05d}.tar" for number in count()) if name not in taken)
        for first in range(0, clips, config.clips_per_shard):
            shards[next(names)] = [
                _plan_clip(config, split, index, categories[index % len(categories)])
                for index in range(first, min(first + config.clips_per_shard, clips))
            ]
    return shards


def _plan_clip(config: DatasetConfig, split: Split, index: int, category: str) -> ClipPlan:
    seed = int(np.random.SeedSequence((config.seed, SPLITS.index(split), index)).generate_state(1)[0])
    return ClipPlan(f"sim-{split}-{index:05d}", category, seed, split)


def build_dataset(config: DatasetConfig, folder: Path, *, workers: int | None = None) -> bool:
    """Renders the simulated shards into `folder` and writes the manifest. Shards of other sources stay.

    Returns:
        Whether anything was made: False where the folder already holds what this recipe makes.
    """
    recipe = recipe_digest(config)
    kept = _other_rows(folder, recipe)
    if kept is None:
        return False
    shards = plan_shards(config, frozenset(kept["shard"]))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECIPE).unlink(missing_ok=True)  # a build that stops half-way must not look finished
    progress = Progress("rendering", sum(map(len, shards.values())), "clips")
    rows = kept.to_dict("records")
    for made in map_in_processes(partial(_make_shard, config.simulator, folder), list(shards.items()), workers=workers):
        rows += made
        progress.advance(len(made))
    for stale in {path.name for path in folder.glob("*.tar")} - {row["shard"] for row in rows}:
        (folder / stale).unlink()
    write_manifest(folder, rows)
    write_json(folder / RECIPE, {"recipe": recipe, "config": asdict(config)})
    return True


def recipe_digest(config: DatasetConfig) -> str:
    """Of the configuration and of the code that decides a shard's bytes."""
    return sha256_json({"config": asdict(config), "code": code_digest(*DECIDES)})


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


def _make_shard(simulator: SimulatorConfig, folder: Path, item: tuple[str, list[ClipPlan]]) -> list[dict]:
    name, plans = item
    clips = (simulate_clip(simulator, plan.category, plan.seed, plan.clip_id, plan.split) for plan in plans)
    return write_shard(folder / name, clips)


def _other_rows(folder: Path, recipe: str) -> pd.DataFrame | None:
    """Manifest rows that do not come from the simulator; None where the recipe's own are already there, untouched."""
    if not (folder / MANIFEST).is_file():
        return pd.DataFrame(columns=["shard"])
    manifest = read_manifest(folder)
    recorded = folder / RECIPE
    if recorded.is_file() and f'"{recipe}"' in recorded.read_text():
        shards = manifest.drop_duplicates("shard")
        if all(
            sha256_file(folder / name) == digest
            for name, digest in zip(shards["shard"], shards["shard_sha256"], strict=True)
        ):
            return None
    return manifest[manifest["source"] != "simulator"]
