"""The gate's bounds, each with its unit and meaning, and which of them a row of figures breaks.

Where the bounds on pixels and floor come from: development clips of the simulator at 112 px (good and with each kind of fault; none
of the clips that `egoreact bench gate` counts), and two real recordings, one with depth (HoloLens) and one without (EgoEgo).

    measure                 good, worst    real recordings    fault: 5th percentile             bound
    pixel_error_share       0.073          0.02, 0.03         other motion 0.13                 0.085
    pixel_mirror_ratio      0.13 to 0.49   0.01, 0.04         mirrored 10 (worst 1.95)          1
    pixel_turn_deg          3.0            0.3, 2.4           turned 10°: 8.6                   5
    pixel_scale_ratio       0.94 … 1.02    0.98               0.8: at most 0.83, 1.25: 1.21     0.85 … 1.18
    floor_tilt_deg          0.1            0.5                turned 10°: 2.9, unless level     3
    floor_height_error_cm   ± 0.1          0.5                raised 10 cm: 10                  ± 5
    repeated_frames         0              0                  3 or more lost or doubled         1
    lag, jump, rate         0, 0, 1        0, 0, 1            2 to 10 frames, 0.67 … 1.33       ± 1, ± 1, ± 0.05

A camera turned about the vertical leaves the floor level: that, only `pixel_turn_deg` tells.
"""

from dataclasses import asdict, dataclass

import numpy as np

Row = dict[str, float | int | None]
"""Measure → figure, None where a clip cannot give it."""


@dataclass(frozen=True)
class Threshold:
    """Bounds of one measure; None is no bound."""

    measure: str
    lower: float | None
    upper: float | None
    unit: str
    meaning: str

    def fails(self, value: float | None) -> bool:
        if value is None or not np.isfinite(value):
            return False
        return (self.lower is not None and value < self.lower) or (self.upper is not None and value > self.upper)

    @property
    def bounds(self) -> str:
        """For example `-2 to 2 frames`, `at most 3 cm`."""
        if self.lower is not None and self.upper is not None:
            middle = f"{self.lower:g}" if self.lower == self.upper else f"{self.lower:g} to {self.upper:g}"
        else:
            middle = f"at most {self.upper:g}" if self.lower is None else f"at least {self.lower:g}"
        return middle + (self.unit if self.unit == "°" else f" {self.unit}".rstrip())


THRESHOLDS: tuple[Threshold, ...] = (
    Threshold("undecodable_streams", 0, 0, "", "video, depth or segmentation that cannot be decoded"),
    Threshold("non_finite_values", 0, 0, "", "NaN or infinite numbers in motion and camera"),
    Threshold("frame_count_difference", 0, 0, "frames", "between motion, camera, video, depth and segmentation"),
    Threshold("frames_beyond_tokens", 0, 0, "frames", "a clip has 4 N + 1 frames, N tokens"),
    Threshold("video_fps", 19.9, 20.1, "fps", "rate that the video's container states"),
    Threshold("rotation_error", None, 0.001, "", "how far camera and head matrices are from rotations, max |RᵀR − 1|"),
    Threshold("camera_position_error_cm_mean", None, 3.0, "cm", "camera against the head's eyes, mean"),
    Threshold("camera_position_error_cm_max", None, 10.0, "cm", "camera against the head's eyes, worst frame"),
    Threshold("camera_rotation_error_deg_mean", None, 3.0, "°", "camera against the head's gaze, mean"),
    Threshold("camera_rotation_error_deg_max", None, 10.0, "°", "camera against the head's gaze, worst frame"),
    Threshold(
        "camera_distance_error_cm_max",
        None,
        10.0,
        "cm",
        "distance from camera to head joint against the eyes' distance",
    ),
    Threshold("lag_frames", -1.0, 1.0, "frames", "camera behind head, from speed, climb and turn rate"),
    Threshold(
        "depth_scale_ratio", 0.9, 1.1, "", "depth of floor pixels over the depth that the camera's height predicts"
    ),
    Threshold(
        "floor_tilt_deg", None, 3.0, "°", "floor in the depth images against the level under the head, median frame"
    ),
    Threshold(
        "floor_height_error_cm",
        -5.0,
        5.0,
        "cm",
        "height of the seen floor under the head's eyes against y = 0, median frame",
    ),
    Threshold(
        "pixel_error_share",
        None,
        0.085,
        "",
        "the video's own motion against the head's, over how much there is plus 1°",
    ),
    Threshold("pixel_lag_frames", -1.0, 1.0, "frames", "video behind head, from tracked points"),
    Threshold("pixel_jump_frames", -1.0, 1.0, "frames", "change of that lag within the clip: frames lost or doubled"),
    Threshold("pixel_rate", 0.95, 1.05, "", "speed of the video's time against the head's"),
    Threshold(
        "pixel_mirror_ratio", None, 1.0, "", "how badly the video fits the head, over how badly its mirror image does"
    ),
    Threshold("pixel_scale_ratio", 0.85, 1.18, "", "metres of tracked points with their depth over the head's metres"),
    Threshold(
        "pixel_turn_deg", None, 5.0, "°", "constant turn between the head's camera and the one that saw the video"
    ),
    Threshold("repeated_frames", None, 1, "frames", "pictures that repeat the one before although the head moved"),
    Threshold("bone_length_std_cm_max", None, 1.5, "cm", "the bone whose length varies most"),
    Threshold("foot_skate_cm_per_frame", None, 1.5, "cm", "horizontal slip of the standing foot a frame (0.05 s)"),
    Threshold("foot_height_cm", -5.0, 7.0, "cm", "lower foot joint above the floor while it carries (10th percentile)"),
    Threshold("floor_penetration_cm", None, 7.0, "cm", "deepest joint under the floor"),
    Threshold("max_joint_speed_m_s", None, 15.0, "m/s", "fastest joint between two frames"),
)
"""The gate's bounds. They hold for recordings of real bodies; simulated clips lie far inside."""


@dataclass(frozen=True)
class Failure:
    """One measure of one clip outside its bounds."""

    measure: str
    value: float
    lower: float | None
    upper: float | None
    unit: str
    meaning: str

    def __str__(self) -> str:
        bounds = Threshold(self.measure, self.lower, self.upper, self.unit, self.meaning).bounds
        return f"{self.measure} is {self.value:.4g}, must be {bounds}"


def failures(row: Row, thresholds: tuple[Threshold, ...] = THRESHOLDS) -> list[Failure]:
    """Which measures of a row lie outside their bounds."""
    return [
        Failure(value=float(row[bound.measure] or 0.0), **asdict(bound))
        for bound in thresholds
        if bound.fails(row.get(bound.measure))
    ]
