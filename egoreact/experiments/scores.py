"""What is said of reactions: a row a clip, with all that any figure is made of, and the figures of such rows.

Beside the protocol's figures these tell the paper's failure signs apart. *Drift*: the head's error frame by frame.
*Lateness*: the onset is the first time the head is a quarter as far from its start as the true head ever gets; its lag
is against the true onset. *Smallness*: how far the head gets, of how far the true head gets. *Floating*: how high the
lowest joint is over the clip's floor, which for somebody who stands or walks is nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from egoreact.evaluation import metrics
from egoreact.evaluation.metrics import Estimate
from egoreact.evaluation.protocol import EvaluationClip, Features, joints_of
from egoreact.models.motion_evaluator import MotionEvaluator
from egoreact.motion.skeleton import FPS, HEAD

ONSET_SHARE = 0.25
LEAST_MOVE_M = 0.1
"""A true head that gets less far has no onset."""
DIP_M = 0.15
"""A true head that sinks at least so far ducks; it begins where half the depth is reached."""
RUN = ["condition", "seed", "repeat"]
"""What a figure is computed over: all clips of one repeat of one condition."""


def score(
    made: Sequence[Features], clips: Sequence[EvaluationClip], evaluator: MotionEvaluator, **about: object
) -> pd.DataFrame:
    """A row for each reaction to a clip.

    Args:
        about: constant columns: `condition`, `seed`, `repeat`.
    """
    judgement = evaluator.judge(made)
    joints = [joints_of(features) for features in made]
    rows = [_row(joints_m, clip.joints_m) for joints_m, clip in zip(joints, clips, strict=True)]
    constant: dict[str, Any] = {"seed": 0, "repeat": 0} | about
    named = [evaluator.categories[index] if index >= 0 else None for index in judgement.classes]
    return pd.DataFrame(rows).assign(
        **constant,
        clip_id=[clip.id for clip in clips],
        category=[clip.category for clip in clips],
        predicted=pd.array(named, dtype="str"),
        embedding=list(judgement.embeddings),
    )


def _row(made_m: np.ndarray, truth_m: np.ndarray) -> dict[str, object]:
    made, truth = head_path_m(made_m), head_path_m(truth_m)
    went, true_went = from_start_m(made), from_start_m(truth)
    moves = true_went.max() >= LEAST_MOVE_M
    reach = ONSET_SHARE * true_went.max()
    sank, true_sank = made[0, 1] - made[:, 1], truth[0, 1] - truth[:, 1]
    dips = true_sank.max() >= DIP_M
    half = 0.5 * true_sank.max()
    error_cm = 100 * np.linalg.norm(made - truth, axis=1)
    onset_s, true_onset_s = (_first_s(way >= reach) if moves else np.nan for way in (went, true_went))
    return {
        "head_m": made.astype(np.float32).ravel(),
        "head_error_cm": error_cm.astype(np.float32),
        "end_error_cm": float(error_cm[-1]),
        "head_trajectory_error_cm": metrics.head_trajectory_error_cm(made_m, truth_m),
        "foot_skate_cm": metrics.foot_skate_cm(made_m),
        "float_cm": 100 * float((made_m[..., 1].min(axis=1) - made_m[..., 1].min()).mean()),
        "true_onset_s": true_onset_s,
        "onset_s": onset_s,
        "lag_s": onset_s - true_onset_s,
        "size": float(went.max() / true_went.max()) if moves else np.nan,
        "dip_lag_s": _first_s(sank >= half) - _first_s(true_sank >= half) if dips else np.nan,
        "dip_size": float(sank.max() / true_sank.max()) if dips else np.nan,
    }


def head_path_m(joints_m: Float[np.ndarray, "frames 22 3"]) -> Float[np.ndarray, "frames 3"]:
    """Joint 15 with the clip's lowest joint at height 0 and its start over the origin."""
    path = joints_m[:, HEAD].astype(np.float64)
    path[:, 1] -= joints_m[..., 1].min()
    path[:, [0, 2]] -= path[0, [0, 2]]
    return path


def from_start_m(path_m: Float[np.ndarray, "frames 3"]) -> Float[np.ndarray, "frames"]:
    return np.linalg.norm(path_m - path_m[0], axis=1)


def paths_of(rows: pd.DataFrame) -> list[Float[np.ndarray, "frames 3"]]:
    """The heads' paths of rows."""
    return [np.asarray(path).reshape(-1, 3) for path in rows["head_m"]]


def _first_s(true: np.ndarray) -> float:
    """Seconds until the first True; NaN where there is none."""
    return float(true.argmax() / FPS) if true.any() else np.nan


def figures_of(rows: pd.DataFrame, reference: Float[np.ndarray, "n d"]) -> dict[str, float]:
    """Figures of one run's rows. Lag and size are medians over the clips that have them.

    Args:
        reference: embeddings of the true motion, for the FID.
    """
    embeddings = np.stack(rows["embedding"].to_list())
    moving = rows["true_onset_s"].notna()
    return {
        "fid": metrics.fid(reference, embeddings),
        "diversity": metrics.diversity(embeddings, seed=0),
        "head_trajectory_error_cm": float(rows["head_trajectory_error_cm"].mean()),
        "end_error_cm": float(rows["end_error_cm"].mean()),
        "reaction_accuracy": float((rows["predicted"] == rows["category"]).mean())
        if rows["predicted"].notna().any()
        else np.nan,
        "foot_skate_cm": float(rows["foot_skate_cm"].mean()),
        "float_cm": float(rows["float_cm"].mean()),
        "lag_s": float(rows["lag_s"].median()),
        "onset_correlation": _within_kinds(rows),
        "size": float(rows["size"].median()),
        "still": float(rows.loc[moving, "onset_s"].isna().mean()) if moving.any() else np.nan,
        "dip_lag_s": float(rows["dip_lag_s"].median()),
        "dip_size": float(rows["dip_size"].median()),
    }


def _within_kinds(rows: pd.DataFrame) -> float:
    """Correlation of onset and true onset, both less their kind's mean: knowing the kind alone gives 0."""
    known = rows.dropna(subset=["onset_s", "true_onset_s"])
    rest = known[["onset_s", "true_onset_s"]] - known.groupby("category")[["onset_s", "true_onset_s"]].transform("mean")
    return float(rest["onset_s"].corr(rest["true_onset_s"])) if len(rest) > 2 else np.nan


def estimates(
    table: pd.DataFrame, figures: Callable[[pd.DataFrame], Mapping[str, float]]
) -> dict[str, dict[str, Estimate]]:
    """Condition → figure → mean and 95 % interval over its runs (seeds × repeats), in the order of the table."""
    found: dict[str, dict[str, Estimate]] = {}
    for condition in table["condition"].unique():
        runs = [dict(figures(rows)) for _, rows in table[table["condition"] == condition].groupby(RUN, sort=True)]
        columns = {name: np.array([run[name] for run in runs]) for name in runs[0]}
        found[condition] = {
            name: metrics.estimate(values[np.isfinite(values)])
            for name, values in columns.items()
            if np.isfinite(values).any()
        }
    return found


def paired(table: pd.DataFrame, condition: str, against: str, column: str) -> Estimate | None:
    """How much more `column` is under one condition than under another, clip by clip, with a 95 % interval over clips.

    None where no clip has it under both.
    """
    means = table[table["condition"].isin([condition, against])].groupby(["condition", "clip_id"])[column].mean()
    if not {condition, against} <= set(means.index.get_level_values("condition")):
        return None
    differences = (means[condition] - means[against]).dropna().to_numpy()
    return metrics.estimate(differences) if len(differences) else None
