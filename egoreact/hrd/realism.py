"""Does simulated motion move as people do? Figures of simulated and of captured motion, side by side.

Both go the same way: 22 joints at 20 fps, the reference body's bones, the floor at the first percentile of the lowest foot, windows
of `WINDOW_FRAMES`, as many of each take and as many of each clip. Of a window each figure is one number (`MEASURES`). Movement is
looked at below 6 Hz, the cut-off usual in gait analysis (Winter, Biomechanics and Motor Control of Human Movement): what captured
joints hold above is mostly the noise of markers, which twofold differences raise with the square of the frequency.

The rule. A simulated median is "outside" where it leaves the 5th to 95th percentile of the captured windows. What is a property of
movement (speed, acceleration, jerk, spectrum) counts in both directions: too smooth is as wrong as too rough. What is a defect
(skating and sinking feet, from which captured motion is not free) counts in one: worse than the 95th percentile.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from scipy.signal import butter, sosfiltfilt

from egoreact.errors import EgoReactError
from egoreact.files import whole_file
from egoreact.hrd.importers.mocap import read_mocap
from egoreact.hrd.simulate import ENCOUNTERS, SimulatorConfig
from egoreact.hrd.simulate.simulate import stage
from egoreact.motion.representation import retarget
from egoreact.motion.skeleton import FEET, FPS
from egoreact.progress import Progress

if TYPE_CHECKING:
    from rich.table import Table

WINDOW_FRAMES = 41
WINDOWS_A_TAKE, WINDOWS_A_CLIP = 24, 3
FAST_HZ, CUT_OFF_HZ = 3.0, 6.0
GROUPS: Mapping[str, tuple[int, ...]] = {"pelvis": (0,), "head": (15,), "hands": (20, 21), "feet": (10, 11)}
"""Joints that are looked at together."""
_TOES = (10, 11)
_NEAR_FLOOR_M = 0.05
FREQUENCIES_HZ = np.fft.rfftfreq(WINDOW_FRAMES - 2, 1 / FPS)


@dataclass(frozen=True)
class Measure:
    """A figure of a window."""

    name: str
    unit: str
    defect: bool = False
    """Whether less is never wrong."""


def _movements() -> tuple[Measure, ...]:
    kinds = (("speed", "m/s"), ("acceleration", "m/s²"), ("jerk", "m/s³"))
    amounts = [
        Measure(f"{group} {kind} {statistic}", unit)
        for kind, unit in kinds for group in GROUPS for statistic in ("rms", "p95")
    ]  # fmt: skip
    shapes = [
        Measure(f"{group} {shape}", unit)
        for shape, unit in ((f"above {FAST_HZ:g} Hz", "share"), ("centroid", "Hz")) for group in GROUPS
    ]  # fmt: skip
    return (*amounts, *shapes)


MEASURES: tuple[Measure, ...] = (
    Measure("foot skate", "m/s", defect=True),
    Measure("feet below floor", "mm", defect=True),
    *_movements(),
)


@dataclass(frozen=True)
class Windows:
    """Figures and spectra of windows of motion."""

    figures: Float[np.ndarray, "windows measures"]
    spectra: Float[np.ndarray, "windows groups frequencies"]
    """Power of the joints' acceleration, of each window and group summing to 1."""


def windows_of(joints_m: Float[np.ndarray, "frames 22 3"], count: int) -> Windows:
    """`count` windows spread evenly over a motion, which overlap where it is short.

    Raises:
        EgoReactError: shorter than a window.
    """
    if len(joints_m) < WINDOW_FRAMES:
        raise EgoReactError(
            f"has {len(joints_m)} frames at {FPS} fps", where="motion", remedy=f"give at least {WINDOW_FRAMES}"
        )
    joints_m = retarget(torch.from_numpy(np.asarray(joints_m, dtype=np.float64))).numpy()
    joints_m[..., 1] -= np.percentile(joints_m[:, FEET, 1].min(axis=1), 1)
    starts = np.unique(np.linspace(0, len(joints_m) - WINDOW_FRAMES, count).round().astype(int))
    moving_m = sosfiltfilt(butter(4, CUT_OFF_HZ, fs=FPS, output="sos"), joints_m, axis=0)
    windows = [slice(start, start + WINDOW_FRAMES) for start in starts]
    measured = [_measure(joints_m[window], moving_m[window]) for window in windows]
    return Windows(np.stack([figures for figures, _ in measured]), np.stack([spectra for _, spectra in measured]))


