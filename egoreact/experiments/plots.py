"""The experiments' pictures, in one style."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from egoreact.evaluation.metrics import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, FAINT, GREY = "#22303c", "#dfe4e8", "#8d99a6"
COLOURS = ("#0f7b8a", "#c8402f", "#d9822b", "#6a5acd", "#5f8a3b", "#a3507c", "#8d99a6")
STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "text.color": INK,
    "legend.frameon": False,
}


@contextmanager
def drawing(path: Path, title: str, panels: int, *, height: float = 3.4, share_y: bool = False) -> Iterator[list[Axes]]:
    """The axes of so many panels side by side; written as a PNG when the block ends."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    with plt.rc_context(STYLE):  # type: ignore[arg-type]
        figure, axes = plt.subplots(
            1, panels, figsize=(10.5, height), layout="constrained", sharey=share_y, squeeze=False
        )
        figure.suptitle(title, x=0.008, ha="left", fontsize=11.5, weight="bold")
        yield list(axes[0])
        figure.savefig(path, dpi=120)
        plt.close(figure)


def line(
    axes: Axes, x: Sequence[float] | np.ndarray, values: np.ndarray, colour: str, label: str, **style: Any
) -> None:
    """The mean of rows over x, and its 95 % interval over the rows."""
    mean = values.mean(axis=0)
    half = 1.96 * values.std(axis=0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.zeros_like(mean)
    axes.fill_between(x, mean - half, mean + half, color=colour, alpha=0.14, lw=0)
    axes.plot(x, mean, color=colour, label=label, lw=1.8, **style)


def ranked(axes: Axes, rows: Mapping[str, Estimate], title: str, *, names: bool, mark: float | None = None) -> None:
    """A dot and its interval a row, first at the top; `mark` is a value to compare with, for example truth's."""
    for place, (name, estimate) in enumerate(rows.items()):
        colour = COLOURS[place % len(COLOURS)]
        half = estimate.half_width or 0.0
        axes.plot(
            [estimate.mean - half, estimate.mean + half], [-place] * 2, color=colour, lw=2.4, solid_capstyle="butt"
        )
        axes.plot(estimate.mean, -place, "o", color=colour, ms=6, mec="white", label=name)
    if mark is not None:
        axes.axvline(mark, color=INK, lw=0.9, ls=(0, (2, 3)))
    axes.set_yticks([-place for place in range(len(rows))], list(rows) if names else [""] * len(rows))
    axes.set_ylim(-len(rows) + 0.4, 0.6)
    axes.tick_params(axis="y", length=0)
    axes.set_title(title)
    axes.grid(axis="x", color=FAINT, lw=0.7)
    axes.set_axisbelow(True)
