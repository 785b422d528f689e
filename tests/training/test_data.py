"""Training reads clips of any picture size: other people's recordings beside the simulator's."""

from dataclasses import replace

import numpy as np
import pytest

from egoreact.errors import EgoReactError
from egoreact.hrd.clip import Clip
from egoreact.hrd.shards import next_shard_path, read_manifest, write_manifest, write_shard
from egoreact.hrd.simulate import SimulatorConfig, simulate_clip
from egoreact.training.data import load_motion, load_pictures, usable_rows
from egoreact.vision.video import encode_depth, encode_segmentation, encode_video


@pytest.fixture
def folder(tmp_path):
    """A shard of 32 px, one of 64 px, and one that is wide: its middle third red, 2 m away, class 1."""
    small = simulate_clip(SimulatorConfig(frames=21, image_size_px=32), "car", 1, "small", "train")
    large = simulate_clip(SimulatorConfig(frames=21, image_size_px=64), "car", 1, "large", "train")
    middle = np.zeros((21, 40, 120), bool)
    middle[:, :, 40:80] = True
    rgb = np.where(middle[..., None], np.array([200, 30, 30], np.uint8), np.uint8(60))
    wide = replace(
        Clip.unpack(small.pack(), where="small"),
        record=replace(small.record, id="wide"),
        video_mp4=encode_video(rgb),
        depth_mkv=encode_depth(np.where(middle, 2.0, 9.0).astype(np.float32)),
        segmentation_mkv=encode_segmentation(middle.astype(np.uint8)),
    )
    rows = []
    for clip in (small, large, wide):
        rows += write_shard(next_shard_path(tmp_path, "train"), [clip])
    write_manifest(tmp_path, rows)
    return tmp_path


def test_pictures_of_all_sizes_become_one(folder):
    pictures = load_pictures(folder, read_manifest(folder), image_size_px=48, side=8)
    assert pictures.rgb.shape == (18, 48, 48, 3)
    assert pictures.depth_m.shape == pictures.segmentation.shape == (18, 8, 8)


def test_a_wide_picture_and_its_maps_keep_the_same_square(folder):
    rows = read_manifest(folder)
    pictures = load_pictures(folder, rows[rows["clip_id"] == "wide"], image_size_px=40, side=8)
    assert pictures.rgb[..., 0].float().mean() > 180
    assert (pictures.depth_m == 2).all() and (pictures.segmentation == 1).all()


def test_motion_is_of_whole_tokens_and_quarantined_clips_are_left_out(folder):
    rows = usable_rows(folder, "train", frozenset({"large"}))
    motion = load_motion(folder, rows)
    assert [m.clip_id for m in motion] == ["small", "wide"]
    assert all(m.features.shape == (20, 263) and m.joints_m.shape == (20, 22, 3) for m in motion)
    with pytest.raises(EgoReactError, match="no usable clips in the val split"):
        usable_rows(folder, "val")
