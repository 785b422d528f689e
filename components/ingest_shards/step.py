"""Looks for new shards, brings them into the data set, and says whether there is reason to train again.

There is none where the champion is of the data's revision already, or where no shard is new and a model of that revision
was judged before. There is one where a run stopped after its shards came in: it goes on.
"""

from dataclasses import dataclass, replace
from functools import partial
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

from components.ingest_shards.intake import Examine, Intake, Taken
from components.ingest_shards.source import Found, Source, open_source
from components.promote.registry import EXPERIMENT, RegisteredBundle, Registry
from components.train.initial import check_it_fits
from components.validate_alignment.step import run as examine_alignment
from components.version_dataset.dvc_data import current_revision, ensure_revision
from components.version_dataset.standing import compare_with_pointer
from components.version_dataset.step import run as version
from egoreact.errors import EgoReactError
from egoreact.files import whole_file
from egoreact.hrd.building import alone
from egoreact.hrd.dataset import data_folder, manifest_digest
from egoreact.hrd.shards import MANIFEST
from egoreact.presets import RunConfig
from egoreact.workspace import Workspace

FOLDER = "ingest"
"""In the workspace: shards on their way, and what is known of those at the source."""


@dataclass(frozen=True)
class Result:
    """What the rest of the run starts from."""

    train: bool
    """Whether there is reason to."""
    why: str
    data_revision: str
    config: str
    """`RunConfig` as JSON, which says whose weights the trainings start from."""


def run(source: str, config: str, *, max_failing_fraction: float, from_scratch: bool, report_html: Path) -> Result:
    """Args:
        source: address that new shards are dropped at, as `open_source` takes it.
        config: `RunConfig` as JSON.
        max_failing_fraction: share of the clips that may fail the alignment gate, those that are there already among them.
        from_scratch: start from fresh weights instead of the champion's.
        report_html: where the alignment report of the data set with its new shards is written; without any, a sentence.

    Raises:
        EgoReactError: the source is away, every new shard is refused, too many clips fail the alignment gate (all of these
            leave the data set as it was), the champion is of another architecture, or the data remote is away: then a
            repetition versions what came in.
    """
    run_config, folder = RunConfig.from_json(config), data_folder()
    registry = Registry(Workspace.from_environment())
    champion = registry.champion()
    run_config = _started_from(run_config, champion, from_scratch)
    opened = open_source(source)
    shards = opened.shards()
    if not (folder / "hrd" / MANIFEST).is_file():
        _fetch_data(folder, champion, bool(shards))
    standing = compare_with_pointer(folder)
    examine = partial(_examine, max_failing_fraction=max_failing_fraction, report_html=report_html)
    taken = _take(opened, shards, examine)
    changed = bool(taken.shards) or standing is None or not standing.unchanged
    revision = version(folder, manifest_digest(folder / "hrd")) if changed else standing.revision  # type: ignore[union-attr]
    train, why = _reason(taken, source, revision, champion, registry)
    print(f"{'training' if train else 'nothing to do'}: {why}", flush=True)
    if not report_html.is_file():
        with whole_file(report_html) as beside:
            beside.write_text(f"<!doctype html><p>{escape(why)}</p>\n")
    return Result(train, why, revision, run_config.to_json())


def _started_from(config: RunConfig, champion: RegisteredBundle | None, from_scratch: bool) -> RunConfig:
    if champion is None or from_scratch:
        print(f"weights: from scratch{'' if champion else ', there is no champion yet'}", flush=True)
        return replace(config, initial="")
    check_it_fits(champion.digest, config.reaction)
    print(f"weights: the champion's, version {champion.version}, bundle {champion.digest[:12]}", flush=True)
    return replace(config, initial=champion.digest)


def _fetch_data(folder: Path, champion: RegisteredBundle | None, some: bool) -> None:
    """The data set on a machine that has only the pointer, or not even that. Without either, shards may begin one."""
    revision = current_revision(folder) or (champion.data_revision if champion else "")
    if revision:
        print(f"fetching data revision {revision}: {ensure_revision(folder, revision).shards}", flush=True)
    elif not some:
        remedy = "build one with: egoreact hrd build, or drop shards at the source"
        raise EgoReactError("no data set here and none at the source", where=folder, remedy=remedy)


def _take(source: Source, shards: list[Found], examine: Examine) -> Taken:
    hrd = data_folder() / "hrd"
    intake = Intake(hrd, Workspace.from_environment().root / FOLDER)
    unknown = intake.unknown(shards)
    taken = Taken()
    if unknown:
        with alone(hrd):
            taken = intake.take(source, unknown, examine, partial(print, flush=True))
    taken.known += len(shards) - len(unknown)
    count = f"{len(shards)} shards at {source.url}: {taken.known} known, {len(taken.shards)} new ({taken.clips} clips)"
    print(f"{count}, {len(taken.refused)} refused", flush=True)
    return taken


def _examine(folder: Path, *, max_failing_fraction: float, report_html: Path) -> None:
    """The alignment gate, on the data set with its new shards."""
    with TemporaryDirectory() as scratch:
        report = Path(scratch)
        try:
            examine_alignment(folder, report, max_failing_fraction=max_failing_fraction)
        except EgoReactError as error:
            if not (report / "report.html").is_file():
                raise
            what = f"with the new shards {error.what}; none of them was taken"
            raise EgoReactError(what, where="alignment gate", remedy=f"see {report_html}") from error
        finally:
            if (report / "report.html").is_file():
                with whole_file(report_html) as beside:
                    beside.write_bytes((report / "report.html").read_bytes())


def _reason(
    taken: Taken, source: str, revision: str, champion: RegisteredBundle | None, registry: Registry
) -> tuple[bool, str]:
    """Whether to train, and the sentence that says why."""
    new = f"{len(taken.shards)} new shards with {taken.clips} clips" if taken.shards else f"no new shards at {source}"
    if taken.refused:
        new += f" ({len(taken.refused)} refused: {taken.refused[0]})"
    if champion is not None and champion.data_revision == revision:
        return False, f"{new}; the champion, version {champion.version}, is of data revision {revision} already"
    if taken.shards:
        return True, f"{new}; data revision {revision}"
    if _was_judged(revision, registry):
        return False, f"{new}; a model of data revision {revision} was judged before"
    return True, f"{new}, but no model of data revision {revision} was judged yet"


def _was_judged(revision: str, registry: Registry) -> bool:
    """Whether the promotion step decided about a bundle of this revision."""
    experiment = registry.client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return False
    chosen = f"tags.data_revision = '{revision}' and tags.decision != ''"
    return bool(registry.client.search_runs([experiment.experiment_id], chosen, max_results=1))
