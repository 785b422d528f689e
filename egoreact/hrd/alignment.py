"""Do a clip's video, camera, motion and depth belong together? One row of figures a clip, and the bounds they must keep.

`measure` asks groups of measures (`GROUPS`), each a function of one clip. Today's groups read the poses, the depth and the
counts; a group that reads the pixels' own motion is one more function and its lines in `THRESHOLDS`. A figure that a clip
cannot give (no head rotation, no depth, a still head) is None, and None never fails.

Definitions
    Camera against head: the recorded camera against the one that `camera_from_head` puts at the eyes.
    Lag: the shift, in frames, at which the camera's speed, climb and turn rate best match the head's; positive when the camera
        comes late. None where the head is too still to tell, or nothing matches.
    Depth scale: depth of floor pixels over the depth at which their rays meet y = 0. The floor is the farthest ratio that many
        pixels share: tables and obstacles lie nearer, nothing lies beyond.
    Contact: a foot joint (ankle or ball of the foot) within 5 cm of its own lowest height in the clip, in two frames that follow
        each other. Foot skate is the horizontal way of the contact joint that moves least, averaged over the frames with any:
        a walker always has one joint that stands.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

from egoreact.errors import EgoReactError
from egoreact.hrd.clip import SEGMENTATION_CLASSES, Clip
from egoreact.motion.camera import EYES_IN_HEAD_M, camera_from_head
from egoreact.motion.skeleton import FEET, FPS, HEAD, PARENTS
from egoreact.vision import video

Row = dict[str, float | int | None]

MAX_LAG_FRAMES = 10
STILL_STD = {"speed_m_s": 0.03, "climb_m_s": 0.03, "turn_deg_s": 4.0}
"""A signal that varies less than this over the clip says nothing about time."""
MIN_LAG_CORRELATION = 0.5
CONTACT_HEIGHT_M = 0.05
FLOOR_RANGE_M = (0.3, 6.0)
"""Predicted depths of the floor that are compared: nearer is the own body, farther is walls and grazing rays."""


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


def measure(clip: Clip) -> Row:
    """One row of figures, units in the names, None where the clip cannot give a figure. Never raises for a bad clip."""
    row: Row = {}
    for group in GROUPS:
        row |= group(clip)
    return {name: _plain(value) for name, value in row.items()}


def residuals(clip: Clip) -> dict[str, Float[np.ndarray, "frames"]]:
    """The figures behind the measures frame by frame, NaN where there is none; for plots.

    `camera_position_error_cm`, `camera_rotation_error_deg`, `depth_scale_ratio` (in a dozen frames), `foot_height_cm`,
    `foot_slip_cm`, `joint_speed_m_s`, `head_speed_m_s`, `camera_speed_m_s`.
    """
    series = {
        "foot_height_cm": 100 * clip.joints_m[:, FEET, 1].min(axis=1),
        "foot_slip_cm": 100 * _standing_slip_m(clip.joints_m),
        "joint_speed_m_s": _step_lengths(clip.joints_m).max(axis=1),
        "head_speed_m_s": _step_lengths(
            _expected_camera(clip)[:, :3, 3] if _has_head(clip) else clip.joints_m[:, HEAD]
        ),
        "camera_speed_m_s": _step_lengths(clip.T_world_camera[:, :3, 3]),
    }
    series |= _camera_errors(clip)
    ratios = {t: found for t, found in _floor_ratios(clip).items() if len(found) >= 50}
    if ratios:
        series["depth_scale_ratio"] = np.full(clip.num_frames, np.nan)
        series["depth_scale_ratio"][list(ratios)] = [
            _farthest_common_ratio(found)[0] or np.nan for found in ratios.values()
        ]
    return {name: np.asarray(values, np.float64) for name, values in series.items()}


# --- groups of measures ---------------------------------------------------------------------------------------------------


def _counts(clip: Clip) -> Row:
    counts: dict[str, int | None] = {"motion": clip.num_frames, "camera": len(clip.T_world_camera)}
    undecodable = 0
    for name, decode in (
        ("video", lambda: clip.rgb),
        ("depth", lambda: clip.depth_m),
        ("segmentation", lambda: clip.segmentation),
    ):
        try:
            images = decode()
        except EgoReactError:
            undecodable, images = undecodable + 1, None
        counts[name] = None if images is None else len(images)
    known = [count for count in counts.values() if count is not None]
    try:
        fps: float | None = video.video_rate(clip.video_mp4)
    except (OSError, ValueError, IndexError):  # av.FFmpegError is one of these; counted above as undecodable
        fps = None
    return {f"{name}_frames": count for name, count in counts.items()} | {
        "undecodable_streams": undecodable,
        "frame_count_difference": max(known) - min(known),
        "frames_beyond_tokens": (clip.num_frames - 1) % 4,
        "video_fps": fps,
    }


def _numbers(clip: Clip) -> Row:
    arrays = [clip.joints_m, clip.K, clip.T_world_camera, *(clip.smplx or {}).values()]
    rotations = [clip.T_world_camera[:, :3, :3]]
    if clip.head_rotation is not None:
        arrays.append(clip.head_rotation)
        rotations.append(clip.head_rotation)
    errors = [np.abs(np.swapaxes(R, -1, -2) @ R - np.eye(3)) for R in rotations]
    return {
        "non_finite_values": sum(int((~np.isfinite(array)).sum()) for array in arrays),
        "rotation_error": _finite_max(np.concatenate([error.ravel() for error in errors])),
    }


def _camera_against_head(clip: Clip) -> Row:
    row: Row = {}
    series = _camera_errors(clip)
    for name in ("camera_position_error_cm", "camera_rotation_error_deg"):
        values = series.get(name, np.empty(0))
        row[f"{name}_mean"], row[f"{name}_max"] = _finite_mean(values), _finite_max(values)
    distance = np.linalg.norm(clip.T_world_camera[:, :3, 3] - clip.joints_m[:, HEAD], axis=-1)
    row["camera_distance_error_cm_max"] = _finite_max(100 * np.abs(distance - np.linalg.norm(EYES_IN_HEAD_M)))
    return row


def _lag(clip: Clip) -> Row:
    nothing: Row = {"lag_frames": None, "lag_correlation": None}
    if not (np.isfinite(clip.joints_m).all() and np.isfinite(clip.T_world_camera).all()) or clip.num_frames < 12:
        return nothing
    if _has_head(clip):
        head = _signals(_expected_camera(clip)[:, :3, 3], _expected_camera(clip)[:, :3, :3])
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


def _depth_scale(clip: Clip) -> Row:
    ratios = _floor_ratios(clip)
    if sum(map(len, ratios.values())) < 200:
        return {"depth_scale_ratio": None, "depth_floor_share": None}
    ratio, share = _farthest_common_ratio(np.concatenate(list(ratios.values())))
    return {"depth_scale_ratio": ratio if share > 0.1 else None, "depth_floor_share": share}


def _body(clip: Clip) -> Row:
    joints = clip.joints_m[np.isfinite(clip.joints_m).all(axis=(1, 2))].astype(np.float64)
    if len(joints) < 2:
        names = ("bone_length_std_cm_max", "bone_length_std_cm_mean", "foot_skate_cm_per_frame", "foot_height_cm")
        return dict.fromkeys((*names, "floor_penetration_cm", "max_joint_speed_m_s"))
    bones = np.linalg.norm(joints[:, 1:] - joints[:, PARENTS[1:]], axis=-1)
    feet_y = joints[:, FEET, 1]
    slip_m = _standing_slip_m(joints)
    return {
        "bone_length_std_cm_max": 100 * float(bones.std(axis=0).max()),
        "bone_length_std_cm_mean": 100 * float(bones.std(axis=0).mean()),
        "foot_skate_cm_per_frame": 100 * float(np.nanmean(slip_m)) if np.isfinite(slip_m).any() else None,
        "foot_height_cm": 100 * float(np.percentile(feet_y.min(axis=1), 10)),
        "floor_penetration_cm": 100 * max(0.0, -float(joints[..., 1].min())),
        "max_joint_speed_m_s": _finite_max(_step_lengths(joints)),
    }


GROUPS: tuple[Callable[[Clip], Row], ...] = (_counts, _numbers, _camera_against_head, _lag, _depth_scale, _body)
"""What `measure` asks of a clip, in the order of the row."""


# --- tools ----------------------------------------------------------------------------------------------------------------


def _has_head(clip: Clip) -> bool:
    return clip.head_rotation is not None


def _expected_camera(clip: Clip) -> Float[np.ndarray, "frames 4 4"]:
    assert clip.head_rotation is not None
    return np.asarray(camera_from_head(clip.joints_m[:, HEAD], clip.head_rotation))


def _standing_slip_m(joints_m: np.ndarray) -> Float[np.ndarray, "steps"]:
    """Horizontal way of the foot joint in contact that moves least between two frames; NaN where none is in contact."""
    feet = joints_m[:, FEET]
    low = feet[..., 1] < feet[..., 1].min(axis=0) + CONTACT_HEIGHT_M
    contact = low[1:] & low[:-1]
    slip_m = np.linalg.norm(np.diff(feet[..., [0, 2]], axis=0), axis=-1)
    return np.where(contact.any(axis=1), np.where(contact, slip_m, np.inf).min(axis=1), np.nan)


def _camera_errors(clip: Clip) -> dict[str, np.ndarray]:
    """By frame; empty without head rotation."""
    if clip.head_rotation is None:
        return {}
    expected = _expected_camera(clip)
    return {
        "camera_position_error_cm": 100 * np.linalg.norm((clip.T_world_camera - expected)[:, :3, 3], axis=-1),
        "camera_rotation_error_deg": _angle_deg(clip.T_world_camera[:, :3, :3], expected[:, :3, :3]),
    }


def _signals(position_m: np.ndarray, rotation: np.ndarray | None) -> dict[str, Float[np.ndarray, "steps"]]:
    """What a moving frame does that does not depend on where the world's x and z point."""
    velocity = np.diff(position_m.astype(np.float64), axis=0) * FPS
    signals = {"speed_m_s": np.linalg.norm(velocity, axis=-1), "climb_m_s": velocity[:, 1]}
    if rotation is not None:
        signals["turn_deg_s"] = _angle_deg(rotation[1:], rotation[:-1]) * FPS
    return signals


