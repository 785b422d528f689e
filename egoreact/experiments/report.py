"""A report: what was asked, three sentences of finding, tables and plots, and what made it. Whole or not at all.

It lies in the workspace, `experiments/<name>/`, with the rows that its figures are made of as parquet; `publish` copies
the page and its plots, not the rows, to where they can be committed.
"""

import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from egoreact.evaluation.metrics import Estimate
from egoreact.experiments.lab import Lab
from egoreact.files import whole_file, whole_folder, write_json
from egoreact.provenance import git_commit
from egoreact.training.tracking import Tracker, track

NUMBERS = "figures.json"


@dataclass(frozen=True)
class Report:
    title: str
    asked: str
    """The question, and what is expected of a right implementation."""
    findings: tuple[str, str, str]
    """Sentences, made from the figures."""
    body: Sequence[str]
    """Markdown: tables, and plots by file name."""
    figures: Mapping[str, Mapping[str, Estimate]]
    """Condition → figure."""
    plots: Mapping[str, Callable[[Path], None]]
    """File name → what draws it."""
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """Name → rows that the figures are made of."""


@dataclass(frozen=True)
class Experiment:
    """One experiment while it runs: a run in MLflow, and a run below it for each thing tried."""

    name: str
    lab: Lab
    command: str
    tracker: Tracker
    started: float

    @contextmanager
    def trial(self, name: str, **params: object) -> Iterator[Tracker]:
        with track(
            f"{self.name}: {name}", params=params, tags={"kind": "trial"}, parent=self.tracker.run_id
        ) as tracker:
            yield tracker

    def write(self, report: Report, out: Path | None) -> Path:
        """Writes the report into the workspace, tells MLflow, and copies page and plots to `out`, where given."""
        folder = self.lab.folder / self.name
        with whole_folder(folder) as beside:
            for name, draw in report.plots.items():
                draw(beside / name)
            for name, rows in report.tables.items():
                rows.to_parquet(beside / f"{name}.parquet", index=False)
            write_json(beside / NUMBERS, {c: {n: list(e) for n, e in row.items()} for c, row in report.figures.items()})
            (beside / f"{self.name}.md").write_text(page(report, self.origin()))
        for condition, row in report.figures.items():
            self.tracker.log_metrics(
                0, {f"{_plain(condition)}/{name}": estimate.mean for name, estimate in row.items()}
            )
        self.tracker.log_artifacts(folder)
        return folder if out is None else publish(folder, out)

    def origin(self) -> dict[str, str]:
        lab = self.lab
        return {
            "command": f"`{self.command}`",
            "bundle": f"`{lab.bundle.digest[:16]}`, trained on data revision `{lab.bundle.manifest.data_revision}`",
            "evaluator": f"`{lab.evaluator.digest[:16]}`",
            "data": f"manifest `{lab.data_digest[:16]}`: {len(lab.training.motion)} training, {len(lab.test.motion)} test clips",
            "commit": f"`{git_commit()[:16]}`",
            "made": f"{time.strftime('%Y-%m-%d')} in {(time.monotonic() - self.started) / 60:.1f} min on {machine()}",
        }


@contextmanager
def experiment(name: str, lab: Lab, command: str, **params: object) -> Iterator[Experiment]:
    with track(f"experiment {name}", params=params, tags={"kind": "experiment", "preset": lab.config.name}) as tracker:
        tracker.log_data(lab.bundle.manifest.data_revision, lab.data_digest, context="experiment")
        tracker.set_tags({"bundle_digest": lab.bundle.digest})
        yield Experiment(name, lab, command, tracker, time.monotonic())


def publish(folder: Path, out: Path) -> Path:
    """Copies the plots and then the page that shows them."""
    for path in [*sorted(folder.glob("*.png")), *folder.glob("*.md")]:
        with whole_file(out / path.name) as beside:
            shutil.copyfile(path, beside)
    return out


def page(report: Report, origin: Mapping[str, str]) -> str:
    blocks = [
        f"# {report.title}",
        report.asked,
        "## Finding",
        " ".join(report.findings),
        *report.body,
        "## Made by",
        table(["", ""], [[name, value] for name, value in origin.items()]),
        "The rows that all of this is made of lie in the workspace beside the report; ± is the half width of a 95 % interval.",
    ]
    return "\n\n".join(blocks) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; columns after the first are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def figure_table(
    figures: Mapping[str, Mapping[str, Estimate]], columns: Mapping[str, tuple[str, int]], first: str
) -> str:
    """Conditions down, figures across.

    Args:
        columns: figure → its heading and its decimals.
    """
    rows = [
        [condition, *(said(row.get(name), decimals) for name, (_, decimals) in columns.items())]
        for condition, row in figures.items()
    ]
    return table([first, *(heading for heading, _ in columns.values())], rows)


def said(estimate: Estimate | None, decimals: int) -> str:
    """`39.1 ± 3.9`; – where there is none."""
    if estimate is None:
        return "–"
    mean = f"{estimate.mean:.{decimals}f}"
    return mean if estimate.half_width is None else f"{mean} ± {estimate.half_width:.{decimals}f}"


def machine() -> str:
    """The processor's name and how many cores there are."""
    import os

    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if "model name" in line] if info.is_file() else []
    name = names[0].partition(":")[2].strip() if names else platform.processor() or platform.machine()
    return f"{os.cpu_count()} cores of {name}"


def _plain(name: str) -> str:
    """MLflow's names hold letters, digits and a few signs."""
    signs = {"−": "minus", "×": "x", "+": "plus"}
    kept = "".join(signs.get(letter, letter) for letter in name)
    return "".join(letter if letter.isalnum() or letter in "_-./ " else "_" for letter in kept if letter.isascii())
