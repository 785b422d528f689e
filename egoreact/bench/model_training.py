"""The two trainings against plain loops. Each loop lives in a process of its own, and they take turns."""

import contextlib
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from egoreact.bench.model_rivals import PlainVQVAE, RandomWindows
from egoreact.errors import EgoReactError
from egoreact.models.reaction_gpt import GPTInputs, ReactionGPT
from egoreact.models.vqvae import FRAMES_PER_TOKEN, VQVAE
from egoreact.motion.representation import FEATURE_DIM, POSITIONS, Normaliser
from egoreact.presets import RunConfig
from egoreact.training.checkpoint import FolderStore
from egoreact.training.gpt import ReactionLearner, ReactionSamples, head_velocity_of, shift
from egoreact.training.loop import Learner, LoopConfig, fit
from egoreact.training.vqvae import TokenizerLearner
from egoreact.training.world import Draws
from egoreact.weights import seeded

Side = Literal["own", "plain"]
AGREEMENT = 1e-4
"""Largest relative difference of the first loss and of its gradient's norm."""


def measure_loops(
    config: RunConfig, *, vqvae_batch: int, gpt_batch: int, steps: int, rounds: int
) -> Iterator[dict[str, object]]:
    """For the tokenizer, then the transformer: `…_training_ratio`, our loop's windows or tokens a second, the batch."""
    with _process("own", config) as own, _process("plain", config) as plain:
        for kind, batch, rate, unit in (
            ("vqvae", vqvae_batch, "vqvae_windows_per_s", 1),
            ("gpt", gpt_batch, "gpt_tokens_per_s", _tokens(config)),
        ):
            for loop in (own, plain):
                loop.send((kind, batch))
            firsts = own.recv(), plain.recv()
            if not np.allclose(*firsts, rtol=AGREEMENT):
                raise EgoReactError(
                    f"first loss and gradient norm {firsts[0]} against {firsts[1]}",
                    where=f"bench model, {kind} training",
                    remedy="they should agree",
                )
            best = [0.0, 0.0]
            for _ in range(rounds):
                for place, loop in enumerate((own, plain)):
                    loop.send(steps)
                    best[place] = max(best[place], loop.recv())
            for loop in (own, plain):
                loop.send(0)
            yield {f"{kind}_training_ratio": best[0] / best[1], rate: best[0] * unit, f"{kind}_batch": batch}


@dataclass(frozen=True)
class _Loop:
    first: tuple[float, float]
    """Loss and gradient norm before any step, without dropout, on a batch that is the same for both sides."""
    samples_per_s: Callable[[int], float]
    """Of so many steps, after as many that are not timed."""


@contextmanager
def _process(side: Side, config: RunConfig) -> Iterator[Connection]:
    """Takes (kind, batch) and gives `_Loop.first`; then numbers of steps, giving samples a second, until there is a 0."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, side, config.to_json(), torch.get_num_threads()), daemon=True)
    process.start()
    there.close()
    try:
        yield here
    except EOFError:
        process.join()
        raise EgoReactError(
            f"the process of a loop ended with {process.exitcode}", where="bench model", remedy="give a smaller batch"
        ) from None
    finally:
        here.close()
        process.join()


def _serve(pipe: Connection, side: Side, config: str, threads: int) -> None:
    torch.set_num_threads(threads)
    with contextlib.suppress(EOFError):
        while True:
            kind, batch = pipe.recv()
            loop = _LOOPS[side, kind](RunConfig.from_json(config), batch)
            pipe.send(loop.first)
            while steps := pipe.recv():
                pipe.send(loop.samples_per_s(steps))


def _own_vqvae(config: RunConfig, batch: int) -> _Loop:
    clips = {f"clip-{place:04d}": torch.from_numpy(clip) for place, clip in enumerate(_clips(config, batch))}
    learner = TokenizerLearner(_tokenizer(config), _PLAIN_SCALE, clips, {}, config.tokenizer)
    return _own(learner, replace(config.tokenizer_loop, batch_size=batch), {"features": _windows(config, batch)})


def _plain_vqvae(config: RunConfig, batch: int) -> _Loop:
    tokenizer, weights, loop = PlainVQVAE(_tokenizer(config)), config.tokenizer, config.tokenizer_loop
    criterion = nn.SmoothL1Loss()

    def loss_of(truth: Tensor) -> Tensor:
        made, commitment = tokenizer(truth)
        loss = criterion(made, truth) + weights.commitment_weight * commitment
        return loss + weights.positions_weight * criterion(made[..., POSITIONS], truth[..., POSITIONS])

    windows = RandomWindows(_clips(config, batch), np.zeros(FEATURE_DIM), np.ones(FEATURE_DIM), weights.window_frames)
    loader = torch.utils.data.DataLoader(windows, batch_size=batch, shuffle=True, drop_last=True)
    first = _first(tokenizer, loss_of(_windows(config, batch)))
    return _plain(tokenizer, loop, first, batch, lambda: loss_of(next(iter(loader))))


def _own_gpt(config: RunConfig, batch: int) -> _Loop:
    training = replace(config.gpt, own_tokens=0.0, ramp_steps=0)
    learner = ReactionLearner(
        _gpt(config).eval(),
        _tokenizer(config).eval(),
        _PLAIN_SCALE,
        _samples(config, batch),
        held_out=None,
        config=training,
    )
    loop = replace(config.gpt_loop, batch_size=batch)
    return _own(learner, loop, learner.batch(torch.arange(batch), _Uncorrupted(loop.seed, 0, batch)))


def _plain_gpt(config: RunConfig, batch: int) -> _Loop:
    gpt, samples, training = _gpt(config).eval(), _samples(config, batch), config.gpt
    decoder = PlainVQVAE(_tokenizer(config)).eval().requires_grad_(False)
    criterion = nn.CrossEntropyLoss(label_smoothing=training.label_smoothing)

    def loss_of(shown: Tensor, semantic: Tensor, seen: Tensor) -> Tensor:
        velocity = head_velocity_of(shown, decoder, _PLAIN_SCALE)  # type: ignore[arg-type]
        inputs = GPTInputs(shift(shown, gpt.no_token), semantic, samples.depth_m, velocity, seen)
        logits = gpt(inputs)
        return criterion(logits.flatten(0, 1), samples.tokens.flatten())

    def step() -> Tensor:
        kept = torch.bernoulli(torch.full(samples.tokens.shape, 1 - training.replaced_tokens)).bool()
        shown = torch.where(kept, samples.tokens, torch.randint_like(samples.tokens, gpt.config.codebook_size))
        noise = torch.randn_like(samples.semantic) * training.feature_noise
        return loss_of(shown, samples.semantic + noise, torch.rand(batch) >= gpt.config.condition_drop)

    first = _first(gpt, loss_of(samples.tokens, samples.semantic, torch.ones(batch, dtype=torch.bool)))
    return _plain(gpt.train(), config.gpt_loop, first, batch, step)


def _own(learner: Learner, loop: LoopConfig, batch: dict[str, Tensor]) -> _Loop:
    """The project's loop, learner and all."""
    first = _first(learner.module, learner.loss(batch, Draws(loop.seed, 0, loop.batch_size))["loss"])

    def samples_per_s(steps: int) -> float:
        timed = replace(loop, steps=2 * steps, log_every=steps, checkpoint_every=2 * steps, validate_every=None)
        reports: list[dict[str, float]] = []
        with tempfile.TemporaryDirectory() as folder:
            store = FolderStore(Path(folder), "bench")
            fit(learner, timed, store=store, on_metrics=lambda _, report: reports.append(report))
        return reports[-1]["train/samples_per_second"]

    return _Loop(first, samples_per_s)


