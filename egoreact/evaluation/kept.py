"""The evaluator that is kept with a data set, where the pipeline's training puts it and everything else finds it.

`<workspace>/evaluators/<data revision>/`, its statistics inside and what it was trained on beside: figures are comparable
under one evaluator alone, so there is one for a revision of the data.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from egoreact.errors import EgoReactError
from egoreact.hrd.dataset import manifest_digest
from egoreact.models.motion_evaluator import EvaluatorDescription, MotionEvaluator
from egoreact.workspace import Workspace

REMEDY = "train one with: make run, or name another's folder: --evaluator"


@dataclass(frozen=True)
class Origin:
    """The data set that an evaluator was trained on."""

    data_revision: str
    manifest_sha256: str
    quarantined: tuple[str, ...] = ()
    """Ids of the clips that the alignment gate left out."""


def keep_evaluator(workspace: Workspace, evaluator: MotionEvaluator, origin: Origin) -> Path:
    """Keeps it as the one of this revision, in place of any before; returns its folder."""
    folder = workspace.evaluators / origin.data_revision
    evaluator.save(folder, trained_on=asdict(origin))
    return folder


def kept_evaluator(workspace: Workspace, data_revision: str) -> MotionEvaluator:
    """Raises:
    EgoReactError: none is kept for this revision, it is damaged, or it was put there for another.
    """
    folder = workspace.evaluators / data_revision
    if not folder.is_dir():
        raise EgoReactError(f"no evaluator is kept for data revision {data_revision}", where=folder, remedy=REMEDY)
    evaluator = MotionEvaluator.load(folder)
    check_trained_on(evaluator, data_revision)
    return evaluator


def evaluator_of_data(workspace: Workspace, folder: Path) -> tuple[MotionEvaluator, Origin]:
    """The kept evaluator of the data set that lies in `folder`, known by its manifest's digest.

    Raises:
        EgoReactError: no data, or none of the evaluators kept is of these data.
    """
    digest = manifest_digest(folder)
    for kept in sorted(workspace.evaluators.glob("*/")):
        origin = _origin(kept)
        if origin is not None and origin.manifest_sha256 == digest:
            return kept_evaluator(workspace, origin.data_revision), origin
    raise EgoReactError("no evaluator is kept for the data here", where=folder, remedy=REMEDY)


def check_trained_on(evaluator: MotionEvaluator, data_revision: str) -> None:
    """Raises:
    EgoReactError: the evaluator says that it is of another data set. One that says nothing, as T2M's, judges any.
    """
    trained_on = evaluator.trained_on.get("data_revision", data_revision)
    if trained_on != data_revision:
        raise EgoReactError(
            f"was trained on data revision {trained_on}, these clips are of {data_revision}",
            where="motion evaluator",
            remedy="use the evaluator of these data: figures of two evaluators cannot be compared",
        )


def _origin(folder: Path) -> Origin | None:
    """What a kept evaluator says it was trained on; None where that cannot be read."""
    try:
        return TypeAdapter(Origin).validate_python(EvaluatorDescription.read(folder).trained_on)
    except (EgoReactError, ValidationError):
        return None
