"""Recurring runs, one by each name: a pinned version, one run at a time, nothing caught up.

Kubeflow Pipelines cannot change a recurring run and lets two have one name. So what differs is made anew and the old
one deleted after that; what is the same stays. Whoever schedules at the same time comes to the same one: the oldest of
those that are right is kept. A schedule that was paused stays paused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from egoreact.errors import EgoReactError
from pipelines.cluster.client import Api, is_status
from pipelines.cluster.cron import next_times
from pipelines.cluster.once import ensure
from pipelines.cluster.package import Package
from pipelines.cluster.submit import EXPERIMENT, pin

Change = Literal["created", "replaced", "unchanged"]


@dataclass(frozen=True)
class Schedule:
    """A recurring run as the cluster keeps it.

    Args:
        version: of the pipeline, by id.
        next_at: when it fires next, UTC; None while it is paused.
    """

    id: str
    name: str
    cron: str
    paused: bool
    version: str
    next_at: datetime | None


def schedule(
    api: Api, package: Package, arguments: Mapping[str, Any], *, name: str, cron: str, service_account: str = ""
) -> tuple[Change, Schedule]:
    """Makes sure that this and nothing else is scheduled by that name.

    Args:
        cron: six fields, UTC.

    Raises:
        EgoReactError: the API refuses or is away; what was scheduled before still is, or run it again.
    """
    import kfp_server_api

    pinned = pin(api, package)
    before = _found(api, name)
    paused = bool(before) and all(each.mode == "DISABLE" for each in before)
    wanted = kfp_server_api.V2beta1RecurringRun(
        display_name=name,
        description=f"{package.name} {package.version}",
        experiment_id=pinned.experiment_id,
        pipeline_version_reference=kfp_server_api.V2beta1PipelineVersionReference(
            pipeline_id=pinned.pipeline_id, pipeline_version_id=pinned.version_id
        ),
        runtime_config=kfp_server_api.V2beta1RuntimeConfig(parameters=dict(arguments)),
        trigger=kfp_server_api.V2beta1Trigger(cron_schedule=kfp_server_api.V2beta1CronSchedule(cron=cron)),
        mode="DISABLE" if paused else "ENABLE",
        max_concurrency="1",
        no_catchup=True,
        service_account=service_account or None,
    )
    change: Change = "unchanged"
    if not any(_same(each, wanted) for each in before):
        change = "replaced" if before else "created"
        ensure(
            lambda: [each for each in _found(api, name) if _same(each, wanted)],
            lambda: api.change(api.recurring.recurring_run_service_create_recurring_run, recurring_run=wanted),
            look_first=False,
        )
    kept = _keep_one(api, name, wanted)
    return change, _read(kept)


def schedules(api: Api) -> list[Schedule]:
    """All recurring runs of the project's experiment."""
    listed = api.find(api.experiments.experiment_service_list_experiments, "experiments", EXPERIMENT, **api.namespaced)
    found = [
        each
        for experiment in listed
        for each in api.all(
            api.recurring.recurring_run_service_list_recurring_runs,
            "recurring_runs",
            experiment_id=experiment.experiment_id,
        )
    ]
    return [_read(each) for each in found]


def pause(api: Api, name: str, paused: bool) -> list[Schedule]:
    """Pauses or resumes what is scheduled by that name. What was missed meanwhile is not caught up.

    Raises:
        EgoReactError: nothing is scheduled by that name.
    """
    call = "disable" if paused else "enable"
    method = getattr(api.recurring, f"recurring_run_service_{call}_recurring_run")
    for each in _existing(api, name):
        api.read(method, recurring_run_id=each.recurring_run_id)
    return [_read(each) for each in _existing(api, name)]


def delete(api: Api, name: str) -> int:
    """Deletes what is scheduled by that name; its runs stay. Returns how many there were."""
    found = _found(api, name)
    for each in found:
        _delete(api, each)
    return len(found)


def _keep_one(api: Api, name: str, wanted: Any) -> Any:
    """The oldest that is right; all others are deleted."""
    found = _found(api, name)
    right = sorted((each for each in found if _same(each, wanted)), key=lambda each: (each.created_at, each.recurring_run_id))  # fmt: skip
    if not right:
        raise EgoReactError("was deleted by somebody else meanwhile", where=f"schedule {name}", remedy="schedule it again")  # fmt: skip
    for each in found:
        if each is not right[0]:
            _delete(api, each)
    return right[0]


def _delete(api: Api, each: Any) -> None:
    try:
        api.read(api.recurring.recurring_run_service_delete_recurring_run, recurring_run_id=each.recurring_run_id)
    except EgoReactError as error:
        if not is_status(error, 404):  # somebody else did, or we did and were not told
            raise


def _existing(api: Api, name: str) -> list[Any]:
    found = _found(api, name)
    if not found:
        raise EgoReactError("nothing is scheduled by that name", where=f"schedule {name}", remedy="see: egoreact pipeline schedule --list")  # fmt: skip
    return found


def _found(api: Api, name: str) -> list[Any]:
    return api.find(api.recurring.recurring_run_service_list_recurring_runs, "recurring_runs", name, **api.namespaced)


def _same(found: Any, wanted: Any) -> bool:
    return _essence(found) == _essence(wanted)


def _essence(each: Any) -> tuple[Any, ...]:
    """What makes a schedule this one; whether it is paused is not."""
    cron = each.trigger.cron_schedule.cron if each.trigger and each.trigger.cron_schedule else None
    reference = each.pipeline_version_reference
    version = reference.pipeline_version_id if reference else None
    parameters = (each.runtime_config.parameters if each.runtime_config else None) or {}
    account = each.service_account or ""
    return cron, version, parameters, str(each.max_concurrency), bool(each.no_catchup), account


def _read(each: Any) -> Schedule:
    cron = each.trigger.cron_schedule.cron if each.trigger and each.trigger.cron_schedule else ""
    paused = each.mode == "DISABLE"
    version = each.pipeline_version_reference.pipeline_version_id if each.pipeline_version_reference else ""
    next_at = next_times(cron, 1)[0] if cron and not paused else None
    return Schedule(each.recurring_run_id, each.display_name, cron, paused, version or "", next_at)
