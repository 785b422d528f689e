"""What a person sees of a run on a cluster: its steps while it goes, its figures beside the champion's at the end."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from egoreact.evaluation.record import FIGURES, HIGHER_IS_BETTER, MetricRecord
from pipelines.cluster.submit import Submission
from pipelines.cluster.watch import RunState, StepState
from pipelines.live_console import LiveConsole

STYLES = {
    "waiting": "dim", "running": "bold blue", "done": "green", "cached": "cyan",
    "failed": "bold red", "skipped": "dim", "cancelled": "yellow",
}  # fmt: skip
ENDS = {"succeeded": "green", "failed": "bold red", "cancelled": "yellow", "skipped": "dim"}


@dataclass(frozen=True)
class Delta:
    """One figure of the run's bundle beside the champion's, both on the same clips.

    Args:
        better: None where neither more nor less is better, or there is nothing to compare with.
    """

    figure: str
    run: float
    champion: float | None
    better: bool | None

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """Figure, run, champion, and the difference with its sign."""
        if self.champion is None:
            return self.figure, f"{self.run:.4g}", "–", "–"
        mark = {True: " better", False: " worse", None: ""}[self.better]
        return self.figure, f"{self.run:.4g}", f"{self.champion:.4g}", f"{self.run - self.champion:+.3g}{mark}"


@dataclass(frozen=True)
class Comparison:
    """What the run's promotion decided, and the figures that it decided by."""

    outcome: str
    reasons: tuple[str, ...]
    bundle_digest: str
    data_revision: str
    deltas: tuple[Delta, ...]

    @staticmethod
    def of(decision: dict[str, Any]) -> "Comparison":
        """From the document that promotion wrote.

        Raises:
            EgoReactError: a record in it is none of this schema version.
        """
        challenger = MetricRecord.from_json(decision["challenger"])
        reigning = MetricRecord.from_json(decision["champion"]) if decision.get("champion") else None
        if reigning is not None and reigning.bundle_digest == challenger.bundle_digest:
            reigning = None
        deltas = tuple(
            _delta(name, value, reigning.figures.get(name) if reigning else None)
            for name in FIGURES
            if (value := challenger.figures.get(name)) is not None
        )
        digest, revision = challenger.bundle_digest, challenger.data_revision
        return Comparison(decision["outcome"], tuple(decision["reasons"]), digest, revision, deltas)


def _delta(name: str, value: float, champion: float | None) -> Delta:
    higher = HIGHER_IS_BETTER[name]
    better = None if champion is None or higher is None or value == champion else (value > champion) == higher
    return Delta(name, value, champion, better)


class LiveSteps(LiveConsole):
    """Shows each look at a run: a table that redraws itself in a terminal, a line a change elsewhere."""

    def __init__(self, file: IO[str]):
        super().__init__(file, auto_refresh=False)
        self.seen: dict[str, str] = {}

    def __call__(self, state: RunState) -> None:
        if self.console.is_terminal:
            self.live.update(table(state), refresh=True)
            return
        for step in state.steps:
            if step.state != "waiting" and self.seen.get(step.name) != step.state:
                self.seen[step.name] = step.state
                self.console.print(f"{state.finished:3}/{len(state.steps)}  {_line(step)}", markup=False)

    def paused(self, question: Callable[[], bool]) -> bool:
        """Asks something while the table is away."""
        self.__exit__()
        answer = question()
        self.__enter__()
        return answer


def table(state: RunState) -> Table:
    """The run's steps, for a terminal."""
    shown = Table("step", "state", "time", title=f"{state.end or state.phase}, {state.finished} of {len(state.steps)} steps")  # fmt: skip
    shown.columns[2].justify = "right"
    for step in state.steps:
        shown.add_row(step.name, Text(step.state, STYLES[step.state]), _time(step))
    return shown


def summary(state: RunState, comparison: Comparison | None, note: str) -> RenderableType:
    """The end of a run, for a terminal."""
    end = state.end or state.phase
    parts: list[RenderableType] = [table(state), Text(end, ENDS.get(end, ""))]
    if state.error:
        parts.append(Text(state.error))
    if comparison is not None:
        figures = Table("figure", "this run", "champion", "difference")
        for column in figures.columns[1:]:
            column.justify = "right"
        for delta in comparison.deltas:
            figures.add_row(*delta.cells)
        parts += [Text(f"\n{_told(comparison)}"), figures, *(Text(f"  {reason}") for reason in comparison.reasons)]
    elif note:
        parts.append(Text(note))
    return Group(*parts)


def markdown(submission: Submission, state: RunState, comparison: Comparison | None, note: str) -> str:
    """The same for a comment on a pull request."""
    lines = [f"### [{submission.name}]({submission.url}): {state.end or state.phase}", ""]
    if state.error:
        lines += [f"> {state.error}", ""]
    if comparison is not None:
        lines += [_told(comparison), "", *_rows(["figure", "this run", "champion", "difference"])]
        lines += ["| " + " | ".join(delta.cells) + " |" for delta in comparison.deltas]
        lines += ["", *(f"- {reason}" for reason in comparison.reasons), ""]
    elif note:
        lines += [note, ""]
    lines += ["<details><summary>Steps</summary>", "", *_rows(["step", "state", "time"])]
    lines += [f"| {step.name} | {step.state} | {_time(step)} |" for step in state.steps]
    return "\n".join([*lines, "", "</details>", ""])


def _told(comparison: Comparison) -> str:
    outcome = comparison.outcome.replace("_", " ")
    return f"{outcome}: bundle {comparison.bundle_digest[:12]} on data {comparison.data_revision[:12]}"


def _rows(header: list[str]) -> list[str]:
    return ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]


def _line(step: StepState) -> str:
    return f"{step.name:<20} {step.state:<10} {_time(step)}".rstrip()


def _time(step: StepState) -> str:
    if step.seconds <= 0:
        return ""
    minutes, seconds = divmod(round(step.seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"  # fmt: skip
