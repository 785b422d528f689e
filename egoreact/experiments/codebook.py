"""The codebook's size swept: does it saturate, does it collapse?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int

from egoreact.evaluation import metrics
from egoreact.evaluation.metrics import Estimate
from egoreact.evaluation.protocol import joints_of
from egoreact.experiments import plots
from egoreact.experiments.report import Experiment, Report, figure_table
from egoreact.experiments.scores import score
from egoreact.experiments.trials import train_tokenizer
from egoreact.models.vqvae import VQVAE
from egoreact.motion.representation import Normaliser
from egoreact.motion.skeleton import PELVIS
from egoreact.training.data import Motion

SIZES = (64, 128, 256, 512, 1024)
GAIN = 0.05
"""A doubling that lowers the error of the pose by less than this share is held to gain nothing."""
COLLAPSED = 0.5
"""A codebook of which the training motion uses less than this share has collapsed."""
PER_CLIP = ("mpjpe_cm", "drift_cm", "head_trajectory_error_cm")


def try_sizes(run: Experiment, seeds: int, sizes: Sequence[int]) -> Iterator[pd.DataFrame]:
    """A row for each test clip told and told back, by a tokenizer of each size and seed; and the truth's."""
    lab = run.lab
    clips = lab.test.clips
    truth = score([clip.features for clip in clips], clips, lab.evaluator, condition="truth")
    yield truth
    for size in sizes:
        training = lab.config.tokenizer
        training = replace(training, model=replace(training.model, codebook_size=size))
        for seed in range(seeds):
            with run.trial(f"{size} codes, seed {seed}", codebook_size=size, seed=seed) as tracker:
                tokenizer, normaliser = train_tokenizer(
                    lab, training, name=str(size), seed=seed, on_metrics=tracker.log_metrics
                )
                tokens = [tokens_of(tokenizer, normaliser, motion) for motion in lab.test.motion]
                with torch.inference_mode():
                    told = [normaliser.denormalise(tokenizer.decode(each[None]))[0].numpy() for each in tokens]
                made = [joints_of(features) for features in told]
                errors = [pose_and_drift_cm(joints, clip.joints_m) for joints, clip in zip(made, clips, strict=True)]
                in_training = [tokens_of(tokenizer, normaliser, motion) for motion in lab.training.motion]
                rows = score(told, clips, lab.evaluator, condition=str(size), seed=seed, size_of_codebook=size).assign(
                    mpjpe_cm=[pose for pose, _ in errors],
                    drift_cm=[drift for _, drift in errors],
                    tokens=pd.Series([each.numpy() for each in tokens]),
                    usage_in_training=metrics.codebook_usage(torch.cat(in_training).numpy(), size),
                )
                tracker.log_metrics(0, _of_set(rows, truth) | {name: float(rows[name].mean()) for name in PER_CLIP})
                yield rows


@torch.inference_mode()
def tokens_of(tokenizer: VQVAE, normaliser: Normaliser, motion: Motion) -> Int[torch.Tensor, "tokens"]:
    return tokenizer.encode(normaliser.normalise(motion.features)[None])[0].clone()


def pose_and_drift_cm(made_m: np.ndarray, truth_m: np.ndarray) -> tuple[float, float]:
    """Mean error of the joints with each frame's pelvises on one place, and of the pelvis itself."""
    pose = (made_m - made_m[:, [PELVIS]]) - (truth_m - truth_m[:, [PELVIS]])
    drift = made_m[:, PELVIS] - truth_m[:, PELVIS]
    return tuple(100 * float(np.linalg.norm(error, axis=-1).mean()) for error in (pose, drift))  # type: ignore[return-value]


def _of_set(rows: pd.DataFrame, truth: pd.DataFrame) -> dict[str, float]:
    """Figures of one tokenizer that are of the whole test set."""
    tokens, size = np.concatenate(rows["tokens"].to_list()), int(rows["size_of_codebook"].iloc[0])
    real, told = (np.stack(part["embedding"].to_list()) for part in (truth, rows))
    return {
        "usage": float(rows["usage_in_training"].iloc[0]),
        "usage_in_test": metrics.codebook_usage(tokens, size),
        "perplexity": metrics.perplexity(tokens, size),
        "fid": metrics.fid(real, told),
    }


def summarise(rows: pd.DataFrame) -> dict[str, dict[str, Estimate]]:
    """Size → figures. Errors have intervals over clips, figures of the whole set over seeds."""
    truth = rows[rows["condition"] == "truth"]
    found = {}
    for size, of_size in rows[rows["condition"] != "truth"].groupby("size_of_codebook", sort=True):
        sets = [_of_set(of_seed, truth) for _, of_seed in of_size.groupby("seed")]
        found[f"{size:.0f}"] = {
            **{name: metrics.estimate(np.array([figures[name] for figures in sets])) for name in sets[0]},
            **{name: metrics.estimate(of_size.groupby("clip_id")[name].mean().to_numpy()) for name in PER_CLIP},
        }
    return found


