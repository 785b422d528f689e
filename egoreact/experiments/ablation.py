"""Each sense left out, and the head's true velocity given: what each is worth, and how reactions fail without it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from egoreact.evaluation import baselines
from egoreact.evaluation.protocol import EvaluationClip
from egoreact.experiments.encounters import long_encounters
from egoreact.experiments.lab import Lab
from egoreact.experiments.report import Experiment
from egoreact.experiments.scores import figures_of, score
from egoreact.experiments.variants import VARIANTS
from egoreact.training.data import Motion, motion_of, token_frames
from egoreact.vision.frame_features import FrameFeatures

TIMES = 3
"""So many times as long as the data set's clips are the encounters that show drift."""
STILL, LONG = "stand still", "long"


@dataclass(frozen=True)
class Probes:
    """What one sense already knows of another, R²."""

    velocity_in_tokens: Mapping[int, float]
    """Of V_{t−1}, from so many past tokens."""
    nearness: Mapping[str, float]
    """Of how near is what comes, from a sense."""


def long_test_set(lab: Lab, clips_per_kind: int) -> tuple[list[Motion], list[FrameFeatures]]:
    motion, seen = [], []
    for clip in long_encounters(lab, times=TIMES, clips_per_kind=clips_per_kind):
        motion.append(motion_of(clip))
        seen.append(lab.see(np.stack(list(token_frames(clip)))))
    return motion, seen


def try_variants(
    run: Experiment, seeds: int, repeats: int, long_motion: list[Motion], long_seen: list[FrameFeatures]
) -> Iterator[pd.DataFrame]:
    """Rows of truth, of standing still, and of each variant's seeds and repeats; `part` says of which test set."""
    lab = run.lab
    sets = {"test": (lab.test.motion, lab.test.perceptions), LONG: (long_motion, long_seen)}
    clips = {
        part: [EvaluationClip(m.clip_id, m.category, m.features.numpy()) for m in motion]
        for part, (motion, _) in sets.items()
    }
    for part, known in clips.items():
        truth = [clip.features for clip in known]
        yield score(truth, known, lab.evaluator, condition="truth", part=part)
        still = [baselines.stand_still(features) for features in truth]
        yield score(still, known, lab.evaluator, condition=STILL, part=part)
    reference = lab.evaluator.judge([clip.features for clip in clips["test"]]).embeddings
    for variant in VARIANTS:
        for seed in range(seeds):
            with run.trial(f"{variant.name}, seed {seed}", variant=variant.name, seed=seed) as tracker:
                bundle = variant.train(lab, seed, tracker.log_metrics)
                for part, (motion, seen) in sets.items():
                    for repeat in range(repeats if part == "test" else 1):
                        made = variant.react(lab, bundle, motion, seen, seed=repeat + 1)
                        about = {"condition": variant.name, "seed": seed, "repeat": repeat, "part": part}
                        rows = score(made, clips[part], lab.evaluator, **about)
                        if part == "test":
                            tracker.log_metrics(repeat, figures_of(rows, reference))
                        yield rows
