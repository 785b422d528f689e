"""The report on causality: what the rows say, in tables, a plot and three sentences."""

from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from egoreact.evaluation.metrics import Estimate, estimate
from egoreact.experiments import plots
from egoreact.experiments.causality import BACKWARD, DOUBLE, FORWARD, HALF, SPEEDS, STILL
from egoreact.experiments.report import Report, figure_table, said, table
from egoreact.experiments.scores import estimates, figures_of, from_start_m, paths_of
from egoreact.motion.skeleton import FPS

SHOWN_S = 5.0
"""Of the curves: longer ones are of clips at half speed."""


def report_on(rows: pd.DataFrame, strict: dict[str, float]) -> Report:
    clips = rows["clip_id"].nunique()
    figures = {name: summarise(rows, name) for name in (FORWARD, BACKWARD, HALF, DOUBLE)}
    follows = {name: follow(rows, name) for name in (HALF, DOUBLE)}
    apart = {
        "backward against forward": heads_apart(rows, FORWARD, BACKWARD),
        "two draws of forward": heads_apart(rows, FORWARD, FORWARD),
    }
    columns = {
        "reaction_accuracy": ("reaction accuracy", 2),
        "head_trajectory_error_cm": ("head error, cm", 1),
        "still_error_cm": ("standing still, cm", 1),
        "onset_correlation": ("onset with true onset, r", 2),
        "onset_s": ("onset, s", 2),
        "true_onset_s": ("true onset, s", 2),
        "lead_s": ("before what comes is nearest, s", 2),
        "still": ("share that stays", 2),
    }
    return Report(
        title="Causality: the order and the speed of what is seen",
        asked=ASKED,
        findings=(
            _strict_sentence(strict, clips),
            _order_sentence(figures, apart),
            _speed_sentence(follows),
        ),
        body=[
            "## Nothing looks ahead",
            strict_table(strict, clips),
            "## Backwards, slower, faster",
            figure_table(figures, columns, "video"),
            "Errors are against the true motion, at the speed of the video; backwards against the motion forwards. The onset "
            "is the first time the head is a quarter as far from its start as the true head ever gets.",
            "![How far the head is from its start, and when it starts to move](causality.png)",
            table(
                ["distance of two reactions' heads, mean over frames", "cm"],
                [[name, said(value, 1)] for name, value in apart.items()],
            ),
            table(
                ["onset, against the same clip's at speed 1", "measured", "following the picture", "counting time"],
                [[name, said(value, 2), f"{1 / SPEEDS[name]:.1f}", "1.0"] for name, value in follows.items()],
            ),
        ],
        figures=figures,
        plots={"causality.png": lambda path: draw(rows, follows, path)},
        tables={"clips": rows},
    )


ASKED = """The paper's first experiment: the video reversed, and its speed changed. A causal model that looks at the order of
what it sees answers a video played backwards differently: what comes is near at once and goes away. One that follows the picture
and not the clock starts twice as late where the encounter comes at half its speed. And strictness is measured on the
trained model, not only promised: frames after 4t become noise, and everything up to token t must stay bit for bit."""


def summarise(rows: pd.DataFrame, name: str) -> dict[str, Estimate]:
    """Figures of one condition over its repeats."""
    truth = rows[rows["condition"] == f"truth, {name}"]
    reference = np.stack(truth["embedding"].to_list())
    still_cm = float(rows.loc[rows["condition"] == f"{STILL}, {name}", "head_trajectory_error_cm"].mean())

    def figures(run: pd.DataFrame) -> dict[str, float]:
        return figures_of(run, reference) | {
            "still_error_cm": still_cm,
            "onset_s": float(run["onset_s"].median()),
            "true_onset_s": float(run["true_onset_s"].median()),
            "lead_s": float((run["nearest_s"] - run["onset_s"]).median()),
        }

    return estimates(rows[rows["condition"] == name], figures)[name]


def follow(rows: pd.DataFrame, name: str) -> Estimate:
    """When the head starts to move, over when it does at speed 1: median of the clips' ratios, an interval over clips."""
    onsets = rows[rows["condition"].isin([name, FORWARD])].groupby(["condition", "clip_id"])["onset_s"].mean()
    forward = onsets[FORWARD]
    ratios = (onsets[name] / forward[forward > 0]).dropna().to_numpy()
    # The interval of a median, from its order statistics (binomial, normal approximation).
    spread = 1.96 * np.sqrt(len(ratios)) / 2
    low, high = np.sort(ratios)[
        [max(int(len(ratios) / 2 - spread), 0), min(int(len(ratios) / 2 + spread), len(ratios) - 1)]
    ]
    return Estimate(float(np.median(ratios)), float(high - low) / 2)


def heads_apart(rows: pd.DataFrame, first: str, second: str) -> Estimate:
    """Mean distance of the heads in two conditions' reactions to the same clip, cm; of one condition: in two repeats."""
    a, b = (
        {
            int(str(repeat)): paths_of(run.sort_values("clip_id"))
            for repeat, run in rows[rows["condition"] == name].groupby("repeat")
        }
        for name in (first, second)
    )
    shift = 1 if first == second else 0
    distances = [
        [100 * np.linalg.norm(x - y, axis=1).mean() for x, y in zip(a[repeat], b[repeat + shift], strict=True)]
        for repeat in a
        if repeat + shift in b
    ]
    return estimate(np.mean(distances, axis=0)) if distances else Estimate(0.0, None)


