import numpy as np
import pytest
import scipy.linalg
from plain_motion import rest_pose_m

from egoreact.errors import EgoReactError
from egoreact.evaluation import metrics
from egoreact.motion.skeleton import HEAD


def fid_by_sqrtm(a: np.ndarray, b: np.ndarray) -> float:
    s, t = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s + t - 2 * scipy.linalg.sqrtm(s @ t).real))


@pytest.mark.parametrize("dimensions", [2, 16, 64])
def test_fid_equals_scipys_matrix_root(dimensions: int) -> None:
    rng = np.random.default_rng(dimensions)
    a = rng.normal(size=(300, dimensions)) @ rng.normal(size=(dimensions, dimensions))
    b = rng.normal(0.3, 2.0, size=(200, dimensions))
    assert metrics.fid(a, b) == pytest.approx(fid_by_sqrtm(a, b), rel=1e-6)
    assert metrics.fid(a, b) == pytest.approx(metrics.fid(b, a), rel=1e-9)


def test_fid_by_hand() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(100, 1))
    # Of one dimension: (μ₁ − μ₂)² + (σ₁ − σ₂)².
    assert metrics.fid(a, 3 * a + 2) == pytest.approx((2 * a.mean() + 2) ** 2 + (2 * a.std(ddof=1)) ** 2)
    b = rng.normal(size=(50, 8))
    assert metrics.fid(b, b) == pytest.approx(0, abs=1e-9)
    assert metrics.fid(b, b + np.array([3, 4, 0, 0, 0, 0, 0, 0])) == pytest.approx(25)


