"""The commands `egoreact evaluate` and `egoreact evaluator …`."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

Preset = Literal["tiny", "demo", "paper"]


def evaluate(
    bundle: Path | None = None,
    /,
    *,
    out: Path | None = None,
    table: Annotated[Path | None, arg(name="from")] = None,
    repeats: int = 20,
    preset: Preset = "demo",
    evaluator: Path | None = None,
    latency: bool = False,
    seed: int = 0,
) -> None:
    """Score a bundle on the held-out clips: closed loop, teacher-forced apart, baselines, drift over time.

    The same command gives the same figures, latency excepted. They compare only under the same data, evaluator and counts.

    Args:
        bundle: folder of a trained bundle; the promoted one where not given.
        out: folder for record.json, figures.md and clips.parquet (a row a clip of motion); evaluation where not given. With
            --from, nothing is written where not given.
        table: clips.parquet of an evaluation, to compute its figures from again instead of evaluating.
        repeats: generations of the whole test set; intervals are over them.
        preset: whose counts of samples for multimodality.
        evaluator: folder of a motion evaluator; the one kept with the data set where not given.
        latency: measure latencies on this machine too.
        seed: of everything drawn.
    """
    from dataclasses import replace

    from rich.console import Console

    from egoreact.evaluation.command import evaluate_data_set, recompute
    from egoreact.evaluation.show import report
    from egoreact.presets import by_name

    if table is not None:
        record = recompute(table, out)
    else:
        settings = replace(by_name(preset).evaluation, repeats=repeats, seed=seed)
        settings = settings if latency else replace(settings, latency_sessions=0)
        out = out or Path("evaluation")
        record = evaluate_data_set(bundle, settings, out, evaluator=evaluator)
    Console(width=None if Console().is_terminal else 140).print(report(record))
    if out is not None:
        print(f"\n{out}")


def evaluator_import(
    checkpoint: Path,
    /,
    *,
    mean: Path,
    std: Path,
    out: Path = Path("t2m-evaluator"),
) -> None:
    """Bring in T2M's published motion evaluator: egoreact evaluate --evaluator then judges as the field does.

    Args:
        checkpoint: text_mot_match/model/finest.tar of HumanML3D. It is read as plain numbers: code in it never runs.
        mean: the evaluator's own mean.npy, not the data set's.
        std: the evaluator's own std.npy.
        out: folder to write the evaluator to.
    """
    from egoreact.files import sha256_file
    from egoreact.models.t2m_checkpoint import load_t2m_evaluator

    imported = load_t2m_evaluator(checkpoint, mean, std)
    imported.save(out, trained_on={"source": f"T2M checkpoint {sha256_file(checkpoint)}"})
    print(out)


COMMANDS: dict[str, Callable[..., None]] = {
    "evaluate": evaluate,
    "evaluator import": evaluator_import,
}
