"""The data set builder: clips a second, memory a worker and bytes a clip, at the size that is asked for."""

import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from egoreact.hrd.dataset import build_dataset
from egoreact.hrd.recipe import DatasetConfig

PAPER_CLIPS = 3500
"""HRD's size."""


def measure_dataset(config: DatasetConfig, *, clips: int = 100, workers: int | None = None) -> dict[str, float]:
    """Builds a data set in a temporary folder, as `egoreact hrd build` does, with the start of its processes.

    Args:
        config: whose clips; of their number only that of a shard counts.
        clips: rendered, 1 or more.
        workers: processes; one a core where not given.

    Returns:
        `dataset_seconds` of `measured_clips`, and `dataset_seconds_for_3500_clips_extrapolated` from them at the same rate;
        `dataset_clips_per_second`, `dataset_workers`, `peak_memory_mb_per_worker`, `bytes_per_clip`.
    """
    asked = replace(config, train_clips=clips, val_clips=0, test_clips=0)
    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        built = build_dataset(asked, Path(scratch) / "hrd", workers=workers)
        seconds = time.perf_counter() - started
        size = sum(path.stat().st_size for path in (Path(scratch) / "hrd").glob("*.tar"))
    return {
        "measured_clips": clips,
        "dataset_seconds": seconds,
        "dataset_clips_per_second": clips / seconds,
        "dataset_seconds_for_3500_clips_extrapolated": seconds / clips * PAPER_CLIPS,
        "dataset_workers": min(workers or os.cpu_count() or 1, clips),
        "peak_memory_mb_per_worker": built.worker_memory_mb,
        "bytes_per_clip": size / clips,
    }
