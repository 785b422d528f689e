"""What a person sees of a run: a line a step while it runs, figures beside their baselines at its end."""

import time
from typing import IO

from rich.console import Group, RenderableType
from rich.spinner import Spinner
from rich.text import Text

from egoreact.evaluation.record import MetricRecord
from egoreact.evaluation.show import report
from pipelines.live_console import LiveConsole
from pipelines.local import RunSummary
from pipelines.step_reader import Step

QUIET_S = 10.0
"""Where there is no terminal to redraw, a step's own lines are shown at most this often."""

OUTCOMES = {
    "promote": "[bold green]promoted[/]",
    "refuse": "[bold yellow]refused[/]",
    "already_champion": "[bold]unchanged[/]",
}


class StepLines(LiveConsole):
    """A `Watch` that prints finished steps and keeps the running one on the last line."""

    def __init__(self, file: IO[str]):
        # Live would put its own stdout in place, under the one that reads what KFP prints.
        super().__init__(file, redirect_stdout=False, redirect_stderr=False)
        self.count = 0
        self.shown_at = time.monotonic()

    def __call__(self, step: Step, total: int, line: str) -> None:
        if step.state == "running":
            self._running(step, total, line)
            return
        self.count += 1
        state = {"done": "[green]done[/]  ", "cached": "[cyan]cached[/]", "failed": "[red]failed[/]"}[step.state]
        cost = "" if step.state == "cached" else f"{step.seconds:8.1f} s {step.peak_memory_mb:8,.0f} MB"
        self.live.update(Text(""), refresh=self.console.is_terminal)
        self.console.print(f"{self.count:3}/{total}  {step.name:<20} {state} {cost}")

    def _running(self, step: Step, total: int, line: str) -> None:
        if self.console.is_terminal:
            text = Text.assemble(
                f"{self.count + 1}/{total}  {step.name}  ", (line, "dim"), no_wrap=True, overflow="ellipsis"
            )
            self.live.update(Spinner("dots", text))
        elif line and time.monotonic() - self.shown_at > QUIET_S:
            self.shown_at = time.monotonic()
            self.console.print(f"       {step.name}: {line}", markup=False)


def summary(run: RunSummary) -> RenderableType:
    """The end of a run: figures, decision, what is served, time and memory, what to do next."""
    decision = run.decision
    challenger = MetricRecord.from_json(run.record)
    champion = MetricRecord.from_json(decision["champion"]) if decision["champion"] else None
    if champion is not None and champion.bundle_digest == challenger.bundle_digest:
        champion = None
    lines = Text.from_markup(f"\n{OUTCOMES[decision['outcome']]}  bundle {challenger.bundle_digest[:12]}\n")
    for check in decision["checks"]:
        mark, style = ("✓", "green") if check["passed"] else ("✗", "red")
        lines.append(f"  {mark} ", style).append(check["sentence"] + "\n")
    reigns = f"version {run.version}, bundle {run.digest[:12]}" if run.version else "none yet"
    minutes, seconds = divmod(round(run.seconds), 60)
    lines.append(f"\nchampion        {reigns}\n")
    lines.append(f"data revision   {run.data_revision}\n")
    lines.append(f"time            {minutes} min {seconds} s, {_cached(run)} of {len(run.steps)} steps reused\n")
    lines.append(f"peak memory     {run.peak_memory_mb / 1024:.1f} GB\n")
    if run.version:
        lines.append("\nnext            make serve   serves the champion and opens its page\n")
        lines.append("                make ui      shows runs, figures and versions\n")
    return Group(report(challenger, champion), lines)


def _cached(run: RunSummary) -> int:
    return sum(step.state == "cached" for step in run.steps)
