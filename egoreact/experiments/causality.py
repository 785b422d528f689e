"""Does the model look at the order of things, and never ahead? Strictness measured, video backwards, video slower and faster."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, UInt8

from egoreact.evaluation import baselines
from egoreact.evaluation.protocol import EvaluationClip
from egoreact.experiments.encounters import distance_m
from egoreact.experiments.lab import Lab
from egoreact.experiments.report import Experiment
from egoreact.experiments.scores import figures_of, score
from egoreact.hrd.clip import Clip
from egoreact.hrd.importers.resample import Resampler
from egoreact.models.vqvae import FRAMES_PER_TOKEN
from egoreact.motion.representation import encode, retarget
from egoreact.motion.skeleton import FPS
from egoreact.progress import Progress
from egoreact.streaming.batch import react_to_features
from egoreact.streaming.session import Reaction, react_to_frames
from egoreact.training.data import Motion
from egoreact.vision.frame_features import FrameFeatures

FORWARD, BACKWARD, HALF, DOUBLE, STILL = "forward", "backward", "speed × 0.5", "speed × 2", "stand still"
SPEEDS = {HALF: 0.5, FORWARD: 1.0, DOUBLE: 2.0}


@dataclass(frozen=True)
class Shown:
    """The test clips as one condition shows them."""

    clips: list[EvaluationClip] = field(default_factory=list)
    """What was truly done, at the speed it is shown at, and what is seen."""
    nearest_s: list[float] = field(default_factory=list)
    """When what comes is nearest in the video; NaN where nothing says it."""


def look(lab: Lab) -> tuple[dict[str, Shown], list[tuple[int, FrameFeatures]], list[Reaction]]:
    """One pass over the pictures.

    Returns:
        The test set under each condition; of each clip a token t and what is seen where all frames after 4t are noise; and
        the likeliest reaction to each clip's frames as they come.
    """
    shown = {name: Shown() for name in (FORWARD, BACKWARD, HALF, DOUBLE)}
    changed, streams = [], []
    for clip, motion in lab.test_clips():
        nearest = nearest_frame(clip)
        last = clip.num_frames - 1
        for name, speed in SPEEDS.items():
            features = motion.features if speed == 1 else at_speed(clip, speed)
            frames = (np.arange(len(features) // FRAMES_PER_TOKEN) * FRAMES_PER_TOKEN * speed + 1e-6).astype(int)
            shown[name].clips.append(_clip(motion, features, lab.see(clip.rgb[frames])))
            shown[name].nearest_s.append(nearest / FPS / speed)
        backwards = clip.rgb[::-1][: len(motion.features) : FRAMES_PER_TOKEN]
        shown[BACKWARD].clips.append(_clip(motion, motion.features, lab.see(backwards)))
        shown[BACKWARD].nearest_s.append((last - nearest) / FPS)
        token, frames = with_noise(clip.rgb[: len(motion.features) : FRAMES_PER_TOKEN], crc32(clip.id.encode()))
        changed.append((token, lab.see(frames)))
        streams.append(react_to_frames(lab.bundle, clip.rgb[: len(motion.features)], temperature=0))
    return shown, changed, streams


def _clip(motion: Motion, features: torch.Tensor, seen: FrameFeatures) -> EvaluationClip:
    return EvaluationClip(motion.clip_id, motion.category, features.numpy(), seen)


def at_speed(clip: Clip, speed: float) -> Float[torch.Tensor, "frames 263"]:
    """Features of the true motion played at another speed, whole tokens of it."""
    times_s = np.arange(int((clip.num_frames - 1) / speed) + 1) * speed / FPS
    joints_m = Resampler(times_s, fps=FPS, num_frames=clip.num_frames).values(clip.joints_m).astype(np.float32)
    features = encode(retarget(torch.from_numpy(joints_m)))
    return features[: len(features) // FRAMES_PER_TOKEN * FRAMES_PER_TOKEN]


def with_noise(
    frames: UInt8[np.ndarray, "tokens height width 3"], seed: int
) -> tuple[int, UInt8[np.ndarray, "tokens height width 3"]]:
    """A token in the middle half, and the frames with all after that token's replaced by noise."""
    rng = np.random.default_rng(seed)
    token = int(rng.integers(len(frames) // 4, max(3 * len(frames) // 4, len(frames) // 4 + 1)))
    noise = rng.integers(256, size=frames[token + 1 :].shape, dtype=np.uint8)
    return token, np.concatenate([frames[: token + 1], noise])


def nearest_frame(clip: Clip) -> float:
    """The frame in which what comes is nearest; NaN where it is never seen."""
    distances_m = distance_m(clip)
    return float(distances_m.argmin()) if np.isfinite(distances_m).any() else np.nan


def strictness(
    lab: Lab, forward: Shown, changed: list[tuple[int, FrameFeatures]], streams: list[Reaction]
) -> dict[str, float]:
    """Largest differences over the test set between whole and changed videos, and between stream and batch."""
    seen = [clip.perception for clip in forward.clips]
    whole = react_to_features(lab.bundle, seen, seed=0)
    other = react_to_features(lab.bundle, [features for _, features in changed], seed=0)
    found = dict.fromkeys(("semantic", "depth_m", "tokens", "features", "later_change"), 0.0)
    found["tokens_compared"] = 0.0
    for (token, features), perception, a, b in zip(changed, seen, whole, other, strict=True):
        upto = token + 1
        differences = {
            "semantic": (features.semantic[:upto] - perception.semantic[:upto]).abs().max().item(),
            "depth_m": (features.depth_m[:upto] - perception.depth_m[:upto]).abs().max().item(),
            "tokens": float((a.tokens[:upto] != b.tokens[:upto]).sum()),
            "features": float(np.abs(a.features - b.features)[: upto * FRAMES_PER_TOKEN].max()),
        }
        found |= {name: max(found[name], value) for name, value in differences.items()}
        found["later_change"] += float((a.tokens[upto:] != b.tokens[upto:]).any()) / len(seen)
        found["tokens_compared"] += upto
    batch = react_to_features(lab.bundle, seen, seed=0, temperature=0)
    same = [stream.tokens == reaction.tokens for stream, reaction in zip(streams, batch, strict=True)]
    alike = [(a, b) for a, b, tokens in zip(streams, batch, same, strict=True) if tokens.all()]
    found["stream_same_tokens"] = float(np.concatenate(same).mean())
    found["stream_features"] = max((float(np.abs(a.features - b.features).max()) for a, b in alike), default=np.nan)
    return found


def react(run: Experiment, shown: dict[str, Shown], repeats: int) -> Iterator[pd.DataFrame]:
    """Rows of every condition, and of somebody who stands still."""
    lab = run.lab
    progress = Progress("reacting", len(shown) * repeats, "test sets")
    for name, condition in shown.items():
        clips = condition.clips
        truth = score([clip.features for clip in clips], clips, lab.evaluator, condition=f"truth, {name}")
        yield truth.assign(nearest_s=condition.nearest_s)
        with run.trial(name, condition=name, repeats=repeats) as tracker:
            for repeat in range(repeats):
                made = react_to_features(lab.bundle, [clip.perception for clip in clips], seed=repeat + 1)
                rows = score([m.features for m in made], clips, lab.evaluator, condition=name, repeat=repeat)
                tracker.log_metrics(repeat, figures_of(rows, np.stack(truth["embedding"].to_list())))
                yield rows.assign(nearest_s=condition.nearest_s)
                progress.advance()
        still = [baselines.stand_still(clip.features) for clip in clips]
        yield score(still, clips, lab.evaluator, condition=f"{STILL}, {name}").assign(nearest_s=condition.nearest_s)
