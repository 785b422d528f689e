"""From the table of scored clips to the figures: the table holds all that any figure needs, and the figures need no more.

A row is one clip's motion under one system: generated, truth, a baseline. Whatever no clip tells (whose bundle it was,
the seed, what was measured with a clock) lies beside the rows as the table's facts, in the same parquet file. So
`record_of` gives from the file, to the last digit, the record that the evaluation gave.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from pydantic import TypeAdapter, ValidationError

from egoreact.errors import EgoReactError
from egoreact.evaluation import metrics
from egoreact.evaluation.metrics import Estimate
from egoreact.evaluation.record import BASELINES, FIGURES, MOTION_FIGURES, MetricRecord
from egoreact.files import whole_file

GENERATED, TEACHER_FORCED, TRUTH, REFERENCE = "generated", "teacher_forced", "truth", "reference"
"""Systems in the table, beside the baselines. `teacher_forced` is what the model says next after the true past, never to
be compared with `generated`, the closed loop. `reference` is the test set itself, which FID compares with; `truth` is
test motion too, except for FID: there it is as many training clips of the same categories, fresh ones each repeat,
because a set has distance 0 from itself."""
TEST, SAMPLES, DRAW = "test", "samples", "draw"
"""What a row is part of: the test set; many samples of few conditions, for multimodality; a draw that only FID uses."""

COLUMNS = (
    "system", "part", "repeat", "clip_id", "category", "predicted", "frames", "head_trajectory_error_cm",
    "head_error_by_second_cm", "foot_skate_cm", "embedding", "token_nll_nats", "token_right",
)  # fmt: skip
"""`predicted` is empty where the evaluator knows no categories; errors and skate are of the test part alone, the last
two, a number a token, of teacher-forced rows."""


@dataclass(frozen=True)
class Facts:
    """What the rows do not tell."""

    bundle_digest: str
    data_revision: str
    evaluator_digest: str
    seed: int
    """Of the pairs that diversity and multimodality draw."""
    measured: dict[str, tuple[float, float | None]] = field(default_factory=dict)
    """Figures measured elsewhere, with their half widths: codebook usage, latencies."""


def write_table(path: Path, table: pd.DataFrame) -> None:
    with whole_file(path) as beside:
        table.to_parquet(beside, index=False)


def read_table(path: Path) -> pd.DataFrame:
    """The table that `write_table` wrote, its facts with it.

    Raises:
        EgoReactError: no such file, no parquet, a column or the facts missing, or rows without a test set.
    """
    remedy = "give the clips.parquet of an evaluation, or evaluate again"
    if not Path(path).is_file():
        raise EgoReactError("no such file", where=path, remedy=remedy)
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:100]
        raise EgoReactError(f"cannot be read as parquet ({reason})", where=path, remedy=remedy) from error
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise EgoReactError(f"lacks {len(missing)} columns, first {missing[0]}", where=path, remedy=remedy)
    parts = set(zip(table["system"], table["part"], strict=True))
    for system in (GENERATED, TRUTH, REFERENCE, *BASELINES):
        if (system, TEST) not in parts:
            raise EgoReactError(f"holds no {system} motion of the test set", where=path, remedy=remedy)
    try:
        facts_of(table)
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise EgoReactError(f"does not say whose figures it holds ({place})", where=path, remedy=remedy) from error
    return table


def facts_of(table: pd.DataFrame) -> Facts:
    return TypeAdapter(Facts).validate_python(dict(table.attrs))


def with_facts(rows: pd.DataFrame, facts: Facts) -> pd.DataFrame:
    for name, value in asdict(facts).items():
        rows.attrs[name] = value
    return rows


def record_of(table: pd.DataFrame) -> MetricRecord:
    """All figures, from the table alone.

    Raises:
        EgoReactError: too few rows for a figure, or numbers that are none.
    """
    facts = facts_of(table)
    systems = [name for name in (GENERATED, TEACHER_FORCED, TRUTH, *BASELINES) if name in set(table["system"])]
    figures = {system: summarise(table, system, seed=facts.seed) for system in systems}
    of_model = figures[GENERATED] | {name: Estimate(*value) for name, value in facts.measured.items()}
    categories = table.loc[table["system"] == REFERENCE, "category"]
    rows = table[table["system"] == GENERATED]
    forced = next_token_figures(table) | _means(figures[TEACHER_FORCED]) if TEACHER_FORCED in systems else {}
    return MetricRecord(
        bundle_digest=facts.bundle_digest,
        data_revision=facts.data_revision,
        samples=len(categories),
        repeats=rows["repeat"].nunique(),
        categories=tuple(sorted(categories.unique())),
        chance=float(categories.value_counts().max() / len(categories)),
        figures={name: of_model[name].mean if name in of_model else None for name in FIGURES},
        intervals={name: of_model[name].half_width if name in of_model else None for name in FIGURES},
        truth=_means(figures[TRUTH]),
        baselines={name: _means(figures[name]) for name in BASELINES},
        evaluator_digest=facts.evaluator_digest,
        teacher_forced=forced,
        counts=_counts(rows),
        drift_cm={system: drift_cm(table, system) for system in systems if system != TRUTH},
    )


def summarise(table: pd.DataFrame, system: str, *, seed: int) -> dict[str, Estimate]:
    """The motion figures of one system in a table that `evaluate` wrote, from its rows alone.

    Args:
        seed: the evaluation's; it draws the pairs of diversity and multimodality.
    """
    rows = table[table["system"] == system]
    reference = _embeddings(table[table["system"] == REFERENCE])
    of_fid = DRAW if system == TRUTH else TEST
    values: dict[str, list[float]] = {name: [] for name in MOTION_FIGURES}
    for (part, number), group in rows.groupby(["part", "repeat"], sort=True):
        repeat = int(str(number))
        if part == of_fid:
            values["fid"].append(metrics.fid(reference, _embeddings(group)))
        if part == SAMPLES:
            by_condition = [_embeddings(samples) for _, samples in group.groupby("clip_id", sort=True)]
            values["multimodality"].append(metrics.multimodality(np.stack(by_condition), seed=seed_of(seed, repeat, 3)))
        if part == TEST:
            values["diversity"].append(metrics.diversity(_embeddings(group), seed=seed_of(seed, repeat, 4)))
            values["head_trajectory_error_cm"].append(group["head_trajectory_error_cm"].mean())
            if group["predicted"].notna().all():
                values["reaction_accuracy"].append(
                    metrics.accuracy(group["predicted"].to_numpy(), group["category"].to_numpy())
                )
            values["foot_skate_cm"].append(group["foot_skate_cm"].mean())
    return {name: metrics.estimate(np.array(repeats)) for name, repeats in values.items() if repeats}


def drift_cm(table: pd.DataFrame, system: str) -> list[float]:
    """Head trajectory error in the clips' first second, their second one, …: mean over repeats and clips that last so long."""
    rows = table[(table["system"] == system) & (table["part"] == TEST)]
    curves = rows["head_error_by_second_cm"].to_list()
    return [
        float(np.mean([curve[second] for curve in curves if len(curve) > second]))
        for second in range(max(map(len, curves)))
    ]


