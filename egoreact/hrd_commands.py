"""The commands `egoreact hrd …`: build the data set, bring in recordings, look at clips."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal


def hrd_build(
    *,
    preset: Literal["tiny", "demo", "paper"] = "demo",
    train_clips: int | None = None,
    val_clips: int | None = None,
    test_clips: int | None = None,
    workers: int | None = None,
    folder: Path | None = None,
) -> None:
    """Render the simulated shards of HRD that are missing. More clips are new shards; the others stay byte for byte.

    It can be stopped at any moment and goes on where it stopped.

    Args:
        preset: whose recipe: number of clips, frames, image size, seed.
        train_clips: instead of the preset's.
        val_clips: instead of the preset's.
        test_clips: instead of the preset's.
        workers: processes; one a core where not given. Their number never changes the data.
        folder: where to write shards and manifest; data/hrd where not given.
    """
    from egoreact.hrd.dataset import build_dataset, data_folder
    from egoreact.presets import by_name

    target = folder or data_folder() / "hrd"
    config = by_name(preset).dataset.resized(train=train_clips, val=val_clips, test=test_clips)
    print(f"{target}: {build_dataset(config, target, workers=workers).shards}")


def hrd_import(
    recording: Path,
    /,
    *,
    licence: str,
    kind: Literal["auto", "egoego", "aria", "bvh", "amass", "humanml3d"] = "auto",
    split: Literal["train", "val", "test"] = "train",
    category: str = "unknown",
    caption: str = "",
    explain: bool = True,
    strict: bool = False,
    frames: int = 81,
    fov_degrees: float = 90.0,
    image_size_px: int = 112,
    metres_per_unit: float | None = None,
    source_fps: float | None = None,
    device_camera_xyzw: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0),
    video_start_us: int | None = None,
    folder: Path | None = None,
) -> None:
    """Bring in recordings of your own as clips in new shards: video with body motion, or motion alone, whose view is made.

    What is laid out how, format by format, with examples: docs/recordings.md.

    Args:
        recording: a .bvh, .npz (AMASS, SMPL-H, SMPL-X) or .npy (HumanML3D) file; a folder with video.mp4 and body.npz, or with video,
            trajectory and body; a folder with train.txt, val.txt, test.txt; or a folder of many of these.
        licence: of the recording, in a few words; it stays with each clip.
        kind: of recording; found out by default. In a folder of many, those of other kinds are left out.
        split: that the clips go to, where no list says otherwise.
        category: what happens, for recorded video: one of `egoreact hrd encounters`, or unknown. For motion alone, the one encounter that
            may explain it.
        caption: a sentence about what happens.
        explain: let something come, in the view of motion alone, that is a reason for what the body does; without, a calm place is rendered.
        strict: stop at the first recording that cannot be read, instead of leaving it out.
        frames: frames a clip at 20 a second, 4N + 1; longer recordings are cut into windows.
        fov_degrees: the camera's field of view from side to side.
        image_size_px: side of rendered images, px; recorded video keeps its size.
        metres_per_unit: the unit of a BVH file, where it is not its dialect's own.
        source_fps: frames a second of a motion file that does not say it.
        device_camera_xyzw: quaternion of the camera's axes (x right, y down, z forward) in those of the device that the trajectory is of.
        video_start_us: when the first frame was taken, on the trajectory's clock; at its first stamp by default.
        folder: with shards and manifest; data/hrd where not given.
    """
    from egoreact.hrd.dataset import data_folder
    from egoreact.hrd.importers import ImportConfig, find_recordings, import_into

    config = ImportConfig(
        frames=frames, category=category, caption=caption, explain=explain, fov_degrees=fov_degrees,
        image_size_px=image_size_px, metres_per_unit=metres_per_unit, source_fps=source_fps,
        device_camera_xyzw=device_camera_xyzw, video_start_us=video_start_us,
    )  # fmt: skip
    found = find_recordings(recording, kind)
    imported = import_into(
        folder or data_folder() / "hrd", found, split=split, licence=licence, config=config, strict=strict, tell=print
    )
    for path in imported.shards:
        print(path)
    kinds = ", ".join(f"{name} {count}" for name, count in imported.categories.most_common())
    failing = f"{imported.failing} fail" if imported.failing else "all pass"
    print(f"imported {imported.clips} ({kinds}): {failing} the alignment gate")
    if imported.problems:
        print(f"left out {len(imported.problems)}, first: {imported.problems[0]}", file=sys.stderr)


def hrd_encounters(*, sheet: Path | None = None) -> None:
    """List the kinds of encounter that the simulator knows.

    Args:
        sheet: file for a picture of each, .png or .jpg; half a minute.
    """
    if sheet is not None:
        from egoreact.hrd.encounter_sheet import write_encounter_sheet

        write_encounter_sheet(sheet)
        print(sheet)
        return
    from rich.console import Console
    from rich.table import Table

    from egoreact.hrd.simulate import ENCOUNTERS

    table = Table("encounter", "what happens", box=None)
    for name, encounter in ENCOUNTERS.items():
        table.add_row(name, encounter.caption)
    Console().print(table)


def hrd_realism(*, mocap: tuple[Path, ...] = (), clips: int = 4, out: Path = Path("realism"), frames: int = 81) -> None:
    """Compare simulated motion with motion capture: speed, acceleration, jerk, spectra, skating and sinking feet.

    Args:
        mocap: folders of .bvh takes; the sample takes (mocap below the folder EGOREACT_SHARED_DATA names) where not given.
        clips: simulated clips of each kind of encounter.
        out: folder for realism.json and realism.png.
        frames: of a simulated clip.
    """
    import os

    from rich.console import Console

    from egoreact.hrd.realism import compare, save, table

    folders = mocap or (Path(os.environ.get("EGOREACT_SHARED_DATA", "../shared/data")) / "mocap",)
    realism = compare(folders, clips=clips, frames=frames)
    Console().print(table(realism))
    for path in save(realism, out):
        print(path)


def hrd_show(
    clip: str,
    /,
    *,
    out: Path | None = None,
    rerun: Path | None = None,
    shard: Path | None = None,
    folder: Path | None = None,
) -> None:
    """Put one clip on a sheet: frames, depth, classes, body, path of the head, and what the alignment gate says of it.

    Args:
        clip: id, as in the manifest.
        out: picture to write; <id>.png where not given.
        rerun: write a Rerun recording too, to this name that ends in .rrd.
        shard: file to look in, instead of a data set.
        folder: with shards and manifest; data/hrd where not given.
    """
    from egoreact.hrd.dataset import data_folder
    from egoreact.hrd.show import find_clip, write_sheet

    found = find_clip(shard or folder or data_folder() / "hrd", clip)
    print(write_sheet(found, out or Path(f"{found.id}.png")))
    if rerun is not None:
        from egoreact.hrd.rerun_recording import write_recording

        print(f"{write_recording(found, rerun)}  (open it with: rerun {rerun})")


COMMANDS: dict[str, Callable[..., None]] = {
    "hrd build": hrd_build,
    "hrd show": hrd_show,
    "hrd import": hrd_import,
    "hrd encounters": hrd_encounters,
    "hrd realism": hrd_realism,
}
