"""Untimed: that the data set's benchmark runs and its figures fit each other."""

from dataclasses import replace
from pathlib import Path

import pytest

from egoreact.bench.commands import COMMANDS
from egoreact.bench.dataset import measure_dataset
from egoreact.hrd.simulate import SimulatorConfig
from egoreact.presets import paper, tiny


def test_figures_fit_each_other(workspace: Path) -> None:
    config = replace(tiny().dataset, simulator=SimulatorConfig(frames=5, image_size_px=32), clips_per_shard=2)
    figures = measure_dataset(config, clips=3, workers=1)
    assert figures["measured_clips"] == 3 and figures["dataset_workers"] == 1
    per_clip = figures["dataset_seconds"] / 3
    assert figures["dataset_seconds_for_3500_clips_extrapolated"] == pytest.approx(3500 * per_clip)
    assert figures["dataset_clips_per_second"] == pytest.approx(1 / per_clip)
    assert figures["peak_memory_mb_per_worker"] > 50 and 1_000 < figures["bytes_per_clip"] < 1_000_000


def test_the_paper_preset_has_the_papers_size() -> None:
    config = paper().dataset
    assert config.train_clips + config.val_clips + config.test_clips == 3500
    assert (config.simulator.frames, config.simulator.image_size_px) == (149, 224)
    assert "bench dataset" in COMMANDS
