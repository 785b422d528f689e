"""The command that looks for new data and, where there is any, trains again on this machine."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal


def retrain(
    *,
    source: str,
    preset: Literal["tiny", "demo", "paper"] = "demo",
    seed: int = 0,
    config: Path | None = None,
    from_scratch: bool = False,
) -> None:
    """Look for new shards and, where there are any, take them in, train from the champion, and promote what is better.

    Ends early where nothing is new. A run that was stopped goes on where it stopped.

    Args:
        source: where new shards are dropped: a folder, file:///folder, or s3://bucket/prefix.
        preset: whose models and trainings: those that the champion was made with.
        seed: of training and evaluation.
        config: JSON file of a whole run configuration, instead of preset and seed.
        from_scratch: start from fresh weights instead of the champion's.
    """
    import sys

    from egoreact.presets import RunConfig, by_name
    from pipelines.local import run_retraining
    from pipelines.show import StepLines, summary

    chosen = by_name(preset, seed=seed) if config is None else RunConfig.from_file(config)
    with StepLines(sys.stdout) as lines:
        done = run_retraining(chosen.to_json(), source, from_scratch=from_scratch, watch=lines)
    lines.console.print(f"\n{done.why}", markup=False)
    if done.run is not None:
        lines.console.print(summary(done.run))


COMMANDS: dict[str, Callable[..., None]] = {"retrain": retrain}
