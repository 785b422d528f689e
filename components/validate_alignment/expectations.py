"""The bounds of `egoreact.hrd.alignment.THRESHOLDS` as Great Expectations, and its verdict on a table of clips."""

import logging
import os
from dataclasses import dataclass
from typing import Any

import pandas as pd

from egoreact.hrd.alignment import Threshold


@dataclass(frozen=True)
class Verdict:
    """What Great Expectations found."""

    failing: dict[str, tuple[str, ...]]
    """Measure → ids of the clips outside its bounds; measures that all clips keep are absent."""
    result: dict[str, Any]
    """Its own result, JSON-able."""


def examine(table: pd.DataFrame, thresholds: tuple[Threshold, ...]) -> Verdict:
    """Checks a table with a row a clip: column `clip_id`, and a column a measure, NaN where a clip cannot give it.

    Raises:
        RuntimeError: an expectation could not be evaluated: a bug, not bad data.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read when the package is imported
    import great_expectations as gx

    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    batch = (
        context.data_sources.add_pandas("hrd").add_dataframe_asset("clips").add_batch_definition_whole_dataframe("all")
    )
    suite = context.suites.add(gx.ExpectationSuite(name="alignment"))
    suite.add_expectation(gx.expectations.ExpectTableRowCountToBeBetween(min_value=1))
    suite.add_expectation(gx.expectations.ExpectColumnValuesToNotBeNull(column="clip_id"))
    suite.add_expectation(gx.expectations.ExpectColumnValuesToBeUnique(column="clip_id"))
    for threshold in thresholds:
        suite.add_expectation(
            gx.expectations.ExpectColumnValuesToBeBetween(
                column=threshold.measure,
                min_value=threshold.lower,
                max_value=threshold.upper,
                meta={"unit": threshold.unit, "meaning": threshold.meaning},
            )
        )
    definition = context.validation_definitions.add(gx.ValidationDefinition(name="alignment", data=batch, suite=suite))
    result = definition.run(
        batch_parameters={"dataframe": table},
        result_format={
            "result_format": "COMPLETE",
            "unexpected_index_column_names": ["clip_id"],
            "include_unexpected_rows": False,
        },
    )
    failing: dict[str, tuple[str, ...]] = {}
    for found in result.results:
        assert found.expectation_config is not None
        if (found.exception_info or {}).get("raised_exception"):
            raise RuntimeError(f"{found.expectation_config.type} failed: {found.exception_info}")
        if not found.success:
            measure = str(found.expectation_config.kwargs.get("column", "table"))
            failing[measure] = tuple(
                sorted(str(row["clip_id"]) for row in found.result.get("unexpected_index_list", []))
            )
    return Verdict(failing=failing, result=result.to_json_dict())
