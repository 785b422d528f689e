"""Curves over time in which people move: minimum-jerk segments between keys, and smoothing that adds no jerk of its own."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float64
from scipy.ndimage import gaussian_filter1d, minimum_filter1d

Key = tuple[float, float | Sequence[float]]
"""A time, s, and the value held there: a number or a vector."""


def minimum_jerk(phase: np.ndarray) -> np.ndarray:
    """From 0 to 1 with no velocity and acceleration at either end (Flash and Hogan, 1985); constant outside."""
    s = np.clip(phase, 0.0, 1.0)
    return s**3 * (10.0 - 15.0 * s + 6.0 * s**2)


def keyed(times_s: Float64[np.ndarray, " frames"], keys: Sequence[Key], *, overshoot: float = 0.0) -> np.ndarray:
    """Minimum-jerk motion from key to key: (frames,) for numbers, (frames, n) for vectors.

    At rest at each key; with an overshoot, which is the share of a quick movement's length, swinging out beyond it and
    back. The key's value is met at its time all the same.
    """
    value = np.asarray(keys[0][1], dtype=np.float64)
    curve = np.broadcast_to(value, (len(times_s), *value.shape)).copy()
    for (start, a), (end, b) in pairwise(keys):
        duration = max(end - start, 1e-6)
        blend = minimum_jerk((times_s - start) / duration)
        if overshoot:
            blend = blend + overshoot * min(1.0, 0.4 / duration) * _swing_out(times_s - end)
        curve += blend.reshape(-1, *[1] * value.ndim) * (
            np.asarray(b, dtype=np.float64) - np.asarray(a, dtype=np.float64)
        )
    return curve


def _swing_out(after_s: np.ndarray) -> np.ndarray:
    """0 until a movement has ended, then a damped swing of about 2.6 Hz with a first peak of about 1."""
    after = np.maximum(after_s, 0.0)
    return 2.3 * (1.0 - np.exp(-after / 0.05)) * np.exp(-after / 0.16) * np.sin(2 * np.pi * 2.6 * after)


def bump(phase: np.ndarray, rise: float = 0.5, fall: float = 0.5) -> np.ndarray:
    """0 → 1 → 0 over phase 0…1: up until `rise`, held, down from `fall`."""
    return minimum_jerk(phase / rise) - minimum_jerk((phase - fall) / (1.0 - fall))


def smooth(values: np.ndarray, sigma_frames: float) -> np.ndarray:
    """Gaussian along time, edges held."""
    return gaussian_filter1d(values, sigma_frames, axis=0, mode="nearest")


def soft_minimum(*values: np.ndarray, softness: float) -> np.ndarray:
    """Below the least of the values by at most softness · log(n), smooth where they cross."""
    return -softness * np.logaddexp.reduce([-value / softness for value in values], axis=0)


def lower_envelope(values: np.ndarray, *, radius_frames: int) -> np.ndarray:
    """A smooth curve that never exceeds the values: the least nearby, smoothed over no more than nearby."""
    least = minimum_filter1d(values, 2 * radius_frames + 1, axis=0, mode="nearest")
    return gaussian_filter1d(least, 0.45 * radius_frames, axis=0, mode="nearest", radius=radius_frames)
