"""The command `egoreact explain`."""

from collections.abc import Callable
from pathlib import Path


def explain(*, out: Path = Path("docs"), bundle: Path | None = None, clips: int = 16, seed: int = 1000) -> None:
    """Draw how the model works: shapes at each seam, and what a single frame changes; print the seams as a table.

    Args:
        out: folder for model-flow.png and model-influence.png.
        bundle: folder of a trained bundle; the promoted one where not given.
        clips: simulated for the second figure, 2 or more, a kind of encounter each in turn.
        seed: of the first of them.
    """
    from egoreact.explain.figures import draw_model

    print(draw_model(out, bundle=bundle, clips=clips, seed=seed))


COMMANDS: dict[str, Callable[..., None]] = {"explain": explain}
