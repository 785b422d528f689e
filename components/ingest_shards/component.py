from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Output

from components.images import STEP_IMAGE


@dsl.component(base_image=STEP_IMAGE, packages_to_install=[], install_kfp_package=False)
def ingest_shards(
    source: str, config: str, max_failing_fraction: float, from_scratch: bool, report: Output[HTML]
) -> NamedTuple("Ingested", [("Output", bool), ("why", str), ("data_revision", str), ("config", str)]):  # type: ignore[valid-type]
    # KFP's local runner finds a condition's value only where the output is called Output.
    """Brings new shards at the source into the data set as a new revision; says whether there is reason to train again."""
    from dataclasses import astuple
    from pathlib import Path

    from components.ingest_shards.step import run

    result = run(
        source,
        config,
        max_failing_fraction=max_failing_fraction,
        from_scratch=from_scratch,
        report_html=Path(report.path),
    )
    return astuple(result)
