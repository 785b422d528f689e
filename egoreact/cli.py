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

from egoreact import __version__
from egoreact.bench.commands import COMMANDS as BENCH_COMMANDS
from egoreact.errors import EgoReactError
from egoreact.evaluation_commands import COMMANDS as EVALUATION_COMMANDS
from egoreact.experiment_commands import COMMANDS as EXPERIMENT_COMMANDS
from egoreact.explain.commands import COMMANDS as EXPLAIN_COMMANDS
from egoreact.hrd_commands import COMMANDS as HRD_COMMANDS

Command = Callable[..., None]

SECTIONS = {
    "React": ("react", "stream"),
    "Serve and look": ("serve", "token", "lineage", "ui"),
    "Train": ("pipeline", "retrain", "rollback", "release"),
    "Data": ("hrd",),
    "Measure and understand": ("evaluate", "evaluator", "experiment", "explain", "replay", "bench"),
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


COMMANDS: dict[str, Command] = {
    "react": react,
    **HRD_COMMANDS,
    **BENCH_COMMANDS,
    **EVALUATION_COMMANDS,
    **EXPERIMENT_COMMANDS,
    **EXPLAIN_COMMANDS,
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

    tyro.cli(command, prog=f"egoreact {name}", args=arguments, config=(tyro.conf.FlagCreatePairsOff,))


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
