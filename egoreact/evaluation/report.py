"""An evaluation for people: its figures beside truth's and the baselines', and where each encounter's error lies."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from egoreact.evaluation.record import BASELINES, HIGHER_IS_BETTER, MetricRecord
from egoreact.files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLES = {
    "fid": "FID",
    "diversity": "diversity",
    "multimodality": "multimodality",
    "head_trajectory_error_cm": "head trajectory error, cm",
    "reaction_accuracy": "reaction accuracy",
    "foot_skate_cm": "foot skate, cm a frame",
    "codebook_usage": "codebook usage",
    "first_frame_latency_ms": "first-frame latency, ms",
    "per_token_latency_ms": "per-token latency, ms",
}
SYSTEM_TITLES = {
    "generated": "this model",
    "truth": "truth",
    "stand_still": "stand still",
    "mean_motion": "mean motion",
    "random_clip": "random clip",
}
_COLOURED = ("head_trajectory_error_cm", "reaction_accuracy")
"""Where beating baselines means something: a random clip is real motion (FID), and who stands still never skates."""
_SHARES = ("reaction_accuracy", "codebook_usage")
_ARROWS = {True: "↑", False: "↓", None: "→"}


def print_report(record: MetricRecord, console: Console | None = None) -> None:
    """Prints the figures of one bundle, the model's in green where no baseline is as good, else in yellow."""
    (console or Console()).print(render(record))


def render(record: MetricRecord) -> Group:
    """What `print_report` prints."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("closed loop")
    for title in SYSTEM_TITLES.values():
        table.add_column(title, justify="right")
    for figure, title in TITLES.items():
        value = record.figures.get(figure)
        others = [record.baselines.get(name, {}).get(figure) for name in BASELINES]
        table.add_row(
            f"{title} {_ARROWS[HIGHER_IS_BETTER[figure]]}",
            Text(_with_interval(figure, value, record.intervals.get(figure)), style=_style(figure, value, others)),
            *(_number(figure, other) for other in (record.truth.get(figure), *others)),
        )
    for name, value in record.teacher_forced.items():
        table.add_row(Text(f"teacher-forced {name}", style="dim"), Text(_number(name, value), style="dim"))
    return Group(
        Text(
            f"Bundle {record.bundle_digest[:12]}, {record.samples} held-out clips of data {record.data_revision[:12]}",
            style="bold",
        ),
        Text(
            f"mean ± 95 % interval over {record.repeats} repeats; ↓ less is better, ↑ more, → nearest to truth; "
            f"chance {record.chance:.1%}; FID depends on the number of clips",
            style="dim",
        ),
        table,
    )


def plot_categories(table: pd.DataFrame, path: Path) -> Path:
    """A PNG of bars: head trajectory error and reaction accuracy for each category, the model's beside the baselines'.

    Args:
        table: the rows that `protocol.evaluate` wrote, read with `pandas.read_parquet`.
        path: where to write it.
    """
    from matplotlib.figure import Figure

    rows = table[(table["part"] == "test") & table["system"].isin(["generated", *BASELINES, "truth"])]
    rows = rows.assign(right=100.0 * (rows["predicted"] == rows["category"]))
    by_clip = rows.groupby(["system", "category", "clip_id"], as_index=False)[
        ["head_trajectory_error_cm", "right"]
    ].mean()
    categories = sorted(by_clip["category"].unique())
    figure = Figure(figsize=(min(1.5 + 1.35 * max(len(categories), 4), 24), 7.2), dpi=120, layout="constrained")
    figure.suptitle("Closed loop on held-out clips", x=0.01, ha="left", fontweight="bold")
    upper, lower = figure.subplots(2, 1, sharex=True)
    _bars(upper, by_clip, "head_trajectory_error_cm", categories, ["generated", *BASELINES])
    upper.set_ylabel("head trajectory error, cm")
    upper.set_ylim(bottom=0)
    _bars(lower, by_clip, "right", categories, ["generated", "truth", "random_clip"])
    truth = by_clip[by_clip["system"] == "truth"]
    chance = 100 * truth["category"].value_counts(normalize=True).max()
    lower.axhline(chance, color="#495057", lw=1, ls=":", label="chance")
    lower.set_ylabel("reaction accuracy, %")
    lower.set_ylim(0, 105)
    tilt = {"rotation": 40, "ha": "right"} if len(categories) > 16 else {}
    lower.set_xticks(range(len(categories)), [name.replace("_", " ") for name in categories], **tilt)
    lower.set_xlim(-0.6, len(categories) - 0.4)
    for axes in (upper, lower):
        entries = zip(*axes.get_legend_handles_labels(), strict=True)
        handles, labels = zip(*sorted(entries, key=lambda entry: entry[1] == "chance"), strict=True)
        place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
        axes.legend(handles, labels, frameon=False, ncols=4, fontsize="small", **place)
    with whole_file(path) as beside:
        figure.savefig(beside, format="png")
    return path


_COLOURS = {
    "generated": "#1f6f8b",
    "truth": "#2f9e44",
    "stand_still": "#adb5bd",
    "mean_motion": "#868e96",
    "random_clip": "#ced4da",
}


def _bars(axes: "Axes", rows: pd.DataFrame, column: str, categories: list[str], systems: list[str]) -> None:
    """Groups of bars, a group a category; the thin line is ±1.96 standard errors over clips."""
    width = 0.8 / len(systems)
    for place, system in enumerate(systems):
        groups = rows[rows["system"] == system].groupby("category")[column]
        spread = (1.96 * groups.sem()).fillna(0.0)
        axes.bar(
            [index + (place - (len(systems) - 1) / 2) * width for index in range(len(categories))],
            groups.mean().reindex(categories),
            0.92 * width,
            yerr=spread.reindex(categories),
            color=_COLOURS[system],
            error_kw={"lw": 0.8, "ecolor": "#343a40"},
            label=SYSTEM_TITLES[system],
        )
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e9ecef")
    axes.set_axisbelow(True)


def _number(figure: str, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1%}" if figure in _SHARES else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def _with_interval(figure: str, value: float | None, half_width: float | None) -> str:
    shown = _number(figure, value)
    if value is None or half_width is None:
        return shown
    if figure in _SHARES:
        return f"{value:.1%} ± {half_width:.1%}"
    # As many places after the point as the interval's first two digits need.
    places = min(max(0, 1 - math.floor(math.log10(half_width))), 4) if half_width > 0 else 2
    return f"{value:.{places}f} ± {half_width:.{places}f}"


def _style(figure: str, value: float | None, others: list[float | None]) -> str:
    rivals = [other for other in others if other is not None]
    if value is None or not rivals or figure not in _COLOURED:
        return ""
    beaten = value > max(rivals) if HIGHER_IS_BETTER[figure] else value < min(rivals)
    return "green" if beaten else "yellow"
