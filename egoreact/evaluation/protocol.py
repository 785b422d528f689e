"""The closed-loop protocol: a model's motion for held-out clips, scored beside human motion and beside baselines.

Closed loop: the model sees the video and its own past motion, never the true one. Every scored clip is a row of one
table, with its embedding; the figures are a function of that table alone (`summarise`), so any of them can be computed
again from the file. The same command gives the same figures, latency excepted.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from egoreact.errors import EgoReactError
from egoreact.evaluation import baselines, metrics
from egoreact.evaluation.metrics import Estimate
from egoreact.evaluation.record import BASELINES, FIGURES, MOTION_FIGURES, MetricRecord
from egoreact.files import whole_file
from egoreact.models.motion_evaluator import MotionEvaluator
from egoreact.motion.representation import decode
from egoreact.progress import Progress

Features = Float[np.ndarray, "frames 263"]
Generate = Callable[[Sequence[Any], int], Sequence[Features]]
"""(perceptions of n clips, seed) → n motions, one for each, as long as the clip."""

GENERATED, TRUTH, REFERENCE = "generated", "truth", "reference"
"""Systems in the table, beside the baselines. `reference` is the test set itself, which FID compares with; `truth` is
test motion too, except for FID: there it is as many training clips of the same categories, fresh ones each repeat,
because a set has distance 0 from itself."""
TEST, SAMPLES, DRAW = "test", "samples", "draw"
"""What a row is part of: the test set; many samples of few conditions, for multimodality; a draw that only FID uses."""
DETERMINISTIC = ("stand_still", "mean_motion")
"""The same in every repeat, so made once."""


@dataclass(frozen=True)
class EvaluationClip:
    """A held-out clip: what was done, and what was seen."""

    id: str
    category: str
    features: Features
    """The true motion."""
    perception: Any = None
    """Whatever `generate` needs to react; passed on untouched."""

    @cached_property
    def joints_m(self) -> Float[np.ndarray, "frames 22 3"]:
        """In the reference body, facing +z at the first frame: the same decoding that generated motion goes through."""
        return joints_of(self.features)


@dataclass(frozen=True)
class EvaluationSet:
    test: Sequence[EvaluationClip]
    training: Sequence[EvaluationClip] = field(default=())
    """Clips that baselines and truth's FID draw on; their perception is not needed."""

    @property
    def categories(self) -> tuple[str, ...]:
        return tuple(sorted({clip.category for clip in self.test}))

    @property
    def chance(self) -> float:
        """Share of the commonest category: what the best constant guess gets right."""
        return max(Counter(clip.category for clip in self.test).values()) / len(self.test)