def _correlation(head: np.ndarray, camera: np.ndarray, lag: int) -> float:
    """Normalised correlation of the part that overlaps when the camera is `lag` frames late."""
    if lag >= 0:
        head, camera = head[: len(head) - lag], camera[lag:]
    else:
        head, camera = head[-lag:], camera[:lag]
    head, camera = head - head.mean(), camera - camera.mean()
    return float(head @ camera / max(np.linalg.norm(head) * np.linalg.norm(camera), 1e-9))


def _floor_ratios(clip: Clip) -> dict[int, Float[np.ndarray, "pixels"]]:
    """Measured over predicted depth of pixels that may show the floor, in a dozen frames; empty without depth."""
    try:
        depth_m, classes = clip.depth_m, clip.segmentation
    except EgoReactError:
        return {}
    if depth_m is None or not np.isfinite(clip.K).all() or abs(np.linalg.det(clip.K)) < 1e-6:
        return {}
    height, width = depth_m.shape[1:]
    K = _scaled_intrinsics(clip, height, width)
    stride = max(1, round(np.sqrt(height * width / 4000)))
    v, u = np.mgrid[0:height:stride, 0:width:stride]
    rays = np.linalg.solve(K, np.stack([u.ravel(), v.ravel(), np.ones(u.size)]))
    ratios = {}
    last = min(len(depth_m), clip.num_frames, len(classes) if classes is not None else clip.num_frames) - 1
    for t in np.unique(np.linspace(0, last, 12).round().astype(int)):
        camera = clip.T_world_camera[t]
        if not np.isfinite(camera).all():
            continue
        measured = depth_m[t, ::stride, ::stride].ravel()
        drop = camera[1, :3] @ rays
        with np.errstate(divide="ignore"):
            predicted = -camera[1, 3] / np.where(drop < -0.05, drop, -np.inf)
        compared = (predicted > FLOOR_RANGE_M[0]) & (predicted < FLOOR_RANGE_M[1]) & (measured > 0)
        if classes is not None and classes.shape[1:] == depth_m.shape[1:]:
            compared &= classes[t, ::stride, ::stride].ravel() == SEGMENTATION_CLASSES.index("static")
        ratios[int(t)] = measured[compared] / predicted[compared]
    return ratios


