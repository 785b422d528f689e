"""Waits for a run's end and shows its steps while it goes. A failed run and a cancelled one are told apart, and told.

Kubeflow Pipelines' own waiter never returns from a cancelled run.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from egoreact.errors import EgoReactError
from pipelines.cluster.client import Api

State = Literal["waiting", "running", "done", "cached", "failed", "skipped", "cancelled"]
End = Literal["succeeded", "failed", "cancelled", "skipped"]

POLL_S = 5.0
OUTAGE_S = 600.0
"""How long a run is followed blindly while the API does not answer."""
STUCK_CANCELING_S = 300.0
"""After so long in CANCELING a run counts as cancelled: its pods are gone, and the API says no more."""


@dataclass(frozen=True)
class StepState:
    name: str
    state: State
    seconds: float


@dataclass(frozen=True)
class RunState:
    """A run as it stands.

    Args:
        end: None while it goes on.
        error: what the API says of a failure, and at which steps.
    """

    phase: str
    steps: tuple[StepState, ...]
    end: End | None = None
    error: str = ""

    @property
    def finished(self) -> int:
        """Steps that have ended, one way or another."""
        return sum(step.state not in ("waiting", "running") for step in self.steps)

    @property
    def failing(self) -> tuple[str, ...]:
        return tuple(step.name for step in self.steps if step.state == "failed")


def read(run: Any, steps: tuple[str, ...], now: datetime | None = None) -> RunState:
    """A run's state from the API's answer.

    Args:
        run: `V2beta1Run`.
        steps: names of the pipeline's steps, in the order to show them.
    """
    now = now or datetime.now(UTC)
    end = _end(run)
    tasks = (run.run_details.task_details if run.run_details else None) or []
    by_name = {task.display_name: task for task in tasks}
    executors = {task.pod_name: task for task in tasks if _is_executor(task)}
    shown = tuple(_step(name, by_name.get(name), executors, end, now) for name in steps)
    error = (run.error.message or "") if run.error else ""
    return RunState((run.state or "PENDING").lower(), shown, end, error)


def wait(
    api: Api,
    run_id: str,
    steps: tuple[str, ...],
    show: Callable[[RunState], None],
    *,
    poll_s: float = POLL_S,
    timeout_s: float = float("inf"),
) -> RunState:
    """Returns when the run has ended.

    Args:
        show: called with every look at it.
        timeout_s: stop waiting after so long.

    Raises:
        EgoReactError: the API refuses, is away for ten minutes, or the run takes longer; the run goes on.
    """
    started, canceling_since = time.monotonic(), None
    while True:
        state = read(api.read(api.runs.run_service_get_run, patience_s=OUTAGE_S, run_id=run_id), steps)
        if state.end is None and state.phase == "canceling":
            canceling_since = canceling_since or time.monotonic()
            if time.monotonic() - canceling_since > STUCK_CANCELING_S:
                state = RunState(state.phase, state.steps, "cancelled", state.error)
        show(state)
        if state.end is not None:
            return state
        if time.monotonic() - started > timeout_s:
            remedy = f"look at {api.access.run_url(run_id)}, or give more --timeout-minutes"
            raise EgoReactError(f"still {state.phase} after {timeout_s / 60:.0f} minutes", where=f"run {run_id}", remedy=remedy)  # fmt: skip
        time.sleep(poll_s)


def cancel(api: Api, run_id: str) -> None:
    """Asks the cluster to stop a run; nothing happens to one that has ended."""
    try:
        api.read(api.runs.run_service_terminate_run, run_id=run_id)
    except EgoReactError:
        run = api.read(api.runs.run_service_get_run, run_id=run_id)
        if _end(run) is None and run.state != "CANCELING":
            raise


def _end(run: Any) -> End | None:
    """How it ended. A workflow that was cancelled may end as failed: its history says what it was."""
    phases = [(each.state or "") for each in run.state_history or []]
    match run.state:
        case "SUCCEEDED":
            return "succeeded"
        case "SKIPPED":
            return "skipped"
        case "FAILED" | "ERROR":
            return "cancelled" if "CANCELING" in phases else "failed"
        case "CANCELED" | "CANCELLED":
            return "cancelled"
    return None


def _is_executor(task: Any) -> bool:
    """The pod that runs a step's code; with retries it is `executor(0)`."""
    return (task.display_name or "").partition("(")[0] == "executor"


def _step(name: str, task: Any, executors: dict[str, Any], end: End | None, now: datetime) -> StepState:
    if task is None:
        return StepState(name, "waiting" if end is None else "skipped", 0.0)
    seconds = _seconds(task, now)
    children = [executors[child.pod_name] for child in task.child_tasks or [] if child.pod_name in executors]
    match task.state:
        case "SUCCEEDED" if children and all(child.state == "SKIPPED" for child in children):
            return StepState(name, "cached", 0.0)
        case "SUCCEEDED":
            return StepState(name, "done", seconds)
        case "FAILED" | "ERROR" if end == "cancelled":
            return StepState(name, "cancelled", seconds)
        case "FAILED" | "ERROR":
            return StepState(name, "failed", seconds)
        case "SKIPPED" | "OMITTED":
            return StepState(name, "skipped", 0.0)
        case "CANCELED" | "CANCELING":
            return StepState(name, "cancelled", seconds)
        case "RUNNING" | "PENDING" if end is None:
            return StepState(name, "running", seconds)
        case "RUNNING" | "PENDING":
            return StepState(name, "cancelled", seconds)
    return StepState(name, "waiting", 0.0)


def _seconds(task: Any, now: datetime) -> float:
    """How long it ran or has run. What has not ended ends in 1970, for the API."""
    if task.start_time is None or task.start_time.year <= 1970:
        return 0.0
    ended = task.end_time if task.end_time is not None and task.end_time.year > 1970 else now
    return max((ended - task.start_time).total_seconds(), 0.0)
