import math
from dataclasses import replace
from typing import Any

import pytest

from egoreact.errors import EgoReactError
from egoreact.evaluation.decision import PromotionPolicy, Tolerance, decide
from egoreact.evaluation.record import MetricRecord

GOOD: dict[str, float | None] = {
    "fid": 4.0,
    "diversity": 3.0,
    "multimodality": 1.0,
    "head_trajectory_error_cm": 20.0,
    "reaction_accuracy": 0.6,
    "foot_skate_cm": 0.5,
    "codebook_usage": 0.8,
    "first_frame_latency_ms": 40.0,
    "per_token_latency_ms": 30.0,
}


def record(
    digest: str, *, samples: int = 160, data: str = "aa.dir", evaluator: str = "e1", **figures: Any
) -> MetricRecord:
    baseline = {"head_trajectory_error_cm": 50.0, "reaction_accuracy": 0.1}
    return MetricRecord(
        bundle_digest=digest,
        data_revision=data,
        samples=samples,
        repeats=5,
        categories=("ball_left", "bar"),
        chance=0.1,
        figures=GOOD | figures,
        intervals={},
        truth={},
        baselines={"stand_still": baseline, "random_clip": baseline | {"head_trajectory_error_cm": 70.0}},
        evaluator_digest=evaluator,
    )


CHAMPION = record("champion")

CASES: list[tuple[str, MetricRecord, MetricRecord | None, str, str]] = [
    ("the first good one", record("a"), None, "promote", "no champion yet"),
    ("clearly better", record("a", head_trajectory_error_cm=18.0), CHAMPION, "promote", "under 19.8"),
    ("a tie", record("a"), CHAMPION, "refuse", "under 19.8"),
    ("better by less than the margin", record("a", head_trajectory_error_cm=19.9), CHAMPION, "refuse", "less 1%"),
    ("worse", record("a", head_trajectory_error_cm=25.0), CHAMPION, "refuse", "head_trajectory_error_cm 25"),
    ("the champion itself", record("champion"), CHAMPION, "already_champion", "champion already"),
    ("first, but no better than standing still", record("a", head_trajectory_error_cm=31.0), None, "refuse", "stand_still"),
    ("first, exactly at the baseline's gate", record("a", head_trajectory_error_cm=30.0), None, "promote", "at most 30"),
    ("first, guesses", record("a", reaction_accuracy=0.29), None, "refuse", "3 × chance"),
    ("first, exactly three times chance", record("a", reaction_accuracy=0.1 * 3), None, "promote", "3 × chance"),
    ("first, collapsed codebook", record("a", codebook_usage=0.49), None, "refuse", "codebook_usage"),
    ("NaN in the primary", record("a", head_trajectory_error_cm=math.nan), CHAMPION, "refuse", "not a number"),
    ("NaN elsewhere", record("a", head_trajectory_error_cm=10.0, diversity=math.nan), CHAMPION, "refuse", "diversity"),
    ("infinite FID", record("a", fid=math.inf), None, "refuse", "fid is not a number"),
    ("primary not measured", record("a", head_trajectory_error_cm=None), None, "refuse", "head_trajectory_error_cm nan"),
    ("NaN in the champion", record("a"), record("champion", head_trajectory_error_cm=math.nan), "promote", "nan"),
    ("better, FID within tolerance", record("a", head_trajectory_error_cm=10.0, fid=4.39), CHAMPION, "promote", ""),
    ("better, FID out of tolerance", record("a", head_trajectory_error_cm=10.0, fid=4.5), CHAMPION, "refuse", "fid 4.5"),
    ("better, but skates", record("a", head_trajectory_error_cm=10.0, foot_skate_cm=0.8), CHAMPION, "refuse", "foot_skate"),
    ("better, but less right", record("a", head_trajectory_error_cm=10.0, reaction_accuracy=0.5), CHAMPION, "refuse", "acc"),
    ("better, but slow", record("a", head_trajectory_error_cm=10.0, per_token_latency_ms=90.0), CHAMPION, "refuse", "token"),
    ("latency lost", record("a", head_trajectory_error_cm=10.0, per_token_latency_ms=None), CHAMPION, "refuse", "token"),
    ("other data", record("a", head_trajectory_error_cm=10.0, data="bb.dir"), CHAMPION, "refuse", "data_revision differs"),
    ("other test set", record("a", head_trajectory_error_cm=10.0, samples=80), CHAMPION, "refuse", "samples differs"),
    ("other evaluator", record("a", head_trajectory_error_cm=10.0, evaluator="e2"), CHAMPION, "refuse", "evaluator_digest"),
    ("no clips", record("a", samples=0), None, "refuse", "0 clips"),
    ("no baselines", replace(record("a"), baselines={}), None, "refuse", "no baseline"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("challenger", "champion", "outcome", "reason"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_decisions(challenger: MetricRecord, champion: MetricRecord | None, outcome: str, reason: str) -> None:
    decision = decide(challenger, champion)
    assert decision.outcome == outcome, decision.reasons
    assert decision.promote == (outcome == "promote")
    assert any(reason in sentence for sentence in decision.reasons), decision.reasons


def test_the_champions_figures_come_from_the_champion() -> None:
    """The well-known bug reads the champion's metric from the challenger, and then nothing ever wins, or all does."""
    better, worse = record("a", head_trajectory_error_cm=10.0), record("b", head_trajectory_error_cm=29.0)
    assert decide(better, worse).promote
    assert not decide(worse, better).promote
    assert "the champion's 29" in " ".join(decide(better, worse).reasons)
    assert "the champion's 10" in " ".join(decide(worse, better).reasons)


def test_reasons_of_a_refusal_are_what_failed_alone() -> None:
    decision = decide(record("a", codebook_usage=0.1, reaction_accuracy=0.2), None)
    assert len(decision.reasons) == 2
    assert len(decision.checks) == 4


def test_a_policy_changes_the_decision() -> None:
    challenger = record("a", head_trajectory_error_cm=19.0)
    assert decide(challenger, CHAMPION, PromotionPolicy(margin=0.04)).promote
    assert not decide(challenger, CHAMPION, PromotionPolicy(margin=0.06)).promote


def test_a_tolerance_needs_a_figure_with_a_direction() -> None:
    with pytest.raises(EgoReactError, match="diversity is no figure"):
        Tolerance("diversity")


def test_the_decision_is_a_pure_function() -> None:
    challenger = record("a", head_trajectory_error_cm=10.0)
    before = challenger.to_json()
    assert decide(challenger, CHAMPION) == decide(challenger, CHAMPION)
    assert challenger.to_json() == before