def evaluate(
    generate: Generate,
    clips: EvaluationSet,
    evaluator: MotionEvaluator,
    *,
    bundle_digest: str,
    data_revision: str,
    repeats: int = 20,
    seed: int = 0,
    multimodality_conditions: int = 100,
    multimodality_samples: int = 30,
    measured: Mapping[str, float | Estimate] | None = None,
    teacher_forced: Mapping[str, float] | None = None,
    table_path: Path | None = None,
) -> MetricRecord:
    """Scores a model's closed loop on held-out clips, beside truth and the three baselines.

    Args:
        generate: the closed loop. Called once a repeat with every clip, and once with the multimodality conditions.
        repeats: independent generations of the whole test set; 20 is customary. From 2 on there are intervals.
        seed: of everything drawn here; `generate` gets its own seed for each call, derived from it.
        multimodality_conditions: test clips that are generated many times, at most as many as there are.
        multimodality_samples: times each of those is generated.
        measured: figures that motion does not tell: `codebook_usage`, latencies. See `latency.measure_latency`.
        teacher_forced: figures with true past motion given, kept apart in the record.
        table_path: where to write the rows, as parquet.

    Raises:
        EgoReactError: too few repeats or clips, a category the evaluator does not know, an unknown name in `measured`,
            or generated motion of another length, or with NaN.
    """
    _check(clips, evaluator, repeats, measured or {})
    rows = _Rows(evaluator)
    rows.add(REFERENCE, TEST, 0, clips.test, [clip.features for clip in clips.test])
    rows.add(TRUTH, TEST, 0, clips.test, [clip.features for clip in clips.test])
    conditions = min(multimodality_conditions, len(clips.test))
    progress = Progress("reacting", repeats * (len(clips.test) + conditions * multimodality_samples), "clips")
    for repeat in range(repeats):
        rng = np.random.default_rng(_seed(seed, repeat, 1))
        chosen = [clips.test[place] for place in sorted(rng.choice(len(clips.test), conditions, replace=False))]
        sampled = [clip for clip in chosen for _ in range(multimodality_samples)]
        drawn = _draw_alike(clips, rng)
        rows.add(TRUTH, DRAW, repeat, drawn, [clip.features for clip in drawn])
        for system, react in _systems(generate, clips).items():
            if repeat > 0 and system in DETERMINISTIC:
                continue
            for part, wanted in ((TEST, clips.test), (SAMPLES, sampled)):
                motion = react(wanted, _seed(seed, repeat, 0 if part == TEST else 2))
                rows.add(system, part, repeat, wanted, _checked(motion, wanted, system))
                if system == GENERATED:
                    progress.advance(len(wanted))
    table = rows.table()
    if table_path is not None:
        with whole_file(table_path) as beside:
            table.to_parquet(beside, index=False)
    estimates = {GENERATED: summarise(table, GENERATED, seed=seed)}
    means = {system: _means(summarise(table, system, seed=seed)) for system in (TRUTH, *BASELINES)}
    extra = {
        name: value if isinstance(value, Estimate) else Estimate(value, None)
        for name, value in (measured or {}).items()
    }
    of_model = estimates[GENERATED] | extra
    return MetricRecord(
        bundle_digest=bundle_digest,
        data_revision=data_revision,
        samples=len(clips.test),
        repeats=repeats,
        categories=clips.categories,
        chance=clips.chance,
        figures={name: of_model[name].mean if name in of_model else None for name in FIGURES},
        intervals={name: of_model[name].half_width if name in of_model else None for name in FIGURES},
        truth=means[TRUTH],
        baselines={name: means[name] for name in BASELINES},
        evaluator_digest=evaluator.digest,
        teacher_forced=dict(teacher_forced or {}),
    )


def summarise(table: pd.DataFrame, system: str, *, seed: int) -> dict[str, Estimate]:
    """The motion figures of one system in a table that `evaluate` wrote, from its rows alone.

    Args:
        seed: the evaluation's; it draws the pairs of diversity and multimodality.
    """
    rows = table[table["system"] == system]
    reference = _embeddings(table[table["system"] == REFERENCE])
    of_fid = DRAW if system == TRUTH else TEST
    values: dict[str, list[float]] = {name: [] for name in MOTION_FIGURES}
    for (part, number), group in rows.groupby(["part", "repeat"], sort=True):
        repeat = int(str(number))
        if part == of_fid:
            values["fid"].append(metrics.fid(reference, _embeddings(group)))
        if part == SAMPLES:
            by_condition = [_embeddings(samples) for _, samples in group.groupby("clip_id", sort=True)]
            values["multimodality"].append(metrics.multimodality(np.stack(by_condition), seed=_seed(seed, repeat, 3)))
        if part == TEST:
            values["diversity"].append(metrics.diversity(_embeddings(group), seed=_seed(seed, repeat, 4)))
            values["head_trajectory_error_cm"].append(group["head_trajectory_error_cm"].mean())
            values["reaction_accuracy"].append(
                metrics.accuracy(group["predicted"].to_numpy(), group["category"].to_numpy())
            )
            values["foot_skate_cm"].append(group["foot_skate_cm"].mean())
    return {name: metrics.estimate(np.array(repeats)) for name, repeats in values.items() if repeats}


def joints_of(features: Features) -> Float[np.ndarray, "frames 22 3"]:
    return decode(torch.from_numpy(np.ascontiguousarray(features, dtype=np.float32))).numpy()


def _systems(
    generate: Generate, clips: EvaluationSet
) -> dict[str, Callable[[Sequence[EvaluationClip], int], Sequence[Features]]]:
    training = [clip.features for clip in clips.training]

    def random_clips(wanted: Sequence[EvaluationClip], seed: int) -> list[Features]:
        rng = np.random.default_rng(seed)
        return [baselines.random_clip(training, len(clip.features), rng) for clip in wanted]

    mean = baselines.mean_motion(training, max(len(clip.features) for clip in clips.test))
    return {
        GENERATED: lambda wanted, seed: generate([clip.perception for clip in wanted], seed),
        "stand_still": lambda wanted, seed: [baselines.stand_still(clip.features) for clip in wanted],
        "mean_motion": lambda wanted, seed: [mean[: len(clip.features)] for clip in wanted],
        "random_clip": random_clips,
    }


