"""A good clip passes the gate; each fault that was put into one is caught by the measure that is meant for it."""

import dataclasses
import json

import cv2
import numpy as np
import pytest

from egoreact.hrd.alignment import THRESHOLDS, failures, measure, residuals
from egoreact.hrd.clip import Clip
from egoreact.hrd.simulate import SimulatorConfig, simulate_clip
from egoreact.vision.video import encode_depth, encode_segmentation, encode_video

CONFIG = SimulatorConfig(frames=61, image_size_px=32)


@pytest.fixture(scope="module")
def good() -> Clip:
    return simulate_clip(CONFIG, "ball_left", 3, "good", "train")


def changed(clip: Clip, **arrays) -> Clip:
    return dataclasses.replace(clip, **arrays)


def failing(clip: Clip) -> set[str]:
    return {failure.measure for failure in failures(measure(clip))}


def late_camera(clip: Clip, frames: int) -> Clip:
    """The camera that was there `frames` frames ago."""
    return changed(
        clip, T_world_camera=clip.T_world_camera[np.clip(np.arange(clip.num_frames) - frames, 0, clip.num_frames - 1)]
    )


def with_depth(clip: Clip, scale: float) -> Clip:
    return changed(clip, depth_mkv=encode_depth(clip.depth_m * np.float32(scale)))


def turned_camera(clip: Clip, degrees: float) -> Clip:
    T = clip.T_world_camera.copy()
    T[:, :3, :3] = T[:, :3, :3] @ cv2.Rodrigues(np.radians([0.0, degrees, 0.0]))[0].astype(np.float32)
    return changed(clip, T_world_camera=T)


def lifted(clip: Clip, metres: float) -> Clip:
    """Body and camera together, so that only the floor can tell."""
    joints, T = clip.joints_m.copy(), clip.T_world_camera.copy()
    joints[..., 1] += metres
    T[:, 1, 3] += metres
    return changed(clip, joints_m=joints, T_world_camera=T)


def sliding(clip: Clip, metres_per_frame: float) -> Clip:
    way = np.arange(clip.num_frames, dtype=np.float32) * np.float32(metres_per_frame)
    joints, T = clip.joints_m.copy(), clip.T_world_camera.copy()
    joints[..., 2] += way[:, None]
    T[:, 2, 3] += way
    return changed(clip, joints_m=joints, T_world_camera=T)


def poked(array: np.ndarray, value: float, *index) -> np.ndarray:
    array = array.copy()
    array[index] = value
    return array


def grown_arm(clip: Clip) -> Clip:
    joints = clip.joints_m.copy()
    joints[:, 20] += np.linspace(0, 0.1, clip.num_frames)[:, None] * (joints[:, 20] - joints[:, 18]) / 0.27
    return changed(clip, joints_m=joints)


FAULTS = {
    "camera 2 frames late": (lambda c: late_camera(c, 2), "lag_frames"),
    "camera 3 frames early": (lambda c: late_camera(c, -3), "lag_frames"),
    "camera 4 cm off": (
        lambda c: changed(c, T_world_camera=poked(c.T_world_camera, c.T_world_camera[:, 0, 3] + 0.04, slice(None), 0, 3)),
        "camera_position_error_cm_mean",
    ),
    "depth in other units": (lambda c: with_depth(c, 0.8), "depth_scale_ratio"),
    "depth too deep": (lambda c: with_depth(c, 1.25), "depth_scale_ratio"),
    "camera turned by 10 degrees": (lambda c: turned_camera(c, 10), "camera_rotation_error_deg_mean"),
    "floating": (lambda c: lifted(c, 0.10), "foot_height_cm"),
    "sunk": (lambda c: lifted(c, -0.10), "floor_penetration_cm"),
    "skating": (lambda c: sliding(c, 0.03), "foot_skate_cm_per_frame"),
    "NaN joint": (lambda c: changed(c, joints_m=poked(c.joints_m, np.nan, 7, 4, 1)), "non_finite_values"),
    "infinite camera": (lambda c: changed(c, T_world_camera=poked(c.T_world_camera, np.inf, 5, 0, 3)), "non_finite_values"),
    "teleport": (lambda c: changed(c, joints_m=poked(c.joints_m, 5.0, 30)), "max_joint_speed_m_s"),
    "arm that grows": (grown_arm, "bone_length_std_cm_max"),
    "frame lost": (lambda c: changed(c, video_mp4=encode_video(c.rgb[1:])), "frame_count_difference"),
    "depth frame lost": (lambda c: changed(c, depth_mkv=encode_depth(c.depth_m[1:])), "frame_count_difference"),
    "wrong rate": (lambda c: changed(c, video_mp4=encode_video(c.rgb, fps=25)), "video_fps"),
    "broken video": (lambda c: changed(c, video_mp4=c.video_mp4[:500]), "undecodable_streams"),
    "broken depth": (lambda c: changed(c, depth_mkv=b"no matroska"), "undecodable_streams"),
    "no rotation": (lambda c: changed(c, head_rotation=c.head_rotation * np.float32(1.01)), "rotation_error"),
    "half a token too long": (
        lambda c: changed(
            c, joints_m=c.joints_m[:-2], T_world_camera=c.T_world_camera[:-2], head_rotation=c.head_rotation[:-2],
            video_mp4=encode_video(c.rgb[:-2]), depth_mkv=None, segmentation_mkv=None,
        ),
        "frames_beyond_tokens",
    ),
}  # fmt: skip


