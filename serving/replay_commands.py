"""The command that replays recorded sessions."""

from collections.abc import Callable
from pathlib import Path


def replay(recording: Path, /, *, bundle: Path, out: Path | None = None) -> None:
    """Run a recorded session through another bundle, and print the differences in motion and latency.

    Args:
        recording: an .egorec file, or the .partial one that a killed service left; see docs/operations.md.
        bundle: folder of the challenger.
        out: .md file for the same table with a plot beside it.
    """
    from serving.replay import replay_recording
    from serving.replay_report import check_out, text, write_report

    if out is not None:
        check_out(out)
    made = replay_recording(recording, bundle)
    print(text(made))
    if out is not None:
        for path in write_report(made, out):
            print(path)


COMMANDS: dict[str, Callable[..., None]] = {"replay": replay}
