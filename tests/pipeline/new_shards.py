"""Small simulated shards for the tests of retraining: a data set, and more of the same recipe to drop at a source."""

import json
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from egoreact.evaluation.decision import PromotionPolicy
from egoreact.files import write_json
from egoreact.hrd.dataset import build_dataset
from egoreact.hrd.recipe import RECIPE
from egoreact.hrd.shards import read_rows, write_manifest
from egoreact.presets import RunConfig, WorkersConfig, tiny


@cache
def config_of(train_clips: int = 16) -> RunConfig:
    """`tiny`, smaller, with one worker, and with a policy under which every challenger wins."""
    preset = tiny()
    simulator = replace(preset.dataset.simulator, image_size_px=32)
    dataset = replace(
        preset.dataset, simulator=simulator, train_clips=train_clips, val_clips=8, test_clips=8, clips_per_shard=8
    )
    loops = {f"{name}_loop": replace(preset.encoder_loop, steps=4) for name in ("encoder", "tokenizer", "gpt")}
    promotion = PromotionPolicy(
        head_error_share_of_baseline=1e6, accuracy_over_chance=0.0, min_codebook_usage=0.0, margin=-1e6, tolerances=()
    )
    return replace(preset, dataset=dataset, promotion=promotion, workers=WorkersConfig(count=1), **loops)


_FOLDER = TemporaryDirectory(prefix="egoreact-shards-")
NEW = "train-00002.tar"


@cache
def _built() -> Path:
    """Three shards to train on, of which the last is to be new."""
    folder = Path(_FOLDER.name)
    build_dataset(config_of(24).dataset, folder, workers=1)
    return folder


def data_set(folder: Path) -> None:
    """`<folder>/hrd`: two shards to train on, one to watch with, one to test on; 32 clips."""
    hrd = folder / "hrd"
    shutil.copytree(_built(), hrd)
    (hrd / NEW).unlink()
    rows = read_rows(hrd)
    write_manifest(hrd, rows[rows["shard"] != NEW].to_dict("records"))
    recipe = json.loads((hrd / RECIPE).read_text())
    recipe["config"]["train_clips"] = 16
    del recipe["shards"][NEW]
    write_json(hrd / RECIPE, recipe)


def new_shard(folder: Path, name: str = "new.tar") -> Path:
    """A shard of eight more clips to train on, under any name."""
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(_built() / NEW, folder / name))
