"""Real recordings: how far is what the model does from what the wearer's head did, with depth and without, beside simulated clips?"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from egoreact.evaluation.protocol import joints_of
from egoreact.experiments.lab import Lab
from egoreact.experiments.recordings import Recording, window_starts
from egoreact.experiments.report import Experiment
from egoreact.experiments.variants import FULL, NO_DEPTH
from egoreact.models.bundle import Bundle
from egoreact.models.vqvae import FRAMES_PER_TOKEN
from egoreact.motion.skeleton import HEAD
from egoreact.streaming.batch import react_to_features
from egoreact.vision.frame_features import FrameFeatures
from egoreact.vision.video_depth import VideoDepthConfig, load_video_depth

SIMULATED, STILL = "simulated test clips", "stand still"
EVERY_FRAMES = 8
"""Between the starts of two windows of a recording."""
VIDEO_DEPTH = "EGOREACT_VIDEO_DEPTH"
"""Names the weights of metric Video Depth Anything small, where they are at hand."""
LEARNT, SENSOR, PUBLISHED = "the model's own depth", "the headset's depth", "Video Depth Anything's depth"
BLANK = "blank pictures"
"""A control: what the model does where there is nothing to see."""


@dataclass(frozen=True)
class Take:
    """Windows as long as a training clip, of one source."""

    source: str
    seen: dict[str, list[FrameFeatures]]
    """Where the depth is from → what the tokens of each window see."""
    head_m: list[Float[np.ndarray, "frames 3"]]


def windows_of(lab: Lab, recording: Recording) -> Take:
    frames = lab.config.dataset.simulator.frames - 1
    seen: dict[str, list[FrameFeatures]] = {}
    head_m = []
    for start in window_starts(len(recording.rgb) // FRAMES_PER_TOKEN * FRAMES_PER_TOKEN, frames, step=EVERY_FRAMES):
        window = slice(start, start + frames)
        length = len(recording.rgb[window]) // FRAMES_PER_TOKEN * FRAMES_PER_TOKEN
        tokens = slice(start, start + length, FRAMES_PER_TOKEN)
        for depth, features in perceptions(lab, recording, tokens).items():
            seen.setdefault(depth, []).append(features)
        head_m.append(recording.head_m[start : start + length])
    return Take(recording.name, seen, head_m)


def perceptions(lab: Lab, recording: Recording, tokens: slice) -> dict[str, FrameFeatures]:
    """What the tokens see, with the depth of each source that there is."""
    own = lab.see(recording.rgb[tokens])
    side = own.depth_m.shape[-1]
    found = {LEARNT: own, BLANK: lab.see(np.full_like(recording.rgb[tokens], 127))}
    if recording.depth_m is not None:
        found[SENSOR] = replace(own, depth_m=torch.from_numpy(cells(recording.depth_m[tokens], side)))
    if VIDEO_DEPTH in os.environ:
        found[PUBLISHED] = replace(own, depth_m=torch.from_numpy(cells(published_depth_m(recording.rgb[tokens]), side)))
    return found


def published_depth_m(rgb: np.ndarray) -> Float[np.ndarray, "frames height width"]:
    """Metric Video Depth Anything's, frame after frame: never a later one."""
    model = load_video_depth(config=VideoDepthConfig(short_side_px=252))
    state, maps = model.initial_state(1, *rgb.shape[1:3]), []
    with torch.inference_mode():
        for frame in torch.from_numpy(np.ascontiguousarray(rgb)):
            depth_m, state = model.step(frame[None], state)
            maps.append(depth_m[0].numpy())
    return np.stack(maps)


