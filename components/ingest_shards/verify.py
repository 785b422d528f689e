"""Whether a file is a shard that training can read to its end: a whole archive of whole clips of one split."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from egoreact.errors import EgoReactError
from egoreact.files import sha256_file
from egoreact.hrd.clip import SPLITS, Clip, Split
from egoreact.hrd.shards import read_shard

FPS = 20
TAR_BLOCK, TAR_END_BLOCKS = 512, 2
RECIPES_SOURCE, OTHER_SIMULATOR = "simulator", "simulator elsewhere"
"""In the manifest, `simulator` means made by this data set's own recipe, which a build may replace. What came in is not."""


@dataclass(frozen=True)
class Verified:
    """A sound shard."""

    split: Split
    sha256: str
    rows: tuple[dict, ...]
    """Of the manifest, without the shard's name."""


def verify(path: Path, known: Mapping[str, str]) -> Verified:
    """Reads every clip, its video and its motion.

    Args:
        known: clip id → the shard it is in, of clips that are in the data set or came before.

    Raises:
        EgoReactError: names the clip where one is at fault.
    """
    _check_end(path)
    rows: dict[str, dict] = {}
    splits: set[Split] = set()
    for clip in read_shard(path):
        if clip.id in known:
            _refuse(path, f"clip {clip.id} is in the data set already, in {known[clip.id]}, with other bytes around it")
        if clip.id in rows:
            _refuse(path, f"clip {clip.id} is in it twice")
        _check_clip(path, clip)
        splits.add(clip.record.split)
        source = OTHER_SIMULATOR if clip.record.source == RECIPES_SOURCE else clip.record.source
        rows[clip.id] = {
            "clip_id": clip.id, "split": clip.record.split, "category": clip.record.category,
            "frames": clip.num_frames, "source": source, "seed": clip.record.seed,
        }  # fmt: skip
    if not rows:
        _refuse(path, "holds no clips")
    if len(splits) > 1:
        _refuse(path, f"holds clips of {len(splits)} splits, {', '.join(sorted(splits))}")
    return Verified(splits.pop(), sha256_file(path), tuple(rows.values()))


def _check_end(path: Path) -> None:
    """An archive that was cut between two members reads like a shorter one; only its end tells."""
    size = path.stat().st_size
    end = TAR_BLOCK * TAR_END_BLOCKS
    with path.open("rb") as file:
        file.seek(max(size - end, 0))
        tail = file.read()
    if size % TAR_BLOCK or len(tail) < end or any(tail):
        _refuse(path, "is no complete shard (it ends too early)")


def _check_clip(path: Path, clip: Clip) -> None:
    if clip.record.split not in SPLITS:
        _refuse(path, f"clip {clip.id} is of split {clip.record.split!r}")
    if clip.record.fps != FPS:
        _refuse(path, f"clip {clip.id} has {clip.record.fps} frames a second, not {FPS}")
    for name, frames in (("video", clip.rgb), ("depth", clip.depth_m), ("segmentation", clip.segmentation)):
        if frames is not None and len(frames) != clip.num_frames:
            _refuse(path, f"clip {clip.id} has {clip.num_frames} poses, its {name} {len(frames)} frames")
    for name, values in (("joints", clip.joints_m), ("camera", clip.T_world_camera), ("K", clip.K)):
        if not np.isfinite(values).all():
            _refuse(path, f"{name} of clip {clip.id} are not finite")


def _refuse(path: Path, what: str) -> None:
    raise EgoReactError(what, where=path, remedy="mend it")