def _farthest_common_ratio(ratios: np.ndarray) -> tuple[float | None, float]:
    """The largest ratio that at least a third as many pixels share as share the commonest, and the share within 5 % of it."""
    logs = np.log(np.clip(ratios, 1e-3, 1e3))
    step = 0.01
    histogram, edges = np.histogram(logs, bins=np.arange(-1.5, 1.5 + step, step))
    smooth = gaussian_filter1d(histogram.astype(np.float64), 1.5, mode="constant")
    if smooth.max() == 0:
        return None, 0.0
    peak = int(np.flatnonzero(smooth >= smooth.max() / 3)[-1])
    peak = max(range(max(0, peak - 5), peak + 1), key=lambda index: smooth[index])
    near = logs[np.abs(logs - (edges[peak] + step / 2)) < 0.05]
    return float(np.exp(np.median(near))), len(near) / len(logs)


def _scaled_intrinsics(clip: Clip, height: int, width: int) -> Float[np.ndarray, "3 3"]:
    """K of depth images, which may be smaller or larger than the video's. Pixel (0, 0) is the centre of the first pixel."""
    try:
        video_height, video_width = clip.rgb.shape[1:3]
    except EgoReactError:
        video_height, video_width = height, width
    scale = np.diag([width / video_width, height / video_height, 1.0])
    half = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
    return np.linalg.inv(half) @ scale @ half @ clip.K.astype(np.float64)


def _step_lengths(positions_m: np.ndarray) -> np.ndarray:
    """Speed between each two frames, m/s."""
    return np.linalg.norm(np.diff(positions_m.astype(np.float64), axis=0), axis=-1) * FPS


def _angle_deg(R: np.ndarray, Q: np.ndarray) -> np.ndarray:
    """Between rotations, from ‖R − Q‖ = 2√2 sin(angle / 2): exact for small angles, NaN for NaN."""
    chord = np.linalg.norm(R.astype(np.float64) - Q.astype(np.float64), axis=(-2, -1)) / np.sqrt(8.0)
    return np.degrees(2 * np.arcsin(np.minimum(chord, 1.0)))


def _finite_max(values: np.ndarray) -> float | None:
    values = values[np.isfinite(values)]
    return float(values.max()) if len(values) else None


def _finite_mean(values: np.ndarray) -> float | None:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None


def _plain(value: float | int | None) -> float | int | None:
    """A number that JSON knows: NaN is None."""
    if value is None or isinstance(value, int):
        return value
    return float(value) if np.isfinite(value) else None
