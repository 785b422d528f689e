"""Whether a challenger becomes the champion: a pure function of two metric records and a policy.

Both records are of *today's* test set under the same evaluator: the champion's figures come from the champion's bundle,
evaluated again, never from the challenger and never from the day the champion was made.
"""

import math
from dataclasses import dataclass
from typing import Literal

from egoreact.errors import EgoReactError
from egoreact.evaluation.record import FIGURES, HIGHER_IS_BETTER, Figures, MetricRecord

PRIMARY = "head_trajectory_error_cm"

Outcome = Literal["promote", "refuse", "already_champion"]


@dataclass(frozen=True)
class Tolerance:
    """How much worse than the champion a figure may be: `share` of the champion's value plus `absolute` in its unit."""

    figure: str
    share: float = 0.0
    absolute: float = 0.0

    def __post_init__(self) -> None:
        if HIGHER_IS_BETTER.get(self.figure) is None:
            raise EgoReactError(
                f"{self.figure} is no figure of which more or less is better",
                where="promotion policy",
                remedy=f"use one of {', '.join(name for name in FIGURES if HIGHER_IS_BETTER[name] is not None)}",
            )


TOLERANCES = (
    Tolerance("fid", share=0.10),
    Tolerance("reaction_accuracy", absolute=0.05),
    Tolerance("foot_skate_cm", share=0.25, absolute=0.05),
    Tolerance("codebook_usage", absolute=0.10),
    # Latencies of one machine differ from day to day by more than a model does.
    Tolerance("first_frame_latency_ms", share=0.50, absolute=5.0),
    Tolerance("per_token_latency_ms", share=0.50, absolute=5.0),
)


@dataclass(frozen=True)
class PromotionPolicy:
    """The gates every challenger passes, then what it must beat the champion by.

    Args:
        head_error_share_of_baseline: head trajectory error at most this share of the best baseline's.
        accuracy_over_chance: reaction accuracy at least this many times what the best constant guess gets.
        min_codebook_usage: least share of the codes in use.
        margin: the head trajectory error must be lower than the champion's by more than this share of it.
        tolerances: the other figures, and how much worse than the champion's each may be.
    """

    head_error_share_of_baseline: float = 0.6
    accuracy_over_chance: float = 3.0
    min_codebook_usage: float = 0.5
    margin: float = 0.01
    tolerances: tuple[Tolerance, ...] = TOLERANCES


@dataclass(frozen=True)
class Check:
    """One rule, whether it held, and the sentence with its numbers."""

    passed: bool
    sentence: str


@dataclass(frozen=True)
class Decision:
    outcome: Outcome
    checks: tuple[Check, ...]

    @property
    def promote(self) -> bool:
        return self.outcome == "promote"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Sentences that explain the outcome: what failed where something did, otherwise all that held."""
        failed = tuple(check.sentence for check in self.checks if not check.passed)
        return failed or tuple(check.sentence for check in self.checks)


NO_CHAMPION = "there is no champion yet"


def decide(
    challenger: MetricRecord,
    champion: MetricRecord | None,
    policy: PromotionPolicy | None = None,
    *,
    unopposed: str = NO_CHAMPION,
) -> Decision:
    """Compares the challenger with its baselines and with the champion.

    Args:
        challenger: the new bundle's record.
        champion: the reigning bundle's record, evaluated again today; None when there is no champion yet.
        policy: gates, margin, tolerances; the default one where not given.
        unopposed: why there is no champion's record.

    Returns:
        `already_champion` for the same bundle, else `promote` when every check holds, else `refuse`.
    """
    policy = policy or PromotionPolicy()
    if champion is not None and champion.bundle_digest == challenger.bundle_digest:
        sentence = f"bundle {challenger.bundle_digest[:12]} is the champion already"
        return Decision("already_champion", (Check(True, sentence),))
    checks = _gates(challenger, policy)
    if champion is None:
        checks.append(Check(True, unopposed))
    else:
        checks += _same_examination(challenger, champion) or _comparison(challenger, champion, policy)
    return Decision("promote" if all(check.passed for check in checks) else "refuse", tuple(checks))


def _gates(record: MetricRecord, policy: PromotionPolicy) -> list[Check]:
    checks = []
    for name, value in record.figures.items():
        if value is not None and not math.isfinite(value):
            checks.append(Check(False, f"{name} is not a number"))
    if record.samples < 1:
        checks.append(Check(False, f"evaluated on {record.samples} clips"))

    errors = {name: _value(figures, PRIMARY) for name, figures in record.baselines.items()}
    errors = {name: error for name, error in errors.items() if math.isfinite(error)}
    if errors:
        name, error_cm = min(errors.items(), key=lambda item: item[1])
        rule = f"{policy.head_error_share_of_baseline:g} × the best baseline's ({name}, {error_cm:.3g})"
        checks.append(_check(PRIMARY, record.figures, policy.head_error_share_of_baseline * error_cm, rule))
    else:
        checks.append(Check(False, f"the record holds no baseline's {PRIMARY}"))
    rule = f"{policy.accuracy_over_chance:g} × chance ({record.chance:.3g})"
    checks.append(_check("reaction_accuracy", record.figures, policy.accuracy_over_chance * record.chance, rule))
    checks.append(_check("codebook_usage", record.figures, policy.min_codebook_usage, "the share that must be in use"))
    return checks


def _same_examination(challenger: MetricRecord, champion: MetricRecord) -> list[Check]:
    """Failing checks where the two records cannot be compared."""
    return [
        Check(False, f"{name} differs: {mine}, the champion's {theirs}; such figures cannot be compared")
        for name in ("data_revision", "samples", "evaluator_digest")
        if (mine := getattr(challenger, name)) != (theirs := getattr(champion, name))
    ]


def _comparison(challenger: MetricRecord, champion: MetricRecord, policy: PromotionPolicy) -> list[Check]:
    error_cm, reigning_cm = (_value(record.figures, PRIMARY) for record in (challenger, champion))
    limit_cm = (1 - policy.margin) * reigning_cm
    # A champion whose error is no number protects nothing; a challenger's failed at the gates.
    better = error_cm < limit_cm or not math.isfinite(reigning_cm)
    rule = f"the champion's {reigning_cm:.3g} less {policy.margin:.0%}"
    checks = [Check(better, f"{PRIMARY} {error_cm:.3g}: under {limit_cm:.3g}, {rule}")]
    for tolerance in policy.tolerances:
        reigning = _value(champion.figures, tolerance.figure)
        if math.isfinite(reigning):
            slack = tolerance.share * abs(reigning) + tolerance.absolute
            limit = reigning - slack if HIGHER_IS_BETTER[tolerance.figure] else reigning + slack
            rule = f"the champion's {reigning:.3g} and tolerance"
            checks.append(_check(tolerance.figure, challenger.figures, limit, rule))
    return checks


def _check(name: str, figures: Figures, limit: float, rule: str) -> Check:
    value = _value(figures, name)
    higher = HIGHER_IS_BETTER[name]
    passed = value >= limit if higher else value <= limit
    return Check(passed, f"{name} {value:.3g}: at {'least' if higher else 'most'} {limit:.3g}, {rule}")


def _value(figures: Figures, name: str) -> float:
    """A figure that is absent or was not measured is NaN: it passes no rule."""
    value = figures.get(name)
    return math.nan if value is None else value