@pytest.mark.parametrize(("real", "generated"), [(40, 40), (40, 200), (200, 40), (20, 33)])
def test_fid_of_fewer_samples_than_dimensions(real: int, generated: int) -> None:
    """The sets themselves stand in for their covariances there; scipy's root of a singular product is good to 1e-6."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(real, 64)), rng.normal(0.2, 1.5, size=(generated, 64))
    assert metrics.fid(a, b) == pytest.approx(fid_by_sqrtm(a, b), rel=1e-6)
    assert metrics.fid(a, b) == pytest.approx(metrics.fid(b, a), rel=1e-9)


def test_fid_of_embeddings_that_do_not_fill_their_space() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(90, 16)), rng.normal(size=(80, 16))
    a[:, 7] = b[:, 7] = 2.5  # no covariance has a Cholesky factor
    a[:, 9], b[:, 9] = a[:, 3], b[:, 3]
    rest = [place for place in range(16) if place not in (7, 9)]
    doubled = [0] * 3 + [1] + [0] * 12  # the twin counts once more: the same as √2 times that direction
    scale = np.sqrt(1 + np.array(doubled))[rest]
    assert metrics.fid(a, b) == pytest.approx(metrics.fid(a[:, rest] * scale, b[:, rest] * scale), abs=1e-6)
    same = np.ones((50, 16))
    assert metrics.fid(same, same + 1) == pytest.approx(16)
    assert metrics.fid(a, same) == pytest.approx(((a.mean(0) - 1) ** 2).sum() + np.trace(np.cov(a, rowvar=False)))


def test_fid_is_a_golden_number() -> None:
    a = np.sin(np.arange(60 * 5).reshape(60, 5) * 0.7) + np.arange(5)
    b = np.cos(np.arange(40 * 5).reshape(40, 5) * 1.3) * 2
    assert metrics.fid(a, b) == pytest.approx(GOLDEN_FID, abs=1e-8)


GOLDEN_FID = 34.29742798701732


def test_diversity_is_the_mean_pair_distance() -> None:
    two_places = np.repeat([[0.0, 0.0], [3.0, 4.0]], 500, axis=0)
    # Pairs of distinct samples are in different places in 500 of 999 cases.
    assert metrics.diversity(two_places, seed=0, pairs=1000) == pytest.approx(2.5, abs=0.2)
    assert metrics.diversity(np.eye(6), seed=0) == pytest.approx(np.sqrt(2))  # never a sample with itself
    assert metrics.diversity(two_places, seed=1) == metrics.diversity(two_places, seed=1)
    assert metrics.diversity(two_places, seed=1) != metrics.diversity(two_places, seed=2)


def test_multimodality_ignores_how_far_conditions_are_apart() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(4, 30, 3))
    apart = samples + 100 * np.arange(4)[:, None, None]
    assert metrics.multimodality(samples, seed=3) == pytest.approx(metrics.multimodality(apart, seed=3))
    assert metrics.multimodality(2 * samples, seed=3) == pytest.approx(2 * metrics.multimodality(samples, seed=3))
    # √2 · √2 · Γ(2) / Γ(3/2): the mean distance of two standard normal points of three dimensions.
    assert metrics.multimodality(rng.normal(size=(200, 30, 3)), seed=0) == pytest.approx(2 * 1.1284, rel=0.03)
    assert metrics.multimodality(np.ones((2, 3, 5)), seed=0) == 0
    assert metrics.multimodality(np.eye(4)[None], seed=0) == pytest.approx(np.sqrt(2))  # disjoint pairs of four


def standing(frames: int) -> np.ndarray:
    return np.repeat(rest_pose_m()[None], frames, axis=0)


def test_head_error_ignores_where_the_bodies_start() -> None:
    truth = standing(10)
    truth += np.linspace(0, 1, 10)[:, None, None] * np.array([1.0, 0, 0.5])
    assert metrics.head_trajectory_error_cm(truth + np.array([5.0, -2.0, 3.0]), truth) == pytest.approx(0, abs=1e-9)


def test_head_error_by_hand() -> None:
    truth = standing(3)
    walks = truth + np.arange(3)[:, None, None] * np.array([0.3, 0, 0.4])
    assert metrics.head_trajectory_error_cm(walks, truth) == pytest.approx(50)  # mean of 0, 50, 100
    crouches = truth.copy()
    crouches[:, HEAD, 1] -= 0.2
    assert metrics.head_trajectory_error_cm(crouches, truth) == pytest.approx(20)
    turned = walks * np.array([-1, 1, -1])  # rotation is not aligned away
    assert metrics.head_trajectory_error_cm(turned, walks) == pytest.approx(100)


def test_head_errors_over_time() -> None:
    truth = standing(50)
    drifts = truth + np.arange(50)[:, None, None] * np.array([0.01, 0, 0])
    errors = metrics.head_errors_cm(drifts, truth)
    assert errors == pytest.approx(np.arange(50.0))
    assert metrics.by_second(errors) == pytest.approx([9.5, 29.5, 44.5])  # the third second is half a second long
    assert metrics.by_second(errors[:20]) == pytest.approx([9.5])
    assert metrics.by_second(errors[:3]) == pytest.approx([1.0])


def test_head_error_refuses_other_lengths() -> None:
    with pytest.raises(EgoReactError, match="4 generated frames against 5"):
        metrics.head_trajectory_error_cm(standing(4), standing(5))


def test_foot_skate_by_hand() -> None:
    still = standing(6)
    assert metrics.foot_skate_cm(still) == 0
    slides = still + np.arange(6)[:, None, None] * np.array([0.012, 0, 0.016])
    assert metrics.foot_skate_cm(slides) == pytest.approx(2.0)
    flies = slides.copy()
    flies[:, 1:12, 1] += np.where(np.isin(np.arange(1, 12), (10, 11)), 0.3, 0.0)  # toes up, the lowest joint elsewhere
    flies[:, 0, 1] = 0
    assert metrics.foot_skate_cm(flies) == 0
    one_foot = still.copy()
    one_foot[:, 10] += np.arange(6)[:, None] * np.array([0.02, 0, 0])
    assert metrics.foot_skate_cm(one_foot) == pytest.approx(1.0)


def test_codebook_figures() -> None:
    assert metrics.codebook_usage(np.array([0, 0, 3, 3]), 8) == 0.25
    assert metrics.perplexity(np.array([0, 1, 2, 3]), 8) == pytest.approx(4)
    assert metrics.perplexity(np.array([5, 5]), 8) == pytest.approx(1)
    with pytest.raises(EgoReactError, match="in a codebook of 4"):
        metrics.codebook_usage(np.array([4]), 4)


def test_interval() -> None:
    estimate = metrics.estimate(np.array([1.0, 2.0, 3.0, 4.0]))
    assert estimate.mean == 2.5
    assert estimate.half_width == pytest.approx(1.96 * np.sqrt(5 / 3) / 2)
    assert metrics.estimate(np.array([1.0])) == (1.0, None)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_none_are_refused(bad: float) -> None:
    points, cube, body = np.ones((5, 3)), np.ones((2, 4, 3)), standing(4)
    spoilt = [array.copy() for array in (points, cube, body)]
    for array in spoilt:
        array[1, 2] = bad
    for measure in (
        lambda: metrics.fid(points, spoilt[0]),
        lambda: metrics.fid(spoilt[0], points),
        lambda: metrics.diversity(spoilt[0], seed=0),
        lambda: metrics.multimodality(spoilt[1], seed=0),
        lambda: metrics.head_trajectory_error_cm(spoilt[2], body),
        lambda: metrics.foot_skate_cm(spoilt[2]),
        lambda: metrics.estimate(np.array([1.0, bad])),
    ):
        with pytest.raises(EgoReactError, match="NaN or infinite"):
            measure()


def test_too_few_samples_are_refused() -> None:
    for measure in (
        lambda: metrics.fid(np.ones((1, 3)), np.ones((5, 3))),
        lambda: metrics.diversity(np.ones((1, 3)), seed=0),
        lambda: metrics.multimodality(np.ones((3, 1, 3)), seed=0),
        lambda: metrics.perplexity(np.array([], dtype=int), 4),
    ):
        with pytest.raises(EgoReactError, match="needed"):
            measure()
