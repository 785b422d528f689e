"""A bundle's whole examination on a data set's test split: perceive, react, judge, write down.

One body for the pipeline's step and for `egoreact evaluate`: the same bundle, data and settings give the same figures.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from egoreact.errors import EgoReactError
from egoreact.evaluation import metrics
from egoreact.evaluation.kept import check_trained_on
from egoreact.evaluation.latency import measure_latency
from egoreact.evaluation.metrics import Estimate
from egoreact.evaluation.protocol import EvaluationClip, EvaluationSet, evaluate
from egoreact.evaluation.record import MetricRecord
from egoreact.evaluation.teacher_forced import teacher_force
from egoreact.hrd.shards import read_clips
from egoreact.models.bundle import Bundle
from egoreact.models.motion_evaluator import MotionEvaluator
from egoreact.models.vqvae import FRAMES_PER_TOKEN
from egoreact.progress import Progress
from egoreact.streaming.batch import react_to_features
from egoreact.streaming.session import ReactionEngine
from egoreact.training.data import load_motion, motion_of, token_frames, usable_rows


@dataclass(frozen=True)
class EvaluationConfig:
    repeats: int = 20
    multimodality_conditions: int = 100
    multimodality_samples: int = 30
    latency_sessions: int = 5
    """0 measures no latency, the one figure that differs from run to run."""
    seed: int = 0


def examine(
    bundle: Bundle,
    evaluator: MotionEvaluator,
    folder: Path,
    settings: EvaluationConfig,
    *,
    data_revision: str,
    quarantined: Collection[str] = (),
    table_path: Path | None = None,
) -> MetricRecord:
    """The metric record of a bundle on the test split: closed loop, and teacher-forced apart from it.

    Args:
        folder: of shards and manifest.
        data_revision: of what lies there.
        quarantined: ids of clips to leave out.
        table_path: where to write a row a clip of motion, as parquet.

    Raises:
        EgoReactError: the data are damaged, the evaluator is of other data, or the bundle makes no motion.
    """
    check_trained_on(evaluator, data_revision)
    test, train = (usable_rows(folder, split, frozenset(quarantined)) for split in ("test", "train"))
    if evaluator.categories:
        test = test[test["category"].isin(evaluator.categories)]  # what it never learnt it cannot judge
    clips, video = _perceive(bundle, folder, test)
    if not clips:
        raise EgoReactError(
            "no test clip is longer than 4 frames and of a kind that the evaluator knows",
            where=folder,
            remedy="use the evaluator of these data",
        )
    training = [EvaluationClip(m.clip_id, m.category, m.features.numpy()) for m in load_motion(folder, train)]
    measured = {"codebook_usage": Estimate(_codebook_usage(bundle, clips), None)}
    if settings.latency_sessions:
        measured |= measure_latency(ReactionEngine(bundle), video, sessions=settings.latency_sessions).measured()
    return evaluate(
        lambda perceptions, seed: [r.features for r in react_to_features(bundle, perceptions, seed=seed)],
        EvaluationSet(clips, training),
        evaluator,
        bundle_digest=bundle.digest,
        data_revision=data_revision,
        repeats=settings.repeats,
        seed=settings.seed,
        multimodality_conditions=settings.multimodality_conditions,
        multimodality_samples=settings.multimodality_samples,
        measured=measured,
        teacher_forced=teacher_force(bundle, [c.perception for c in clips], [c.features for c in clips]),
        table_path=table_path,
    )


def _perceive(bundle: Bundle, folder: Path, rows: pd.DataFrame) -> tuple[list[EvaluationClip], np.ndarray]:
    """Each clip with what its tokens see through the bundle's own eyes, and one clip's frames for timing."""
    progress = Progress("perceiving", len(rows), "clips")
    clips = []
    video = np.zeros(0)
    for clip in read_clips(folder, rows):
        if clip.num_frames > FRAMES_PER_TOKEN:
            motion = motion_of(clip)
            seen = bundle.encoder.encode(torch.from_numpy(np.stack(list(token_frames(clip)))))
            clips.append(EvaluationClip(motion.clip_id, motion.category, motion.features.numpy(), seen))
            video = clip.rgb
        progress.advance()
    return clips, video


def _codebook_usage(bundle: Bundle, clips: list[EvaluationClip]) -> float:
    """Share of the codes that held-out human motion uses."""
    with torch.inference_mode():
        tokens = [
            bundle.tokenizer.encode(bundle.normaliser.normalise(torch.from_numpy(clip.features))[None])[0]
            for clip in clips
        ]
    return metrics.codebook_usage(torch.cat(tokens).numpy(), bundle.config.tokenizer.codebook_size)