def next_token_figures(table: pd.DataFrame) -> dict[str, float | None]:
    """Of the teacher-forced rows: mean over tokens of −ln p(true token), its exponential, share of likeliest that are true."""
    rows = table[(table["system"] == TEACHER_FORCED) & (table["part"] == TEST)]
    rows = rows[rows["repeat"] == rows["repeat"].min()]  # the same in every repeat
    nats = float(np.concatenate(rows["token_nll_nats"].to_list()).mean())
    right = float(np.concatenate(rows["token_right"].to_list()).mean())
    return {"next_token_loss_nats": nats, "next_token_perplexity": math.exp(nats), "next_token_accuracy": right}


def seed_of(*parts: int) -> int:
    """One seed of several numbers: neighbours in any of them give unrelated streams."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def _counts(rows: pd.DataFrame) -> dict[str, int]:
    """Samples behind the figures of the generated rows: figures of other counts are not comparable."""
    first = rows[rows["repeat"] == rows["repeat"].min()]
    test = int((first["part"] == TEST).sum())
    by_condition = first[first["part"] == SAMPLES].groupby("clip_id").size()
    each = int(by_condition.min())
    return {
        "fid": test,
        "diversity_pairs": metrics.diversity_pairs(test),
        "multimodality_conditions": len(by_condition),
        "multimodality_samples": each,
        "multimodality_pairs": min(metrics.MULTIMODALITY_PAIRS, each // 2),
    }


def _means(estimates: Mapping[str, Estimate]) -> dict[str, float | None]:
    return {name: estimates[name].mean if name in estimates else None for name in MOTION_FIGURES}


def _embeddings(rows: pd.DataFrame) -> Float[np.ndarray, "n d"]:
    return np.stack(rows["embedding"].to_list())