def _plain(
    module: nn.Module, loop: LoopConfig, first: tuple[float, float], batch: int, loss_of_a_batch: Callable[[], Tensor]
) -> _Loop:
    optimizer = torch.optim.AdamW(
        module.parameters(), lr=loop.learning_rate, betas=loop.betas, weight_decay=loop.weight_decay
    )

    def step() -> None:
        loss = loss_of_a_batch()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()

    def samples_per_s(steps: int) -> float:
        for _ in range(steps):
            step()
        started = time.perf_counter()
        for _ in range(steps):
            step()
        return steps * batch / (time.perf_counter() - started)

    return _Loop(first, samples_per_s)


def _first(module: nn.Module, loss: Tensor) -> tuple[float, float]:
    loss.backward()
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
    module.zero_grad()
    return loss.item(), norm.item()


class _Uncorrupted(Draws):
    """Draws of a batch whose tokens are all kept, whose features bear no noise and whose clips are all seen."""

    def uniform(self, name: str, *shape: int) -> Tensor:
        return torch.ones_like(super().uniform(name, *shape))

    def normal(self, name: str, *shape: int) -> Tensor:
        return torch.zeros_like(super().normal(name, *shape))


_PLAIN_SCALE = Normaliser(torch.zeros(FEATURE_DIM), torch.ones(FEATURE_DIM))


def _tokens(config: RunConfig) -> int:
    return (config.dataset.simulator.frames - 1) // FRAMES_PER_TOKEN


def _tokenizer(config: RunConfig) -> VQVAE:
    return seeded(0, lambda: VQVAE(config.tokenizer.model))


def _gpt(config: RunConfig) -> ReactionGPT:
    return seeded(0, lambda: ReactionGPT(config.gpt.model))


def _clips(config: RunConfig, count: int) -> list[np.ndarray]:
    frames = max(config.tokenizer.window_frames, config.dataset.simulator.frames - 1)
    return list(np.random.default_rng(0).standard_normal((count, frames, FEATURE_DIM), np.float32))


def _windows(config: RunConfig, batch: int) -> Tensor:
    return torch.from_numpy(np.stack(_clips(config, batch))[:, : config.tokenizer.window_frames])


def _samples(config: RunConfig, clips: int) -> ReactionSamples:
    generator, side = torch.Generator().manual_seed(0), config.encoder.model.depth_side
    model, tokens = config.gpt.model, _tokens(config)
    return ReactionSamples(
        tokens=torch.randint(model.codebook_size, (clips, tokens), generator=generator),
        semantic=torch.randn(clips, tokens, model.semantic_dim, generator=generator),
        depth_m=torch.rand(clips, tokens, side, side, generator=generator) * 5,
        lengths=torch.full((clips,), tokens),
    )


_LOOPS: dict[tuple[Side, str], Callable[[RunConfig, int], _Loop]] = {
    ("own", "vqvae"): _own_vqvae,
    ("plain", "vqvae"): _plain_vqvae,
    ("own", "gpt"): _own_gpt,
    ("plain", "gpt"): _plain_gpt,
}
