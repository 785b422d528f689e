"""The commands' own mistakes, and what a person sees of a run."""

import io
import socket
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from rich.console import Console

from egoreact.errors import EgoReactError
from egoreact.evaluation.decision import decide
from egoreact.evaluation.record import MetricRecord
from egoreact.workspace import Workspace
from pipelines.commands import pipeline_run, rollback, ui
from pipelines.local import RunSummary
from pipelines.show import StepLines, summary
from pipelines.step_reader import Step


def shown(run: RunSummary) -> str:
    console = Console(file=io.StringIO(), width=140)
    console.print(summary(run))
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.fixture
def run_of(record_of: Callable[..., MetricRecord]) -> Callable[[MetricRecord | None], RunSummary]:
    """Champion's record → summary of a run whose bundle `aaaa` has a head trajectory error of 20 cm."""

    def make(champion: MetricRecord | None) -> RunSummary:
        record = record_of("a" * 64, 20.0)
        decision = decide(record, champion)
        return RunSummary(
            config="demo",
            data_revision="0123.dir",
            code_digest="c" * 64,
            started_at="2030-01-01T00:00:00+00:00",
            seconds=754.2,
            peak_memory_mb=2560,
            steps=(Step("build-dataset", "cached", 0, 0), Step("evaluate", "done", 12.5, 800, "log")),
            promoted=decision.promote,
            version="3" if champion is None else "2",
            digest="a" * 64 if decision.promote else "b" * 64,
            record=record.to_json(),
            decision={
                "outcome": decision.outcome,
                "reasons": decision.reasons,
                "checks": [asdict(check) for check in decision.checks],
                "challenger": record.to_json(),
                "champion": champion.to_json() if champion else None,
            },
        )

    return make


def test_the_end_of_a_promotion(run_of: Callable[[MetricRecord | None], RunSummary]) -> None:
    text = shown(run_of(None))
    for part in (
        "promoted",
        "version 3",
        "12 min 34 s, 1 of 2 steps reused",
        "2.5 GB",
        "make serve",
        "make ui",
        "0123.dir",
    ):
        assert part in text
    assert "stand still" in text and "head trajectory error, cm ↓" in text
    assert " champion " not in text.splitlines()[2]


def test_the_end_of_a_refusal(
    run_of: Callable[[MetricRecord | None], RunSummary], record_of: Callable[..., MetricRecord]
) -> None:
    text = shown(run_of(record_of("b" * 64, 15.0)))
    assert "refused" in text
    assert "✗ head_trajectory_error_cm 20: under 14.8, the champion's 15 less 1%" in text
    assert "version 2, bundle bbbbbbbbbbbb" in text


def test_steps_are_lines_where_there_is_no_terminal() -> None:
    out = io.StringIO()
    with StepLines(out) as lines:
        lines(Step("build-dataset", "running", 0, 0), 11, "")
        lines(Step("build-dataset", "done", 12.34, 456, "log"), 11, "")
        lines(Step("evaluate", "cached", 0, 0), 11, "")
    assert [line.split() for line in out.getvalue().splitlines()] == [
        ["1/11", "build-dataset", "done", "12.3", "s", "456", "MB"],
        ["2/11", "evaluate", "cached"],
    ]


def test_mistakes_are_one_line(tmp_path: Path, home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EgoReactError, match=r"nothing\.json: cannot be read"):
        pipeline_run(config=tmp_path / "nothing.json")
    (tmp_path / "config.json").write_text('{"schema_version": 1, "name": "mine"}')
    with pytest.raises(EgoReactError, match="config: "):
        pipeline_run(config=tmp_path / "config.json")
    with pytest.raises(EgoReactError, match="no champion yet"):
        rollback()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(EgoReactError, match="cannot listen"):
            ui(port=taken.getsockname()[1])
    with pytest.raises(EgoReactError, match="cannot listen"):
        ui(port=99999)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking.example")
    with pytest.raises(EgoReactError, match="is a server with pages of its own"):
        ui()
