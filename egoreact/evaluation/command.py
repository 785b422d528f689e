"""What `egoreact evaluate` does: examines a bundle on the data set of this machine, or reads an evaluation's table again."""

from pathlib import Path

from egoreact.evaluation.examine import EvaluationConfig, examine
from egoreact.evaluation.kept import evaluator_of_data
from egoreact.evaluation.record import MetricRecord
from egoreact.evaluation.show import markdown
from egoreact.evaluation.table import read_table, record_of
from egoreact.files import whole_file
from egoreact.hrd.dataset import data_folder
from egoreact.models.bundle import Bundle
from egoreact.models.motion_evaluator import MotionEvaluator
from egoreact.models.release import released_bundle
from egoreact.workspace import Workspace

RECORD, TABLE, FIGURES = "record.json", "clips.parquet", "figures.md"


def evaluate_data_set(
    bundle: Path | None, settings: EvaluationConfig, out: Path, *, evaluator: Path | None = None
) -> MetricRecord:
    """Examines a bundle and writes record, table and figures into `out`.

    Args:
        bundle: its folder; the promoted one where None.
        evaluator: its folder; the one kept with the data set where None. Clips that the alignment gate left out are
            known from the kept one, so there has to be one in any case.

    Raises:
        EgoReactError: no data, bundle or evaluator, or one that is damaged or of other data.
    """
    workspace = Workspace.from_environment()
    loaded = Bundle.load(bundle or released_bundle(workspace))
    kept, origin = evaluator_of_data(workspace, data_folder() / "hrd")
    judge = kept if evaluator is None else MotionEvaluator.load(evaluator)
    record = examine(
        loaded,
        judge,
        data_folder() / "hrd",
        settings,
        data_revision=origin.data_revision,
        quarantined=origin.quarantined,
        table_path=out / TABLE,
    )
    _write(record, out)
    return record


def recompute(table: Path, out: Path | None) -> MetricRecord:
    """The record of an evaluation's table, to the last digit; written into `out` where given.

    Raises:
        EgoReactError: the file is no such table.
    """
    record = record_of(read_table(table))
    if out is not None:
        _write(record, out)
    return record


def _write(record: MetricRecord, out: Path) -> None:
    record.save(out / RECORD)
    with whole_file(out / FIGURES) as beside:
        beside.write_text(markdown(record))
