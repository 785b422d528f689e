"""When did the pixels see what the head did? The pixels' ego-motion against the head's, for every shift in time.

A pair's disagreement under a supposition is an angle: how far apart the tracked points are from where the supposed motion carries
them. The cost of a supposition is log(1 + (disagreement / usual)²) summed over pairs: a pair that is far off, because something
else went wrong there, counts like any other that is off. A difference of costs is the evidence for one supposition over another.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from egoreact.hrd.alignment.ego_motion import Pairs

MAX_LAG_FRAMES = 12
LAGS = np.arange(-MAX_LAG_FRAMES, MAX_LAG_FRAMES + 1)
RATES = (0.5, 0.6, 2 / 3, 0.75, 0.8, 0.9, 1.0, 1.1, 1.25, 4 / 3, 1.5, 1.75, 2.0)
USUAL_DEG = 0.07
"""Disagreement of pairs of frames that fit, at best."""
EVIDENCE = 6.0
"""What a supposition must explain better than another, as a difference of costs, to be believed."""
MIN_PAIRS = 6
MIN_SEGMENT_PAIRS = 4
MIRROR = np.diag([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Timing:
    lag_frames: int | None = None
    """How late the pixels are; None where any shift would do, or none does."""
    jump_frames: int | None = None
    """How much later the pixels are after the moment at which their lag changes most believably; 0 where it does not."""
    rate: float | None = None
    """Speed of the pixels' time against the head's."""


def supposed_motions(
    T_world_camera: Float[np.ndarray, "frames 4 4"], first: Int[np.ndarray, "*n"], second: Int[np.ndarray, "*n"]
) -> tuple[Float[np.ndarray, "*n 3 3"], Float[np.ndarray, "*n 3"]]:
    """Rotation and translation that carry points from the first camera to the second."""
    R, position = T_world_camera[:, :3, :3], T_world_camera[:, :3, 3]
    back = np.swapaxes(R[second], -1, -2)
    return back @ R[first], np.einsum("...ij,...j->...i", back, position[first] - position[second])


def at_moments(
    pairs: Pairs,
    T_world_camera: Float[np.ndarray, "frames 4 4"],
    first: Int[np.ndarray, "n pairs"],
    second: Int[np.ndarray, "n pairs"],
) -> Float[np.ndarray, "n pairs"]:
    """Disagreement of each pair with the head's motion between other moments; NaN where they lie outside the clip."""
    last = len(T_world_camera) - 1
    inside = (first >= 0) & (second <= last)
    motions = supposed_motions(T_world_camera, np.clip(first, 0, last), np.clip(second, 0, last))
    return np.where(inside, pairs.disagreement_deg(*motions), np.nan)


def by_lag(pairs: Pairs, T_world_camera: Float[np.ndarray, "frames 4 4"]) -> Float[np.ndarray, "lags pairs"]:
    """Disagreement where the pixels come each of `LAGS` frames late."""
    return at_moments(pairs, T_world_camera, pairs.first - LAGS[:, None], pairs.second - LAGS[:, None])


def mirror_ratio(pairs: Pairs, T_world_camera: Float[np.ndarray, "frames 4 4"]) -> float | None:
    """Disagreement of the video as it is over that of its mirror image; None where they fit equally well."""
    rotation, translation = supposed_motions(T_world_camera, pairs.first, pairs.second)
    straight = pairs.disagreement_deg(rotation, translation)
    mirrored = pairs.disagreement_deg(MIRROR @ rotation @ MIRROR, translation @ MIRROR)
    usual = max(USUAL_DEG, float(min(np.median(straight), np.median(mirrored))))
    if abs(float(np.sum(_cost(straight, usual) - _cost(mirrored, usual)))) < EVIDENCE:
        return None
    return float(np.mean(straight) / max(np.mean(mirrored), 1e-6))


def timing(groups: Sequence[Pairs], T_world_camera: Float[np.ndarray, "frames 4 4"]) -> Timing:
    """Shift, jump and rate of the pixels' time against the head's.

    Args:
        groups: pairs of one distance each.
    """
    groups = [pairs for pairs in groups if len(pairs)]
    if sum(map(len, groups)) < MIN_PAIRS:
        return Timing()
    lag_costs, rate_costs = [], []
    for pairs in groups:
        found = by_lag(pairs, T_world_camera)
        medians = [np.median(row[np.isfinite(row)]) for row in found if np.isfinite(row).any()]
        usual = max(USUAL_DEG, float(min(medians)))
        moments = np.rint(np.multiply.outer(RATES, np.stack([pairs.first, pairs.second]))).astype(int)
        lag_costs.append(_cost(found, usual))
        rate_costs.append(_cost(at_moments(pairs, T_world_camera, moments[:, 0], moments[:, 1]), usual))
    by_lags, by_rates = np.concatenate(lag_costs, axis=1), np.concatenate(rate_costs, axis=1)
    first, second = (np.concatenate([getattr(p, name) for p in groups]) for name in ("first", "second"))
    lag, constant = _best_lag(by_lags)
    return Timing(lag, _jump(by_lags, first, second, lag, constant), _rate(by_rates, lag, constant))


def _cost(disagreement_deg: np.ndarray, usual_deg: float) -> np.ndarray:
    return np.log1p((disagreement_deg / usual_deg) ** 2)


def _best_lag(cost: Float[np.ndarray, "lags pairs"]) -> tuple[int | None, Float[np.ndarray, "pairs"]]:
    """The lag, None where the evidence for it is thin, and the pairs' costs under the best constant lag."""
    none = int(np.flatnonzero(LAGS == 0)[0])
    # Only pairs that both shifts put inside the clip are compared.
    gain = np.array([np.nansum(cost[none] - row) for row in cost])
    best = int(gain.argmax()) if gain.max() > EVIDENCE else none
    against = min(
        float(np.nansum(row - cost[best])) for row, lag in zip(cost, LAGS, strict=True) if abs(lag - LAGS[best]) >= 3
    )
    known = against > EVIDENCE / 2
    return (int(LAGS[best]) if known else None), np.where(np.isfinite(cost[best]), cost[best], cost[none])


def _jump(
    cost: Float[np.ndarray, "lags pairs"],
    first: Int[np.ndarray, "pairs"],
    second: Int[np.ndarray, "pairs"],
    lag: int | None,
    constant: Float[np.ndarray, "pairs"],
) -> int | None:
    """Of all moments and all lags before and after, the change that explains most more than a constant lag does."""
    gains = np.nan_to_num(constant - cost)
    best, jump = EVIDENCE, 0
    for moment in range(int(first.min()) + 4, int(second.max()) - 3, 4):
        before, after = second <= moment, first >= moment
        if min(before.sum(), after.sum()) >= MIN_SEGMENT_PAIRS:
            sums = gains[:, before].sum(axis=1), gains[:, after].sum(axis=1)
            if sums[0].max() + sums[1].max() > best:
                best, jump = sums[0].max() + sums[1].max(), int(LAGS[sums[1].argmax()] - LAGS[sums[0].argmax()])
    return None if lag is None and jump == 0 else jump


def _rate(
    cost: Float[np.ndarray, "rates pairs"], lag: int | None, constant: Float[np.ndarray, "pairs"]
) -> float | None:
    steady = cost[RATES.index(1.0)]
    gain = np.array([np.nansum(steady - row) for row in cost])
    # A mere shift must not explain it as well.
    shifted = float(np.nansum(steady - constant))
    if gain.max() > max(EVIDENCE, shifted + EVIDENCE / 2):
        return RATES[int(gain.argmax())]
    return None if lag is None else 1.0
