"""A bundle's closed loop on held-out clips: its own frames in, its own past motion, never the truth's."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from components.validate_alignment.step import read_quarantine
from components.version_dataset.dvc_data import ensure_revision
from egoreact.evaluation import metrics
from egoreact.evaluation.latency import measure_latency
from egoreact.evaluation.metrics import Estimate
from egoreact.evaluation.protocol import EvaluationClip, EvaluationSet
from egoreact.evaluation.protocol import evaluate as evaluate_protocol
from egoreact.evaluation.record import MetricRecord
from egoreact.hrd.dataset import data_folder
from egoreact.hrd.shards import read_clips
from egoreact.models.bundle import Bundle
from egoreact.models.motion_evaluator import MotionEvaluator
from egoreact.presets import RunConfig
from egoreact.progress import Progress
from egoreact.streaming.batch import react_to_features
from egoreact.streaming.session import ReactionEngine
from egoreact.training.data import Motion, load_motion, token_frames, usable_rows
from egoreact.vision.frame_encoder import FrameFeatures


def run(
    config: str, data_revision: str, quarantine: Path, bundle: Path, evaluator: Path, record: Path
) -> dict[str, float]:
    """Evaluates and writes the record; returns its figures. The table of clips lies beside the record, in parquet."""
    result = evaluate_bundle(
        config, data_revision, quarantine, bundle, evaluator, table_path=record.with_suffix(".parquet")
    )
    result.save(record)
    return {name: value for name, value in result.figures.items() if value is not None}


def evaluate_bundle(
    config: str, data_revision: str, quarantine: Path, bundle: Path, evaluator: Path, *, table_path: Path | None = None
) -> MetricRecord:
    """The metric record of any bundle on the test split of this data revision. The same call gives the same figures.

    Args:
        table_path: where to write a row a generated clip, as parquet.

    Raises:
        EgoReactError: the data, the bundle or the evaluator is missing or damaged.
    """
    settings = RunConfig.from_json(config).evaluation
    ensure_revision(data_folder(), data_revision)
    folder = data_folder() / "hrd"
    quarantined = read_quarantine(quarantine)
    judge = MotionEvaluator.load(evaluator)
    test, train = (usable_rows(folder, split, quarantined) for split in ("test", "train"))
    test = test[test["category"].isin(judge.categories)]  # what it never learnt it cannot judge
    loaded = Bundle.load(bundle)
    seen, video = _perceive(loaded, folder, test)
    truth = load_motion(folder, test)
    clips = EvaluationSet(
        test=[EvaluationClip(m.clip_id, m.category, m.features.numpy(), seen[m.clip_id]) for m in truth],
        training=[EvaluationClip(m.clip_id, m.category, m.features.numpy()) for m in load_motion(folder, train)],
    )
    latency = measure_latency(ReactionEngine(loaded), video, sessions=settings.latency_sessions)
    return evaluate_protocol(
        lambda perceptions, seed: [r.features for r in react_to_features(loaded, perceptions, seed=seed)],
        clips,
        judge,
        bundle_digest=loaded.digest,
        data_revision=data_revision,
        repeats=settings.repeats,
        seed=settings.seed,
        multimodality_conditions=settings.multimodality_conditions,
        multimodality_samples=settings.multimodality_samples,
        measured=latency.measured() | {"codebook_usage": Estimate(_codebook_usage(loaded, truth), None)},
        table_path=table_path,
    )


def _perceive(bundle: Bundle, folder: Path, rows: pd.DataFrame) -> tuple[dict[str, FrameFeatures], np.ndarray]:
    """What the tokens of each clip see, through the bundle's own eyes, and one clip's frames for timing."""
    progress = Progress("perceiving", len(rows), "clips")
    seen: dict[str, FrameFeatures] = {}
    for clip in read_clips(folder, rows):
        frames = list(token_frames(clip))
        if frames:
            seen[clip.id] = bundle.encoder.encode(torch.from_numpy(np.stack(frames)))
        progress.advance()
    return seen, clip.rgb


def _codebook_usage(bundle: Bundle, truth: list[Motion]) -> float:
    """Share of the codes that held-out human motion uses."""
    with torch.inference_mode():
        tokens = [bundle.tokenizer.encode(bundle.normaliser.normalise(motion.features)[None])[0] for motion in truth]
    return metrics.codebook_usage(torch.cat(tokens).numpy(), bundle.config.tokenizer.codebook_size)
