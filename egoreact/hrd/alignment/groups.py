"""One row of figures a clip, from groups of measures that each look at one side of it."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from egoreact.hrd.alignment.body import measure_body, standing_slip_m
from egoreact.hrd.alignment.floor import farthest_common_ratio, floor_ratios, measure_floor
from egoreact.hrd.alignment.head import camera_at_eyes, camera_errors, measure_camera, measure_lag
from egoreact.hrd.alignment.numbers import plain, step_lengths
from egoreact.hrd.alignment.pixels import measure_pixels, pixel_series
from egoreact.hrd.alignment.plane import measure_plane, plane_series
from egoreact.hrd.alignment.streams import measure_counts, measure_numbers
from egoreact.hrd.alignment.thresholds import Row
from egoreact.hrd.clip import Clip
from egoreact.motion.skeleton import FEET, HEAD

GROUPS: tuple[Callable[[Clip], Row], ...] = (
    measure_counts,
    measure_numbers,
    measure_camera,
    measure_lag,
    measure_floor,
    measure_plane,
    measure_pixels,
    measure_body,
)
"""What `measure` asks of a clip, in the order of the row."""


def measure(clip: Clip) -> Row:
    """One row of figures, units in the names, None where the clip cannot give a figure. Never raises for a bad clip."""
    row: Row = {}
    for group in GROUPS:
        row |= group(clip)
    return {name: plain(value) for name, value in row.items()}


def residuals(clip: Clip) -> dict[str, Float[np.ndarray, "frames"]]:
    """The figures behind the measures frame by frame, NaN where there is none; for plots.

    `camera_position_error_cm`, `camera_rotation_error_deg`, `foot_height_cm`, `foot_slip_cm`, `joint_speed_m_s`,
    `head_speed_m_s`, `camera_speed_m_s`; in a dozen frames `depth_scale_ratio`, `floor_tilt_deg`, `floor_height_error_cm`;
    and what `pixel_series` gives.
    """
    has_head = clip.head_rotation is not None
    series = {
        "foot_height_cm": 100 * clip.joints_m[:, FEET, 1].min(axis=1),
        "foot_slip_cm": 100 * standing_slip_m(clip.joints_m),
        "joint_speed_m_s": step_lengths(clip.joints_m).max(axis=1),
        "head_speed_m_s": step_lengths(camera_at_eyes(clip)[:, :3, 3] if has_head else clip.joints_m[:, HEAD]),
        "camera_speed_m_s": step_lengths(clip.T_world_camera[:, :3, 3]),
    }
    series |= camera_errors(clip)
    ratios = {t: found for t, found in floor_ratios(clip).items() if len(found) >= 50}
    if ratios:
        series["depth_scale_ratio"] = np.full(clip.num_frames, np.nan)
        series["depth_scale_ratio"][list(ratios)] = [
            farthest_common_ratio(found)[0] or np.nan for found in ratios.values()
        ]
    series |= plane_series(clip) | pixel_series(clip)
    return {name: np.asarray(values, np.float64) for name, values in series.items()}
