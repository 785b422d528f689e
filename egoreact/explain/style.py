"""Colours and type of the figures here."""

from typing import Any

INK, FAINT, ACCENT, WARM = "#22303c", "#eef1f3", "#0f7b8a", "#c8402f"
STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
}
