"""The report on real recordings: figures alone, no frame of them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from egoreact.evaluation.metrics import Estimate, estimate
from egoreact.experiments import plots
from egoreact.experiments.real import BLANK, EVERY_FRAMES, LEARNT, SENSOR, SIMULATED, STILL
from egoreact.experiments.recordings import Recording
from egoreact.experiments.report import Report, figure_table, said
from egoreact.experiments.variants import FULL, NO_DEPTH
from egoreact.motion.skeleton import FPS

Figures = Mapping[str, Mapping[str, Estimate]]


def report_on(rows: pd.DataFrame, depths: pd.DataFrame, found: list[Recording]) -> Report:
    figures = summarise(rows)
    agreement = {
        f"{source}: {name}": {figure: estimate(part[figure].to_numpy()) for figure in AGREEMENT}
        for (source, name), part in depths.groupby(["source", "depth"], sort=False)
    }
    lengths = "; ".join(
        f"{recording.name} {len(recording.rgb) / FPS:.1f} s, {rows.loc[rows['source'] == recording.name, 'window'].nunique()} windows, "
        f"field of view {recording.fov_degrees:.0f}°"
        for recording in found
    )
    return Report(
        title="Real recordings",
        asked=ASKED,
        findings=(
            _error_sentence(figures, found),
            _gap_sentence(figures, found),
            _depth_sentence(figures, agreement, found),
        ),
        body=[
            "## The head's path",
            f"Windows as long as a training clip, one every {EVERY_FRAMES / FPS:.1f} s: {lengths}. The error is the mean distance over frames "
            "between the two heads, their first frames on one place: a headset does not say where the floor is, so heights are from the "
            "first frame too. Intervals are over windows, seeds and draws; windows overlap, so they are narrower than the truth.",
            figure_table(figures, COLUMNS, "video, model"),
            "![Error of the head over time](real.png)",
            "## Depth",
            figure_table(agreement, AGREEMENT, "video, depth") if agreement else "No recording has measured depth.",
        ],
        figures=figures | agreement,
        plots={"real.png": lambda path: draw(rows, path)},
        tables={"windows": rows, "depth": depths},
    )


ASKED = """What the model does on real video, against the true path of the head that wore the camera: a walk through rooms with a headset that
measures its pose and depth, and a person with a captured body. The model was taught on simulated pictures alone, and the wearers
react to nothing in particular: an honest measure of the gap, not of a skill. The same metric on simulated test clips stands beside it."""

COLUMNS = {
    "error_cm": ("head error, cm ↓", 1),
    "of_still": ("of standing still's", 2),
    "end_error_cm": ("at the end, cm", 1),
    "went_cm": ("the head went, cm", 1),
    "true_went_cm": ("the true head, cm", 1),
}
AGREEMENT = {
    "abs_rel": ("relative error ↓", 2),
    "abs_rel_scaled": ("with the scale put right ↓", 2),
    "delta1": ("within 25 % ↑", 2),
    "scale": ("estimated over measured", 2),
}


def summarise(rows: pd.DataFrame) -> dict[str, dict[str, Estimate]]:
    """`video: model` → figures, over windows, seeds and repeats."""
    found = {}
    for (source, model, depth), part in rows.groupby(["source", "model", "depth"], sort=False):
        still = rows.loc[(rows["source"] == source) & (rows["model"] == STILL), "error_cm"].mean()
        name = f"{source}: {model}" + ("" if depth == LEARNT else f", {depth}")
        found[name] = {
            "error_cm": estimate(part["error_cm"].to_numpy()),
            "of_still": estimate(part["error_cm"].to_numpy() / max(still, 1e-6)),
            "end_error_cm": estimate(np.array([errors[-1] for errors in part["head_error_cm"]])),
            "went_cm": estimate(part["went_cm"].to_numpy()),
            "true_went_cm": estimate(part["true_went_cm"].to_numpy()),
        }
    return found


def _error_sentence(figures: Figures, found: list[Recording]) -> str:
    parts = [
        f"on the {recording.name} the head is off by {said(figures[f'{recording.name}: {FULL.name}']['error_cm'], 0)} cm with depth, "
        f"{said(figures[f'{recording.name}: {NO_DEPTH.name}']['error_cm'], 0)} without, {figures[f'{recording.name}: {STILL}']['error_cm'].mean:.0f} "
        "standing still"
        for recording in found
    ]
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _gap_sentence(figures: Figures, found: list[Recording]) -> str:
    simulated_share = figures[f"{SIMULATED}: {FULL.name}"]["of_still"].mean
    shares = {recording.name: figures[f"{recording.name}: {FULL.name}"] for recording in found}
    parts = ", ".join(
        f"{figure['of_still'].mean:.2f} on the {name} ({figures[f'{name}: {FULL.name}, {BLANK}']['of_still'].mean:.2f} on blank pictures)"
        for name, figure in shares.items()
    )
    better = [
        name for name, figure in shares.items() if figure["of_still"].mean + (figure["of_still"].half_width or 0) < 1
    ]
    verdict = "on real video it does no better than somebody who stands still"
    if better:
        verdict = f"on real video it beats standing still {'too' if len(better) == len(found) else f'on the {better[0]} alone'}"
    return f"Of standing still's error it makes {simulated_share:.2f} on simulated clips and {parts}: {verdict}."


def _depth_sentence(
    figures: Figures,
    agreement: Figures,
    found: list[Recording],
) -> str:
    measured = [recording for recording in found if recording.depth_m is not None]
    if not measured:
        return "No recording here has measured depth."
    recording = measured[0]
    real, ours = agreement[f"{recording.name}: {LEARNT}"], agreement.get(f"{SIMULATED}: {LEARNT}")
    beside = f" ({ours['abs_rel'].mean:.0%} on simulated clips)" if ours else ""
    given = figures[f"{recording.name}: {FULL.name}, {SENSOR}"]["error_cm"]
    return (
        f"Its own depth is off by {real['abs_rel'].mean:.0%} on the {recording.name}{beside}, {real['scale'].mean:.2f} times what was measured "
        f"through a field of view of {recording.fov_degrees:.0f}° where it learnt {90:.0f}°; given the measured depth, the head is off by {said(given, 0)} cm."
    )


def draw(rows: pd.DataFrame, path: Path) -> None:
    sources = list(rows["source"].unique())
    with plots.drawing(path, "Distance from the true head, cm", len(sources)) as axes:
        for panel, source in zip(axes, sources, strict=True):
            of_source = rows[(rows["source"] == source) & (rows["depth"] == LEARNT)]
            for model, colour in ((FULL.name, plots.COLOURS[0]), (NO_DEPTH.name, plots.COLOURS[1])):
                errors = _errors(of_source, model)
                plots.line(
                    panel,
                    np.arange(errors.shape[1]) / FPS,
                    errors,
                    colour,
                    "with depth" if model == FULL.name else model,
                )
            still = _errors(of_source, STILL)
            panel.plot(
                np.arange(still.shape[1]) / FPS,
                still.mean(axis=0),
                color=plots.GREY,
                lw=1.4,
                ls=(0, (3, 2)),
                label=STILL,
            )
            panel.set(title=source, xlabel="s", ylim=(0, None))
        axes[0].legend()


def _errors(rows: pd.DataFrame, model: str) -> Float[np.ndarray, "reactions frames"]:
    errors = rows.loc[rows["model"] == model, "head_error_cm"].to_list()
    shortest = min(map(len, errors))
    return np.stack([np.asarray(error)[:shortest] for error in errors])