def test_good_clip_passes_with_exact_figures(good):
    row = measure(good)
    assert failures(row) == []
    assert row["lag_frames"] == 0
    assert row["depth_scale_ratio"] == pytest.approx(1.0, abs=0.01)
    assert row["camera_position_error_cm_max"] < 0.01
    assert row["video_fps"] == 20
    assert row["motion_frames"] == row["video_frames"] == row["depth_frames"] == 61
    json.dumps(row, allow_nan=False)


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_caught_by_its_measure(good, fault):
    break_it, caught_by = FAULTS[fault]
    assert caught_by in failing(break_it(good))


def test_every_bound_can_be_failed():
    assert {bound.measure for bound in THRESHOLDS} - {caught for _, caught in FAULTS.values()} == {
        # Worst frame, and its mean twin above.
        "camera_position_error_cm_max", "camera_rotation_error_deg_max",
        # Clips without head rotation, below.
        "camera_distance_error_cm_max",
        # Of pixels and floor, in test_alignment_faults.
        *(bound.measure for bound in THRESHOLDS if bound.measure.startswith(("pixel", "repeated", "floor_tilt", "floor_height"))),
    }  # fmt: skip


def test_one_bad_frame_is_caught_by_the_worst_frame_alone(good):
    found = failing(
        changed(good, T_world_camera=poked(good.T_world_camera, good.T_world_camera[20, 0, 3] + 0.12, 20, 0, 3))
    )
    assert "camera_position_error_cm_max" in found
    assert "camera_position_error_cm_mean" not in found


@pytest.mark.parametrize("frames", [-4, -2, -1, 1, 2, 5])
def test_lag_is_measured_in_frames(good, frames):
    assert measure(late_camera(good, frames))["lag_frames"] == frames


@pytest.mark.parametrize("category", ["low_obstacle", "passer_by", "car"])
def test_other_encounters_pass_and_give_their_lag_away(category):
    clip = simulate_clip(CONFIG, category, 11, "clip", "train")
    assert failing(clip) == set()
    assert "lag_frames" in failing(late_camera(clip, 2))


def test_without_head_rotation_what_needs_it_is_unknown_and_the_rest_still_works(good):
    blind = changed(good, head_rotation=None)
    row = measure(blind)
    assert failures(row) == []
    unknown = [name for name, value in row.items() if value is None and not name.startswith(("pixel", "repeated"))]
    assert unknown == [
        "camera_position_error_cm_mean", "camera_position_error_cm_max",
        "camera_rotation_error_deg_mean", "camera_rotation_error_deg_max",
    ]  # fmt: skip
    away = changed(
        blind, T_world_camera=poked(good.T_world_camera, good.T_world_camera[:, 1, 3] + 0.3, slice(None), 1, 3)
    )
    assert "camera_distance_error_cm_max" in failing(away)
    assert "lag_frames" in failing(late_camera(blind, 3))


def test_still_clip_has_no_lag(good):
    still = {
        name: np.repeat(getattr(good, name)[:1], good.num_frames, axis=0)
        for name in ("joints_m", "T_world_camera", "head_rotation")
    }
    row = measure(changed(good, **still))
    assert row["lag_frames"] is None
    assert "lag_frames" not in {failure.measure for failure in failures(row)}


def test_depth_scale_needs_no_segmentation_and_no_size_of_the_videos(good):
    bare = changed(good, segmentation_mkv=None)
    assert measure(bare)["depth_scale_ratio"] == pytest.approx(1.0, abs=0.02)
    small = np.stack([cv2.resize(frame, (24, 20), interpolation=cv2.INTER_NEAREST_EXACT) for frame in good.depth_m])
    assert measure(changed(bare, depth_mkv=encode_depth(small * np.float32(0.8))))[
        "depth_scale_ratio"
    ] == pytest.approx(0.8, abs=0.03)


def test_depth_that_shows_no_floor_says_nothing(good):
    sky = changed(good, depth_mkv=encode_depth(np.zeros_like(good.depth_m)))
    assert measure(sky)["depth_scale_ratio"] is None
    other = changed(good, segmentation_mkv=encode_segmentation(np.full_like(good.segmentation, 7)))
    assert measure(other)["depth_scale_ratio"] is None


def test_a_clip_of_nothing_but_nan_is_measured(good):
    row = measure(changed(good, joints_m=np.full_like(good.joints_m, np.nan)))
    assert row["non_finite_values"] == good.joints_m.size
    json.dumps(row, allow_nan=False)


def test_residuals_are_the_measures_frame_by_frame(good):
    series = residuals(late_camera(good, 3))
    row = measure(late_camera(good, 3))
    assert series["camera_position_error_cm"].max() == pytest.approx(row["camera_position_error_cm_max"])
    assert len(series["camera_position_error_cm"]) == good.num_frames
    assert len(series["head_speed_m_s"]) == good.num_frames - 1


def test_failures_say_what_is_wrong_in_words(good):
    sentences = [str(failure) for failure in failures(measure(with_depth(good, 0.8)))]
    assert "depth_scale_ratio is 0.8, must be 0.9 to 1.1" in sentences
