"""The simulated part of HRD, made from a recipe: same recipe, same bytes, whatever the number of workers."""

import multiprocessing
import os
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from egoreact.errors import EgoReactError
from egoreact.files import sha256_file, sha256_json, write_json
from egoreact.hrd.clip import SPLITS, Split
from egoreact.hrd.shards import MANIFEST, read_manifest, write_manifest, write_shard
from egoreact.hrd.simulate import ENCOUNTERS, SimulatorConfig, simulate_clip
from egoreact.progress import Progress
from egoreact.provenance import code_digest

RECIPE = "recipe.json"
"""Beside the manifest: the digest of what made the simulated shards."""


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


def plan_shards(config: DatasetConfig) -> dict[str, list[ClipPlan]]:
    """Shard file names to the clips in them. Categories take turns, so each split and shard is balanced."""
    categories = config.simulator.categories or tuple(ENCOUNTERS)
    shards: dict[str, list[ClipPlan]] = {}
    for split, clips in zip(SPLITS, (config.train_clips, config.val_clips, config.test_clips), strict=True):
        for index in range(clips):
            seed = int(np.random.SeedSequence((config.seed, SPLITS.index(split), index)).generate_state(1)[0])
            name = f"{split}-{index // config.clips_per_shard:05d}.tar"
            plan = ClipPlan(f"sim-{split}-{index:05d}", categories[index % len(categories)], seed, split)
            shards.setdefault(name, []).append(plan)
    return shards


def build_dataset(config: DatasetConfig, folder: Path, *, workers: int | None = None) -> bool:
    """Renders the simulated shards into `folder` and writes the manifest. Shards of other sources stay.

    Returns:
        Whether anything was made: False where the folder already holds what this recipe makes.

    Raises:
        EgoReactError: the folder holds foreign shards under the names that the recipe needs.
    """
    recipe = sha256_json({"config": asdict(config), "code": code_digest("egoreact/hrd", "egoreact/motion", "egoreact/vision")})
    kept = _other_rows(folder, recipe)
    if kept is None:
        return False
    shards = plan_shards(config)
    taken = sorted(set(kept["shard"]) & set(shards))
    if taken:
        raise EgoReactError(
            f"{taken[0]} holds imported clips under a name the simulator needs", where=folder, remedy="build in another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECIPE).unlink(missing_ok=True)  # a build that stops half-way must not look finished
    progress = Progress("build_dataset", sum(map(len, shards.values())), "clips")
    rows = kept.to_dict("records")
    # Fork would copy a parent that may run threads (Arrow, OpenMP).
    with multiprocessing.get_context("spawn").Pool(workers or os.cpu_count() or 1) as pool:
        for made in pool.imap(partial(_make_shard, config.simulator, folder), shards.items()):
            rows += made
            progress.advance(len(made))
    for stale in set(path.name for path in folder.glob("*.tar")) - {row["shard"] for row in rows}:
        (folder / stale).unlink()
    write_manifest(folder, rows)
    write_json(folder / RECIPE, {"recipe": recipe, "config": asdict(config)})
    return True


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
        if all(sha256_file(folder / name) == digest for name, digest in zip(shards["shard"], shards["shard_sha256"], strict=True)):
            return None
    return manifest[manifest["source"] != "simulator"]
