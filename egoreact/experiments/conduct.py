"""The experiments from beginning to end: each measures, makes its report and returns the folder that holds it."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from egoreact.experiments import ablation, ablation_report, causality, causality_report, codebook, real, real_report
from egoreact.experiments.lab import Lab
from egoreact.experiments.probes import nearness_in_senses, velocity_in_tokens
from egoreact.experiments.recordings import read_recordings
from egoreact.experiments.report import experiment


def run_causality(lab: Lab, out: Path | None, *, command: str, repeats: int) -> Path:
    with experiment("causality", lab, command, repeats=repeats) as run:
        shown, changed, streams = causality.look(lab)
        strict = causality.strictness(lab, shown[causality.FORWARD], changed, streams)
        rows = pd.concat(list(causality.react(run, shown, repeats)), ignore_index=True)
        return run.write(causality_report.report_on(rows, strict), out)


def run_ablation(
    lab: Lab, out: Path | None, *, command: str, seeds: int, repeats: int, long_clips_per_kind: int = 3
) -> Path:
    with experiment("ablation", lab, command, seeds=seeds, repeats=repeats) as run:
        motion, seen = ablation.long_test_set(lab, long_clips_per_kind)
        rows = pd.concat(list(ablation.try_variants(run, seeds, repeats, motion, seen)), ignore_index=True)
        told = {reach: velocity_in_tokens(lab, reach=reach) for reach in (1, 2)}
        return run.write(ablation_report.report_on(rows, ablation.Probes(told, nearness_in_senses(lab))), out)


def run_codebook(
    lab: Lab, out: Path | None, *, command: str, seeds: int, sizes: Sequence[int] = codebook.SIZES
) -> Path:
    with experiment("codebook", lab, command, seeds=seeds, sizes=list(sizes)) as run:
        rows = pd.concat(list(codebook.try_sizes(run, seeds, sizes)), ignore_index=True)
        return run.write(codebook.report_on(rows), out)


def run_real(lab: Lab, out: Path | None, *, command: str, seeds: int, repeats: int, recordings: Path) -> Path:
    """Raises:
    EgoReactError: there are no recordings, or one is broken.
    """
    found = read_recordings(recordings)
    with experiment("real", lab, command, seeds=seeds, repeats=repeats) as run:
        depths = pd.DataFrame(list(real.depth_rows(lab, found)))
        takes = [*(real.windows_of(lab, recording) for recording in found), real.simulated(lab)]
        rows = pd.concat(list(real.try_takes(run, takes, seeds, repeats)), ignore_index=True)
        return run.write(real_report.report_on(rows, depths, found), out)