def report_on(rows: pd.DataFrame) -> Report:
    figures = summarise(rows)
    return Report(
        title="The codebook's size",
        asked=ASKED,
        findings=(usage_sentence(figures), error_sentence(figures), _fid_sentence(figures)),
        body=[
            "## Figures",
            figure_table(figures, COLUMNS, "codes"),
            "![Figures over the codebook's size](codebook.png)",
        ],
        figures=figures,
        plots={"codebook.png": lambda path: draw(figures, path)},
        tables={"clips": rows},
    )


ASKED = """A tokenizer for each size, the same budget, data and seeds; test clips are told in tokens and told back. Too small a codebook
cannot say what people do; too large a one saturates (more codes, no better motion) or collapses (most codes are never used)."""

COLUMNS = {
    "usage": ("used by training motion ↑", 2),
    "usage_in_test": ("by test motion ↑", 2),
    "perplexity": ("perplexity", 0),
    "mpjpe_cm": ("pose error, cm ↓", 2),
    "drift_cm": ("drift of the pelvis, cm ↓", 1),
    "head_trajectory_error_cm": ("head error, cm ↓", 1),
    "fid": ("FID of the reconstruction ↓", 3),
}


def usage_sentence(figures: Mapping[str, Mapping[str, Estimate]]) -> str:
    fallen = [size for size, row in figures.items() if row["usage"].mean < COLLAPSED]
    sizes = list(figures)
    first, last = sizes[0], sizes[-1]
    verdict = f"From {fallen[0]} codes on the codebook collapses" if fallen else "No codebook collapses"
    return (
        f"{verdict}: training motion uses {figures[first]['usage'].mean:.0%} of {first} codes and {figures[last]['usage'].mean:.0%} of {last}, "
        f"test motion at a perplexity of {figures[first]['perplexity'].mean:.0f} and {figures[last]['perplexity'].mean:.0f}."
    )


def error_sentence(figures: Mapping[str, Mapping[str, Estimate]]) -> str:
    sizes = list(figures)
    errors = [figures[size]["mpjpe_cm"].mean for size in sizes]
    gains = [round(1 - after / before, 3) + 0.0 for before, after in pairwise(errors)]
    enough = next((size for size, gain in zip(sizes, gains, strict=False) if gain < GAIN), None)
    verdict = f"it saturates at {enough} codes" if enough else f"it does not saturate up to {sizes[-1]} codes"
    return (
        f"The error of the pose goes from {errors[0]:.2f} to {errors[-1]:.2f} cm over the sweep, by "
        f"{', '.join(f'{100 * gain:.1f}' for gain in gains)} % with each doubling: {verdict} (a doubling that gains less than {GAIN:.0%})."
    )


def _fid_sentence(figures: Mapping[str, Mapping[str, Estimate]]) -> str:
    best = min(figures, key=lambda size: figures[size]["fid"].mean)
    steady = min(figures, key=lambda size: figures[size]["head_trajectory_error_cm"].mean)
    return (
        f"The reconstruction's FID is best with {best} codes ({figures[best]['fid'].mean:.3f}) and the head's path with {steady} "
        f"({figures[steady]['head_trajectory_error_cm'].mean:.1f} cm): what tokens cannot say, no transformer above them can."
    )


def draw(figures: Mapping[str, Mapping[str, Estimate]], path: Path) -> None:
    sizes = [int(size) for size in figures]
    panels = {
        "codes in use, of all": {"usage": "by training motion", "usage_in_test": "by test motion"},
        "error of the pose, cm": {"mpjpe_cm": "pose"},
        "error of the path, cm": {"drift_cm": "pelvis", "head_trajectory_error_cm": "head"},
        "FID of the reconstruction": {"fid": "FID"},
    }
    with plots.drawing(
        path, "Motion told in tokens and told back, by the number of codes", len(panels), height=3.0
    ) as axes:
        for panel, (title, curves) in zip(axes, panels.items(), strict=True):
            for (name, label), colour in zip(curves.items(), plots.COLOURS, strict=False):
                found = [figures[str(size)][name] for size in sizes]
                panel.errorbar(
                    sizes, [f.mean for f in found], [f.half_width or 0 for f in found], color=colour, fmt="o-", lw=1.8, label=label
                )  # fmt: skip
            panel.set_xscale("log", base=2)
            panel.set_xticks(sizes, list(map(str, sizes)))
            panel.set(title=title, xlabel="codes", ylim=(0, 1.08 * panel.get_ylim()[1]))
        shares = [figures[str(size)]["perplexity"].mean / size for size in sizes]
        axes[0].plot(sizes, shares, "o--", color=plots.GREY, lw=1.4, label="perplexity, of all")
        axes[0].set_ylim(0, 1.05)
        axes[0].legend()
        axes[2].legend()
