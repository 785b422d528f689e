"""The simulated data set: the same bytes whatever the workers, reused where nothing changed, other people's shards kept."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from egoreact.hrd.dataset import DECIDES, DatasetConfig, build_dataset, manifest_digest, plan_shards
from egoreact.hrd.shards import next_shard_path, read_clips, read_manifest, write_manifest, write_shard
from egoreact.hrd.simulate import SimulatorConfig

CONFIG = DatasetConfig(
    simulator=SimulatorConfig(frames=21, image_size_px=32), train_clips=3, val_clips=1, test_clips=2, clips_per_shard=2
)


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data set") / "hrd"
    assert build_dataset(CONFIG, folder, workers=1)
    return folder


def test_splits_and_categories_are_as_asked(built):
    manifest = read_manifest(built)
    assert manifest["split"].value_counts().to_dict() == {"train": 3, "test": 2, "val": 1}
    assert sorted(manifest["shard"].unique()) == [
        "test-00000.tar",
        "train-00000.tar",
        "train-00001.tar",
        "val-00000.tar",
    ]
    for clip in read_clips(built, manifest):
        assert clip.num_frames == len(clip.rgb) == len(clip.depth_m) == len(clip.segmentation) == 21
        assert clip.record.source == "simulator"


def test_no_seed_is_used_twice():
    config = replace(CONFIG, train_clips=400, val_clips=100, test_clips=100)
    plans = [plan for shard in plan_shards(config).values() for plan in shard]
    assert len({plan.seed for plan in plans}) == len({plan.clip_id for plan in plans}) == 600


def test_two_workers_make_the_same_bytes(built, tmp_path):
    build_dataset(CONFIG, tmp_path / "hrd", workers=2)
    assert manifest_digest(tmp_path / "hrd") == manifest_digest(built)


def test_nothing_changed_nothing_made(built):
    before = {path: path.stat().st_mtime_ns for path in built.iterdir()}
    assert not build_dataset(CONFIG, built)
    assert {path: path.stat().st_mtime_ns for path in built.iterdir()} == before


def test_a_changed_shard_is_made_again(built):
    digest = manifest_digest(built)
    shard = built / "val-00000.tar"
    shard.write_bytes(shard.read_bytes()[:-512] + b"x" * 512)
    assert build_dataset(CONFIG, built)
    assert manifest_digest(built) == digest


def test_imported_shards_stay_when_the_recipe_changes(make_clip, tmp_path):
    folder = tmp_path / "hrd"
    folder.mkdir()
    shard = next_shard_path(folder, "train")
    write_manifest(folder, write_shard(shard, [make_clip("mine", split="train")]))
    content = shard.read_bytes()
    for clips in (3, 1):
        build_dataset(replace(CONFIG, train_clips=clips), folder, workers=1)
        manifest = read_manifest(folder)
        assert shard.read_bytes() == content
        assert (manifest["source"] == "hand").sum() == 1
        assert ((manifest["source"] == "simulator") & (manifest["split"] == "train")).sum() == clips
        assert set(manifest["shard"]) == {path.name for path in folder.glob("*.tar")}


def test_the_code_that_decides_the_bytes_is_all_named():
    """Everything of the project that the simulator, clips and shards import is in the recipe, but what only reports."""
    program = "import sys, egoreact.hrd.shards, egoreact.hrd.simulate; print(*sorted(m for m in sys.modules if m.startswith('egoreact.')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    paths = {name.replace(".", "/") for name in done.stdout.split()}
    named = {path for path in paths if any(f"{path}.py" == d or path.startswith(d) for d in DECIDES)}
    assert paths - named == {"egoreact/errors", "egoreact/files", "egoreact/hrd", "egoreact/motion", "egoreact/vision"}
