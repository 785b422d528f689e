"""Untimed: that each benchmark runs, and says what it should, on the smallest sizes there are."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from egoreact.bench.commands import COMMANDS, bench_latency
from egoreact.bench.everything import measure_all, pipeline_seconds
from egoreact.bench.machine import peak_flops, peak_memory_gb
from egoreact.bench.model import ModelBench
from egoreact.bench.render import agreement
from egoreact.errors import EgoReactError
from egoreact.models.bundle import Bundle
from egoreact.workspace import Workspace

SMALL = ModelBench(tokens=6, embedding_dim=24, fid_samples=30, vqvae_batch=4, gpt_batch=2, steps=1, rounds=1)
RATIOS = {
    "sampling_ratio", "sampling_of_kept_frames_ratio", "sampling_vs_generate_ratio", "vq_decode_ratio",
    "vq_decode_vs_own_ratio", "fid_ratio", "vqvae_training_ratio", "gpt_training_ratio",
}  # fmt: skip
FIELDS = RATIOS | {
    "sampling_tokens_per_s", "vqvae_windows_per_s", "gpt_tokens_per_s", "against",
    "pipeline_seconds", "render_fps", "training_windows_per_s", "tokens_per_s", "first_frame_latency_ms",
    "per_token_latency_ms", "peak_memory_gb", "ours_fps", "pyrender_fps", "ratio", "parallel_efficiency",
    "reference_efficiency", "cores", "dataset_seconds_for_3500_clips_extrapolated", "measured_clips", "device", "versions", "commit",
}  # fmt: skip


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EGOREACT_HOME", str(tmp_path_factory.mktemp("home")))  # no release of a person's own
        yield measure_all(
            "tiny",
            clips=1,
            sizes_px=(32, 48),
            steps=1,
            tokens=3,
            sessions=2,
            parallel_s=0.3,
            dataset_preset="tiny",
            dataset_clips=2,
            model_preset="tiny",
            model_bench=SMALL,
        )


def test_all_has_its_fields_and_is_json(everything: dict) -> None:
    assert not FIELDS - set(everything)
    again = json.loads(json.dumps(everything, allow_nan=False))
    for name, value in again.items():
        if isinstance(value, float):
            assert value > 0, name
    assert again["versions"]["torch"]
    assert "render_fps_48" in again and "render_fps_32" not in again


def test_figures_fit_each_other(everything: dict) -> None:
    assert everything["render_of_real_time"] == pytest.approx(everything["render_fps"] / 20)
    assert everything["ratio"] == pytest.approx(everything["ours_fps"] / everything["pyrender_fps"])
    assert everything["first_frame_latency_ms"] <= everything["first_frame_latency_ms_p99"]
    assert everything["per_token_latency_ms"] <= everything["per_token_latency_ms_p99"]
    assert everything["token_of_real_time"] == pytest.approx(200 / everything["per_token_latency_ms"])
    assert 0 < everything["training_of_peak"] < 1.5
    assert 0 < everything["tokens_of_peak"] < 1.5


def test_depths_that_differ_are_not_timed() -> None:
    plane = np.full((20, 20), 3.0, np.float32)
    assert agreement(plane, plane + 0.004) == 1.0
    off = plane.copy()
    off[:5] += 0.02
    assert agreement(plane, off) == pytest.approx(0.75)
    edge = plane.copy()
    edge[:, 10:] = 1.0
    beside = edge.copy()
    beside[:, 10] = 3.0  # an outline that falls on the other side of a pixel is no disagreement
    assert agreement(edge, beside) == 1.0


def test_the_command_prints_one_json_line(
    workspace: Path, capsys: pytest.CaptureFixture, untrained_bundle: Bundle
) -> None:
    saved = untrained_bundle.save(workspace / "bundle")
    bench_latency(preset="tiny", bundle=workspace / "bundle", tokens=2, sessions=1)
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["bundle"] == saved.digest
    bench_latency(preset="tiny", tokens=2, sessions=1)  # nothing is promoted here
    assert json.loads(capsys.readouterr().out)["bundle"] == "untrained"


def test_every_command_explains_its_options() -> None:
    import inspect

    for name, command in COMMANDS.items():
        assert name.startswith("bench ")
        for option in inspect.signature(command).parameters:
            assert f"{option}:" in (command.__doc__ or ""), (name, option)


def test_pipeline_seconds(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert pipeline_seconds(workspace) == {}
    path = workspace.pipeline_root / "last_run.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"seconds": 9.5, "steps": [{"name": "train", "seconds": 7.25, "state": "done"}]}))
    assert pipeline_seconds(workspace) == {"train": 7.25, "total": 9.5}
    path.write_text("[]")
    with pytest.raises(EgoReactError, match=r"last_run.json: is no record of a run"):
        pipeline_seconds(workspace)


def test_the_machine() -> None:
    assert peak_flops(side=64, seconds=0.02) > 1e7
    before = peak_memory_gb()
    assert 0.05 < before < 1000
    ballast = bytearray(b"x") * int(before * 1e9)
    assert peak_memory_gb() > before
    del ballast
