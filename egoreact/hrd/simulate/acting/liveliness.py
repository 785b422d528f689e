"""What bodies do beside what they mean to: they sway, they waver as they exert themselves, they give way where a foot lands,
and what hangs on them swings after.

Nothing here is random once a person is given: the wavering is a sum of sines whose frequencies and phases the person's own
seed decides, so that it is the same at any moment of any clip's length.
"""

import numpy as np
from jaxtyping import Float64
from scipy.signal import bilinear, lfilter

from egoreact.hrd.simulate.acting.curves import smooth
from egoreact.motion.skeleton import FPS

_LOWEST_HZ, _HIGHEST_HZ, _SINES = 0.15, 5.5, 14
_KNEE_HZ = 0.3
"""Sway has most of its amplitude below; above it falls with the frequency (Winter et al., 1996: its power as the square)."""
_BURST_HZ = (1.8, 5.5)


def sway(times_s: Float64[np.ndarray, " frames"], seed: int, channels: int) -> Float64[np.ndarray, "frames channels"]:
    """Wandering about 0 with an RMS of 1 in each channel, slowest most, nothing above 5.5 Hz."""
    frequencies = _frequencies(seed, channels, _LOWEST_HZ, _HIGHEST_HZ)
    return _sines(times_s, seed, frequencies, 1.0 / np.maximum(frequencies / _KNEE_HZ, 1.0))


def bursts(times_s: Float64[np.ndarray, " frames"], seed: int, channels: int) -> Float64[np.ndarray, "frames channels"]:
    """Unsteadiness of muscles at work, RMS 1: from 1.8 to 5.5 Hz, even in acceleration's terms."""
    frequencies = _frequencies(seed + 1, channels, *_BURST_HZ)
    return _sines(times_s, seed + 1, frequencies, frequencies**-1.5)


def _frequencies(seed: int, channels: int, low: float, high: float) -> np.ndarray:
    """(channels, sines) Hz, one in each of as many bands of equal ratio."""
    rng = np.random.default_rng((seed, channels))
    return low * (high / low) ** ((np.arange(_SINES) + rng.random((channels, _SINES))) / _SINES)


def _sines(times_s: np.ndarray, seed: int, frequencies: np.ndarray, amplitudes: np.ndarray) -> np.ndarray:
    phases = np.random.default_rng((seed, 7, len(frequencies))).uniform(0, 2 * np.pi, frequencies.shape)
    amplitudes = amplitudes / np.sqrt(0.5 * np.square(amplitudes).sum(axis=-1, keepdims=True))
    waves = np.sin(2 * np.pi * frequencies * times_s[:, None, None] + phases)
    return np.einsum("tcs,cs->tc", waves, amplitudes)


def exertion(pelvis_m: Float64[np.ndarray, "frames 3"], hands: Float64[np.ndarray, "frames 2 3"]) -> np.ndarray:
    """How hard a body works, (frames,), 0 at rest and about 1 in a walk or a quick gesture."""
    frames = len(pelvis_m)
    if frames < 2:
        return np.zeros(frames)
    body = np.linalg.norm(np.gradient(pelvis_m, axis=0), axis=-1) * FPS
    arms = np.linalg.norm(np.gradient(hands, axis=0), axis=-1).max(axis=1) * FPS
    return smooth(np.minimum(np.hypot(body, 0.3 * arms), 1.5), 0.10 * FPS)


def jolts(times_s: Float64[np.ndarray, " frames"], landings: Float64[np.ndarray, "steps 4"]) -> np.ndarray:
    """(frames, 3) m of a trunk that gives way where feet land and swings back.

    Args:
        times_s: moments.
        landings: moment, s; how fast the foot came, x and z, m/s; how high it had been, m.
    """
    given = np.zeros((len(times_s), 3))
    for moment, x, z, height in landings:
        after = np.maximum(times_s - moment + 0.02, 0.0)
        swing = np.exp(-after / 0.12) * np.sin(2 * np.pi * 3.2 * after)
        speed = np.hypot(x, z)
        given[:, 1] -= swing * min(0.003 + 0.004 * speed + 0.03 * height, 0.016)
        along = 0.003 / max(speed, 1.0)
        given[:, 0] += swing * along * x
        given[:, 2] += swing * along * z
    return given


def dragged(
    positions_m: Float64[np.ndarray, "frames 3"], frequency_hz: float, damping: float
) -> Float64[np.ndarray, "frames 3"]:
    """How far a mass on a damped spring at these places lags behind them, m; from rest."""
    if len(positions_m) < 3:
        return np.zeros_like(positions_m)
    acceleration = np.gradient(np.gradient(positions_m, axis=0), axis=0) * FPS**2
    omega = 2 * np.pi * frequency_hz
    numerator, denominator = bilinear([-1.0], [1.0, 2 * damping * omega, omega**2], fs=FPS)
    return lfilter(numerator, denominator, acceleration, axis=0)
