"""Other people's recordings as clips of HRD: read, resampled to 20 fps, cut into windows, appended as new shards.

Recorded pairs come as they are: `egoego` (a folder with video and SMPL-H motion), `aria` (video, trajectory, body motion). Motion
without video, `bvh`, `amass` (SMPL-H, SMPL-X, SMPL in an npz) and `humanml3d` (features or joints in an npy), is given the view of
its own head: the simulator renders it, with something coming that is a reason for what the body does (`explain`).
"""

from pathlib import Path

from egoreact.errors import EgoReactError
from egoreact.hrd.clip import Clip, Split
from egoreact.hrd.importers.append import append_clips, known_ids
from egoreact.hrd.importers.clips import clips_of
from egoreact.hrd.importers.config import ImportConfig, Kind
from egoreact.hrd.importers.find import Findings, Recording, find_recordings
from egoreact.hrd.importers.many import Imported, import_into
from egoreact.hrd.importers.windows import clip_id_of

__all__ = [
    "Findings", "ImportConfig", "Imported", "Kind", "Recording", "append_clips", "clip_id_of", "clips_of", "find_recordings",
    "import_into", "import_recording", "known_ids",
]  # fmt: skip


def import_recording(
    path: Path,
    *,
    kind: Kind = "auto",
    split: Split = "train",
    licence: str,
    config: ImportConfig | None = None,
) -> list[Clip]:
    """Clips of one recording, ids made from its name.

    Args:
        path: a file or folder that is one recording.
        kind: of recording; found out by default.
        split: that the clips go to. All of a recording goes to one: its clips resemble each other.
        licence: of the recording, in a few words; it stays with each clip.

    Raises:
        EgoReactError: nothing this can read, several recordings, or one that is broken or shorter than a second.
    """
    found = find_recordings(Path(path), kind)
    if len(found.recordings) > 1:
        raise EgoReactError(
            f"holds {len(found.recordings)} recordings", where=path, remedy="import them with import_into, or name one"
        )
    return clips_of(found.recordings[0], split=split, licence=licence, config=config or ImportConfig())
