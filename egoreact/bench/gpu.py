"""The live path on a GPU: stage by stage, whole, for many sessions, and how far each is from what the machine can do.

A stage's floor is the longer of two times: of its bytes (weights, memory, inputs) at the bandwidth of a large copy, and of
its operations at the rate of a large matrix product, both measured here.
"""

import os
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from egoreact.bench.gpu_stages import HEIGHT, WIDTH, Stage, camera_jpeg, decode_jpeg, stages_of
from egoreact.bench.machine import describe, peak_bandwidth, peak_flops, run_s
from egoreact.bench.training import measure_training
from egoreact.errors import EgoReactError
from egoreact.models.bundle import Bundle
from egoreact.presets import RunConfig, paper, tiny
from egoreact.progress import Progress
from egoreact.streaming.live_batch import LiveBatch
from egoreact.vision import dinov2
from egoreact.vision.backbones import BackbonesConfig, load_backbones
from egoreact.vision.dinov2 import ViTConfig
from egoreact.vision.video_depth import DepthModelConfig, VideoDepthConfig, checkpoint

PAPER_FIRST_FRAME_MS = 21.33
GOAL_FIRST_FRAME_MS = 5.0
"""On one H200."""
WARM_UP = 3
Precision = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class GpuBench:
    device: str = "cuda"
    precision: Precision = "bfloat16"
    """Of eyes and transformer."""
    compile: bool = False
    """`torch.compile` of the two vision transformers, inside the graphs."""
    sessions: tuple[int, ...] = (1, 8, 64)
    repeats: int = 200
    training_steps: int = 20
    quick: bool = False
    """Toy networks and few repeats: the same path in seconds."""

    @property
    def run(self) -> RunConfig:
        """The networks and batches: published sizes, or toys."""
        if not self.quick:
            return paper()
        config = tiny()
        gpt = replace(config.gpt, model=replace(config.gpt.model, semantic_dim=TOY_EYES.semantic_dim))
        return replace(config, encoder=replace(config.encoder, model=TOY_EYES), gpt=gpt)

    @property
    def depth_sides_px(self) -> tuple[int, int]:
        """For live use, and the published size."""
        return (28, 56) if self.quick else (252, 518)


TOY_EYES = BackbonesConfig(
    vit=ViTConfig(width=32, layers=1, heads=2, image_size_px=28),
    depth=DepthModelConfig(
        network=VideoDepthConfig(
            width=16, layers=4, heads=2, table_side=4, taps=(0, 1, 2, 3), channels=(8, 8, 8, 16), features=8,
            temporal_heads=2, groups=4,
        )
    ),
    depth_side=16,
)  # fmt: skip


def measure_gpu(bench: GpuBench) -> dict[str, object]:
    """Every figure. On a CPU the same path runs, without graphs.

    Returns:
        `stages`: name → `p50_ms`, `p99_ms`, and where the device works `floor_ms` and `of_floor`, the share of the time
        that the floor explains; `first_frame`: camera JPEG to joints on the host for the first frame of a new stream,
        by the depth's side in px; `sessions`: number → `token_ms`, `token_ms_p99`, `tokens_per_s`, all in lock step;
        `training`: in bf16; the machine's `bandwidth_gb_per_s` and `tflops`; what it ran on.

    Raises:
        EgoReactError: there is no such device.
    """
    device, dtype = torch.device(bench.device), getattr(torch, bench.precision)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise EgoReactError(
            "there is no GPU that PyTorch can use", where="bench gpu", remedy="give --device cpu --quick"
        )
    torch.backends.cudnn.benchmark = True  # shapes never change here
    side, megabytes = (8192, 1024) if device.type == "cuda" else (512, 64)
    bandwidth = peak_bandwidth(device=device, megabytes=megabytes)
    flops, half_flops = (peak_flops(device=device, dtype=kind, side=side) for kind in (dtype, torch.bfloat16))
    progress = Progress("bench gpu", len(bench.depth_sides_px) + len(bench.sessions) + 1, "parts")
    stages: dict[str, dict[str, float]] = {}
    first_frame: dict[str, dict[str, float]] = {}
    for depth_px in bench.depth_sides_px:
        bundle = build(bench, depth_px)
        new = [stage for stage in stages_of(bundle) if stage.name not in stages]
        stages |= measure_stages(new, bench.repeats, device, bandwidth=bandwidth, flops=flops)
        first_frame[str(depth_px)] = measure_first_frame(bundle, bench.repeats)
        progress.advance(note=f"first frame, depth at {depth_px} px")
    bundle = build(bench, bench.depth_sides_px[0])
    sessions = {}
    for count in bench.sessions:
        sessions[str(count)] = measure_sessions(bundle, count, bench.repeats)
        progress.advance(note=f"{count} sessions")
    training = measure_training(
        bench.run, steps=bench.training_steps, device=device, precision="bfloat16", limit=half_flops
    )
    progress.advance(note="training")
    return {
        "first_frame": first_frame,
        "paper_first_frame_ms": PAPER_FIRST_FRAME_MS,
        "goal_first_frame_ms": GOAL_FIRST_FRAME_MS,
        "stages": stages,
        "sessions": sessions,
        "training": training,
        "precision": bench.precision,
        "networks": "toys" if bench.quick else "published sizes",
        "weights": "published" if _weights_at_hand() and not bench.quick else "random",
        "cuda_graphs": device.type == "cuda",
        "compiled": bench.compile,
        "bandwidth_gb_per_s": bandwidth / 1e9,
        "tflops": flops / 1e12,
        **describe(),
    }


