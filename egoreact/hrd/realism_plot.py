"""The picture of captured against simulated motion: distributions side by side, and mean spectra."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from egoreact.motion.skeleton import FPS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from egoreact.hrd.realism import Realism

_CAPTURED, _SIMULATED, _OUTSIDE, _INK, _FAINT = "#8d99a6", "#0f7b8a", "#c8402f", "#22303c", "#dfe4e8"
_PANELS = (
    ("speed, m/s", "{} speed rms", True),
    ("acceleration, m/s²", "{} acceleration rms", True),
    ("jerk, m/s³", "{} jerk rms", True),
    ("share of power above 3 Hz", "{} above 3 Hz", False),
    ("spectral centroid, Hz", "{} centroid", False),
)
_DEFECTS = (("foot skate, m/s", "foot skate"), ("feet below floor, mm", "feet below floor"))


def draw(realism: Realism, path: Path) -> None:
    """Writes a PNG."""
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D

    from egoreact.hrd.realism import CUT_OFF_HZ, GROUPS, WINDOW_FRAMES

    style: Any = {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": _INK,
        "text.color": _INK,
    }
    with plt.rc_context(style):
        figure = plt.figure(figsize=(15, 8.2), layout="constrained")
        parts: Any = figure.subfigures(3, 1, height_ratios=(0.11, 1.1, 1.0), hspace=0.02)
        head, top, bottom = parts
        panels = top.subplots(1, len(_PANELS) + 1, width_ratios=[1] * len(_PANELS) + [0.8])
        for axes, (title, pattern, logarithmic) in zip(panels, _PANELS, strict=False):
            rows = [(group, pattern.format(group)) for group in GROUPS]
            _distributions(axes, realism, rows, logarithmic)
            axes.set_title(title, loc="left", fontsize=9.5)
            if axes is not panels[0]:
                axes.set_yticklabels([])
        _defects(panels[-1], realism)
        for axes, index in zip(bottom.subplots(1, len(GROUPS), sharey=True), range(len(GROUPS)), strict=True):
            _spectrum(axes, realism, index, list(GROUPS)[index])
        outside = sum(not good for good in realism.inside(realism.medians))
        verdict = "every simulated median lies inside" if not outside else f"{outside} simulated medians lie outside"
        counts = f"{len(realism.captured.figures)} captured and {len(realism.all_simulated.figures)} simulated windows"
        head.text(0.006, 0.72, f"Simulated against captured motion: {verdict}", fontsize=13, weight="bold", va="center")
        head.text(
            0.006,
            0.18,
            f"{counts} of {WINDOW_FRAMES} frames at {FPS} fps, below {CUT_OFF_HZ:g} Hz; grey fields: 5–95 % of the captured",
            va="center",
        )
        handles = [
            Line2D([], [], color=_CAPTURED, lw=6, label="captured"),
            Line2D([], [], color=_SIMULATED, lw=6, label="simulated"),
            Line2D([], [], color=_INK, marker="o", lw=1.2, label="median; thick 25–75 %, thin 5–95 %"),
        ]
        head.legend(handles=handles, loc="center right", ncols=3, frameon=False)
        figure.savefig(path, dpi=130)
        plt.close(figure)


def _distributions(axes: Axes, realism: Realism, rows: list[tuple[str, str]], logarithmic: bool) -> None:
    from egoreact.hrd.realism import MEASURES

    names = [measure.name for measure in MEASURES]
    inside = realism.inside(realism.medians)
    for row, (_, name) in enumerate(rows):
        k = names.index(name)
        for values, colour, lift in (
            (realism.captured.figures[:, k], _CAPTURED, 0.16),
            (realism.all_simulated.figures[:, k], _SIMULATED if inside[k] else _OUTSIDE, -0.16),
        ):
            p5, p25, p50, p75, p95 = np.percentile(values, (5, 25, 50, 75, 95))
            height = -row + lift
            axes.plot([p5, p95], [height] * 2, color=colour, lw=1.6, solid_capstyle="butt")
            axes.plot([p25, p75], [height] * 2, color=colour, lw=8, solid_capstyle="butt")
            axes.plot(p50, height, "o", color="white", mec=_INK, ms=5.5, zorder=3)
        low, _, high = realism.range[:, k]
        low = 0.0 if MEASURES[k].defect else low
        bottom, top = 1 - (row + 0.92) / len(rows), 1 - (row + 0.08) / len(rows)
        axes.axvspan(low, high, bottom, top, color=_FAINT, lw=0, zorder=0)
    axes.set_yticks([-row for row in range(len(rows))], [label for label, _ in rows])
    axes.set_ylim(-len(rows) + 0.5, 0.5)
    axes.tick_params(axis="y", length=0)
    if logarithmic:
        from matplotlib.ticker import FuncFormatter

        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _defects(axes: Axes, realism: Realism) -> None:
    """Skate alone has a scale worth drawing; sinking is said in words where there is none."""
    title, name = _DEFECTS[0]
    _distributions(axes, realism, [("", name)], logarithmic=False)
    axes.set_title(title + " (less is fine)", loc="left", fontsize=9.5)
    sunk = realism.record()["measures"][_DEFECTS[1][1]]
    text = f"{_DEFECTS[1][0]}, 95 %:\ncaptured {sunk['captured']['p95']:.2f}, simulated {sunk['simulated']['p95']:.2f}"
    axes.text(0.05, 0.11, text, transform=axes.transAxes, fontsize=8.5)
    axes.set_xlim(left=0)


def _spectrum(axes: Axes, realism: Realism, group: int, label: str) -> None:
    from egoreact.hrd.realism import CUT_OFF_HZ, FREQUENCIES_HZ

    shown = (FREQUENCIES_HZ > 0) & (FREQUENCIES_HZ <= CUT_OFF_HZ + 2)
    hz = FREQUENCIES_HZ[shown]
    for windows, colour, name in (
        (realism.captured, _CAPTURED, "captured"),
        (realism.all_simulated, _SIMULATED, "simulated"),
    ):
        spectra = 100 * windows.spectra[:, group][:, shown]
        low, high = np.percentile(spectra, (5, 95), axis=0)
        axes.fill_between(hz, low, high, color=colour, alpha=0.22, lw=0)
        axes.plot(hz, spectra.mean(axis=0), color=colour, lw=2.2, label=name)
    axes.axvline(3.0, color=_INK, lw=0.8, ls=(0, (2, 3)))
    axes.set_title(f"{label}: power of acceleration by frequency", loc="left", fontsize=9.5)
    axes.set_xlabel("Hz")
    axes.set_xlim(hz[0], hz[-1])
    axes.set_ylim(0, None)
    if group == 0:
        axes.set_ylabel("% of the window's power; mean, 5–95 %")
