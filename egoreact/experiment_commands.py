"""The commands `egoreact experiment …`: the paper's first experiments, each a run in MLflow and a report.

A report lies in the workspace, in experiments/<name>, with the rows that its figures are made of. What an experiment has
trained is kept: one that was stopped goes on where it was, and a second run takes what is there.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

Preset = Literal["tiny", "demo", "paper"]


def experiment_causality(
    *,
    preset: Preset = "demo",
    repeats: int = 5,
    out: Path | None = None,
    bundle: Path | None = None,
    evaluator: Path | None = None,
) -> None:
    """Show the model noise after each moment, videos backwards, and videos at half and double speed.

    Args:
        preset: that the model was trained with.
        repeats: reactions to each clip and condition; intervals are over them.
        out: folder to copy the report and its plots to.
        bundle: folder of the trained bundle; the released one where not given.
        evaluator: folder of the motion evaluator; the one kept with the data where not given.
    """
    from egoreact.experiments.conduct import run_causality
    from egoreact.experiments.lab import open_lab

    lab = open_lab(preset, bundle=bundle, evaluator=evaluator)
    command = _command("causality", preset=preset, repeats=repeats)
    print(run_causality(lab, out, command=command, repeats=repeats))


def experiment_ablation(
    *,
    preset: Preset = "demo",
    seeds: int = 2,
    repeats: int = 5,
    steps: int | None = None,
    out: Path | None = None,
    bundle: Path | None = None,
    evaluator: Path | None = None,
) -> None:
    """Train the transformer without depth, head velocity or semantics, and with the true velocity.

    Args:
        preset: that the model was trained with; its budget is every variant's.
        seeds: trainings of each variant.
        repeats: reactions to each clip by each training; intervals are over seeds and repeats.
        steps: of each training; the preset's where not given.
        out: folder to copy the report and its plots to.
        bundle: folder of the trained bundle; the released one where not given.
        evaluator: folder of the motion evaluator; the one kept with the data where not given.
    """
    from egoreact.experiments.conduct import run_ablation
    from egoreact.experiments.lab import open_lab

    lab = open_lab(preset, bundle=bundle, evaluator=evaluator, steps=steps)
    command = _command("ablation", preset=preset, seeds=seeds, repeats=repeats, steps=steps)
    print(run_ablation(lab, out, command=command, seeds=seeds, repeats=repeats))


def experiment_codebook(
    *,
    preset: Preset = "demo",
    seeds: int = 1,
    steps: int | None = None,
    out: Path | None = None,
    bundle: Path | None = None,
    evaluator: Path | None = None,
) -> None:
    """Train the tokenizer with 64, 128, 256, 512 and 1024 codes.

    Args:
        preset: that the model was trained with; its budget is every size's.
        seeds: trainings of each size.
        steps: of each training; the preset's where not given.
        out: folder to copy the report and its plots to.
        bundle: folder of the trained bundle; the released one where not given.
        evaluator: folder of the motion evaluator; the one kept with the data where not given.
    """
    from egoreact.experiments.conduct import run_codebook
    from egoreact.experiments.lab import open_lab

    lab = open_lab(preset, bundle=bundle, evaluator=evaluator, steps=steps)
    command = _command("codebook", preset=preset, seeds=seeds, steps=steps)
    print(run_codebook(lab, out, command=command, seeds=seeds))


def experiment_real(
    *,
    preset: Preset = "demo",
    seeds: int = 2,
    repeats: int = 5,
    steps: int | None = None,
    recordings: Path | None = None,
    out: Path | None = None,
    bundle: Path | None = None,
    evaluator: Path | None = None,
) -> None:
    """Let the model react to real recordings, with depth and without, and compare with the wearer's head.

    Args:
        preset: that the model was trained with; its budget is both variants'.
        seeds: trainings of each variant; those of the ablation, where it has run.
        repeats: reactions to each window by each training.
        steps: of each training; the preset's where not given.
        recordings: folder with hololens/ and ares/; ego/ below the folder that EGOREACT_SHARED_DATA names where not given.
        out: folder to copy the report and its plots to.
        bundle: folder of the trained bundle; the released one where not given.
        evaluator: folder of the motion evaluator; the one kept with the data where not given.
    """
    from egoreact.experiments.conduct import run_real
    from egoreact.experiments.lab import open_lab
    from egoreact.experiments.recordings import recordings_folder

    lab = open_lab(preset, bundle=bundle, evaluator=evaluator, steps=steps)
    command = _command("real", preset=preset, seeds=seeds, repeats=repeats, steps=steps)
    folder = recordings_folder(recordings)
    print(run_real(lab, out, command=command, seeds=seeds, repeats=repeats, recordings=folder))


def experiment_all(
    *,
    preset: Preset = "demo",
    seeds: int = 2,
    repeats: int = 5,
    steps: int | None = None,
    recordings: Path | None = None,
    out: Path | None = None,
    bundle: Path | None = None,
    evaluator: Path | None = None,
) -> None:
    """All four, one after another; real recordings are left out where there are none.

    Args:
        preset: that the model was trained with; its budget is every training's.
        seeds: trainings of each variant of the transformer.
        repeats: reactions to each clip by each model.
        steps: of each training; the preset's where not given.
        recordings: folder with hololens/ and ares/; ego/ below the folder that EGOREACT_SHARED_DATA names where not given.
        out: folder to copy the reports and their plots to.
        bundle: folder of the trained bundle; the released one where not given.
        evaluator: folder of the motion evaluator; the one kept with the data where not given.
    """
    from egoreact.experiments.recordings import recordings_folder

    common = {"preset": preset, "out": out, "bundle": bundle, "evaluator": evaluator}
    experiment_causality(**common, repeats=repeats)  # type: ignore[arg-type]
    experiment_codebook(**common, steps=steps)  # type: ignore[arg-type]
    experiment_ablation(**common, seeds=seeds, repeats=repeats, steps=steps)  # type: ignore[arg-type]
    folder = recordings_folder(recordings)
    if folder.is_dir():
        experiment_real(**common, seeds=seeds, repeats=repeats, steps=steps, recordings=folder)  # type: ignore[arg-type]
    else:
        print(f"no real recordings at {folder}: left out (--recordings DIR names their folder)", file=sys.stderr)


def _command(name: str, **options: object) -> str:
    """As it can be typed again; paths are left out, so that a report names no machine's folders."""
    given = [f"--{key} {value}" for key, value in options.items() if value is not None]
    return " ".join([f"egoreact experiment {name}", *given])


COMMANDS: dict[str, Callable[..., None]] = {
    "experiment causality": experiment_causality,
    "experiment ablation": experiment_ablation,
    "experiment codebook": experiment_codebook,
    "experiment real": experiment_real,
    "experiment all": experiment_all,
}
