"""Many recordings into a data set: one after the other, in shards of many clips, the broken ones named and left out."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from zlib import crc32

from egoreact.errors import EgoReactError
from egoreact.hrd.alignment import failures, measure
from egoreact.hrd.clip import Clip, Split
from egoreact.hrd.importers.append import append_clips, known_ids
from egoreact.hrd.importers.clips import clips_of
from egoreact.hrd.importers.config import ImportConfig
from egoreact.hrd.importers.find import Findings, Recording
from egoreact.hrd.importers.windows import clip_id_of
from egoreact.progress import Progress

BATCH_BYTES = 200 << 20
"""Of clips that are held until they become shards."""
Tell = Callable[[str], None]


@dataclass
class Imported:
    """What came of an import."""

    shards: list[Path] = field(default_factory=list)
    clips: int = 0
    failing: int = 0
    """Clips that do not pass the alignment gate; they are in, and the gate will stop them."""
    problems: list[str] = field(default_factory=list)
    """A line a recording, or list, that could not be read."""
    categories: Counter[str] = field(default_factory=Counter)


def import_into(
    hrd_folder: Path,
    findings: Findings,
    *,
    split: Split,
    licence: str,
    config: ImportConfig,
    strict: bool = False,
    tell: Tell = lambda line: None,
) -> Imported:
    """Imports recordings and appends their clips to a data set, `BATCH_BYTES` of clips at a time.

    Args:
        strict: the first broken recording, or line of a list, stops all, before anything of its batch is written.
        tell: is given a line a clip.

    Raises:
        EgoReactError: nothing could be imported, or, if strict, anything could not.
    """
    if strict and findings.problems:
        raise EgoReactError(findings.problems[0], where="lists", remedy="mend the list, or leave out --strict")
    imported, batch, taken = Imported(problems=list(findings.problems)), [], known_ids(hrd_folder)
    held = 0
    recordings = _with_names_apart(findings.recordings)
    progress = Progress("import", len(recordings), "recordings")
    for recording in recordings:
        try:
            clips = clips_of(recording, split=split, licence=licence, config=config)
            _refuse_known(clips, taken, recording)
        except EgoReactError as error:
            if strict:
                raise
            imported.problems.append(str(error))
            clips = []
        for clip in clips:
            wrong = [str(failure) for failure in failures(measure(clip))]
            tell(
                f"{clip.id}: {clip.num_frames} frames, {clip.record.category}, {'; '.join(wrong) or 'passes the alignment gate'}"
            )
            imported.failing += bool(wrong)
            imported.categories[clip.record.category] += 1
            taken.add(clip.id)
            held += len(clip.video_mp4) + len(clip.depth_mkv or b"") + len(clip.segmentation_mkv or b"")
        batch += clips
        if held > BATCH_BYTES:
            imported.shards += append_clips(hrd_folder, batch)
            imported.clips, batch, held = imported.clips + len(batch), [], 0
        if len(recordings) > 1:
            progress.advance(note=f"{len(imported.problems)} problems" if imported.problems else "")
    if batch:
        imported.shards += append_clips(hrd_folder, batch)
        imported.clips += len(batch)
    if not imported.clips:
        first, more = imported.problems[0], len(imported.problems) - 1
        raise EgoReactError(
            f"{first}{f' (and {more} more)' if more else ''}",
            where="nothing could be imported",
            remedy="nothing was written",
        )
    return imported


def _refuse_known(clips: list[Clip], taken: set[str], recording: Recording) -> None:
    for clip in clips:
        if clip.id in taken:
            raise EgoReactError(
                f"clip id {clip.id} is there already",
                where=recording.path,
                remedy="import it once, or rename the recording",
            )


def _with_names_apart(recordings: list[Recording]) -> list[Recording]:
    """Names whose clips would have the same ids get a digest of what they were."""
    counts = Counter(clip_id_of(recording.name, 0) for recording in recordings)
    return [
        recording
        if counts[clip_id_of(recording.name, 0)] == 1
        else replace(recording, name=f"{recording.name}-{crc32(recording.name.encode()):08x}")
        for recording in recordings
    ]
