"""The two trainings, through the loop and the learners that the pipeline uses, on random numbers of the right shapes."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch.utils.flop_counter import FlopCounterMode

from egoreact.bench.machine import peak_flops
from egoreact.models.bundle import Bundle
from egoreact.models.vqvae import FRAMES_PER_TOKEN
from egoreact.motion.representation import FEATURE_DIM
from egoreact.presets import RunConfig
from egoreact.progress import Progress
from egoreact.training.checkpoint import FolderStore
from egoreact.training.gpt import ReactionLearner, ReactionSamples
from egoreact.training.loop import Learner, LoopConfig, fit, sample_indices
from egoreact.training.vqvae import TokenizerLearner
from egoreact.training.world import Draws, World

Precision = Literal["float32", "bfloat16"]


def measure_training(
    config: RunConfig,
    *,
    steps: int = 10,
    device: torch.device | str = "cpu",
    precision: Precision = "float32",
    limit: float | None = None,
) -> dict[str, float]:
    """Speed of a tokenizer and of a transformer training on this machine, in this process.

    Args:
        config: whose models and batches.
        steps: timed of each, after as many that are not.
        precision: as of `LoopConfig`.
        limit: floating-point operations a second to compare with; measured where not given.

    Returns:
        `training_windows_per_s` (tokenizer), `tokens_per_s` (transformer), and for each the share of what matrix
        products reach on this machine: `training_of_peak`, `tokens_of_peak`.
    """
    limit = limit or peak_flops()
    world = World(device=torch.device(device))
    samples_per_s, of_peak = {}, {}
    progress = Progress("bench training", 2, "models")
    for name, make in _LEARNERS.items():
        learner, loop = make(config)
        loop = replace(loop, precision=precision)
        samples_per_s[name], flops_per_sample = _speed(learner, loop, steps, world)
        of_peak[name] = samples_per_s[name] * flops_per_sample / limit
        progress.advance(note=name)
    tokens = _tokens(config)
    return {
        "training_windows_per_s": samples_per_s["tokenizer"],
        "tokens_per_s": samples_per_s["gpt"] * tokens,
        "training_of_peak": of_peak["tokenizer"],
        "tokens_of_peak": of_peak["gpt"],
        "peak_gflops": limit / 1e9,
    }


def _speed(learner: Learner, loop: LoopConfig, steps: int, world: World) -> tuple[float, float]:
    """Samples a second of the loop, and floating-point operations of a sample."""
    loop = replace(loop, steps=2 * steps, log_every=steps, checkpoint_every=2 * steps, validate_every=None)
    reports: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        store = FolderStore(Path(folder), loop.identity("bench"))
        fit(learner, loop, store=store, world=world, on_metrics=lambda _, report: reports.append(report))
    draws = Draws(loop.seed, 0, loop.batch_size)
    batch = learner.batch(sample_indices(learner.num_samples, loop, 0), draws)
    batch = {name: tensor.to(world.device) for name, tensor in batch.items()}
    with FlopCounterMode(display=False) as counter:
        learner.loss(batch, draws)["loss"].backward()
    return reports[-1]["train/samples_per_second"], counter.get_total_flops() / loop.batch_size


def _tokens(config: RunConfig) -> int:
    return (config.dataset.simulator.frames - 1) // FRAMES_PER_TOKEN


def _tokenizer(config: RunConfig) -> tuple[Learner, LoopConfig]:
    bundle = Bundle.untrained(config.reaction)
    bundle.tokenizer.requires_grad_(True)
    frames = max(config.tokenizer.window_frames, config.dataset.simulator.frames - 1)
    clips = {f"clip-{i}": torch.randn(frames, FEATURE_DIM) for i in range(config.tokenizer_loop.batch_size)}
    return TokenizerLearner(bundle.tokenizer, bundle.normaliser, clips, {}, config.tokenizer), config.tokenizer_loop


def _gpt(config: RunConfig) -> tuple[Learner, LoopConfig]:
    bundle = Bundle.untrained(config.reaction)
    bundle.gpt.requires_grad_(True)
    clips, tokens, encoder = config.gpt_loop.batch_size, _tokens(config), config.encoder.model
    samples = ReactionSamples(
        tokens=torch.randint(config.gpt.model.codebook_size, (clips, tokens)),
        semantic=torch.randn(clips, tokens, encoder.semantic_dim),
        depth_m=torch.rand(clips, tokens, encoder.depth_side, encoder.depth_side) * 5,
        lengths=torch.full((clips,), tokens),
    )
    learner = ReactionLearner(
        bundle.gpt, bundle.tokenizer, bundle.normaliser, samples, held_out=None, config=config.gpt
    )
    return learner, config.gpt_loop


_LEARNERS: dict[str, Callable[[RunConfig], tuple[Learner, LoopConfig]]] = {"tokenizer": _tokenizer, "gpt": _gpt}
