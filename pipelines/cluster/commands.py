"""`egoreact pipeline compile`, `submit` and `schedule`: the pipelines on a cluster.

Everything that can be wrong is looked at first: nothing is created by a command that ends with an error line, unless
the line says so.
"""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from egoreact.errors import EgoReactError
from egoreact.files import whole_file
from pipelines.cluster.options import Place, PlaceOptions, Work, WorkOptions, prepare

if TYPE_CHECKING:
    from pipelines.cluster.client import Api
    from pipelines.cluster.schedule import Schedule
    from pipelines.cluster.show import Comparison, LiveSteps
    from pipelines.cluster.submit import Submission
    from pipelines.cluster.watch import RunState

TRAINING, RETRAINING, HERE = Work(), Work(pipeline="retraining"), Place()


def pipeline_compile(
    out: Path | None = None,
    /,
    *,
    pipeline: Literal["training", "retraining"] = "training",
    pods: Literal["cpu", "gpu"] = "cpu",
    image: str | None = None,
    allow_tag: bool = False,
    gpu_nodes: str | None = None,
) -> None:
    """Compile a pipeline for Kubeflow Pipelines. The same code gives the same bytes.

    Args:
        out: the file to write, ending in .yaml; egoreact-<pipeline>.yaml where not given.
        pipeline: which one.
        pods: resources of the steps' pods: cpu for tiny and demo, gpu for paper.
        image: the steps' image, by digest; EGOREACT_STEP_IMAGE where not given.
        allow_tag: take an image that is named by a tag: what runs may then change without notice.
        gpu_nodes: label=value of the nodes with GPUs; nvidia.com/gpu.present=true where not given.
    """
    from pipelines.cluster.package import make, plan_of

    path = out or Path(f"egoreact-{pipeline}.yaml")
    if path.suffix != ".yaml":
        raise EgoReactError("is no name for a compiled pipeline", where=path, remedy="let it end in .yaml")
    plan = plan_of(pods, gpu_nodes=gpu_nodes)
    _write(path, make(pipeline, plan, image=image, allow_tag=allow_tag).text)
    print(path)


def pipeline_submit(
    *,
    work: WorkOptions = TRAINING,
    place: PlaceOptions = HERE,
    wait: bool = False,
    timeout_minutes: float = float("inf"),
    poll_seconds: float = 5.0,
    on_interrupt: Literal["ask", "leave", "cancel"] = "ask",
    format: Literal["table", "markdown"] = "table",
    report: Path | None = None,
) -> None:
    """Run a pipeline on a cluster, and follow it with --wait.

    Ends with 0 when the run succeeded, 2 when it failed or was cancelled, 130 when waiting was interrupted.

    Args:
        work: what is to run.
        place: where.
        wait: follow the run until it ends, then show its figures beside the champion's.
        timeout_minutes: stop waiting after so long; the run goes on.
        poll_seconds: between two looks at the run.
        on_interrupt: what Ctrl-C does to the run; ask leaves it alone where nobody can answer.
        format: of what is shown at the end.
        report: file for the steps and figures in Markdown, whatever the end, for a pull request's comment.
    """
    from pipelines.cluster.client import Api
    from pipelines.cluster.show import LiveSteps
    from pipelines.cluster.submit import submit

    ready = prepare(work, place)
    api = Api(ready.access)
    name = f"{ready.package.name} {ready.preset}"
    submission = submit(api, ready.package, ready.arguments, name=name, service_account=place.service_account)
    print(submission.url, flush=True)
    if not wait:
        return
    with LiveSteps(sys.stderr if format == "markdown" else sys.stdout) as live:
        state = _follow(api, submission, ready.package.steps, live, poll_seconds, timeout_minutes, on_interrupt)
    _tell(submission, state, live, format, report)
    if state.end != "succeeded":
        at = f" at {', '.join(state.failing)}" if state.failing else ""
        remedy = f"its steps' logs are at {submission.url}"
        raise EgoReactError(f"{state.end}{at}", where=f"run {submission.name}", remedy=remedy)


