"""How the camera is turned on the head, and the scale of what it sees: hand-eye calibration from many pairs of frames.

Sought are a constant rotation ω between the camera that the head carries and the one that saw the video, and the factor between
the pixels' metres (those of the depth images) and the head's. Both follow from all pairs at once by Gauss-Newton with weights that
make outlying pairs count little. How well each direction is known follows from the same equations: a head that only walks
straight says nothing of a turn about its way, and what is not known is not judged.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from egoreact.hrd.alignment.against import supposed_motions
from egoreact.hrd.alignment.ego_motion import Pairs
from egoreact.hrd.alignment.numbers import rotation_about

MIN_PAIRS = 5
NOISE_FLOOR_RAD = np.radians(0.1)
"""Disagreement that a pair has even where everything is right; a few lucky pairs make nobody certain."""


@dataclass(frozen=True)
class HandEye:
    turn_deg: Float[np.ndarray, "3"]
    """Rotation vector from the head's camera to the one that saw, camera axes (about x: pitch, y: yaw, z: roll)."""
    turn_covariance_deg2: Float[np.ndarray, "3 3"]
    scale: float | None
    """The pixels' metres over the head's; None without depth."""
    scale_std: float | None

    def known_turn_deg(self, max_std_deg: float) -> float | None:
        """Length of the turn along the directions that are known better than this; None where none is."""
        variance, directions = np.linalg.eigh(self.turn_covariance_deg2)
        known = directions[:, variance < max_std_deg**2]
        return float(np.linalg.norm(self.turn_deg @ known)) if known.size else None


def fit_hand_eye(pairs: Pairs, T_world_camera: Float[np.ndarray, "frames 4 4"], rounds: int = 6) -> HandEye | None:
    """None where there are too few pairs."""
    if len(pairs) < MIN_PAIRS:
        return None
    rotation, translation = supposed_motions(T_world_camera, pairs.first, pairs.second)

    def errors(parameters: np.ndarray) -> Float[np.ndarray, "pairs points 3"]:
        turn = rotation_about(parameters[:3])
        return pairs.errors(turn.T @ rotation @ turn, np.exp(parameters[3]) * translation @ turn)

    # Without depth nothing has a scale: the equation for it is left empty.
    unknowns = 4 if pairs.has_depth else 3
    parameters, nudge = np.zeros(4), 1e-4
    for _ in range(rounds):
        now = errors(parameters)
        slope = np.stack([(errors(parameters + step) - now) / nudge for step in nudge * np.eye(4)[:unknowns]], axis=-1)
        error2 = np.sum(now**2, axis=-1)
        spread2 = max(float(np.median(error2)), NOISE_FLOOR_RAD**2)
        # A pair's points err together: a pair is one observation, not as many as it has points.
        weight = 1.0 / (1.0 + error2 / (4 * spread2)) ** 2 / now.shape[1]
        normal = np.einsum("pn,pnci,pncj->ij", weight, slope, slope) + 1e-9 * np.eye(unknowns)
        change = -np.linalg.solve(normal, np.einsum("pn,pnci,pnc->i", weight, slope, now))
        parameters[:unknowns] += np.clip(change, -0.3, 0.3)
        parameters[3] = np.clip(parameters[3], -2, 2)
    covariance = np.linalg.inv(normal) * spread2
    return HandEye(
        np.degrees(parameters[:3]),
        covariance[:3, :3] * np.degrees(1) ** 2,
        float(np.exp(parameters[3])) if pairs.has_depth else None,
        float(np.exp(parameters[3]) * np.sqrt(covariance[3, 3])) if pairs.has_depth else None,
    )
