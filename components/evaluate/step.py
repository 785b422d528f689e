"""A bundle's examination on held-out clips of one data revision, and its record."""

from pathlib import Path

from components.validate_alignment.step import read_quarantine
from components.version_dataset.dvc_data import ensure_revision
from egoreact.evaluation.examine import examine
from egoreact.evaluation.record import MetricRecord
from egoreact.hrd.dataset import data_folder
from egoreact.models.bundle import Bundle
from egoreact.models.motion_evaluator import MotionEvaluator
from egoreact.presets import RunConfig


def run(
    config: str, data_revision: str, quarantine: Path, bundle: Path, evaluator: Path, record: Path
) -> dict[str, float]:
    """Evaluates and writes the record; returns its figures. The table of clips lies beside the record, in parquet."""
    result = evaluate_bundle(
        config, data_revision, quarantine, bundle, evaluator, table_path=record.with_suffix(".parquet")
    )
    result.save(record)
    return result.named_figures


def evaluate_bundle(
    config: str, data_revision: str, quarantine: Path, bundle: Path, evaluator: Path, *, table_path: Path | None = None
) -> MetricRecord:
    """The metric record of any bundle on the test split of this data revision.

    Args:
        table_path: where to write a row a clip of motion, as parquet.

    Raises:
        EgoReactError: the data, the bundle or the evaluator is missing or damaged, or the evaluator is of other data.
    """
    ensure_revision(data_folder(), data_revision)
    return examine(
        Bundle.load(bundle),
        MotionEvaluator.load(evaluator),
        data_folder() / "hrd",
        RunConfig.from_json(config).evaluation,
        data_revision=data_revision,
        quarantined=read_quarantine(quarantine),
        table_path=table_path,
    )
