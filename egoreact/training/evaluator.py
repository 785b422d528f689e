"""Teaches the motion evaluator: encounter categories of true motion, and a coarse sketch of the movement itself.

The sketch, a linear read-out that is thrown away afterwards, keeps in the embedding how a clip moves and not only what
kind it is; without it the FID would see little beside category counts.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from egoreact.errors import EgoReactError
from egoreact.files import sha256_bytes
from egoreact.models.motion_evaluator import FRAMES_PER_STEP, MOVEMENT_DIM, MotionEvaluator, MotionEvaluatorConfig, pad
from egoreact.training.checkpoint import FolderStore, load_module
from egoreact.training.loop import Learner, LoopConfig, MetricsSink, fit
from egoreact.training.world import Draws
from egoreact.weights import seeded

LabelledMotion = tuple[Float[np.ndarray, "frames 263"], str]
"""Features and the category of the encounter."""


@dataclass(frozen=True)
class EvaluatorTrainingConfig:
    model: MotionEvaluatorConfig = field(default_factory=MotionEvaluatorConfig)
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(steps=400, batch_size=64, learning_rate=1e-3, grad_clip=1.0)
    )
    max_cut_frames: int = 12
    """Up to so many frames are cut off at each end, so that moments in time say little."""
    noise: float = 0.2
    """Of the features, in their standard deviations."""
    label_smoothing: float = 0.05
    sketch_weight: float = 0.5
    sketch_frames: int = 8


class EvaluatorLearner(Learner):
    """Cross-entropy over categories plus the squared error of the sketch, on clips cut and jittered at random."""

    def __init__(
        self, training: Sequence[LabelledMotion], held_out: Sequence[LabelledMotion], config: EvaluatorTrainingConfig
    ):
        _check(training, held_out)
        self.config = config
        categories = sorted({category for _, category in training})
        self.evaluator = MotionEvaluator(config.model, categories)
        self.evaluator.set_statistics([features for features, _ in training])
        self.sketch = nn.Linear(config.model.embedding_dim, config.sketch_frames * MOVEMENT_DIM)
        self.module = nn.ModuleDict({"evaluator": self.evaluator, "sketch": self.sketch})
        self.features, self.lengths = pad([features for features, _ in training])
        self.labels = torch.tensor([categories.index(category) for _, category in training])
        self.held_out = held_out
        self.num_samples = len(training)

    def batch(self, indices: Int[Tensor, " samples"], draws: Draws) -> dict[str, Tensor]:
        features, lengths = self.features[indices], self.lengths[indices]
        # A short clip is cut less: half of it stays.
        most = torch.clamp(lengths // 4, max=self.config.max_cut_frames).clamp(max=(lengths - FRAMES_PER_STEP) // 2)
        cuts = (draws.uniform("cuts", 2) * (most[:, None] + 1)).long()
        positions = (torch.arange(features.shape[1]) + cuts[:, :1]).clamp(max=features.shape[1] - 1)
        features = features.gather(1, positions[..., None].expand_as(features))
        noise = draws.normal("noise", *features.shape[1:]) * self.config.noise
        noise[..., :MOVEMENT_DIM] *= self.evaluator.std.cpu()
        return {
            "features": features,
            "noisy": features + noise,
            "lengths": lengths - cuts.sum(1),
            "labels": self.labels[indices],
        }

    def loss(self, batch: dict[str, Tensor], draws: Draws) -> dict[str, Float[Tensor, ""]]:
        evaluator = self.evaluator
        embedding = evaluator(batch["noisy"], batch["lengths"])
        logits = evaluator.classify(embedding)
        labels = nn.functional.cross_entropy(logits, batch["labels"], label_smoothing=self.config.label_smoothing)
        target = self._sketch_of(batch["features"], batch["lengths"])
        sketch = nn.functional.mse_loss(self.sketch(embedding).view_as(target), target)
        accuracy = (logits.argmax(-1) == batch["labels"]).float().mean()
        return {
            "loss": labels + self.config.sketch_weight * sketch,
            "labels": labels,
            "sketch": sketch,
            "accuracy": accuracy,
        }

    def _sketch_of(self, features: Tensor, lengths: Tensor) -> Float[Tensor, "batch sketch_frames 259"]:
        """Normalised features at evenly spaced moments of each clip."""
        fractions = (torch.arange(self.config.sketch_frames, device=features.device) + 0.5) / self.config.sketch_frames
        moments = (lengths[:, None] * fractions).long()[..., None].expand(-1, -1, MOVEMENT_DIM)
        movement = (features[..., :MOVEMENT_DIM] - self.evaluator.mean) / self.evaluator.std
        return movement.gather(1, moments)

    def validate(self) -> dict[str, float]:
        if not self.held_out:
            return {}
        return {"accuracy": accuracy_on(self.evaluator, self.held_out)}


def train_evaluator(
    training: Sequence[LabelledMotion],
    held_out: Sequence[LabelledMotion],
    config: EvaluatorTrainingConfig,
    *,
    folder: Path,
    on_metrics: MetricsSink | None = None,
) -> MotionEvaluator:
    """The evaluator of a data set. Killed and started again with the same arguments, it goes on from its checkpoint.

    Args:
        training: clips of the training split.
        held_out: clips that `val/accuracy` is measured on, for example the validation split's; may be empty.
        folder: where checkpoints lie while it trains.

    Raises:
        EgoReactError: no clips, fewer than two categories, a clip too short or not finite, a held-out category without
            training clips.
    """
    learner = seeded(config.loop.seed, lambda: EvaluatorLearner(training, held_out, config))
    job = {
        "model": asdict(config.model),
        "learner": {name: value for name, value in asdict(config).items() if name not in ("model", "loop")},
        "data": sha256_bytes(learner.features.numpy().tobytes() + learner.labels.numpy().tobytes()),
        "categories": learner.evaluator.categories,
    }
    result = fit(learner, config.loop, store=FolderStore(folder, config.loop.identity(job)), on_metrics=on_metrics)
    load_module(result.checkpoint, learner.module)
    return learner.evaluator.cpu().eval()


def accuracy_on(evaluator: MotionEvaluator, motion: Sequence[LabelledMotion]) -> float:
    """Share of clips whose category it names."""
    classes = evaluator.judge([features for features, _ in motion]).classes
    return float(
        np.mean([evaluator.categories[index] == category for index, (_, category) in zip(classes, motion, strict=True)])
    )


def _check(training: Sequence[LabelledMotion], held_out: Sequence[LabelledMotion]) -> None:
    categories = {category for _, category in training}
    if len(categories) < 2:
        raise EgoReactError(
            f"{len(training)} clips of {len(categories)} categories",
            where="motion evaluator",
            remedy="train on clips of two categories or more",
        )
    for index, (features, category) in enumerate([*training, *held_out]):
        if len(features) < FRAMES_PER_STEP or not np.isfinite(features).all():
            raise EgoReactError(
                f"clip {index} ({category}) has {len(features)} frames or values that are not finite",
                where="motion evaluator",
                remedy=f"leave it out; {FRAMES_PER_STEP} finite frames are the least",
            )
        if category not in categories:
            raise EgoReactError(
                f"held-out category {category} has no training clip",
                where="motion evaluator",
                remedy="split each category",
            )
