"""The figures of generated motion, as pure functions of arrays.

Sources: FID, Heusel et al. 2017; diversity and multimodality, Guo et al. 2020 (Action2Motion) in the form of T2M (Guo
et al. 2022); head trajectory error, EgoReAct 2025. T2M may pair a sample with itself; here two always differ.
Every function refuses NaN and infinity with `EgoReactError`.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from egoreact.errors import EgoReactError
from egoreact.motion.skeleton import FPS, HEAD

TOES = (10, 11)
CONTACT_HEIGHT_M = 0.05
"""A toe lower than this over the clip's floor is held to touch it (OmniControl, Xie et al. 2024)."""
MULTIMODALITY_PAIRS = 10


class Estimate(NamedTuple):
    """A mean over repeats and the half width of its 95 % interval, None where there was one repeat."""

    mean: float
    half_width: float | None


def fid(real: Float[np.ndarray, "n d"], generated: Float[np.ndarray, "m d"]) -> float:
    """Fréchet distance of two sets of embeddings: ‖μ₁−μ₂‖² + Tr(Σ₁ + Σ₂ − 2(Σ₁Σ₂)^½), Σ with n − 1.

    With Σ = F Fᵀ and G = F₁ᵀF₂, the eigenvalues of Σ₁Σ₂ other than zero are those of the symmetric G Gᵀ. Where there are
    fewer samples than dimensions, F is the samples themselves, and G Gᵀ small. The value is biased by the sample
    counts: compare only figures of the same n and m.
    """
    a, b = _finite(real, "real embeddings", 2), _finite(generated, "generated embeddings", 2)
    _at_least(len(a), 2, "real embeddings")
    _at_least(len(b), 2, "generated embeddings")
    if a.shape[1] != b.shape[1]:
        raise EgoReactError(
            f"embeddings of {a.shape[1]} and {b.shape[1]} dimensions",
            where="fid",
            remedy="embed both sets with one evaluator",
        )
    means_apart = a.mean(0) - b.mean(0)
    a, b = a - a.mean(0), b - b.mean(0)
    across = _factor(a).T @ _factor(b)
    across = across if len(across) <= across.shape[1] else across.T
    common = np.sqrt(np.linalg.eigvalsh(across @ across.T).clip(0)).sum() / np.sqrt((len(a) - 1) * (len(b) - 1))
    spread = np.vdot(a, a) / (len(a) - 1) + np.vdot(b, b) / (len(b) - 1)
    return float(max(means_apart @ means_apart + spread - 2 * common, 0.0))


def _factor(centred: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "d r"]:
    """F of F Fᵀ = centredᵀ centred, with as few columns as n and d allow."""
    if len(centred) <= centred.shape[1]:
        return centred.T
    scatter = centred.T @ centred
    try:
        return np.linalg.cholesky(scatter)
    except np.linalg.LinAlgError:  # embeddings that do not fill their space
        values, vectors = np.linalg.eigh(scatter)
        return vectors * np.sqrt(values.clip(0))


def diversity(embeddings: Float[np.ndarray, "n d"], *, seed: int, pairs: int | None = None) -> float:
    """Mean Euclidean distance of random pairs of a set, `diversity_pairs` of them where their number is not given."""
    points = _finite(embeddings, "embeddings", 2)
    _at_least(len(points), 2, "embeddings")
    pairs = pairs or diversity_pairs(len(points))
    rng = np.random.default_rng(seed)
    first = rng.permutation(len(points))[:pairs] if pairs <= len(points) else rng.integers(len(points), size=pairs)
    second = (first + rng.integers(1, len(points), size=len(first))) % len(points)
    return float(np.linalg.norm(points[first] - points[second], axis=1).mean())


def diversity_pairs(samples: int) -> int:
    """300, or 100 of 300 samples and fewer."""
    return 300 if samples > 300 else 100