def build(bench: GpuBench, depth_px: int) -> Bundle:
    """An untrained bundle on the device, with published eyes where their weights are at hand."""
    config = bench.run.reaction
    assert isinstance(config.encoder, BackbonesConfig)
    depth = config.encoder.depth
    encoder = replace(config.encoder, depth=replace(depth, network=replace(depth.network, short_side_px=depth_px)))
    bundle = Bundle.untrained(replace(config, encoder=encoder))
    if _weights_at_hand() and not bench.quick:
        bundle = replace(bundle, encoder=load_backbones(encoder))
    bundle.to(bench.device, getattr(torch, bench.precision))
    if bench.compile:
        bundle.encoder.vit.compile(dynamic=False)  # type: ignore[union-attr]
        bundle.encoder.depth.pretrained.compile(dynamic=False)  # type: ignore[union-attr]
    return bundle


def _weights_at_hand() -> bool:
    return all(os.environ.get(published.variable) for published in (dinov2.PUBLISHED, checkpoint.PUBLISHED))


def measure_stages(
    stages: list[Stage], repeats: int, device: torch.device, *, bandwidth: float, flops: float
) -> dict[str, dict[str, float]]:
    """Args:
    bandwidth, flops: what the machine can do, bytes and operations a second.
    """
    found: dict[str, dict[str, float]] = {}
    for stage in stages:
        found[stage.name] = _percentiles([run_s(stage.run, device) for _ in range(WARM_UP + repeats)])
        if stage.plain is not None:
            with FlopCounterMode(display=False) as counter, torch.inference_mode():
                stage.plain()
            moved_s = sum(tensor.nbytes for tensor in stage.touches) / bandwidth
            floor_ms = 1e3 * max(moved_s, counter.get_total_flops() / flops)
            found[stage.name] |= {"floor_ms": floor_ms, "of_floor": floor_ms / found[stage.name]["p50_ms"]}
    return found


def measure_first_frame(bundle: Bundle, repeats: int) -> dict[str, float]:
    """From a camera's JPEG to the joints on the host, for the first frame of a new stream each time."""
    live, jpeg, device = LiveBatch(bundle, [0], height=HEIGHT, width=WIDTH), camera_jpeg(), bundle.gpt.unseen.device
    seconds = []
    for seed in range(WARM_UP + repeats):
        live.begin([seed])
        seconds.append(run_s(lambda: live.step(decode_jpeg(jpeg)[None]).joints_m.numpy(), device))
    return _percentiles(seconds)


def measure_sessions(bundle: Bundle, count: int, repeats: int) -> dict[str, float]:
    """So many sessions in lock step, from frames on the host to joints on the host."""
    live = LiveBatch(bundle, list(range(count)), height=HEIGHT, width=WIDTH)
    rgb, device = np.repeat(decode_jpeg(camera_jpeg())[None], count, axis=0), bundle.gpt.unseen.device
    waits = _percentiles([run_s(lambda: live.step(rgb).joints_m.numpy(), device) for _ in range(WARM_UP + repeats)])
    return {"token_ms": waits["p50_ms"], "token_ms_p99": waits["p99_ms"], "tokens_per_s": 1e3 * count / waits["p50_ms"]}


def _percentiles(seconds: list[float]) -> dict[str, float]:
    """Milliseconds, those that warmed up left out."""
    return {f"p{percent}_ms": float(1e3 * np.percentile(seconds[WARM_UP:], percent)) for percent in (50, 99)}
