"""The loop every model is taught by. It knows neither the models, nor Ray, nor MLflow.

Everything random is a pure function of (seed, step): which samples a step sees, what is drawn for each of them, and
the global generator that dropout uses. So a run that was killed and resumed ends bit for bit where an uninterrupted
one does (same machine, same number of ranks), and two ranks follow one to rounding as long as nothing draws per rank,
as dropout does.
"""

import logging
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal, NoReturn, TypeVar

import torch
from jaxtyping import Int
from torch import Tensor, nn

from egoreact.errors import EgoReactError
from egoreact.files import sha256_json
from egoreact.hrd.shards import disk_errors_named
from egoreact.training.allocator import keep_freed_memory
from egoreact.training.checkpoint import (
    CheckpointRecord,
    CheckpointStore,
    load_module,
    load_optimizer,
    read_record,
    write_checkpoint,
)
from egoreact.training.learner import Learner
from egoreact.training.world import Draws, World, seed_of

log = logging.getLogger(__name__)
Figures = TypeVar("Figures")


@dataclass(frozen=True)
class LoopConfig:
    """How long, how fast and how often. AdamW; the learning rate warms up linearly and is cut once."""

    steps: int
    batch_size: int
    """Over all ranks; a multiple of their number."""
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 1e-5
    warmup_steps: int = 0
    decay_at: int | None = None
    """The step from which the learning rate is times `decay_factor`."""
    decay_factor: float = 1.0
    grad_clip: float | None = None
    """Largest norm of the whole gradient."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """`bfloat16` is autocast: weights and optimiser stay float32."""
    seed: int = 0
    log_every: int = 50
    checkpoint_every: int = 1000
    validate_every: int | None = None
    """Where None, validated at the end alone."""
    preview_every: int | None = None
    """Where None, never."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "log_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise EgoReactError(f"{name} is {getattr(self, name)}", where="LoopConfig", remedy="give at least 1")

    def learning_rate_at(self, step: int) -> float:
        warm = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        decayed = self.decay_at is not None and step >= self.decay_at
        return self.learning_rate * warm * (self.decay_factor if decayed else 1.0)

    def identity(self, job: object) -> str:
        """Digest of what decides the weights' path: `job` (JSON-able) and this, less how long and what is reported."""
        reported = {"steps", "log_every", "checkpoint_every", "validate_every", "preview_every"}
        return sha256_json({"job": job, "loop": {k: v for k, v in asdict(self).items() if k not in reported}})


@dataclass(frozen=True)
class FitResult:
    checkpoint: Path
    """The last one: `load_module(result.checkpoint, module)`."""
    step: int
    metrics: dict[str, float]
    """The newest reported: `train/<name>`, `val/<name>`."""
    resumed_from: int
    """The step this call started at: 0 anew, `step` where there was nothing left to do."""
    seconds: float
    """Wall clock of this call."""


MetricsSink = Callable[[int, dict[str, float]], None]
PreviewSink = Callable[[int, Path], None]


def fit(
    learner: Learner,
    config: LoopConfig,
    *,
    store: CheckpointStore,
    world: World | None = None,
    on_metrics: MetricsSink | None = None,
    on_preview: PreviewSink | None = None,
    strict_resume: bool = False,
) -> FitResult:
    """Teaches until `config.steps`, from the newest checkpoint of the same identity where there is one.

    Args:
        on_metrics: called on the first rank with the steps done and the means since the last report.
        on_preview: called on the first rank with the steps done and a folder of the learner's files, deleted after.
        strict_resume: refuse to start anew where a checkpoint of another identity is found.

    Raises:
        EgoReactError: the loss or its gradient is not finite (the last checkpoint stays); the ranks' weights differ;
            the batch cannot be split evenly; a checkpoint of another identity with `strict_resume`; a disk is full.
    """
    started = time.monotonic()
    with disk_errors_named(store.where):
        keep_freed_memory()
        job = _Job(learner, config, world or World(), store)
        job.check()
        learner.to(job.world.device)
        path, record = job.resume(strict_resume)
        job.check_same_start(record.step)
        job.world.copy_from_first_([*learner.module.parameters(), *learner.module.buffers()])
        metrics, window = dict(record.metrics), dict(record.window)

        clock, samples = time.monotonic(), 0
        for step, draws, batch in job.batches(record.step):
            values = job.step(step, draws, batch)
            done, samples = step + 1, samples + config.batch_size
            for name, value in values.items():
                total, count = window.get(name, (0.0, 0))
                window[name] = [total + value, count + 1]
            report: dict[str, float] = {}
            if _due(done, config.log_every, config.steps):
                report = {f"train/{name}": total / count for name, (total, count) in window.items()}
                report["train/learning_rate"] = config.learning_rate_at(step)
                report["train/samples_per_second"] = samples / max(time.monotonic() - clock, 1e-9)
                window = {}
            if job.world.is_first and _due(done, config.validate_every, config.steps):
                report |= {f"val/{name}": value for name, value in job.evaluating(learner.validate).items()}
            metrics |= report
            if report and job.world.is_first and on_metrics:
                on_metrics(done, report)
            if (
                job.world.is_first
                and on_preview
                and config.preview_every
                and _due(done, config.preview_every, config.steps)
            ):
                job.preview(done, on_preview)
            if _due(done, config.checkpoint_every, config.steps):
                path = job.save(CheckpointRecord(step=done, identity=store.identity, metrics=metrics, window=window))
            if report:
                clock, samples = time.monotonic(), 0
        assert path is not None
        return FitResult(path, config.steps, metrics, record.step, time.monotonic() - started)


