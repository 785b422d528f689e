"""What a path holds: one recording, a folder of many, or a data set with lists of what belongs to which split."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from egoreact.errors import EgoReactError
from egoreact.hrd.clip import Split
from egoreact.hrd.importers.aria import is_aria
from egoreact.hrd.importers.config import Kind
from egoreact.hrd.importers.egoego import is_egoego
from egoreact.hrd.importers.lists import LIST_NAMES, VECTOR_FOLDERS, read_lists

Found = Literal["egoego", "aria", "bvh", "amass", "humanml3d"]
BY_SUFFIX: dict[str, Found] = {".bvh": "bvh", ".npz": "amass", ".npy": "humanml3d"}
_NO_MOTION = ("mean", "std", "_stagei", "shape", "root_rot_velocity")
"""Ends of names of files that lie beside motions and are none: statistics, AMASS's shapes."""


@dataclass(frozen=True)
class Recording:
    """One recording and what is known of it from where it was found."""

    path: Path
    kind: Found
    name: str
    """What its clips are called after: its file's name, or its path in the folder that was given."""
    split: Split | None = None
    """That a list puts it in."""
    details: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Findings:
    recordings: list[Recording]
    problems: list[str]
    """What lists promise and the folder lacks, a line each."""


def find_recordings(path: Path, kind: Kind = "auto") -> Findings:
    """The recordings at a path, in the order of their names or of the lists.

    Args:
        path: a recording; a folder with `train.txt`, `val.txt` or `test.txt` (see `lists`); or a folder of recordings, searched
            to the bottom.
        kind: takes recordings of this kind alone.

    Raises:
        EgoReactError: no such path, or nothing in it is a recording.
    """
    if not path.exists():
        raise EgoReactError("no such file or folder", where=path, remedy="check the path")
    single = kind_of(path)
    if kind != "auto" and (path.is_file() or (kind in ("egoego", "aria") and not _below(path, kind))):
        single = kind  # told what it is, its own reader says what it lacks
    if single is not None:
        return Findings([Recording(path, single, path.name)], [])
    if path.is_dir() and any((path / name).is_file() for name in LIST_NAMES):
        listed, problems = read_lists(path)
        recordings = [
            Recording(motion.path, BY_SUFFIX[motion.path.suffix.lower()], motion.name, motion.split, motion.details)
            for motion in listed
        ]
        recordings = [recording for recording in recordings if kind in ("auto", recording.kind)]
    else:
        recordings, problems = _below(path, kind) if path.is_dir() else [], []
    if not recordings:
        raise EgoReactError(
            problems[0] if problems else "holds no recording this can import",
            where=path,
            remedy="give a .bvh, .npz or .npy file, a folder with video.mp4 and body.npz or a trajectory, or a folder of such",
        )
    return Findings(recordings, problems)


def kind_of(path: Path) -> Found | None:
    """What one recording is; None for what is none, or may be many."""
    if path.is_file():
        return BY_SUFFIX.get(path.suffix.lower())
    if is_aria(path):
        return "aria"
    return "egoego" if is_egoego(path) else None


def _below(folder: Path, kind: Kind) -> list[Recording]:
    vectors = next((folder / name for name in VECTOR_FOLDERS if (folder / name).is_dir()), None)
    found: list[Recording] = []
    folders: list[Path] = []
    for path in sorted((vectors or folder).rglob("*")):
        if any(path.is_relative_to(other) for other in folders) or _is_hidden(path.relative_to(folder)):
            continue
        known = kind_of(path)
        if known is None or (path.is_file() and path.stem.lower().endswith(_NO_MOTION)):
            continue
        if path.is_dir():
            folders.append(path)
        if kind in ("auto", known):
            found.append(Recording(path, known, path.relative_to(folder).as_posix()))
    return found


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
