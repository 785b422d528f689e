"""What an evaluation says of a bundle: figures with intervals, beside truth's and the baselines', as one JSON."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from egoreact.errors import EgoReactError
from egoreact.files import write_json

SCHEMA_VERSION = 1

HIGHER_IS_BETTER = {
    "fid": False,
    "diversity": None,
    "multimodality": None,
    "head_trajectory_error_cm": False,
    "reaction_accuracy": True,
    "foot_skate_cm": False,
    "codebook_usage": True,
    "first_frame_latency_ms": False,
    "per_token_latency_ms": False,
}
"""The figures, in the order they are shown. None: nearest to truth's is best."""
FIGURES = tuple(HIGHER_IS_BETTER)
MOTION_FIGURES = FIGURES[:6]
"""Those that motion alone has, so truth and baselines too."""
BASELINES = ("stand_still", "mean_motion", "random_clip")

Figures = Mapping[str, float | None]


@dataclass(frozen=True)
class MetricRecord:
    """Closed-loop figures of one bundle on held-out clips. A figure that was not measured is None.

    The FID depends on `samples`, the evaluator and the test clips: compare records where all three are the same.
    """

    bundle_digest: str
    data_revision: str
    samples: int
    """Held-out clips."""
    repeats: int
    categories: tuple[str, ...]
    chance: float
    """Reaction accuracy of the best constant guess: the commonest category's share of the clips."""
    figures: Figures
    """Mean over repeats."""
    intervals: Figures
    """Half widths of the 95 % intervals over repeats; None where a figure was measured once."""
    truth: Figures
    """What held-out human motion itself scores: an upper bound."""
    baselines: Mapping[str, Figures]
    evaluator_digest: str = ""
    teacher_forced: Figures = field(default_factory=dict)
    """Figures with true past motion given, never comparable with the closed loop's; empty where not measured."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Samples behind the figures: clips of each set that FID compares, pairs and conditions that distances are over."""
    drift_cm: Mapping[str, list[float]] = field(default_factory=dict)
    """System to its mean head trajectory error within the first second of the clips, the second one, …"""
    schema_version: int = SCHEMA_VERSION

    @property
    def named_figures(self) -> dict[str, float]:
        """All measured figures for a tracker, the teacher-forced ones named so."""
        named = dict(self.figures) | {f"teacher_forced/{name}": value for name, value in self.teacher_forced.items()}
        return {name: value for name, value in named.items() if value is not None}

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"categories": list(self.categories)}

    def save(self, path: Path) -> None:
        write_json(path, self.to_json())

    @staticmethod
    def load(path: Path) -> "MetricRecord":
        """The record in a file.

        Raises:
            EgoReactError: no such file, or no metric record of this schema version.
        """
        if not Path(path).is_file():
            raise EgoReactError("no such file", where=path, remedy="evaluate the bundle first")
        try:
            content = json.loads(Path(path).read_text())
        except ValueError as error:
            raise EgoReactError(f"is not JSON ({error})", where=path, remedy="evaluate the bundle again") from error
        return MetricRecord.from_json(content, where=path)

    @staticmethod
    def from_json(content: Any, *, where: object = "metric record") -> "MetricRecord":
        """The record that `to_json` gave.

        Raises:
            EgoReactError: it is none, of another schema version, lacks a field, or a figure is not a finite number.
        """
        remedy = "evaluate the bundle again"
        version = content.get("schema_version") if isinstance(content, dict) else None
        if not isinstance(content, dict) or version != SCHEMA_VERSION:
            raise EgoReactError(
                f"metric record of schema version {version}, this program reads {SCHEMA_VERSION}",
                where=where,
                remedy=remedy,
            )
        optional = {"evaluator_digest", "teacher_forced", "counts", "drift_cm", "schema_version"}
        missing = {entry.name for entry in fields(MetricRecord)} - optional - set(content)
        unknown = set(content) - {entry.name for entry in fields(MetricRecord)}
        if missing or unknown:
            raise EgoReactError(
                f"lacks {sorted(missing)}" if missing else f"has unknown fields {sorted(unknown)}",
                where=where,
                remedy=remedy,
            )
        names = ("figures", "intervals", "truth", "teacher_forced", "counts", "baselines", "drift_cm")
        tables = {name: content.get(name, {}) for name in names}
        for name, table in tables.items():
            if not isinstance(table, dict):
                raise EgoReactError(f"its {name} is no object", where=where, remedy=remedy)
        curves = {
            f"drift_cm.{name}": dict(enumerate(curve)) if isinstance(curve, list) else curve
            for name, curve in tables.pop("drift_cm").items()
        }
        for name, table in (tables | tables.pop("baselines") | curves).items():
            _check_figures(table, name, where, remedy)
        return MetricRecord(**content | {"categories": tuple(content["categories"])})


def _check_figures(table: object, name: str, where: object, remedy: str) -> None:
    if not isinstance(table, dict):
        raise EgoReactError(f"its {name} is no object", where=where, remedy=remedy)
    for figure, value in table.items():
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if value is not None and not number:
            raise EgoReactError(f"{name}.{figure} is {value!r}, not a finite number", where=where, remedy=remedy)
