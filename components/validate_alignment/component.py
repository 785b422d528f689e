from kfp import dsl
from kfp.dsl import HTML, Dataset, Metrics, Output

from components.images import STEP_IMAGE


@dsl.component(base_image=STEP_IMAGE, packages_to_install=[], install_kfp_package=False)
def validate_alignment(
    data_revision: str,
    code_digest: str,
    max_failing_fraction: float,
    report: Output[HTML],
    quarantine: Output[Dataset],
    measures: Output[Metrics],
) -> int:
    """Measures every clip and quarantines those out of bounds; fails where too many are. Returns how many are quarantined."""
    from pathlib import Path

    from components.validate_alignment.step import run_on_revision

    result = run_on_revision(
        data_revision,
        max_failing_fraction=max_failing_fraction,
        report_html=Path(report.path),
        quarantine_json=Path(quarantine.path),
    )
    for name, value in result.metrics.items():
        measures.log_metric(name, value)
    return result.failing
