"""The recorded camera against the head of the motion: where it is, where it looks, and when.

Lag is the shift, in frames, at which the camera's speed, climb and turn rate best match the head's; positive when the camera
comes late. None where the head is too still to tell, or nothing matches.
"""

import numpy as np
from jaxtyping import Float

from egoreact.hrd.alignment.numbers import angle_deg, finite_max, finite_mean
from egoreact.hrd.alignment.thresholds import Row
from egoreact.hrd.clip import Clip
from egoreact.motion.camera import EYES_IN_HEAD_M, camera_from_head, head_from_camera
from egoreact.motion.skeleton import FPS, HEAD

MAX_LAG_FRAMES = 10
STILL_STD = {"speed_m_s": 0.03, "climb_m_s": 0.03, "turn_deg_s": 4.0}
"""A signal that varies less than this over the clip says nothing about time."""
MIN_LAG_CORRELATION = 0.5


def camera_at_eyes(clip: Clip) -> Float[np.ndarray, "frames 4 4"]:
    """T_world_camera where the motion's head has its eyes. Without head rotation it looks where the recorded camera looks."""
    rotation = clip.head_rotation
    if rotation is None:
        rotation = head_from_camera(clip.T_world_camera)[1]
    return np.asarray(camera_from_head(clip.joints_m[:, HEAD].astype(np.float64), rotation.astype(np.float64)))


def camera_errors(clip: Clip) -> dict[str, Float[np.ndarray, "frames"]]:
    """`camera_position_error_cm`, `camera_rotation_error_deg` by frame; empty without head rotation."""
    if clip.head_rotation is None:
        return {}
    expected = camera_at_eyes(clip)
    return {
        "camera_position_error_cm": 100 * np.linalg.norm((clip.T_world_camera - expected)[:, :3, 3], axis=-1),
        "camera_rotation_error_deg": angle_deg(clip.T_world_camera[:, :3, :3], expected[:, :3, :3]),
    }


def measure_camera(clip: Clip) -> Row:
    row: Row = {}
    series = camera_errors(clip)
    for name in ("camera_position_error_cm", "camera_rotation_error_deg"):
        values = series.get(name, np.empty(0))
        row[f"{name}_mean"], row[f"{name}_max"] = finite_mean(values), finite_max(values)
    distance = np.linalg.norm(clip.T_world_camera[:, :3, 3] - clip.joints_m[:, HEAD], axis=-1)
    row["camera_distance_error_cm_max"] = finite_max(100 * np.abs(distance - np.linalg.norm(EYES_IN_HEAD_M)))
    return row


def measure_lag(clip: Clip) -> Row:
    nothing: Row = {"lag_frames": None, "lag_correlation": None}
    if not (np.isfinite(clip.joints_m).all() and np.isfinite(clip.T_world_camera).all()) or clip.num_frames < 12:
        return nothing
    if clip.head_rotation is not None:
        expected = camera_at_eyes(clip)
        head = _signals(expected[:, :3, 3], expected[:, :3, :3])
    else:
        head = _signals(clip.joints_m[:, HEAD], None)
    camera = _signals(clip.T_world_camera[:, :3, 3], clip.T_world_camera[:, :3, :3])
    usable = [name for name in head if head[name].std() > STILL_STD[name] and camera[name].std() > STILL_STD[name]]
    if not usable:
        return nothing
    reach = min(MAX_LAG_FRAMES, clip.num_frames // 3)
    lags = np.arange(-reach, reach + 1)
    scores = np.array(
        [np.mean([_correlation(head[name], camera[name], lag) for name in usable]) for lag in lags.tolist()]
    )
    best = float(scores.max())
    if best < MIN_LAG_CORRELATION:
        return nothing | {"lag_correlation": best}
    # Of shifts that fit equally well (steady or repeating motion) the smallest is meant.
    equal = np.flatnonzero(scores > best - 0.01)
    return {"lag_frames": int(lags[equal[np.argmin(np.abs(lags[equal]))]]), "lag_correlation": best}


def _signals(position_m: np.ndarray, rotation: np.ndarray | None) -> dict[str, Float[np.ndarray, "steps"]]:
    """What a moving frame does that does not depend on where the world's x and z point."""
    velocity = np.diff(position_m.astype(np.float64), axis=0) * FPS
    signals = {"speed_m_s": np.linalg.norm(velocity, axis=-1), "climb_m_s": velocity[:, 1]}
    if rotation is not None:
        signals["turn_deg_s"] = angle_deg(rotation[1:], rotation[:-1]) * FPS
    return signals


def _correlation(head: np.ndarray, camera: np.ndarray, lag: int) -> float:
    """Normalised correlation of the part that overlaps when the camera is `lag` frames late."""
    if lag >= 0:
        head, camera = head[: len(head) - lag], camera[lag:]
    else:
        head, camera = head[-lag:], camera[:lag]
    head, camera = head - head.mean(), camera - camera.mean()
    return float(head @ camera / max(np.linalg.norm(head) * np.linalg.norm(camera), 1e-9))
