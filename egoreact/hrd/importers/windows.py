"""A recording cut into clips: which frames, under which name, with what said about them."""

import re
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

from egoreact.errors import EgoReactError
from egoreact.hrd.clip import ClipRecord, Split
from egoreact.hrd.importers.config import SHORTEST_FRAMES, ImportConfig

_ENDINGS = (".bvh", ".npz", ".npy", ".mp4")


def windows(num_frames: int, config: ImportConfig, where: object) -> Iterator[slice]:
    """The frames of each clip of a recording. See `ImportConfig.frames`.

    Raises:
        EgoReactError: the recording is shorter than a second.
    """
    if num_frames < SHORTEST_FRAMES:
        raise EgoReactError(
            f"lasts {num_frames} frames at 20 fps",
            where=where,
            remedy=f"give at least {SHORTEST_FRAMES} frames, one second",
        )
    if num_frames < config.frames:
        yield slice(0, num_frames - (num_frames - 1) % 4)
        return
    starts = list(range(0, num_frames - config.frames + 1, config.frames))
    if num_frames - starts[-1] - config.frames >= config.frames // 2:
        starts.append(num_frames - config.frames)
    for start in starts:
        yield slice(start, start + config.frames)


def clip_id_of(name: Path | str, index: int) -> str:
    """A clip id from a recording's name: letters, digits, _ and - stay, anything else becomes one -. Long names end in a digest."""
    text = str(name)
    ending = next((ending for ending in _ENDINGS if text.lower().endswith(ending)), "")
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", text[: len(text) - len(ending)]).strip("-")
    if len(stem) > 80:
        stem = f"{stem[:71]}-{crc32(text.encode()):08x}"
    return f"{stem or 'recording'}-{index:03d}"


def record_of(
    name: str, index: int, window: slice, split: Split, licence: str, config: ImportConfig, details: dict
) -> ClipRecord:
    """What a clip says of itself; `category` and `caption` are the config's."""
    return ClipRecord(
        id=clip_id_of(name, index),
        category=config.category,
        caption=config.caption,
        source=name,
        licence=licence,
        split=split,
        details=details | {"first_frame": window.start},
    )
