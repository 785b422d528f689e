from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console
from test_record import RECORD

from egoreact.evaluation.report import plot_categories, print_report


def printed(record, *, colour: bool = False) -> str:
    console = Console(file=StringIO(), width=120, force_terminal=colour, color_system="standard" if colour else None)
    print_report(record, console)
    return console.file.getvalue()


def test_every_figure_is_in_the_table() -> None:
    lines = printed(RECORD).splitlines()
    (row,) = [line for line in lines if line.startswith("head trajectory error, cm ↓")]
    assert row.split("↓")[1].split() == ["1.50", "±", "0.10", "0.5", "3", "3", "3"]
    (row,) = [line for line in lines if line.startswith("reaction accuracy")]
    assert "150.0% ± 10.0%" in row
    assert any("teacher-forced head_trajectory_error_cm" in line for line in lines)
    assert "160 held-out clips" in lines[0]
    assert max(map(len, lines)) <= 120


def test_what_was_not_measured_is_a_dash() -> None:
    (row,) = [line for line in printed(RECORD).splitlines() if line.startswith("multimodality")]
    assert row.split("→")[1].split() == ["1.50", "±", "0.10", "–", "3", "3", "3"]  # truth has no many samples
    record = replace(RECORD, figures=dict(RECORD.figures) | {"per_token_latency_ms": None})
    (row,) = [line for line in printed(record).splitlines() if line.startswith("per-token")]
    assert row.split("↓")[1].split() == ["–"] * 5


GREEN, YELLOW = "\x1b[32m", "\x1b[33m"


@pytest.mark.parametrize(("error_cm", "colour"), [(2.9, GREEN), (3.1, YELLOW)])
def test_the_colour_says_whether_the_baselines_are_beaten(error_cm: float, colour: str) -> None:
    record = replace(RECORD, figures=dict(RECORD.figures) | {"head_trajectory_error_cm": error_cm})
    (row,) = [line for line in printed(record, colour=True).splitlines() if "head trajectory" in line and "↓" in line]
    assert colour in row


def test_the_bars_are_as_high_as_the_errors(tmp_path: Path) -> None:
    errors_cm = {"generated": 5, "truth": 0, "stand_still": 20, "mean_motion": 30, "random_clip": 40}
    rows = [
        {
            "system": system, "part": "test", "repeat": 0, "clip_id": f"{category}{clip}", "category": category,
            "predicted": "car", "head_trajectory_error_cm": error + clip, "foot_skate_cm": 0.0,
        }
        for system, error in errors_cm.items()
        for category in ("ball_left", "car")
        for clip in range(3)
    ]  # fmt: skip
    path = plot_categories(pd.DataFrame(rows), tmp_path / "categories.png")
    assert list(tmp_path.iterdir()) == [path]
    picture = np.asarray(Image.open(path).convert("RGB")).astype(int)

    def tallest_px(colour: tuple[int, int, int]) -> int:
        """Rows of the longest column of a colour in the upper half."""
        upper = picture[: picture.shape[0] // 2]
        return int((np.abs(upper - colour).max(-1) < 12).sum(0).max())

    generated, random_clip = tallest_px((31, 111, 139)), tallest_px((206, 212, 218))
    assert random_clip / generated == pytest.approx(41 / 6, rel=0.25)