def sample_indices(num_samples: int, config: LoopConfig, step: int) -> Int[Tensor, " batch"]:
    """The whole batch of a step: the samples in a new order each epoch, one epoch after the other."""
    positions = range(step * config.batch_size, (step + 1) * config.batch_size)
    return torch.stack([_order(num_samples, config.seed, p // num_samples)[p % num_samples] for p in positions])


@lru_cache(maxsize=4)
def _order(num_samples: int, seed: int, epoch: int) -> Int[Tensor, " samples"]:
    return torch.randperm(num_samples, generator=torch.Generator().manual_seed(seed_of(seed, "order", epoch)))


def _due(done: int, every: int | None, last: int) -> bool:
    return done == last or (every is not None and done % every == 0)


@dataclass(frozen=True)
class _Job:
    learner: Learner
    config: LoopConfig
    world: World
    store: CheckpointStore

    @cached_property
    def optimizer(self) -> torch.optim.AdamW:
        config = self.config
        parameters = [parameter for parameter in self.learner.module.parameters() if parameter.requires_grad]
        return torch.optim.AdamW(
            parameters, lr=config.learning_rate, betas=config.betas, weight_decay=config.weight_decay, fused=True
        )

    def check(self) -> None:
        if self.config.batch_size % self.world.size:
            raise EgoReactError(
                f"a batch of {self.config.batch_size} cannot be split over {self.world.size} workers",
                where=self.store.where,
                remedy="make it a multiple",
            )
        if self.learner.num_samples < 1:
            raise EgoReactError(
                "there are no samples to learn from", where=self.store.where, remedy="check the data set's train split"
            )

    def resume(self, strict: bool) -> tuple[Path | None, CheckpointRecord]:
        refused = None
        for path in self.store.candidates():
            record = read_record(path)
            if record is None:
                log.warning("%s: not a complete checkpoint; passed over", path)
            elif record.identity != self.store.identity:
                refused = refused or f"its checkpoint of step {record.step} was made with another configuration"
            elif record.step > self.config.steps:
                refused = refused or f"its checkpoint is of step {record.step}, past {self.config.steps}"
            else:
                load_module(path, self.learner.module)
                load_optimizer(path, self.learner.module, self.optimizer)
                log.info("%s: resuming after step %d of %d", self.store.where, record.step, self.config.steps)
                return path, record
        if refused and strict:
            raise EgoReactError(refused, where=self.store.where, remedy="choose another run name, or start anew")
        if refused:
            log.warning("%s: %s; starting anew", self.store.where, refused)
        return None, CheckpointRecord(step=0, identity=self.store.identity, metrics={}, window={})

    def check_same_start(self, step: int) -> None:
        steps = [int(other) for other in self.world.gather(torch.tensor(step, device=self.world.device))]
        if len(set(steps)) > 1:
            raise EgoReactError(
                f"the ranks found checkpoints of steps {', '.join(map(str, steps))}",
                where=self.store.where,
                remedy="give a storage that all of them reach",
            )

    def batches(self, first: int) -> Iterator[tuple[int, Draws, dict[str, Tensor]]]:
        """(step, draws, batch); where steps run on an accelerator, the next batch is made meanwhile."""
        steps, on_cpu = range(first, self.config.steps), self.world.device.type == "cpu"
        if on_cpu:
            yield from map(self._batch, steps)
            return
        with ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(self._batch, first) if steps else None
            for step in steps:
                assert ahead is not None
                ready = ahead.result()
                ahead = pool.submit(self._batch, step + 1) if step + 1 < self.config.steps else None
                yield ready

    def _batch(self, step: int) -> tuple[int, Draws, dict[str, Tensor]]:
        draws = Draws(self.config.seed, step, self.config.batch_size, self.world)
        return step, draws, self.learner.batch(self._indices(step, self.world), draws)

    def _indices(self, step: int, world: World) -> Int[Tensor, " samples"]:
        return sample_indices(self.learner.num_samples, self.config, step)[world.part(self.config.batch_size)]

    def step(self, step: int, draws: Draws, batch: dict[str, Tensor]) -> dict[str, float]:
        """One step of the optimiser. Returns the means over all ranks."""
        module, device = self.learner.module, self.world.device
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate_at(step)
        torch.manual_seed(seed_of(self.config.seed, step, "rank", self.world.rank))  # dropout
        module.train()
        share = self._share(self.learner.weight(batch))
        batch = {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
        with torch.autocast(device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"):
            losses = self.learner.loss(batch, draws)
        self.optimizer.zero_grad()
        (losses["loss"] * share).backward()
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        for parameter in parameters:
            if parameter.grad is None:  # not used in this step, perhaps on one rank alone: treated alike on all
                parameter.grad = torch.zeros_like(parameter)
        means = torch.stack([value.detach().float() for value in losses.values()])
        own, means = means, means * share
        self.world.average_([*(parameter.grad for parameter in parameters), means])
        norm = nn.utils.clip_grad_norm_(parameters, self.config.grad_clip or math.inf)
        *numbers, gradient_norm = torch.cat([means, norm.reshape(1)]).tolist()
        values = dict(zip(losses, numbers, strict=True)) | {"gradient_norm": gradient_norm}
        if not (math.isfinite(values["loss"]) and math.isfinite(gradient_norm)):
            self._refuse_step(step, values, own[list(losses).index("loss")])
        self.optimizer.step()
        return values

    def _share(self, weight: float) -> float:
        """What this rank's means count for, so that the plain average over ranks is the batch's mean."""
        if self.world.size == 1:
            return 1.0
        mean = torch.tensor(weight, dtype=torch.float64, device=self.world.device)
        self.world.average_([mean])
        return weight / float(mean)

    def _refuse_step(self, step: int, values: dict[str, float], own_loss: Tensor) -> NoReturn:
        finite = [bool(flag) for flag in self.world.gather(own_loss.isfinite().float())]
        bad = [self._indices(step, replace(self.world, rank=rank)) for rank, fine in enumerate(finite) if not fine]
        what = f"the loss is {values['loss']}" if bad else f"the gradient's norm is {values['gradient_norm']}"
        samples = (torch.cat(bad) if bad else self._indices(step, World())).tolist()
        listed = ", ".join(map(str, samples[:16])) + (f" and {len(samples) - 16} more" if len(samples) > 16 else "")
        raise EgoReactError(
            f"{what} at step {step}, samples {listed}",
            where=self.store.where,
            remedy="look at those samples, or lower the learning rate; the last checkpoint is kept",
        )

    def evaluating(self, function: Callable[[], Figures]) -> Figures:
        self.learner.module.eval()
        with torch.no_grad():
            return function()

    def preview(self, done: int, on_preview: PreviewSink) -> None:
        if not self.world.is_first:
            return
        with tempfile.TemporaryDirectory() as name:
            self.evaluating(lambda: self.learner.preview(Path(name)))
            on_preview(done, Path(name))

    def save(self, record: CheckpointRecord) -> Path:
        self._check_ranks_agree(record.step)

        def write(folder: Path) -> None:
            write_checkpoint(folder, self.learner.module, self.optimizer, record)

        path = self.store.save(record.step, write if self.world.is_first else None, record.metrics)
        self.world.wait_for_all()  # so that no rank that goes on finds it absent
        return path

    def _check_ranks_agree(self, step: int) -> None:
        """Ranks that update anything from their own part of the batch alone drift apart unseen; this sees it."""
        tensors = [*self.learner.module.parameters(), *self.learner.module.buffers()]
        sums = torch.stack([tensor.detach().reshape(-1).view(torch.uint8).sum() for tensor in tensors])
        if any(not torch.equal(sums, other) for other in self.world.gather(sums)):
            raise EgoReactError(
                f"the ranks' weights differ at step {step}",
                where=self.store.where,
                remedy="average over the ranks whatever is updated outside the gradient",
            )