def pipeline_schedule(
    *,
    cron: str | None = None,
    list: bool = False,
    pause: bool = False,
    resume: bool = False,
    delete: bool = False,
    name: str | None = None,
    work: WorkOptions = RETRAINING,
    place: PlaceOptions = HERE,
) -> None:
    """Run a pipeline again and again on a cluster, by a cron expression. Scheduling the same twice changes nothing.

    One run at a time, of the version compiled now; what falls into a pause is not caught up.

    Args:
        cron: when, in UTC: minute hour day month weekday, or six fields with seconds first.
        list: show what is scheduled.
        pause: stop firing until --resume.
        resume: fire again.
        delete: remove the schedule; its runs stay.
        name: of the schedule; egoreact-<pipeline> where not given.
        work: what is to run.
        place: where.
    """
    from pipelines.cluster import schedule as scheduling
    from pipelines.cluster.client import Api
    from pipelines.cluster.cron import six_fields

    if sum([cron is not None, list, pause, resume, delete]) != 1:
        remedy = "give one of --cron, --list, --pause, --resume, --delete"
        raise EgoReactError("wants one thing to do", where="egoreact pipeline schedule", remedy=remedy)
    called = name or f"egoreact-{work.pipeline}"
    if cron is not None:
        when = six_fields(cron)
        ready = prepare(work, place)
        change, made = scheduling.schedule(
            Api(ready.access),
            ready.package,
            ready.arguments,
            name=called,
            cron=when,
            service_account=place.service_account,
        )
        print(change)
        _print_schedules([made])
        return
    api = Api(place.access())
    if list:
        _print_schedules(scheduling.schedules(api))
    elif delete:
        print(f"{scheduling.delete(api, called)} deleted")
    else:
        _print_schedules(scheduling.pause(api, called, pause))


def _follow(
    api: "Api",
    submission: "Submission",
    steps: tuple[str, ...],
    live: "LiveSteps",
    poll_s: float,
    timeout_minutes: float,
    on_interrupt: Literal["ask", "leave", "cancel"],
) -> "RunState":
    from egoreact.termination import terminated_by
    from pipelines.cluster.watch import cancel, wait

    def watch() -> "RunState":
        return wait(api, submission.run_id, steps, live, poll_s=poll_s, timeout_s=60 * timeout_minutes)

    with terminated_by(KeyboardInterrupt):  # a CI runner's SIGTERM is Ctrl-C here
        try:
            try:
                return watch()
            except KeyboardInterrupt:
                if on_interrupt == "leave" or (on_interrupt == "ask" and not live.paused(_cancel_wanted)):
                    raise
                cancel(api, submission.run_id)
                print("cancelling", file=sys.stderr)
                return watch()
        except (EgoReactError, KeyboardInterrupt):
            print(f"no longer watching; the run goes on: {submission.url}", file=sys.stderr)
            raise


def _cancel_wanted() -> bool:
    """Asks; nobody there to answer is a no."""
    if not sys.stdin.isatty():
        return False
    print("\nCancel the run on the cluster too? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _tell(
    submission: "Submission",
    state: "RunState",
    live: "LiveSteps",
    format: Literal["table", "markdown"],
    report: Path | None,
) -> None:
    from pipelines.cluster.show import markdown, summary

    comparison, note = _comparison(submission.run_id)
    text = markdown(submission, state, comparison, note)
    if report is not None:
        _write(report, text)
    if format == "markdown":
        print(text)
    else:
        live.console.print(summary(state, comparison, note))


def _comparison(run_id: str) -> "tuple[Comparison | None, str]":
    """The run's figures beside the champion's, or why there are none."""
    from components.report.decision import decision_of
    from egoreact.workspace import Workspace
    from pipelines.cluster.show import Comparison

    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return None, "no figures: MLFLOW_TRACKING_URI is not set here"
    try:
        decision = decision_of(Workspace.from_environment(), run_id)
        return (Comparison.of(decision), "") if decision else (None, "no figures: the run came to no decision")
    except EgoReactError as error:  # the run's end does not depend on them
        return None, f"no figures: {error}"


def _print_schedules(found: "Sequence[Schedule]") -> None:
    if not found:
        print("nothing is scheduled")
    for each in found:
        state = "paused" if each.next_at is None else f"next at {each.next_at:%Y-%m-%d %H:%M} UTC"
        print(f"{each.name}  {each.cron}  {state}  version {each.version}")


def _write(path: Path, text: str) -> None:
    try:
        with whole_file(path) as beside:
            beside.write_text(text)
    except OSError as error:
        raise EgoReactError(f"cannot be written ({error.strerror})", where=path, remedy="name another place") from error


COMMANDS: dict[str, Callable[..., None]] = {
    "pipeline compile": pipeline_compile,
    "pipeline submit": pipeline_submit,
    "pipeline schedule": pipeline_schedule,
}
