"""The GPU benchmark's path on a CPU with toys, the long stream shortened, and the transformer in 8 bits. Nothing is timed."""

import json
import mmap
from pathlib import Path

import numpy as np
import pytest
import torch

from egoreact.bench.commands import bench_gpu, bench_stream
from egoreact.bench.gpu import GpuBench, build, measure_gpu
from egoreact.bench.gpu_stages import HEIGHT, WIDTH, camera_jpeg, decode_jpeg, stages_of
from egoreact.bench.machine import peak_bandwidth, resident_mb
from egoreact.bench.stream import measure_long_stream
from egoreact.errors import EgoReactError
from egoreact.models.bundle import Bundle
from egoreact.models.int8 import with_int8_transformer
from egoreact.streaming.reaction_stream import ReactionStream
from egoreact.training.gpt import head_velocity_of
from egoreact.vision.frame_features import FrameFeatures

STAGES = ["jpeg_decode", "dinov2_28", "depth_28", "gpt", "vq_decode", "pose", "joints_to_host", "depth_56"]


@pytest.fixture(scope="module")
def printed() -> tuple[str, str]:
    """stdout and stderr of one quick run of the command."""
    import contextlib
    import io

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        bench_gpu(device="cpu", precision="float32", sessions=(1, 64), quick=True)
    return out.getvalue(), err.getvalue()


def test_a_quick_run_says_everything_in_one_line(printed):
    (line,) = printed[0].splitlines()
    figures = json.loads(line)
    assert list(figures["stages"]) == STAGES
    for name, row in figures["stages"].items():
        assert 0 < row["p50_ms"] <= row["p99_ms"]
        on_host = name in ("jpeg_decode", "joints_to_host")
        assert on_host == ("floor_ms" not in row)
        if not on_host:
            assert row["of_floor"] == pytest.approx(row["floor_ms"] / row["p50_ms"], rel=1e-2)
    assert set(figures["first_frame"]) == {"28", "56"}
    assert set(figures["sessions"]) == {"1", "2"}
    two = figures["sessions"]["2"]
    assert two["tokens_per_s"] == pytest.approx(2000 / two["token_ms"], rel=1e-2)
    assert figures["training"]["training_windows_per_s"] > 0 and figures["training"]["tokens_per_s"] > 0
    assert (figures["networks"], figures["weights"], figures["cuda_graphs"]) == ("toys", "random", False)


def test_and_in_tables_for_a_person(printed):
    for said in ("vq decode", "first frame, depth at 28 px", "sessions at once", "tokenizer windows/s"):
        assert said in printed[1]


def test_stages_together_are_the_whole(monkeypatch):
    """The stages' operations add up to those of a whole step: none is left out, none is counted twice."""
    from torch.utils.flop_counter import FlopCounterMode

    from egoreact.streaming.live_batch import LiveBatch

    bundle = build(GpuBench(device="cpu", precision="float32", quick=True), 28)
    operations = 0
    for stage in stages_of(bundle):
        if stage.plain is not None:
            with FlopCounterMode(display=False) as counter, torch.inference_mode():
                stage.plain()
            assert counter.get_total_flops() > 0 or stage.name == "pose"
            operations += counter.get_total_flops()
    live = LiveBatch(bundle, [0], height=HEIGHT, width=WIDTH)
    with FlopCounterMode(display=False) as counter:
        live.step(decode_jpeg(camera_jpeg())[None])
    assert counter.get_total_flops() == operations


def test_published_sizes_are_the_papers():
    run = GpuBench().run
    assert run.encoder.model.vit.width == 384 and run.encoder.model.depth.network.width == 384
    assert GpuBench().depth_sides_px == (252, 518)


def test_the_jpeg_is_a_cameras():
    assert decode_jpeg(camera_jpeg()).shape == (480, 640, 3)
    assert 20_000 < len(camera_jpeg()) < 200_000


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_one_line_says_so():
    with pytest.raises(EgoReactError, match="no GPU that PyTorch can use"):
        measure_gpu(GpuBench())


def test_the_machine():
    assert peak_bandwidth(device="cpu", megabytes=1, seconds=0.01) > 1e7
    before = resident_mb()
    with mmap.mmap(-1, 300_000_000) as ballast:  # pages of its own, not what the process holds anyway
        ballast.write(bytes(300_000_000))
        assert resident_mb() > before + 250


@pytest.mark.parametrize("int8", [False, True])
def test_a_long_stream_keeps_its_size(untrained_bundle, int8):
    figures = measure_long_stream(untrained_bundle, minutes=0.15, int8=int8)
    assert figures["tokens"] == 45
    assert figures["state_drift"] == 0
    assert figures["state_bytes"] > 2 * 8 * 32 * 4  # keys and values of the window alone
    assert figures["ratio"] == pytest.approx(figures["token_ms_last_p50"] / figures["token_ms_first_p50"])


def test_the_long_stream_is_a_command(workspace: Path, capsys, untrained_bundle: Bundle):
    saved = untrained_bundle.save(workspace / "bundle")
    bench_stream(bundle=workspace / "bundle", minutes=0.05)
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["bundle"] == saved.digest
    with pytest.raises(EgoReactError, match="minutes hold 3 tokens"):
        bench_stream(bundle=workspace / "bundle", minutes=0.01)


def test_training_in_half_precision_tells_velocities_in_single(untrained_bundle):
    """V is a small difference of positions, which bfloat16 would round by a tenth of it."""
    tokens = torch.randint(32, (4, 10), generator=torch.Generator().manual_seed(0))
    exact = head_velocity_of(tokens, untrained_bundle.tokenizer, untrained_bundle.normaliser)
    with torch.autocast("cpu", torch.bfloat16):
        half = head_velocity_of(tokens, untrained_bundle.tokenizer, untrained_bundle.normaliser)
    assert torch.equal(half, exact)


def test_the_transformer_in_8_bits_agrees(untrained_bundle):
    """Step by step from the same past: nearly the same logits, hence nearly always the same likeliest token."""
    small = with_int8_transformer(untrained_bundle)
    assert small.gpt is not untrained_bundle.gpt and small.tokenizer is untrained_bundle.tokenizer
    streams = [ReactionStream(each, [0], temperature=0) for each in (untrained_bundle, small)]
    logits: dict[int, torch.Tensor] = {}
    handles = [
        each.gpt.head.register_forward_hook(lambda *call, place=place: logits.__setitem__(place, call[2].clone()))
        for place, each in enumerate((untrained_bundle, small))
    ]
    config, generator, same = untrained_bundle.config.encoder, torch.Generator().manual_seed(0), []
    for _ in range(30):
        seen = FrameFeatures(
            torch.randn(1, config.semantic_dim, generator=generator),
            torch.rand(1, config.depth_side, config.depth_side, generator=generator),
        )
        exact, rounded = (stream.step(seen) for stream in streams)
        same.append(torch.equal(exact.tokens, rounded.tokens))
        assert 0 < float((logits[0] - logits[1]).abs().max()) < 0.1 * float(logits[0].std())
        for name in ("tokens", "head_velocity_m", "decoder"):
            getattr(streams[1].rows, name).copy_(getattr(streams[0].rows, name))
    for handle in handles:
        handle.remove()
    assert np.mean(same) >= 0.9