def _measure(joints_m: np.ndarray, moving_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Figures and spectra of a window of joints, as they are and below the cut-off."""
    toes = joints_m[:, _TOES]
    # Weights from 1 on the floor to 0 at a height (Zhang et al., Mode-Adaptive Neural Networks, 2018).
    low = 2 - 2 ** np.clip(toes[1:, :, 1] / _NEAR_FLOOR_M, 0.0, 1.0)
    slides = np.linalg.norm(np.diff(toes[..., ::2], axis=0), axis=-1) * FPS
    figures = [float((low * slides).mean()), 1000 * float(np.maximum(-joints_m[:, FEET, 1].min(axis=1), 0.0).mean())]
    for order in (1, 2, 3):
        derivative = np.linalg.norm(np.diff(moving_m, order, axis=0), axis=-1) * FPS**order
        for group in GROUPS.values():
            values = derivative[:, group]
            figures += [float(np.sqrt(np.mean(values**2))), float(np.percentile(values, 95))]
    spectra = np.stack([_spectrum(moving_m[:, group]) for group in GROUPS.values()])
    figures += [float(spectrum[FREQUENCIES_HZ > FAST_HZ].sum()) for spectrum in spectra]
    figures += [float(spectrum @ FREQUENCIES_HZ) for spectrum in spectra]
    return np.array(figures), spectra


def _spectrum(joints_m: Float[np.ndarray, "frames joints 3"]) -> Float[np.ndarray, " frequencies"]:
    acceleration = np.diff(joints_m, 2, axis=0)
    acceleration = (acceleration - acceleration.mean(axis=0)) * np.hanning(len(acceleration))[:, None, None]
    power = np.square(np.abs(np.fft.rfft(acceleration, axis=0))).sum(axis=(1, 2))
    return power / max(float(power.sum()), 1e-12)


def captured_windows(folders: Sequence[Path]) -> Windows:
    """Windows of all BVH takes in folders, each take counting alike.

    Raises:
        EgoReactError: a folder without takes, or a take that cannot be read or is too short.
    """
    takes: list[Path] = []
    for folder in folders:
        found = sorted(Path(folder).glob("*.bvh"))
        if not found:
            raise EgoReactError(
                "holds no .bvh takes", where=folder, remedy="name a folder of motion capture with --mocap"
            )
        takes += found
    return _joined([windows_of(read_mocap(take).joints_m, WINDOWS_A_TAKE) for take in takes])


def simulated_windows(clips: int, kinds: Sequence[str], frames: int) -> dict[str, Windows]:
    """Windows of the first `clips` seeds of each kind of encounter."""
    config = SimulatorConfig(frames=frames, own_body=False)
    progress = Progress("simulate", clips * len(kinds), "clips")
    found = {}
    for kind in kinds:
        windows = []
        for seed in range(clips):
            windows.append(windows_of(stage(config, kind, seed).performance.joints_m, WINDOWS_A_CLIP))
            progress.advance()
        found[kind] = _joined(windows)
    return found


def _joined(windows: Sequence[Windows]) -> Windows:
    return Windows(np.concatenate([w.figures for w in windows]), np.concatenate([w.spectra for w in windows]))


@dataclass(frozen=True)
class Realism:
    """Captured against simulated windows."""

    captured: Windows
    simulated: Mapping[str, Windows]
    """By kind of encounter."""

    @cached_property
    def range(self) -> Float[np.ndarray, "3 measures"]:
        """5th, 50th and 95th percentile of the captured windows."""
        return np.percentile(self.captured.figures, (5, 50, 95), axis=0)

    @cached_property
    def all_simulated(self) -> Windows:
        return _joined(list(self.simulated.values()))

    @property
    def medians(self) -> Float[np.ndarray, " measures"]:
        """Of all simulated windows."""
        return np.median(self.all_simulated.figures, axis=0)

    def inside(self, medians: Float[np.ndarray, " measures"]) -> list[bool]:
        """Whether medians follow the rule, measure by measure."""
        low, _, high = self.range
        return [
            bool(medians[k] <= high[k] and (measure.defect or medians[k] >= low[k]))
            for k, measure in enumerate(MEASURES)
        ]

    @cached_property
    def kinds_outside(self) -> list[dict[str, float]]:
        """For each measure, the kinds whose own median lies outside, and that median."""
        outside: list[dict[str, float]] = [{} for _ in MEASURES]
        for kind, windows in self.simulated.items():
            medians = np.median(windows.figures, axis=0)
            for k, good in enumerate(self.inside(medians)):
                if not good:
                    outside[k][kind] = float(medians[k])
        return outside

    def record(self) -> dict:
        """All of it, for JSON."""
        inside, names = self.inside(self.medians), ("p5", "p50", "p95")
        return {
            "schema_version": 1,
            "windows": {"frames": WINDOW_FRAMES, "captured": len(self.captured.figures), "simulated": len(self.all_simulated.figures)},
            "inside": all(inside),
            "measures": {
                measure.name: {
                    "unit": measure.unit,
                    "rule": "not above p95" if measure.defect else "p5 to p95",
                    "captured": dict(zip(names, self.range[:, k].tolist(), strict=True)),
                    "simulated": dict(zip(names, np.percentile(self.all_simulated.figures[:, k], (5, 50, 95)).tolist(), strict=True)),
                    "inside": inside[k],
                    "kinds_outside": self.kinds_outside[k],
                }
                for k, measure in enumerate(MEASURES)
            },
        }  # fmt: skip


def compare(
    mocap: Sequence[Path], *, clips: int = 4, kinds: Sequence[str] = tuple(ENCOUNTERS), frames: int = 81
) -> Realism:
    """Simulated motion against captured motion.

    Args:
        mocap: folders of .bvh takes.
        clips: seeds of each kind.
        kinds: of encounter.
        frames: of a clip.

    Raises:
        EgoReactError: no takes, or one that is unfit; no clips asked for.
    """
    if clips < 1:
        raise EgoReactError(f"clips is {clips}", where="realism", remedy="ask for at least 1 clip of each kind")
    return Realism(captured_windows(mocap), simulated_windows(clips, kinds, frames))


def table(realism: Realism) -> "Table":
    """Captured 5th, 50th and 95th percentile, the simulated median, and the kinds whose own median lies outside."""
    from rich.table import Table

    shown = Table(box=None, header_style="bold", pad_edge=False)
    shown.add_column("measure")
    for name in ("captured 5 %", "50 %", "95 %", "simulated"):
        shown.add_column(name, justify="right")
    shown.add_column("")
    shown.add_column("kinds outside")
    medians, inside = realism.medians, realism.inside(realism.medians)
    for k, measure in enumerate(MEASURES):
        verdict = "inside" if inside[k] else "[bold red]outside[/]"
        kinds = ", ".join(f"{kind} {median:.3g}" for kind, median in realism.kinds_outside[k].items())
        numbers = [f"{value:.3g}" for value in (*realism.range[:, k], medians[k])]
        shown.add_row(f"{measure.name}, {measure.unit}", *numbers, verdict, kinds)
    return shown


def save(realism: Realism, folder: Path) -> list[Path]:
    """`realism.json` and `realism.png`, each whole or not at all."""
    from egoreact.hrd.realism_plot import draw

    record, plot = Path(folder) / "realism.json", Path(folder) / "realism.png"
    with whole_file(record) as path:
        path.write_text(json.dumps(realism.record(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    with whole_file(plot) as path:
        draw(realism, path)
    return [record, plot]
