"""Measures every clip of a data set, lets Great Expectations judge the table, and writes down who failed and why."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from components.validate_alignment.expectations import Verdict, examine
from components.validate_alignment.measures import measure_clips
from components.validate_alignment.report import ClipSheet, render_report, sheet_of
from egoreact.errors import EgoReactError
from egoreact.files import sha256_json, whole_file, write_json
from egoreact.hrd.alignment import THRESHOLDS, Row, Threshold, failures
from egoreact.hrd.shards import MANIFEST, ShardCounts, read_clips, read_manifest
from egoreact.workspace import Workspace

MAX_SHEETS = 24
"""Failing clips that the report shows one by one; the others are in its list."""
MEASURES = "measures"
"""Folder of the workspace: a table of figures a shard."""
CLIP_COLUMNS = ("clip_id", "split", "category", "source")


@dataclass(frozen=True)
class ValidationResult:
    """How many clips were measured and failed, and the files that say so, all in one folder."""

    shards: ShardCounts
    """Unchanged ones have their figures from the cache."""
    clips: int
    failing: int
    quarantined: tuple[str, ...]
    """Ids of the failing clips: later steps leave them out."""
    report_html: Path
    """One page that loads nothing from elsewhere."""
    table: Path
    """Parquet: a row a clip, a column a measure."""
    verdict_json: Path
    """Counts, worst measure, passed or not."""
    quarantine_json: Path
    """`quarantined`: ids; `reasons`: id → measure, value, bounds, meaning."""
    expectations_json: Path
    """Great Expectations' own result."""
    metrics: dict[str, float]
    """For a tracker: clips, failing, failing fraction, and each measure's median."""


def run(
    hrd_folder: Path,
    report_folder: Path,
    *,
    max_failing_fraction: float = 0.1,
    clip_ids: Sequence[str] | None = None,
    thresholds: tuple[Threshold, ...] = THRESHOLDS,
    workers: int | None = None,
    data_revision: str | None = None,
) -> ValidationResult:
    """Measures the clips of a data set and writes the report and the quarantine.

    Args:
        hrd_folder: holds the shards and the manifest.
        report_folder: where `report.html`, `measures.parquet`, `quarantine.json`, `verdict.json` and
            `great_expectations.json` are written.
        max_failing_fraction: of the clips, 0 to 1; more is an error.
        clip_ids: only these, instead of all.
        workers: processes; by default one a core, and none besides this one for few clips.
        data_revision: named in the report.

    Raises:
        EgoReactError: too many clips fail (after everything is written), no clips, an unknown clip id, or a broken shard.
    """
    if not 0 <= max_failing_fraction <= 1:
        raise EgoReactError(
            f"is {max_failing_fraction}", where="max_failing_fraction", remedy="give a share from 0 to 1"
        )
    whole = read_manifest(hrd_folder)
    manifest = _selected(hrd_folder, whole, clip_ids)
    measured, shards = measure_clips(hrd_folder, whole, manifest, Workspace.from_environment().root / MEASURES, workers)
    table = manifest[list(CLIP_COLUMNS)].merge(measured, on="clip_id", how="left", validate="one_to_one")
    table = table.sort_values("clip_id", ignore_index=True)
    verdict = examine(table, thresholds)
    rows: dict[str, Row] = {row["clip_id"]: _row(row, thresholds) for row in table.to_dict("records")}
    quarantined = tuple(sorted({clip_id for ids in verdict.failing.values() for clip_id in ids}))
    reasons = {clip_id: failures(rows[clip_id], thresholds) for clip_id in quarantined}
    fraction = len(quarantined) / len(table)
    counts = {name: len(ids) for name, ids in verdict.failing.items()}
    worst = max(counts, key=lambda name: counts[name]) if counts else None
    passed = fraction <= max_failing_fraction

    report_folder.mkdir(parents=True, exist_ok=True)
    result = ValidationResult(
        shards=shards,
        clips=len(table),
        failing=len(quarantined),
        quarantined=quarantined,
        report_html=report_folder / "report.html",
        table=report_folder / "measures.parquet",
        verdict_json=report_folder / "verdict.json",
        quarantine_json=report_folder / "quarantine.json",
        expectations_json=report_folder / "great_expectations.json",
        metrics=_metrics(table, thresholds, len(quarantined)),
    )
    with whole_file(result.table) as beside:
        table.to_parquet(beside, index=False)
    write_json(result.expectations_json, verdict.result)
    quarantine = {
        "schema_version": 1,
        "quarantined": list(quarantined),
        "reasons": {clip_id: [asdict(failure) for failure in found] for clip_id, found in reasons.items()},
    }
    write_json(result.quarantine_json, quarantine)
    summary = {
        "passed": passed,
        "clips": len(table),
        "failing": len(quarantined),
        "failing_fraction": fraction,
        "max_failing_fraction": max_failing_fraction,
        "worst_measure": worst,
        "failing_by_measure": counts,
        "data_revision": data_revision,
        "quarantine_digest": sha256_json(quarantine),
    }
    write_json(result.verdict_json, summary)
    with whole_file(result.report_html) as beside:
        sheets = _sheets(hrd_folder, manifest, rows, quarantined, thresholds)
        beside.write_text(
            render_report(table, thresholds, summary, {k: list(map(str, v)) for k, v in reasons.items()}, sheets)
        )
    if not passed:
        raise EgoReactError(
            f"{len(quarantined)} of {len(table)} clips fail, more than {max_failing_fraction:.0%}; "
            f"worst is {worst}, which {counts[worst or '']} fail",
            where=hrd_folder / MANIFEST,
            remedy=f"see {result.report_html}",
        )
    return result


