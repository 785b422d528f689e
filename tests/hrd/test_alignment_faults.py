"""Each kind of fault, put into clips of two encounters, is caught by the measures that are meant for it."""

import dataclasses
from typing import get_args

import numpy as np
import pytest

from egoreact.hrd.alignment import THRESHOLDS, failures, measure
from egoreact.hrd.alignment.faults import (
    FaultKind,
    camera_turned,
    depth_scaled,
    floating,
    frames_doubled,
    frames_lost,
    mirrored,
    motion_swapped,
    not_a_number,
    random_fault,
    video_shifted,
    wrong_rate,
)
from egoreact.hrd.clip import Clip
from egoreact.hrd.simulate import SimulatorConfig, simulate_clip

CONFIG = SimulatorConfig()
CATEGORIES = ("ball_left", "passer_by")
YAW = np.radians([0.0, 10.0, 0.0])
FAULTS = {
    "video 2 frames late": (lambda c, o: video_shifted(c, 2), {"pixel_lag_frames"}),
    "pictures 5 frames early": (lambda c, o: video_shifted(c, -5, depth_too=False), {"pixel_lag_frames"}),
    "another person's motion": (motion_swapped, {"pixel_error_share"}),
    "depth 0.8": (lambda c, o: depth_scaled(c, 0.8), {"depth_scale_ratio", "floor_height_error_cm"}),
    "camera turned aside": (lambda c, o: camera_turned(c, YAW), {"pixel_turn_deg"}),
    "camera turned down": (lambda c, o: camera_turned(c, YAW[[1, 0, 2]]), {"floor_tilt_deg"}),
    "6 frames lost": (lambda c, o: frames_lost(c, 36, 6), {"pixel_jump_frames"}),
    "6 frames doubled": (lambda c, o: frames_doubled(c, 30, 6), {"repeated_frames"}),
    "mirrored": (lambda c, o: mirrored(c), {"pixel_mirror_ratio"}),
    "15 frames a second": (lambda c, o: wrong_rate(c, 15), {"pixel_rate"}),
    "25 frames a second": (lambda c, o: wrong_rate(c, 25), {"pixel_rate"}),
    "floating": (lambda c, o: floating(c, 0.1), {"foot_height_cm", "floor_height_error_cm"}),
    "NaN": (lambda c, o: not_a_number(c, 7, 15), {"non_finite_values"}),
}
JUDGED_BY_PIXELS = {
    "pixel_error_share", "pixel_lag_frames", "pixel_jump_frames", "pixel_rate", "pixel_mirror_ratio", "pixel_turn_deg",
    "repeated_frames", "floor_tilt_deg", "floor_height_error_cm",
    "pixel_scale_ratio",  # of a world made exactly, in test_alignment_pixels
}  # fmt: skip


@pytest.fixture(scope="module")
def samples() -> dict[str, tuple[Clip, Clip]]:
    """Category → a clip, and another of it."""
    return {
        name: tuple(simulate_clip(CONFIG, name, seed, f"clip-{seed}", "test") for seed in (31, 32))
        for name in CATEGORIES
    }


@pytest.fixture
def clips(samples) -> tuple[Clip, Clip]:
    return samples["ball_left"]


def failing(clip: Clip) -> set[str]:
    return {failure.measure for failure in failures(measure(clip))}


@pytest.mark.parametrize("category", CATEGORIES)
def test_good_clips_pass(samples, category):
    for clip in samples[category]:
        assert failing(clip) == set()


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_caught_by_its_measures(samples, fault, category):
    break_it, caught_by = FAULTS[fault]
    assert caught_by <= failing(break_it(*samples[category]))


def test_every_bound_on_pixels_and_floor_is_failed_by_some_fault():
    bounds = {
        t.measure for t in THRESHOLDS if t.measure.startswith(("pixel", "repeated", "floor_tilt", "floor_height"))
    }
    assert bounds == JUDGED_BY_PIXELS
    caught = set().union(*(caught_by for _, caught_by in FAULTS.values()))
    assert bounds - caught == {"pixel_scale_ratio"}


def test_the_recorded_camera_may_be_right_and_the_motion_wrong(clips):
    """Body and head 3 frames late, video and recorded camera as they were: both comparisons see it."""
    clip, _ = clips
    late = np.maximum(np.arange(clip.num_frames) - 3, 0)
    found = failing(dataclasses.replace(clip, joints_m=clip.joints_m[late], head_rotation=clip.head_rotation[late]))
    assert {"lag_frames", "pixel_lag_frames"} <= found


def test_without_head_rotation_the_pixels_are_held_against_the_recorded_camera(clips):
    blind = dataclasses.replace(clips[0], head_rotation=None)
    assert failing(blind) == set()
    assert "pixel_lag_frames" in failing(video_shifted(blind, 3))


def test_without_segmentation_and_depth_time_and_mirror_are_still_told(clips):
    bare = dataclasses.replace(clips[0], depth_mkv=None, segmentation_mkv=None)
    assert failing(bare) == set()
    assert "pixel_lag_frames" in failing(video_shifted(bare, 4))
    assert "pixel_mirror_ratio" in failing(mirrored(bare))


@pytest.mark.parametrize("kind", get_args(FaultKind))
def test_random_faults_are_clips_that_differ_and_leave_the_good_one_alone(clips, kind):
    clip, other = clips
    before = clip.pack()
    broken = random_fault(kind, clip, other, np.random.default_rng(3))
    assert clip.pack() == before
    assert broken.pack() != before
    assert Clip.unpack(broken.pack(), where="here").num_frames == broken.num_frames
    assert len(broken.rgb) == len(broken.depth_m) == len(broken.segmentation) == broken.num_frames
    assert broken.num_frames % 4 == 1
    assert broken.rgb.shape[1:] == clip.rgb.shape[1:]


def test_a_shift_shows_earlier_pictures_and_no_repeated_ones(clips):
    clip, _ = clips
    late = video_shifted(clip, 6)
    assert late.num_frames == 73
    np.testing.assert_array_equal(late.joints_m, clip.joints_m[6:79])
    np.testing.assert_array_equal(late.depth_m, clip.depth_m[:73])
    early = video_shifted(clip, -6)
    np.testing.assert_array_equal(early.joints_m, clip.joints_m[:73])
    np.testing.assert_array_equal(early.depth_m, clip.depth_m[6:79])


def test_a_turned_camera_sees_the_same_points_elsewhere(clips):
    """A pixel of the turned picture, lifted by its depth, is a point that the first picture has at that depth too."""
    clip, _ = clips
    turned = camera_turned(clip, YAW)
    c, s = np.cos(YAW[1]), np.sin(YAW[1])
    R = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    agree = []
    for x, y in ((56, 80), (30, 90), (80, 70), (70, 60), (40, 100)):
        point = turned.depth_m[0, y, x] * np.linalg.solve(turned.K.astype(float), [x, y, 1]) @ R.T
        pixel = clip.K @ point / point[2]
        agree.append(abs(clip.depth_m[0, round(pixel[1]), round(pixel[0])] / point[2] - 1))
    assert np.median(agree) < 0.03