def strict_table(strict: dict[str, float], clips: int) -> str:
    heading = [f"{clips} clips, {strict['tokens_compared']:.0f} tokens", "largest difference"]
    return table(
        heading,
        [
            ["semantic vectors up to frame 4t, later frames noise", f"{strict['semantic']:.3g}"],
            ["depth maps up to frame 4t", f"{strict['depth_m']:.3g}"],
            ["tokens up to t that differ", f"{strict['tokens']:.0f}"],
            ["motion features up to frame 4t + 3", f"{strict['features']:.3g}"],
            ["clips in which the tokens after t differ", f"{strict['later_change']:.0%}"],
            ["tokens of the stream that are the batch's", f"{strict['stream_same_tokens']:.2%}"],
            ["motion features, stream against batch", f"{strict['stream_features']:.2g}"],
        ],
    )


def _strict_sentence(strict: dict[str, float], clips: int) -> str:
    before = max(strict[name] for name in ("semantic", "depth_m", "tokens", "features"))
    verdict = "stays bit for bit" if before == 0 else f"changes by up to {before:.2g}, which it must not,"
    return (
        f"With all frames after 4t turned into noise, everything up to token t {verdict} in all {clips} test clips, while "
        f"{strict['later_change']:.0%} of them go on differently; a stream draws {strict['stream_same_tokens']:.1%} of the batch's "
        f"tokens, with features within {strict['stream_features']:.1g}."
    )


def _order_sentence(figures: dict[str, dict[str, Estimate]], apart: dict[str, Estimate]) -> str:
    forward, backward = figures[FORWARD], figures[BACKWARD]
    share = apart["backward against forward"].mean / max(apart["two draws of forward"].mean, 1e-6)
    verdict = (
        "the order of the frames decides"
        if share > 1.5 and backward["reaction_accuracy"].mean < forward["reaction_accuracy"].mean
        else "the order of the frames hardly matters to it"
    )
    return (
        f"Backwards, {verdict}: the heads of its reactions are {share:.1f} times as far from those forwards as two draws are from each "
        f"other, reaction accuracy goes from {forward['reaction_accuracy'].mean:.2f} to {backward['reaction_accuracy'].mean:.2f} and head "
        f"error from {forward['head_trajectory_error_cm'].mean:.0f} to {backward['head_trajectory_error_cm'].mean:.0f} cm "
        f"({backward['still_error_cm'].mean:.0f} cm standing still)."
    )


def _speed_sentence(follows: dict[str, Estimate]) -> str:
    slow, fast = follows[HALF].mean, follows[DOUBLE].mean
    verdict = (
        "it follows the picture"
        if slow > 1.5 and fast < 0.75
        else "it follows the picture in part, and its own clock in part"
        if slow > 1.15
        else "it counts time more than it looks"
    )
    return (
        f"At half speed the head starts {slow:.2f} times as late as at full speed and at double speed {fast:.2f} times, where following "
        f"the picture alone would give 2 and 0.5 and counting time 1 and 1: {verdict}."
    )


def draw(rows: pd.DataFrame, follows: dict[str, Estimate], path: Path) -> None:
    with plots.drawing(path, "The same encounters, shown otherwise", 3) as (went, backwards, onsets):
        for name, colour in zip((FORWARD, HALF, DOUBLE), plots.COLOURS, strict=False):
            truth = _distances(rows, f"truth, {name}").mean(axis=0)
            went.plot(np.arange(len(truth)) / FPS, truth, color=colour, lw=1.2, ls=(0, (3, 2)))
            distances = _distances(rows, name).mean(axis=0)
            went.plot(np.arange(len(distances)) / FPS, distances, color=colour, lw=1.8, label=name)
        went.set(xlim=(0, SHOWN_S), title="head from its start, cm (dashed: true motion)", xlabel="s", ylim=(0, None))
        went.legend()
        for name, colour in ((FORWARD, plots.COLOURS[0]), (BACKWARD, plots.COLOURS[1])):
            distances = _distances(rows, name)
            plots.line(backwards, np.arange(distances.shape[1]) / FPS, distances, colour, name)
        backwards.set(title="head from its start, cm", xlabel="s", ylim=(0, None))
        backwards.legend()
        speeds = np.array([0.5, 1.0, 2.0])
        onsets.plot(speeds, 1 / speeds, color=plots.INK, lw=1, ls=(0, (3, 2)), label="following the picture")
        onsets.axhline(1, color=plots.GREY, lw=1, ls=(0, (1, 2)), label="counting time")
        found = [follows[HALF], Estimate(1.0, None), follows[DOUBLE]]
        onsets.errorbar(
            speeds, [f.mean for f in found], [f.half_width or 0 for f in found], color=plots.COLOURS[0], fmt="o-", lw=1.8,
            label="measured", zorder=3,
        )  # fmt: skip
        onsets.set_xscale("log", base=2)
        onsets.set_xticks(speeds, [f"{speed:g}" for speed in speeds])
        onsets.set(title="onset, times that at speed 1", xlabel="speed of the video", ylim=(0, None))
        onsets.legend()


def _distances(rows: pd.DataFrame, condition: str) -> Float[np.ndarray, "clips frames"]:
    """How far each clip's head is from its start, cm: mean over repeats; as long as the shortest clip."""
    by_clip = []
    for _, clips in rows[rows["condition"] == condition].groupby("clip_id"):
        by_clip.append(np.mean([100 * from_start_m(path) for path in paths_of(clips)], axis=0))
    shortest = min(map(len, by_clip))
    return np.stack([distances[:shortest] for distances in by_clip])
