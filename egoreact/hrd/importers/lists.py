"""Folders with lists: `train.txt`, `val.txt`, `test.txt`, each line a video and a motion, or a motion alone.

HumanML3D's lists hold ids, ViMo's pairs of a video and a motion. A line is split at a tab or a comma, else at the space that
leaves a motion on its right; names may hold spaces, slashes and any letters. A motion is a path in the folder or an id in
`vector_263/`, `new_joint_vecs/`, `new_joints/`, `joints/` or `motions/`; `.npy`, `.npz` or `.bvh`. Videos likewise, in
`videos/` or `video/`. A video here is nobody's own eyes: the clip's view is rendered, the video's name kept in its details.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from egoreact.errors import EgoReactError
from egoreact.hrd.clip import SPLITS, Split

LIST_NAMES = tuple(f"{split}.txt" for split in SPLITS)
VECTOR_FOLDERS = ("vector_263", "new_joint_vecs")
_MOTION_FOLDERS = (".", *VECTOR_FOLDERS, "new_joints", "joints", "motions", "motion")
_MOTION_ENDINGS = (".npy", ".npz", ".bvh")
_VIDEO_FOLDERS = (".", "videos", "video")
_VIDEO_ENDINGS = (".mp4", ".webm", ".mkv", ".mov", ".avi")


@dataclass(frozen=True)
class ListedMotion:
    path: Path
    name: str
    """Its path in the folder."""
    split: Split
    details: dict = field(default_factory=dict)


def read_lists(folder: Path) -> tuple[list[ListedMotion], list[str]]:
    """The motions that a folder's lists name, each once, and what is wrong with them: a line a list that names missing files.

    Raises:
        EgoReactError: a list that is no text.
    """
    found: dict[Path, ListedMotion] = {}
    problems = []
    for split in SPLITS:
        path = folder / f"{split}.txt"
        if not path.is_file():
            continue
        missing = []
        for number, line in _lines(path):
            motion, video = _resolve(folder, line)
            if motion is None:
                missing.append(f"line {number}, {line!r}")
                continue
            details = {} if video is None else {"source_video": video.relative_to(folder).as_posix()}
            found.setdefault(motion, ListedMotion(motion, motion.relative_to(folder).as_posix(), split, details))
        if missing:
            count = f"{len(missing)} line{'s' if len(missing) > 1 else ''}"
            problems.append(f"{path.name}: {count} without a motion file, the first is {missing[0]}")
    return list(found.values()), problems


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise EgoReactError(
            f"cannot be read as text ({type(error).__name__})",
            where=path,
            remedy="give a list in UTF-8, a line a motion",
        ) from error
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line.strip()


def _resolve(folder: Path, line: str) -> tuple[Path | None, Path | None]:
    """The motion and the video of a line; None for what is not there."""
    for video, motion in _splits(line):
        path = _file(folder, motion, _MOTION_FOLDERS, _MOTION_ENDINGS)
        if path is not None:
            return path, None if video is None else _file(folder, video, _VIDEO_FOLDERS, _VIDEO_ENDINGS)
    return None, None


def _splits(line: str) -> Iterator[tuple[str | None, str]]:
    for mark in ("\t", ","):
        if mark in line:
            video, _, motion = line.partition(mark)
            yield video.strip(), motion.strip()
            return
    words = line.split(" ")
    for count in range(1, len(words)):
        video, motion = " ".join(words[:count]).strip(), " ".join(words[count:]).strip()
        if video and motion:
            yield video, motion
    yield None, line


def _file(folder: Path, name: str, folders: tuple[str, ...], endings: tuple[str, ...]) -> Path | None:
    """The file of a name or id, never outside the folder."""
    for place in folders:
        for ending in ("", *endings):
            path = folder / place / f"{name}{ending}"
            try:
                inside = path.resolve().is_relative_to(folder.resolve())
                if inside and path.suffix.lower() in endings and path.is_file():
                    return path
            except (OSError, ValueError):  # a name no file can have
                continue
    return None