def cells(depth_m: Float[np.ndarray, "frames height width"], side: int) -> Float[np.ndarray, "frames side side"]:
    """The centre square's pixel nearest each cell's centre."""
    height, width = depth_m.shape[1:]
    square = min(height, width)
    at = ((np.arange(side) + 0.5) * square / side).astype(int)
    return depth_m[:, (height - square) // 2 + at][:, :, (width - square) // 2 + at].astype(np.float32)


def simulated(lab: Lab) -> Take:
    head_m = [motion.joints_m[:, HEAD].astype(np.float64) for motion in lab.test.motion]
    return Take(SIMULATED, {LEARNT: lab.test.perceptions}, head_m)


def try_takes(run: Experiment, takes: list[Take], seeds: int, repeats: int) -> Iterator[pd.DataFrame]:
    """A row for each reaction to each window, and for standing still."""
    lab = run.lab
    models: list[tuple[str, int, Bundle]] = [("the trained bundle", 0, lab.bundle)]
    for variant in (FULL, NO_DEPTH):
        models += [(variant.name, seed, variant.train(lab, seed)) for seed in range(seeds)]
    for take in takes:
        yield _rows(take, [np.repeat(path[:1], len(path), axis=0) for path in take.head_m], STILL, LEARNT, 0, 0)
        with run.trial(take.source) as tracker:
            for name, seed, bundle in models:
                for depth, seen in take.seen.items():
                    if name != FULL.name and depth != LEARNT:
                        continue
                    for repeat in range(repeats):
                        made = react_to_features(bundle, seen, seed=repeat + 1)
                        paths = [joints_of(reaction.features)[:, HEAD].astype(np.float64) for reaction in made]
                        rows = _rows(take, paths, name, depth, seed, repeat)
                        tracker.log_metrics(
                            repeat, {f"head_error_cm/{name.replace('−', 'minus')}": rows["error_cm"].mean()}
                        )
                        yield rows


def _rows(take: Take, paths: list[np.ndarray], model: str, depth: str, seed: int, repeat: int) -> pd.DataFrame:
    errors = [
        100 * np.linalg.norm((path - path[0]) - (truth - truth[0]), axis=1)
        for path, truth in zip(paths, take.head_m, strict=True)
    ]
    went = [100 * float(np.linalg.norm(path - path[0], axis=1).max()) for path in paths]
    return pd.DataFrame({
        "source": take.source, "model": model, "depth": depth, "seed": seed, "repeat": repeat,
        "window": range(len(paths)), "error_cm": [float(error.mean()) for error in errors],
        "head_error_cm": [error.astype(np.float32) for error in errors], "went_cm": went,
        "true_went_cm": [100 * float(np.linalg.norm(truth - truth[0], axis=1).max()) for truth in take.head_m],
    })  # fmt: skip


def depth_rows(lab: Lab, found: list[Recording]) -> Iterator[dict[str, object]]:
    """How far estimated depth is from measured depth, a row a frame."""
    for recording in found:
        if recording.depth_m is None:
            continue
        tokens = slice(0, len(recording.rgb) // FRAMES_PER_TOKEN * FRAMES_PER_TOKEN, FRAMES_PER_TOKEN)
        seen = perceptions(lab, recording, tokens)
        for name in (LEARNT, PUBLISHED):
            if name in seen:
                yield from _agreement(
                    recording.name, name, seen[name].depth_m.float().numpy(), seen[SENSOR].depth_m.numpy()
                )
    for clip, _ in lab.test_clips():
        if clip.depth_m is not None:
            seen_m = lab.test.seen[clip.id].depth_m.float().numpy()
            truth_m = cells(clip.depth_m[: len(seen_m) * FRAMES_PER_TOKEN : FRAMES_PER_TOKEN], seen_m.shape[-1])
            yield from _agreement(SIMULATED, LEARNT, seen_m, truth_m)


def _agreement(source: str, name: str, estimated_m: np.ndarray, truth_m: np.ndarray) -> Iterator[dict[str, object]]:
    for estimated, truth in zip(estimated_m, truth_m, strict=True):
        known = truth > 0
        if known.sum() < 8:
            continue
        ratio = estimated[known] / truth[known]
        scale = float(np.median(ratio))
        yield {
            "source": source, "depth": name, "scale": scale, "abs_rel": float(np.abs(ratio - 1).mean()),
            "abs_rel_scaled": float(np.abs(ratio / scale - 1).mean()),
            "delta1": float((np.maximum(ratio, 1 / ratio) < 1.25).mean()),
        }  # fmt: skip
