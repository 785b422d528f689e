"""The workflow on this machine: a training run or a look for new data, and a report of each."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from egoreact.files import write_json
from egoreact.provenance import code_digest
from egoreact.workspace import Workspace
from pipelines.runner import Ran, environment, run_pipeline
from pipelines.step_reader import Step, Watch

LAST_RUN = "last_run.json"


@dataclass(frozen=True)
class RunSummary:
    """What a run did and gave; `pipeline/last_run.json` in the workspace holds the same."""

    config: str
    data_revision: str
    code_digest: str
    started_at: str
    seconds: float
    peak_memory_mb: float
    steps: tuple[Step, ...]
    promoted: bool
    """Whether this run's bundle is the champion now."""
    version: str
    """Of the champion; empty where there is none."""
    digest: str
    record: dict[str, Any]
    """Metric record of this run's bundle."""
    decision: dict[str, Any]
    """Outcome, reasons, checks, and both records."""


@dataclass(frozen=True)
class Retraining:
    """What a look for new data led to."""

    why: str
    """There was reason to train, or none."""
    run: RunSummary | None
    """None where nothing was trained."""


def run_training(config_json: str, *, workspace: Workspace | None = None, watch: Watch | None = None) -> RunSummary:
    """Runs every step that this configuration, data and code have not been through before.

    Args:
        config_json: `RunConfig` as JSON.
        watch: told of every step as it runs.

    Raises:
        EgoReactError: a step failed: its own error line, or for a bug the place of its log; or another run is at work.
    """
    from pipelines.training import training_pipeline

    workspace = workspace or Workspace.from_environment()
    arguments = _arguments(config_json)
    with environment({"EGOREACT_HOME": str(workspace.root)}):
        ran = run_pipeline(training_pipeline, arguments, workspace.pipeline_root, watch=watch)
    end = {
        "promoted": bool(ran.outputs["promoted"]),
        "version": ran.outputs["version"],
        "digest": ran.outputs["digest"],
        "decision": json.loads(Path(ran.outputs["decision"].path).read_text()),
    }
    return _summary(workspace, arguments, ran, end)


def run_retraining(
    config_json: str,
    source: str,
    *,
    from_scratch: bool = False,
    workspace: Workspace | None = None,
    watch: Watch | None = None,
) -> Retraining:
    """Looks for new shards at a source and, where there is reason to, goes the whole way to a released model.

    Args:
        config_json: `RunConfig` as JSON.
        source: a folder, `file:///folder` or `s3://bucket/prefix`.
        from_scratch: start from fresh weights instead of the champion's.
        watch: told of every step as it runs.

    Raises:
        EgoReactError: as `run_training`.
    """
    from pipelines.retraining import retraining_pipeline

    workspace = workspace or Workspace.from_environment()
    arguments = _arguments(config_json) | {"source": source, "from_scratch": from_scratch}
    with environment({"EGOREACT_HOME": str(workspace.root)}):
        ran = run_pipeline(retraining_pipeline, arguments, workspace.pipeline_root, watch=watch)
    if not ran.outputs["trained"]:
        return Retraining(ran.outputs["why"], None)
    return Retraining(ran.outputs["why"], _summary(workspace, arguments, ran, json.loads(ran.outputs["outcome"])))


def _arguments(config_json: str) -> dict[str, Any]:
    fraction = json.loads(config_json)["gate"]["max_failing_fraction"]
    return {"config": config_json, "code_digest": code_digest(), "max_failing_fraction": fraction}


def _summary(workspace: Workspace, arguments: dict[str, Any], ran: Ran, end: dict[str, Any]) -> RunSummary:
    """Args:
    end: `promoted`, `version`, `digest`, `decision`.
    """
    record = end["decision"]["challenger"]
    summary = RunSummary(
        config=json.loads(arguments["config"])["name"],
        data_revision=record["data_revision"],
        code_digest=arguments["code_digest"],
        started_at=ran.started_at,
        seconds=ran.seconds,
        peak_memory_mb=ran.peak_memory_mb,
        steps=ran.steps,
        record=record,
        **end,
    )
    write_json(workspace.pipeline_root / LAST_RUN, asdict(summary))
    return summary