def multimodality(
    embeddings: Float[np.ndarray, "conditions samples d"], *, seed: int, pairs: int = MULTIMODALITY_PAIRS
) -> float:
    """Mean Euclidean distance between samples of one condition: `pairs` disjoint random pairs, or half the samples.

    The paper's setting is 30 samples a condition.
    """
    points = _finite(embeddings, "embeddings", 3)
    _at_least(len(points), 1, "conditions")
    _at_least(points.shape[1], 2, "samples of one condition")
    pairs = min(pairs, points.shape[1] // 2)
    rng = np.random.default_rng(seed)
    chosen = np.stack([samples[rng.permutation(len(samples))[: 2 * pairs]] for samples in points])
    return float(np.linalg.norm(chosen[:, :pairs] - chosen[:, pairs:], axis=-1).mean())


def head_trajectory_error_cm(
    generated_m: Float[np.ndarray, "frames 22 3"], truth_m: Float[np.ndarray, "frames 22 3"]
) -> float:
    """Mean over frames of `head_errors_cm`: how far the head is from where it was."""
    return float(head_errors_cm(generated_m, truth_m).mean())


def head_errors_cm(
    generated_m: Float[np.ndarray, "frames 22 3"], truth_m: Float[np.ndarray, "frames 22 3"]
) -> Float[np.ndarray, " frames"]:
    """Distance between two head paths (joint 15) at each frame, cm.

    Each body is first put on the floor (its clip's lowest joint at y = 0) and moved in x, z so that its head starts at
    the origin. Nothing is rotated or scaled, and heights stay: a missing crouch counts.
    """
    generated, truth = _finite(generated_m, "generated joints", 3), _finite(truth_m, "true joints", 3)
    if generated.shape != truth.shape:
        raise EgoReactError(
            f"{len(generated)} generated frames against {len(truth)} true ones",
            where="head trajectory error",
            remedy="generate as many frames as the clip has",
        )
    return 100 * np.linalg.norm(_head_path(generated) - _head_path(truth), axis=1)


def by_second(values: Float[np.ndarray, " frames"]) -> Float[np.ndarray, " seconds"]:
    """Means over each second of a clip, the last one as long as it is: of head errors, the drift over time."""
    starts = np.arange(0, len(values), FPS)
    return np.add.reduceat(values, starts) / np.diff([*starts, len(values)])


def _head_path(joints_m: np.ndarray) -> np.ndarray:
    path = joints_m[:, HEAD].copy()
    path[:, 1] -= joints_m[..., 1].min()
    path[:, [0, 2]] -= path[0, [0, 2]]
    return path


def foot_skate_cm(joints_m: Float[np.ndarray, "frames 22 3"]) -> float:
    """How far a toe slides over the floor from one frame to the next while it touches it, cm a frame at 20 fps.

    The mean horizontal displacement over all toes (10, 11) and frames t where the toe is within 5 cm of the clip's
    lowest joint at t and at t + 1; 0 where there is no such frame. Contact goes by height alone: by speed, as in the
    features, slides would be hidden.
    """
    joints = _finite(joints_m, "joints", 3)
    toes = joints[:, TOES, :]
    low = toes[..., 1] - joints[..., 1].min() < CONTACT_HEIGHT_M
    touching = low[1:] & low[:-1]
    slides = np.linalg.norm(np.diff(toes[..., [0, 2]], axis=0), axis=-1)
    return float(100 * slides[touching].mean()) if touching.any() else 0.0


def accuracy(predicted: Shaped[np.ndarray, " n"], actual: Shaped[np.ndarray, " n"]) -> float:
    """Share of equal labels."""
    _at_least(len(actual), 1, "labels")
    return float(np.mean(np.asarray(predicted) == np.asarray(actual)))


def codebook_usage(tokens: Int[np.ndarray, " n"], size: int) -> float:
    """Share of a codebook's entries that occur among the tokens at least once, 0 to 1."""
    return float(np.count_nonzero(_counts(tokens, size)) / size)


def perplexity(tokens: Int[np.ndarray, " n"], size: int) -> float:
    """exp of the entropy of token frequencies, in nats: 1 where one code does all, `size` where all are used alike."""
    shares = _counts(tokens, size) / np.size(tokens)
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def estimate(values: Float[np.ndarray, " repeats"]) -> Estimate:
    """mean ± 1.96 · σ / √n over repeats, σ with n − 1."""
    repeats = _finite(values, "repeats", 1)
    _at_least(len(repeats), 1, "repeats")
    half_width = 1.96 * repeats.std(ddof=1) / np.sqrt(len(repeats)) if len(repeats) > 1 else None
    return Estimate(float(repeats.mean()), None if half_width is None else float(half_width))


def _counts(tokens: np.ndarray, size: int) -> np.ndarray:
    flat = np.asarray(tokens).ravel()
    _at_least(flat.size, 1, "tokens")
    if flat.min() < 0 or flat.max() >= size:
        raise EgoReactError(
            f"tokens from {flat.min()} to {flat.max()} in a codebook of {size}",
            where="codebook",
            remedy="pass the codebook's size",
        )
    return np.bincount(flat, minlength=size)


def _finite(array: np.ndarray, name: str, dimensions: int) -> np.ndarray:
    values = np.asarray(array, dtype=np.float64)
    if values.ndim != dimensions:
        raise EgoReactError(
            f"have shape {values.shape}", where=name, remedy=f"give an array of {dimensions} dimensions"
        )
    if not np.isfinite(values).all():
        raise EgoReactError(
            f"{int((~np.isfinite(values)).sum())} of {values.size} values are NaN or infinite",
            where=name,
            remedy="the model or the clip that made them is broken; retrain, or leave the clip out",
        )
    return values


def _at_least(count: int, needed: int, name: str) -> None:
    if count < needed:
        raise EgoReactError(
            f"{count} given, at least {needed} are needed", where=name, remedy="evaluate on more clips or samples"
        )
