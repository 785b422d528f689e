"""The closed-loop protocol: a model's motion for held-out clips, scored beside human motion and beside baselines.

Closed loop: the model sees the video and its own past motion, never the true one. Every scored clip is a row of one
table, with its embedding; the figures are a function of that table alone (`table.record_of`), so any of them can be
computed again from the file. The same command gives the same figures, latency excepted.
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
from egoreact.evaluation.record import FIGURES, MOTION_FIGURES, MetricRecord
from egoreact.evaluation.table import (
    DRAW,
    GENERATED,
    REFERENCE,
    SAMPLES,
    TEACHER_FORCED,
    TEST,
    TRUTH,
    Facts,
    record_of,
    seed_of,
    summarise,
    with_facts,
    write_table,
)
from egoreact.evaluation.teacher_forced import TeacherForced
from egoreact.models.motion_evaluator import MotionEvaluator, pad
from egoreact.motion.representation import decode
from egoreact.progress import Progress

__all__ = ["EvaluationClip", "EvaluationSet", "evaluate", "joints_of", "summarise"]

Features = Float[np.ndarray, "frames 263"]
Generate = Callable[[Sequence[Any], int], Sequence[Features]]
"""(perceptions of n clips, seed) → n motions, one for each, as long as the clip."""

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
    teacher_forced: TeacherForced | None = None,
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
        teacher_forced: what the model says with true past motion given, of every test clip; kept apart in the record.
        table_path: where to write the rows, as parquet.

    Raises:
        EgoReactError: too few repeats or clips, a category the evaluator does not know, an unknown name in `measured`,
            or generated motion of another length, or with NaN.
    """
    _check(clips, evaluator, repeats, measured or {})
    rows = _Rows(evaluator, clips.test)
    conditions = min(multimodality_conditions, len(clips.test))
    progress = Progress("reacting", repeats * (len(clips.test) + conditions * multimodality_samples), "clips")
    for repeat in range(repeats):
        rng = np.random.default_rng(seed_of(seed, repeat, 1))
        chosen = [clips.test[place] for place in sorted(rng.choice(len(clips.test), conditions, replace=False))]
        sampled = [clip for clip in chosen for _ in range(multimodality_samples)]
        drawn = _draw_alike(clips, rng)
        rows.add(TRUTH, DRAW, repeat, drawn, [clip.features for clip in drawn])
        for system, react in _systems(generate, clips).items():
            if repeat > 0 and system in DETERMINISTIC:
                continue
            for part, wanted in ((TEST, clips.test), (SAMPLES, sampled)):
                motion = react(wanted, seed_of(seed, repeat, 0 if part == TEST else 2))
                rows.add(system, part, repeat, wanted, _checked(motion, wanted, system))
                if system == GENERATED:
                    progress.advance(len(wanted))
        if teacher_forced is not None:
            motion = teacher_forced.draw(seed_of(seed, repeat, 5))
            rows.add(
                TEACHER_FORCED, TEST, repeat, clips.test, _checked(motion, clips.test, TEACHER_FORCED), teacher_forced
            )
    facts = Facts(
        bundle_digest,
        data_revision,
        evaluator.digest,
        seed,
        measured={
            name: value if isinstance(value, Estimate) else (value, None) for name, value in (measured or {}).items()
        },
    )
    table = with_facts(rows.table(), facts)
    if table_path is not None:
        write_table(table_path, table)
    return record_of(table)


def joints_of(features: Features) -> Float[np.ndarray, "frames 22 3"]:
    return decode(torch.from_numpy(np.ascontiguousarray(features, dtype=np.float32))).numpy()


def _joints_of_all(motion: Sequence[Features]) -> list[Float[np.ndarray, "frames 22 3"]]:
    """`joints_of` many clips at once: decoding is causal, so padding behind a clip changes nothing of it."""
    return [joints[: len(clip)] for joints, clip in zip(decode(pad(motion)[0]).numpy(), motion, strict=True)]


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
    known = set(evaluator.categories)
    unknown = sorted({clip.category for clip in clips.test} - known) if known else []
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
        if not np.isfinite(features).all():
            raise EgoReactError(
                "motion holds NaN or infinite values",
                where=f"{system}, clip {clip.id}",
                remedy="the model that made it is broken: train it again",
            )
    return motion


class _Rows:
    """Scores motion into rows."""

    def __init__(self, evaluator: MotionEvaluator, test: Sequence[EvaluationClip]):
        self.evaluator = evaluator
        self.parts: list[pd.DataFrame] = []
        truth = [clip.features for clip in test]
        self.true_joints_m = _joints_of_all(truth)
        """Of the test set, which every row of the test part is held against."""
        self.add(REFERENCE, TEST, 0, test, truth)
        self.add(TRUTH, TEST, 0, test, truth)

    def add(
        self,
        system: str,
        part: str,
        repeat: int,
        clips: Sequence[EvaluationClip],
        motion: Sequence[Features],
        teacher_forced: TeacherForced | None = None,
    ) -> None:
        judgement = self.evaluator.judge(motion)
        named = [self.evaluator.categories[index] if index >= 0 else None for index in judgement.classes]
        nothing = [None] * len(clips)
        rows = {
            "system": system,
            "part": part,
            "repeat": repeat,
            "clip_id": [clip.id for clip in clips],
            "category": [clip.category for clip in clips],
            "predicted": pd.array(named, dtype="str"),
            "frames": [len(clip.features) for clip in clips],
            "head_trajectory_error_cm": np.nan,
            "head_error_by_second_cm": nothing,
            "foot_skate_cm": np.nan,
            "embedding": list(judgement.embeddings),
            "token_nll_nats": teacher_forced.nll_nats if teacher_forced else nothing,
            "token_right": teacher_forced.right if teacher_forced else nothing,
        }
        if part == TEST:
            joints_m = _joints_of_all(motion)
            errors_cm = [metrics.head_errors_cm(*pair) for pair in zip(joints_m, self.true_joints_m, strict=True)]
            rows["head_trajectory_error_cm"] = [errors.mean() for errors in errors_cm]
            rows["head_error_by_second_cm"] = [metrics.by_second(errors) for errors in errors_cm]
            rows["foot_skate_cm"] = [metrics.foot_skate_cm(made) for made in joints_m]
        self.parts.append(pd.DataFrame(rows))

    def table(self) -> pd.DataFrame:
        return pd.concat(self.parts, ignore_index=True)
