"""Small tools that the groups of measures share. What a clip cannot give is NaN or None, and passes through."""

import cv2
import numpy as np
from jaxtyping import Float

from egoreact.motion.skeleton import FPS


def angle_deg(R: Float[np.ndarray, "*n 3 3"], Q: Float[np.ndarray, "*n 3 3"]) -> Float[np.ndarray, "*n"]:
    """Between rotations, from ‖R − Q‖ = 2√2 sin(angle / 2): exact for small angles, NaN for NaN."""
    chord = np.linalg.norm(R.astype(np.float64) - Q.astype(np.float64), axis=(-2, -1)) / np.sqrt(8.0)
    return np.degrees(2 * np.arcsin(np.minimum(chord, 1.0)))


def rotation_about(vector_rad: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """The rotation by a vector's length about its direction."""
    return cv2.Rodrigues(np.asarray(vector_rad, np.float64))[0]


def step_lengths(positions_m: Float[np.ndarray, "frames *joints 3"]) -> Float[np.ndarray, "steps *joints"]:
    """Speed between each two frames, m/s."""
    return np.linalg.norm(np.diff(positions_m.astype(np.float64), axis=0), axis=-1) * FPS


def finite_max(values: np.ndarray) -> float | None:
    values = values[np.isfinite(values)]
    return float(values.max()) if len(values) else None


def finite_mean(values: np.ndarray) -> float | None:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None


def plain(value: float | int | None) -> float | int | None:
    """A number that JSON knows: NaN and infinity are None."""
    if value is None or isinstance(value, int):
        return value
    return float(value) if np.isfinite(value) else None