def _draw_alike(clips: EvaluationSet, rng: np.random.Generator) -> list[EvaluationClip]:
    """Training clips of the test set's size and categories; without repetition where there are enough."""
    drawn: list[EvaluationClip] = []
    for category, count in sorted(Counter(clip.category for clip in clips.test).items()):
        pool = [clip for clip in clips.training if clip.category == category] or list(clips.training)
        drawn += [pool[place] for place in rng.choice(len(pool), count, replace=count > len(pool))]
    return drawn


def _check(clips: EvaluationSet, evaluator: MotionEvaluator, repeats: int, measured: Mapping[str, object]) -> None:
    problem: tuple[str, str] | None = None
    unknown = sorted({clip.category for clip in clips.test} - set(evaluator.categories))
    strange = sorted(set(measured) - (set(FIGURES) - set(MOTION_FIGURES)))
    if len(clips.test) < 2 or not clips.training:
        problem = (
            f"{len(clips.test)} test and {len(clips.training)} training clips",
            "give 2 test clips and 1 training clip or more",
        )
    elif repeats < 1:
        problem = f"{repeats} repeats", "repeat at least once; 20 is customary"
    elif unknown:
        problem = f"the evaluator knows no category {unknown[0]}", "train the evaluator on this data set"
    elif strange:
        problem = (
            f"{strange[0]} is no figure that is measured elsewhere",
            f"use {', '.join(FIGURES[len(MOTION_FIGURES) :])}",
        )
    if problem:
        raise EgoReactError(problem[0], where="evaluation", remedy=problem[1])


def _checked(motion: Sequence[Features], clips: Sequence[EvaluationClip], system: str) -> Sequence[Features]:
    if len(motion) != len(clips):
        raise EgoReactError(
            f"gave {len(motion)} motions for {len(clips)} clips", where=system, remedy="return one for each, in order"
        )
    for features, clip in zip(motion, clips, strict=True):
        if features.shape != clip.features.shape:
            raise EgoReactError(
                f"motion of shape {features.shape} for a clip of {clip.features.shape}",
                where=f"{system}, clip {clip.id}",
                remedy="generate one row of features for each of the clip's",
            )
    return motion


def _seed(*parts: int) -> int:
    """One seed of several numbers: neighbours in any of them give unrelated streams."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def _means(estimates: Mapping[str, Estimate]) -> dict[str, float | None]:
    return {name: estimates[name].mean if name in estimates else None for name in MOTION_FIGURES}


def _embeddings(rows: pd.DataFrame) -> Float[np.ndarray, "n d"]:
    return np.stack(rows["embedding"].to_list())


class _Rows:
    """Scores motion into rows."""

    def __init__(self, evaluator: MotionEvaluator):
        self.evaluator = evaluator
        self.parts: list[pd.DataFrame] = []

    def add(
        self, system: str, part: str, repeat: int, clips: Sequence[EvaluationClip], motion: Sequence[Features]
    ) -> None:
        judgement = self.evaluator.judge(motion)
        rows = {
            "system": system,
            "part": part,
            "repeat": repeat,
            "clip_id": [clip.id for clip in clips],
            "category": [clip.category for clip in clips],
            "predicted": [self.evaluator.categories[index] for index in judgement.classes],
            "head_trajectory_error_cm": np.nan,
            "foot_skate_cm": np.nan,
            "embedding": list(judgement.embeddings),
        }
        if part == TEST:
            joints = [joints_of(features) for features in motion]
            rows["foot_skate_cm"] = [metrics.foot_skate_cm(made) for made in joints]
            rows["head_trajectory_error_cm"] = [
                metrics.head_trajectory_error_cm(made, clip.joints_m) for made, clip in zip(joints, clips, strict=True)
            ]
        self.parts.append(pd.DataFrame(rows))

    def table(self) -> pd.DataFrame:
        return pd.concat(self.parts, ignore_index=True)
