"""The video's own motion against the head's: does the eye see what the head does, when it does it, and the same way round?

Pairs of frames 4, 8 and 16 apart are compared: the short ones tell when, the long ones how far. What is judged:

`pixel_error_share`: mean disagreement (`Pairs.disagreement_deg`) of the short pairs over how much motion there is, pixels' or head's,
    plus 1°. The video of another clip, another body's motion, anything that moves otherwise.
`pixel_lag_frames`, `pixel_jump_frames`, `pixel_rate`: see `against.timing`.
`pixel_mirror_ratio`: how badly the video fits, over how badly its mirror image does.
`pixel_turn_deg`, `pixel_scale_ratio`: see `hand_eye`.
`repeated_frames`: pictures that are the one before, although the head moved by what must show.

`pixel_rotation_error_deg` and `pixel_translation_error_cm` are the plain differences of PnP's motion and the head's over 4 frames.
They are for people: with few degrees of view, PnP trades a turn for a step, and both look worse than the video is.
"""

import numpy as np
from jaxtyping import Float

from egoreact.hrd.alignment.against import mirror_ratio, supposed_motions, timing
from egoreact.hrd.alignment.ego_motion import Pairs, estimate, joined
from egoreact.hrd.alignment.hand_eye import fit_hand_eye
from egoreact.hrd.alignment.head import camera_at_eyes
from egoreact.hrd.alignment.numbers import angle_deg
from egoreact.hrd.alignment.thresholds import Row
from egoreact.hrd.alignment.tracks import Tracks, follow
from egoreact.hrd.clip import Clip
from egoreact.motion.skeleton import FPS

SHORT_FRAMES, MIDDLE_FRAMES, LONG_FRAMES = 4, 8, 16
MIN_PAIRS = 5
MIN_MOTION_DEG = 0.25
"""Over a short pair: below, the head is still, and noise is all there is to compare."""
MAX_TURN_STD_DEG = 2.0
MAX_SCALE_STD = 0.035
"""Noise in the turns makes the steps look short: a scale that is known less well is also too small."""
USUAL_DEPTH_M = 2.5
"""Of what is seen, to tell how much a step of the head must show."""
MIN_MOVED_PX = 0.03

NAMES = (
    "pixel_pairs", "pixel_motion_deg", "pixel_error_deg", "pixel_error_share", "pixel_rotation_error_deg",
    "pixel_translation_error_cm", "pixel_lag_frames", "pixel_jump_frames", "pixel_rate", "pixel_mirror_ratio",
    "pixel_turn_deg", "pixel_scale_ratio", "repeated_frames",
)  # fmt: skip


def measure_pixels(clip: Clip) -> Row:
    row: Row = dict.fromkeys(NAMES)
    T = camera_at_eyes(clip)
    tracks = follow(clip) if np.isfinite(T).all() else None
    if tracks is None:
        return row
    row["repeated_frames"] = _repeated(tracks, T)
    short, middle, long = _pairs(tracks)
    row["pixel_pairs"] = len(short)
    if len(short) < MIN_PAIRS:
        return row
    row |= _differences(short, T)
    every = joined(short, middle, long)
    found = timing((short, long), T)
    row |= {"pixel_lag_frames": found.lag_frames, "pixel_jump_frames": found.jump_frames, "pixel_rate": found.rate}
    row["pixel_mirror_ratio"] = mirror_ratio(every, T)
    turned = fit_hand_eye(every, T)
    if turned is not None:
        row["pixel_turn_deg"] = turned.known_turn_deg(MAX_TURN_STD_DEG)
        if turned.scale is not None and turned.scale_std is not None and turned.scale_std < MAX_SCALE_STD:
            row["pixel_scale_ratio"] = turned.scale
    return row


def pixel_series(clip: Clip) -> dict[str, Float[np.ndarray, "frames"]]:
    """The video's ego-motion and the head's by frame, for plots: `pixel_turn_deg_s`, `head_turn_deg_s`, and with depth
    `pixel_speed_m_s`; `pixel_error_deg`. A pair of frames stands at its middle; between pairs the line is straight."""
    T = camera_at_eyes(clip)
    tracks = follow(clip) if np.isfinite(T).all() else None
    if tracks is None:
        return {}
    pairs = _pairs(tracks)[0]
    if len(pairs) < 2:
        return {}
    seconds = (pairs.second - pairs.first) / FPS
    rotation, translation = supposed_motions(T, pairs.first, pairs.second)
    still = np.broadcast_to(np.eye(3), rotation.shape)
    series = {
        "pixel_turn_deg_s": angle_deg(pairs.rotation, still) / seconds,
        "head_turn_deg_s": angle_deg(rotation, still) / seconds,
        "pixel_error_deg": pairs.disagreement_deg(rotation, translation),
        "pixel_pace_m_s": np.linalg.norm(pairs.translation_m, axis=-1) / seconds,
        "head_pace_m_s": np.linalg.norm(translation, axis=-1) / seconds,
    }
    frames, middles = np.arange(clip.num_frames), (pairs.first + pairs.second) / 2
    return {
        name: np.interp(frames, middles, values, left=np.nan, right=np.nan)
        for name, values in series.items()
        if np.isfinite(values).all()
    }


def _pairs(tracks: Tracks) -> tuple[Pairs, Pairs, Pairs]:
    """Short, middle and long ones. A fast head leaves few points in view for four frames: then the short ones are of two."""
    short, middle, long = (estimate(tracks, apart) for apart in (SHORT_FRAMES, MIDDLE_FRAMES, LONG_FRAMES))
    if len(short) < tracks.frames[-1] / SHORT_FRAMES / 2:
        half = SHORT_FRAMES // 2
        return estimate(tracks, half, every_frames=half), short, joined(middle, long)
    return short, middle, long


def _differences(pairs: Pairs, T_world_camera: Float[np.ndarray, "frames 4 4"]) -> Row:
    rotation, translation = supposed_motions(T_world_camera, pairs.first, pairs.second)
    error = float(np.mean(pairs.disagreement_deg(rotation, translation)))
    seen = float(np.mean(pairs.disagreement_deg(np.broadcast_to(np.eye(3), rotation.shape), 0 * translation)))
    moved = np.radians(angle_deg(rotation, np.broadcast_to(np.eye(3), rotation.shape)))
    head = float(np.degrees(np.mean(moved + np.linalg.norm(translation, axis=-1) / USUAL_DEPTH_M)))
    motion = max(seen, head)
    steps = np.linalg.norm(pairs.translation_m - translation, axis=-1)
    return {
        "pixel_motion_deg": motion,
        "pixel_error_deg": error,
        "pixel_error_share": error / (motion + 1.0) if motion > MIN_MOTION_DEG else None,
        "pixel_rotation_error_deg": float(np.mean(angle_deg(pairs.rotation, rotation))),
        "pixel_translation_error_cm": 100 * float(np.mean(steps)) if pairs.has_depth else None,
    }


def _repeated(tracks: Tracks, T_world_camera: Float[np.ndarray, "frames 4 4"]) -> int | None:
    R, position = T_world_camera[:, :3, :3], T_world_camera[:, :3, 3]
    moved = np.radians(angle_deg(R[1:], R[:-1])) + np.linalg.norm(np.diff(position, axis=0), axis=-1) / USUAL_DEPTH_M
    moved_px, change = moved / tracks.pixel_rad, tracks.change[1:]
    shows = (moved_px > MIN_MOVED_PX) & np.isfinite(change)
    if not shows.any():
        return None
    usual = np.median(change[shows] / moved_px[shows])
    return int((shows & (change < 0.08 * usual * moved_px)).sum())