def run_on_revision(
    data_revision: str, *, max_failing_fraction: float, report_html: Path, quarantine_json: Path
) -> ValidationResult:
    """`run` on a revision of the data set, with report and quarantine where a pipeline wants them, even if it fails."""
    from components.version_dataset.dvc_data import ensure_revision
    from egoreact.hrd.dataset import data_folder

    folder = data_folder()
    ensure_revision(folder, data_revision)
    with TemporaryDirectory() as scratch:
        try:
            result = run(
                folder / "hrd", Path(scratch), max_failing_fraction=max_failing_fraction, data_revision=data_revision
            )
            print(result.shards)
            return result
        except EgoReactError as error:
            if not (Path(scratch) / "report.html").is_file():
                raise
            raise EgoReactError(error.what, where=error.where, remedy=f"see {report_html}") from error
        finally:
            for name, target in (("report.html", report_html), ("quarantine.json", quarantine_json)):
                if (Path(scratch) / name).is_file():
                    with whole_file(target) as beside:
                        shutil.copyfile(Path(scratch) / name, beside)


def read_quarantine(path: Path) -> frozenset[str]:
    """Ids of the clips that a quarantine file names.

    Raises:
        EgoReactError: no such file, or it is not one.
    """
    try:
        return frozenset(map(str, json.loads(Path(path).read_text())["quarantined"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EgoReactError(
            f"is no quarantine file ({type(error).__name__})", where=path, remedy="run validate_alignment again"
        ) from error


def _selected(hrd_folder: Path, manifest: pd.DataFrame, clip_ids: Sequence[str] | None) -> pd.DataFrame:
    if clip_ids is not None:
        unknown = sorted(set(clip_ids) - set(manifest["clip_id"]))
        if unknown:
            raise EgoReactError(f"holds no clip {unknown[0]}", where=hrd_folder / MANIFEST, remedy="check the clip ids")
        manifest = manifest[manifest["clip_id"].isin(clip_ids)]
    if manifest.empty:
        raise EgoReactError(
            "names no clips", where=hrd_folder / MANIFEST, remedy="build a data set with: egoreact hrd build"
        )
    return manifest


def _row(record: dict, thresholds: tuple[Threshold, ...]) -> Row:
    return {bound.measure: None if pd.isna(record[bound.measure]) else record[bound.measure] for bound in thresholds}


def _metrics(table: pd.DataFrame, thresholds: tuple[Threshold, ...], failing: int) -> dict[str, float]:
    medians = {
        bound.measure: float(table[bound.measure].median())
        for bound in thresholds
        if table[bound.measure].notna().any()
    }
    return {"clips": float(len(table)), "failing": float(failing), "failing_fraction": failing / len(table), **medians}


def _sheets(
    hrd_folder: Path,
    manifest: pd.DataFrame,
    rows: dict[str, Row],
    quarantined: tuple[str, ...],
    thresholds: tuple[Threshold, ...],
) -> list[ClipSheet]:
    """The first failing clips, and one that passes to compare with."""
    passing = [clip_id for clip_id in rows if clip_id not in quarantined][:1]
    shown = manifest[manifest["clip_id"].isin([*quarantined[:MAX_SHEETS], *passing])]
    sheets = [sheet_of(clip, failures(rows[clip.id], thresholds)) for clip in read_clips(hrd_folder, shown)]
    return sorted(sheets, key=lambda sheet: (not sheet.failures, sheet.clip_id))


__all__ = ["ValidationResult", "Verdict", "read_quarantine", "run", "run_on_revision"]
