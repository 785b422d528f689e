"""The commands `egoreact hrd …`: build the data set, bring in recordings, look at clips."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal


def hrd_build(
    *, preset: Literal["tiny", "demo", "paper"] = "demo", workers: int | None = None, folder: Path | None = None
) -> None:
    """Render the simulated shards of HRD.

    Args:
        preset: whose recipe: number of clips, frames, image size, seed.
        workers: processes; one a core where not given. Their number never changes the data.
        folder: where to write shards and manifest; data/hrd where not given.
    """
    from egoreact.hrd.dataset import build_dataset, data_folder
    from egoreact.presets import by_name

    target = folder or data_folder() / "hrd"
    made = build_dataset(by_name(preset).dataset, target, workers=workers)
    print(f"{target}: {'built' if made else 'already holds what this recipe makes'}")


def hrd_import(
    recording: Path,
    /,
    *,
    licence: str,
    kind: Literal["auto", "egoego", "bvh"] = "auto",
    split: Literal["train", "val", "test"] = "train",
    category: str = "unknown",
    caption: str = "",
    frames: int = 81,
    fov_degrees: float = 90.0,
    image_size_px: int = 112,
    metres_per_unit: float | None = None,
    folder: Path | None = None,
) -> None:
    """Bring in a recording of your own as clips in new shards: video with body motion, or motion capture.

    Args:
        recording: a folder with video.mp4 and body.npz (egoego), or a .bvh file, whose view is rendered from its head.
        licence: of the recording, in a few words; it stays with each clip.
        kind: of recording; found out by default.
        split: that the clips go to.
        category: kind of encounter, one of `egoreact hrd encounters`, or unknown.
        caption: a sentence about what happens.
        frames: frames a clip at 20 a second, 4N + 1; longer recordings are cut into windows.
        fov_degrees: the camera's field of view from side to side.
        image_size_px: side of rendered images, px; recorded video keeps its size.
        metres_per_unit: the unit of a BVH file, where it is not its dialect's own.
        folder: with shards and manifest; data/hrd where not given.
    """
    from egoreact.hrd.alignment import failures, measure
    from egoreact.hrd.dataset import data_folder
    from egoreact.hrd.importers import ImportConfig, append_clips, import_recording

    config = ImportConfig(
        frames=frames, category=category, caption=caption, fov_degrees=fov_degrees, image_size_px=image_size_px,
        metres_per_unit=metres_per_unit,
    )  # fmt: skip
    clips = import_recording(recording, kind=kind, split=split, licence=licence, config=config)
    for clip in clips:
        wrong = [str(failure) for failure in failures(measure(clip))]
        print(f"{clip.id}: {clip.num_frames} frames, " + ("; ".join(wrong) if wrong else "passes the alignment gate"))
    for path in append_clips(folder or data_folder() / "hrd", clips):
        print(path)


def hrd_encounters() -> None:
    """List the kinds of encounter that the simulator knows."""
    from rich.console import Console
    from rich.table import Table

    from egoreact.hrd.simulate import ENCOUNTERS

    table = Table("encounter", "what happens", box=None)
    for name, encounter in ENCOUNTERS.items():
        table.add_row(name, encounter.caption)
    Console().print(table)


COMMANDS: dict[str, Callable[..., None]] = {
    "hrd build": hrd_build,
    "hrd import": hrd_import,
    "hrd encounters": hrd_encounters,
}
