"""The command `egoreact`: one table of contents over all packages.

Each package that has commands offers a light module with `COMMANDS`, name to function; the entry points of the group
`egoreact.commands` name those modules, so that this package never imports the ones above it. A function's typed
keywords are its options, its docstring its help.
"""

import os
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from egoreact import __version__
from egoreact.bench.commands import COMMANDS as BENCH_COMMANDS
from egoreact.errors import EgoReactError

Command = Callable[..., None]

SECTIONS = {
    "React": ("react", "stream"),
    "Serve and look": ("serve", "ui"),
    "Train": ("pipeline", "rollback", "release"),
    "Data": ("hrd",),
    "Measure": ("bench",),
}
"""Headings of the table of contents, by a command's first word."""


def react(
    video: Path,
    /,
    *,
    out: Path = Path("reactions"),
    bundle: Path | None = None,
    seed: int = 0,
    temperature: float | None = None,
    max_seconds: float = 60.0,
) -> None:
    """React to a video file: motion as .npz and .bvh, and an mp4 of video and body side by side.

    Args:
        video: any file that FFmpeg reads; resampled to 20 frames a second by wall clock.
        out: folder for <name>.npz, <name>.bvh and <name>.mp4.
        bundle: folder of a trained bundle; the promoted one where not given.
        seed: of sampling. The same seed, video and bundle give the same motion.
        temperature: of sampling; 0 takes the likeliest motion. The bundle's own where not given.
        max_seconds: longer videos are cut there.
    """
    from egoreact.streaming.react_file import react_to_file

    for path in react_to_file(video, out, bundle=bundle, seed=seed, temperature=temperature, max_seconds=max_seconds):
        print(path)


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


COMMANDS: dict[str, Command] = {
    "react": react,
    "hrd build": hrd_build,
    "hrd import": hrd_import,
    "hrd encounters": hrd_encounters,
    **BENCH_COMMANDS,
}


def commands() -> dict[str, Command]:
    """All packages' commands by name."""
    found = dict(COMMANDS)
    for entry in sorted(entry_points(group="egoreact.commands"), key=lambda entry: entry.name):
        if find_spec(entry.module.partition(".")[0]) is not None:  # an image may hold some of the packages alone
            found |= entry.load()
    return found


def main(arguments: list[str] | None = None) -> int:
    """Runs one command. Exit codes: 0 done, 2 a mistake that the one line on stderr explains, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    table = commands()
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(contents(table))
        return 0
    if arguments[0] == "--version":
        print(f"egoreact {__version__}")
        return 0
    name = next((n for n in (" ".join(arguments[:2]), arguments[0]) if n in table), None)
    group = {n: command for n, command in table.items() if n.split()[0] == arguments[0]}
    try:
        if name is None and group and (len(arguments) == 1 or arguments[1] in ("-h", "--help")):
            print(contents(group))
            return 0
        if name is None:
            raise EgoReactError(
                f"no command '{' '.join(arguments[:2])}'", where="egoreact", remedy="see: egoreact --help"
            )
        run(table[name], name, arguments[len(name.split()) :])
    except EgoReactError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0


def run(command: Command, name: str, arguments: list[str]) -> None:
    """Parses a command's options, for example `--port 3000`, and calls it."""
    import tyro

    tyro.cli(command, prog=f"egoreact {name}", args=arguments, config=(tyro.conf.FlagConversionOff,))


def contents(table: dict[str, Command]) -> str:
    """The commands under their headings, a line each."""
    width = max(map(len, table)) + 2
    lines = ["EgoReAct: a live egocentric video in, the 3D reaction of the body behind the camera out.", ""]
    headed = {word: heading for heading, words in SECTIONS.items() for word in words}
    for heading in dict.fromkeys([*SECTIONS, "More"]):
        rows = [(n, c) for n, c in table.items() if headed.get(n.split()[0], "More") == heading]
        if rows:
            lines += [heading, *(f"  {n:<{width}}{_summary(c)}" for n, c in rows), ""]
    return "\n".join([*lines, "egoreact COMMAND --help shows a command's options with units and defaults."])


def _summary(command: Command) -> str:
    return (command.__doc__ or "").strip().splitlines()[0]


if __name__ == "__main__":
    sys.exit(main())
