"""The published eyes in training: taken as they are, and shown each clip from its start."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from components.build_dataset.step import run as build
from components.train.step import run_encoder
from components.version_dataset.step import run as version
from egoreact.hrd.dataset import data_folder, manifest_digest
from egoreact.hrd.shards import read_clips, read_manifest
from egoreact.presets import RunConfig, tiny
from egoreact.training import features
from egoreact.training.data import token_frames
from egoreact.training.encoder import EncoderTrainingConfig
from egoreact.vision.backbones import Backbones, BackbonesConfig
from egoreact.vision.dinov2 import ViTConfig, build_vit
from egoreact.vision.encoders import load_encoder
from egoreact.vision.video_depth import DepthModelConfig, VideoDepth, VideoDepthConfig
from egoreact.weights import network_digest, seeded
from egoreact.workspace import Workspace

DEPTH = VideoDepthConfig(
    width=16, layers=4, heads=2, table_side=4, taps=(0, 1, 2, 3), channels=(8, 8, 8, 16), features=8,
    temporal_heads=2, groups=4, short_side_px=28,
)  # fmt: skip
VIT = ViTConfig(width=32, layers=1, heads=2, image_size_px=28, position_table_px=56)
EYES = BackbonesConfig(vit=VIT, depth=DepthModelConfig(network=DEPTH), depth_side=16)


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VideoDepth:
    """Miniatures of the published files."""
    seeded(7, lambda: build_vit(VIT)).save_pretrained(tmp_path / "dinov2")
    depth = seeded(7, lambda: VideoDepth(DEPTH))
    for name, parameter in depth.named_parameters():
        if "proj_out" in name:  # untrained, the modules over time change nothing
            torch.nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(0))
    torch.nn.init.constant_(depth.head.scratch.output_conv2[2].bias, 2.0)  # and everything is at 0 m
    torch.save(depth.state_dict(), tmp_path / "depth.pth")
    monkeypatch.setenv("EGOREACT_DINOV2", str(tmp_path / "dinov2"))
    monkeypatch.setenv("EGOREACT_VIDEO_DEPTH", str(tmp_path / "depth.pth"))
    return depth


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def mapped(function: Callable, items: list, *, workers: int | None = None) -> object:
        yield from map(function, items)

    monkeypatch.setattr("egoreact.hrd.dataset.map_in_processes", mapped)
    monkeypatch.setattr(features, "map_in_processes", mapped)


def config() -> RunConfig:
    preset = tiny()
    simulator = replace(preset.dataset.simulator, frames=21, image_size_px=32)
    dataset = replace(preset.dataset, simulator=simulator, train_clips=2, val_clips=1, test_clips=1, clips_per_shard=2)
    return replace(preset, dataset=dataset, encoder=EncoderTrainingConfig(model=EYES))


@pytest.mark.usefixtures("in_this_process", "workspace")
def test_the_step_takes_them_as_they_are_and_each_clip_is_seen_from_its_start(published, tmp_path, capsys):
    build(config().to_json())
    folder = data_folder() / "hrd"
    version(data_folder(), manifest_digest(folder))
    revision = capsys.readouterr().out.strip().rsplit("data revision ", 1)[1]
    quarantine = tmp_path / "quarantine.json"
    quarantine.write_text('{"quarantined": []}')
    run_encoder(config().to_json(), revision, quarantine, tmp_path / "encoder")
    assert "nothing to train" in capsys.readouterr().err

    encoder = load_encoder(tmp_path / "encoder")
    assert isinstance(encoder, Backbones)
    for name, value in published.state_dict().items():
        assert torch.equal(encoder.depth.state_dict()[name], value), name

    manifest, cache = read_manifest(folder), Workspace.from_environment().features
    features.extract_features(folder, manifest, tmp_path / "encoder", cache)
    seen = features.load_features(cache, manifest, network_digest(tmp_path / "encoder"))
    assert len(seen) == 4
    for clip in read_clips(folder, manifest):
        expected = encoder.encode(torch.from_numpy(np.stack(list(token_frames(clip)))))
        torch.testing.assert_close(seen[clip.id].semantic, expected.semantic)
        torch.testing.assert_close(seen[clip.id].depth_m, expected.depth_m.half())


def test_a_run_config_with_them_comes_back_from_its_json():
    assert RunConfig.from_json(config().to_json()) == config()
