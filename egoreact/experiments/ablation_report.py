"""The report on the ablation: what the rows say, in tables, plots and three sentences."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from egoreact.evaluation.metrics import Estimate, estimate
from egoreact.experiments import plots
from egoreact.experiments.ablation import LONG, STILL, TIMES, Probes
from egoreact.experiments.report import Report, figure_table, said, table
from egoreact.experiments.scores import estimates, figures_of, from_start_m, paired, paths_of
from egoreact.experiments.variants import BLIND, FULL, NO_DEPTH, NO_SEMANTICS, NO_VELOCITY, TRUE_VELOCITY, VARIANTS
from egoreact.motion.skeleton import FPS

STANDS_M = 0.2
"""A head that stays within this stands."""
FOLLOWS = 0.3
"""A model whose onsets correlate less with the true ones, within kinds, does not take them from the picture."""
Figures = Mapping[str, Mapping[str, Estimate]]


def report_on(rows: pd.DataFrame, probes: Probes) -> Report:
    test, long = rows[rows["part"] == "test"], with_creep(rows[rows["part"] == LONG])
    reference = np.stack(test.loc[test["condition"] == "truth", "embedding"].to_list())
    figures = estimates(test, lambda run: figures_of(run, reference))
    del figures["truth"]["fid"]  # a set has no distance from itself
    for name, of_name in long.groupby("condition"):
        figures[str(name)]["creep_cm_s"] = estimate(of_name.groupby("clip_id")["creep_cm_s"].mean().to_numpy())
    more = {
        variant.name: {
            figure: difference
            for figure in PAIRED
            if (difference := paired(long if figure == "creep_cm_s" else test, variant.name, FULL.name, figure))
            is not None
        }
        for variant in VARIANTS[1:]
    }
    order = [variant.name for variant in VARIANTS] + [STILL, "truth"]
    shown = {name: figures[name] for name in order}
    return Report(
        title="Ablation: what each sense is worth",
        asked=ASKED,
        findings=(
            _velocity_sentence(figures, more, probes),
            _depth_sentence(figures, more, probes),
            _semantics_sentence(figures, more),
        ),
        body=[
            "## Quality",
            figure_table(shown, QUALITY, "variant"),
            "![Quality of each variant](ablation.png)",
            "The same against the full model, clip by clip; intervals are over clips:",
            figure_table(more, PAIRED, "more than full"),
            "## Late, small, floating",
            figure_table(shown, FAILURES, "variant"),
            FAILURE_WORDS,
            "## Drift",
            f"Left: the error of the head at each moment of the closed loop. Right: {long['clip_id'].nunique()} encounters {TIMES} times as long as "
            "any that was trained on, after which people stand: how far the head creeps once all is over.",
            "![Error of the head over time](drift.png)",
            "## What one sense already knows of another",
            probe_table(probes),
        ],
        figures=shown,
        plots={
            "ablation.png": lambda path: draw_quality(shown, path),
            "drift.png": lambda path: draw_drift(test, long, path),
        },
        tables={"clips": rows},
    )


ASKED = """Every variant is trained anew with the same budget, data and seeds, and reacts in a closed loop: V comes from the motion it
decoded itself. *True head velocity* is the upper bound: trained and run with V of the true motion, which nobody has. *− depth −
semantics* is blind: past tokens and V alone. Expected of a right implementation, by the paper's failure signs: without head velocity
the body floats and drifts; without depth reactions come late or small."""

QUALITY = {
    "fid": ("FID ↓", 2),
    "diversity": ("diversity ≈", 2),
    "head_trajectory_error_cm": ("head error, cm ↓", 1),
    "reaction_accuracy": ("reaction accuracy ↑", 2),
    "foot_skate_cm": ("foot skate, cm ↓", 2),
}
FAILURES = {
    "lag_s": ("onset lag, s", 2),
    "onset_correlation": ("onset with true onset, r", 2),
    "size": ("size", 2),
    "dip_lag_s": ("ducking lag, s", 2),
    "dip_size": ("ducking size", 2),
    "float_cm": ("floating, cm", 1),
    "end_error_cm": ("error at the end, cm", 1),
    "creep_cm_s": ("creep, cm/s", 1),
}
PAIRED = {
    "head_trajectory_error_cm": ("head error, cm", 1),
    "end_error_cm": ("error at the end, cm", 1),
    "lag_s": ("onset lag, s", 2),
    "size": ("size", 2),
    "foot_skate_cm": ("foot skate, cm", 2),
    "creep_cm_s": ("creep, cm/s", 1),
}
FAILURE_WORDS = (
    "Lag and size are medians over clips: when the head is first a quarter as far from its start as the true head ever gets, against when the "
    "true head is; how far it gets, of how far the true head gets. The correlation is within kinds of encounter: 0 where the model knows "
    "the kind, but not the moment. Ducking is the same of the head's height, in clips where the true head sinks 15 cm or more. Floating: "
    "height of the lowest joint over the floor. Creep: how fast the head gets away after the encounter, while the true person stands."
)


def with_creep(long: pd.DataFrame) -> pd.DataFrame:
    """The rows of clips whose true head stands after the first third, with `creep_cm`: how far each head is from where it was then."""
    after = [path[len(path) // TIMES :] for path in paths_of(long)]
    ways_m = [from_start_m(path) for path in after]
    still = np.array([way.max() < STANDS_M for way in ways_m])
    standing = long.loc[(long["condition"] == "truth") & still, "clip_id"]
    rows = long.assign(
        creep_cm=pd.Series([100 * way for way in ways_m], index=long.index),
        creep_cm_s=[100 * way[-1] * FPS / len(way) for way in ways_m],
    )
    return rows[rows["clip_id"].isin(standing)]


def probe_table(probes: Probes) -> str:
    rows = [
        [f"head velocity V, from the last {'token' if reach == 1 else f'{reach} tokens'}", f"{value:.2f}"]
        for reach, value in probes.velocity_in_tokens.items()
    ]
    words = {"semantic": "the semantic vector", "depth_m": "the depth map"}
    rows += [
        [f"nearness of what comes, from {words[sense]}", f"{value:.2f}"] for sense, value in probes.nearness.items()
    ]
    return table(["linear read-out, fitted to training clips", "R² on test clips"], rows)


def _shows(more: Estimate) -> bool:
    """Whether a difference is outside of its interval, upwards."""
    return more.mean > (more.half_width or 0)


def _velocity_sentence(figures: Figures, more: Figures, probes: Probes) -> str:
    full, without, bound = (figures[variant.name] for variant in (FULL, NO_VELOCITY, TRUE_VELOCITY))
    end = f"off by {without['end_error_cm'].mean:.0f} cm at the end of a clip against {full['end_error_cm'].mean:.0f}"
    if "creep_cm_s" in full:
        end += f", and creeps by {without['creep_cm_s'].mean:.1f} cm/s against {full['creep_cm_s'].mean:.1f} once all is over"
    change = more[NO_VELOCITY.name]
    if any(_shows(change[figure]) for figure in ("end_error_cm", "creep_cm_s") if figure in change):
        verdict = f"Without head velocity the head drifts more: it is {end}"
    else:
        verdict = (
            f"Without head velocity the head does not drift measurably more (it is {end}): two past tokens already tell V "
            f"(R² {probes.velocity_in_tokens[2]:.2f})"
        )
    return (
        f"{verdict}; given the true velocity, the head error is {bound['head_trajectory_error_cm'].mean:.0f} cm instead of "
        f"{full['head_trajectory_error_cm'].mean:.0f}."
    )


def _depth_sentence(figures: Figures, more: Figures, probes: Probes) -> str:
    full, change = figures[FULL.name], more[NO_DEPTH.name]
    late, size = change.get("lag_s"), change.get("size")
    comes_late = late is not None and _shows(late)
    comes_small = size is not None and _shows(Estimate(-size.mean, size.half_width))
    verdict = {
        (True, True): "late and small",
        (True, False): "late, but not small",
        (False, True): "small, but not late",
        (False, False): "neither late nor small",
    }[comes_late, comes_small]
    reasons = []
    if not comes_late and not comes_small and probes.nearness:
        reasons.append(
            f"the semantic vector, which a depth head has taught, tells how near a thing is too (R² "
            f"{probes.nearness['semantic']:.2f}, the depth map {probes.nearness['depth_m']:.2f})"
        )
    if not comes_late and "onset_correlation" in full and full["onset_correlation"].mean < FOLLOWS:
        reasons.append(
            f"even the full model takes little of the moment from the picture (its onsets correlate with the true ones by "
            f"{full['onset_correlation'].mean:.2f} within a kind)"
        )
    because = f": {' and '.join(reasons)}" if reasons else ""
    return (
        f"Without depth reactions come {verdict} (onset lag changes by {said(late, 2)} s, size by {said(size, 2)}, head error by "
        f"{said(change['head_trajectory_error_cm'], 1)} cm){because}."
    )


def _semantics_sentence(figures: Figures, more: Figures) -> str:
    full, without, blind = (figures[variant.name]["reaction_accuracy"].mean for variant in (FULL, NO_SEMANTICS, BLIND))
    verdict = (
        "what it does, it does because of what it sees"
        if full > 1.5 * blind and _shows(more[BLIND.name]["head_trajectory_error_cm"])
        else "it makes little of what it sees"
    )
    return (
        f"Reaction accuracy is {full:.2f} with all senses, {without:.2f} with depth alone and {blind:.2f} blind, with "
        f"{said(more[BLIND.name]['head_trajectory_error_cm'], 0)} cm more head error: {verdict}."
    )


def draw_quality(figures: dict[str, dict[str, Estimate]], path: Path) -> None:
    panels = {
        "head_trajectory_error_cm": "head error, cm",
        "fid": "FID",
        "reaction_accuracy": "reaction accuracy",
        "lag_s": "onset lag, s",
        "size": "size of the reaction",
    }
    names = [variant.name for variant in VARIANTS]
    with plots.drawing(path, "Each sense left out, closed loop on the test clips", len(panels), height=2.7) as axes:
        for place, (figure, title) in enumerate(panels.items()):
            rows = {name: figures[name][figure] for name in names if figure in figures[name]}
            marks = {"lag_s": 0.0, "size": 1.0}
            plots.ranked(axes[place], rows, title, names=place == 0, mark=marks.get(figure))


def draw_drift(test: pd.DataFrame, long: pd.DataFrame, path: Path) -> None:
    creep = long.groupby("condition")["creep_cm"].apply(lambda ways: np.mean(np.stack(ways.to_list()), axis=0))
    with plots.drawing(path, "Drift of the head in the closed loop, cm", 2) as (errors_panel, creep_panel):
        for place, variant in enumerate(VARIANTS):
            errors = _errors(test, variant.name).mean(axis=0)
            errors_panel.plot(
                np.arange(len(errors)) / FPS, errors, color=plots.COLOURS[place], lw=1.6, label=variant.name
            )
            if variant.name in creep:
                way = creep[variant.name]
                creep_panel.plot(np.arange(len(way)) / FPS, way, color=plots.COLOURS[place], lw=1.6)
        still = _errors(test, STILL).mean(axis=0)
        errors_panel.plot(np.arange(len(still)) / FPS, still, color=plots.GREY, lw=1.2, ls=(0, (3, 2)), label=STILL)
        errors_panel.set(title="error of the head, test clips", xlabel="s", ylim=(0, None))
        errors_panel.legend(fontsize=8)
        if "truth" in creep:
            way = creep["truth"]
            creep_panel.plot(
                np.arange(len(way)) / FPS, way, color=plots.INK, lw=1.2, ls=(0, (3, 2)), label="true motion"
            )
            creep_panel.legend(fontsize=8)
        creep_panel.set(
            title="way of the head after the encounter, while the true person stands",
            xlabel="s after it",
            ylim=(0, None),
        )


def _errors(rows: pd.DataFrame, name: str) -> Float[np.ndarray, "clips frames"]:
    """Error of each clip's head at each frame, mean over seeds and repeats; as long as the shortest clip."""
    chosen = rows[rows["condition"] == name]
    by_clip = [np.mean(np.stack(clips["head_error_cm"].to_list()), axis=0) for _, clips in chosen.groupby("clip_id")]
    shortest = min(map(len, by_clip))
    return np.stack([errors[:shortest] for errors in by_clip])
