"""Compares the challenger with the champion, both on today's test set, and carries the decision out."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from components.promote.registry import RegisteredBundle, Registry
from egoreact.errors import EgoReactError
from egoreact.evaluation.decision import NO_CHAMPION, Decision, PromotionPolicy, decide
from egoreact.evaluation.record import MetricRecord
from egoreact.files import write_json
from egoreact.models.bundle import verify
from egoreact.training.tracking import PIPELINE_RUN, PIPELINE_RUN_TAG, end_group
from egoreact.weights import WeightsMismatchError
from egoreact.workspace import Workspace

Examine = Callable[[Path], MetricRecord]
"""A bundle's folder → its record on today's test set."""


@dataclass(frozen=True)
class Result:
    """Whether the challenger is the champion now; version and digest of the champion, empty where there is none."""

    promoted: bool
    version: str
    digest: str


def run(
    workspace: Workspace,
    record_path: Path,
    bundle: Path,
    decision_path: Path,
    *,
    examine: Examine,
    policy: PromotionPolicy | None = None,
    group: str = "",
) -> Result:
    """Decides, registers a challenger that wins, and makes it the champion. Running it again changes nothing more.

    Args:
        record_path: the challenger's metric record.
        bundle: the challenger's folder.
        decision_path: where to write the outcome, its reasons, and both records, as JSON.
        examine: evaluates the reigning champion's bundle on the test set that the challenger was evaluated on.
        policy: gates, margin, tolerances.
        group: name of the tracked run that this run's trainings are nested under; it ends here.

    Raises:
        EgoReactError: the record is of another bundle, a bundle is damaged, or the registry is away.
    """
    challenger = MetricRecord.load(record_path)
    manifest, digest = verify(bundle)
    if challenger.bundle_digest != digest:
        found = challenger.bundle_digest[:12]
        raise EgoReactError(
            f"is of bundle {found}, not {digest[:12]}", where=record_path, remedy="evaluate this bundle"
        )
    registry = Registry(workspace)
    with registry.alone():
        champion = registry.champion()
        champion_record, unopposed = _champion_record(registry, champion, challenger, examine)
        decision = decide(challenger, champion_record, policy, unopposed=unopposed)
        tags = {"decision": decision.outcome, "reasons": "; ".join(decision.reasons)}
        if run_id := os.environ.get(PIPELINE_RUN):  # of a run whose training was reused too
            tags[PIPELINE_RUN_TAG] = run_id
        if decision.promote:
            registered = registry.register(
                bundle, digest, data_revision=manifest.data_revision, mlflow_run=manifest.mlflow_run, tags=tags
            )
            registry.crown(registered.version)
            champion = registered
    _write(decision_path, decision, challenger, champion_record)
    registry.note(manifest.mlflow_run, challenger.named_figures, tags, decision_path)
    if group:
        end_group(group, workspace=workspace)
    for sentence in (decision.outcome.replace("_", " "), *decision.reasons):
        print(sentence, flush=True)
    if champion is None:
        return Result(False, "", "")
    return Result(champion.digest == digest, champion.version, champion.digest)


def _champion_record(
    registry: Registry, champion: RegisteredBundle | None, challenger: MetricRecord, examine: Examine
) -> tuple[MetricRecord | None, str]:
    """The champion's own figures, from its own files, evaluated now; or none, and why."""
    if champion is None:
        return None, NO_CHAMPION
    if champion.digest == challenger.bundle_digest:
        return challenger, ""
    with TemporaryDirectory(prefix="egoreact-champion-") as folder:
        files = Path(folder) / "bundle"
        registry.download(champion.version, files)
        _, digest = verify(files)
        if digest != champion.digest:
            raise EgoReactError(
                f"version {champion.version} holds bundle {digest[:12]}, registered as {champion.digest[:12]}",
                where=registry.uri,
                remedy="go back to a sound version: egoreact rollback --to N",
            )
        print(f"evaluating the champion, version {champion.version}, on today's test set", flush=True)
        try:
            record = examine(files)
        except (
            WeightsMismatchError
        ) as error:  # it was trained by code of another architecture: nothing can run it any more
            return None, f"the champion, version {champion.version}, cannot run with this code: {error.what}"
    if record.bundle_digest != champion.digest:
        raise ValueError(f"examined bundle {record.bundle_digest}, not the champion's {champion.digest}")
    return record, ""


def _write(path: Path, decision: Decision, challenger: MetricRecord, champion: MetricRecord | None) -> None:
    content: dict[str, Any] = {
        "outcome": decision.outcome,
        "reasons": list(decision.reasons),
        "checks": [asdict(check) for check in decision.checks],
        "challenger": challenger.to_json(),
        "champion": champion.to_json() if champion is not None else None,
    }
    write_json(path, content)
