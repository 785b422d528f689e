"""The gate on real recordings: good ones pass, and faults put into them are caught. Their twin on data that the project makes
itself is `test_alignment_pixels` (with and without depth) and `test_alignment_faults`."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from egoreact.hrd.alignment import failures, measure
from egoreact.hrd.alignment.depth import resized_depth, resized_intrinsics
from egoreact.hrd.alignment.faults import (
    camera_turned,
    depth_scaled,
    floating,
    frames_doubled,
    frames_lost,
    mirrored,
    motion_swapped,
    video_shifted,
    wrong_rate,
)
from egoreact.hrd.clip import Clip, ClipRecord
from egoreact.hrd.importers import import_recording
from egoreact.motion.body import load_body
from egoreact.motion.camera import head_from_camera
from egoreact.motion.skeleton import HEAD
from egoreact.vision.video import encode_depth, encode_video

RECORDINGS = Path(os.environ.get("EGOREACT_SHARED_DATA", "../shared/data")) / "ego"
YAW, PITCH, ROLL = np.radians(10) * np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]])
EYES_OVER_FLOOR_M = 1.55
"""In the HoloLens recording the floor lies this far under the height 0 of its own world."""


def _recording(name: str) -> Path:
    if not (RECORDINGS / name).is_dir():
        pytest.skip(f"no recording at {RECORDINGS / name}: set EGOREACT_SHARED_DATA to the folder with real samples")
    return RECORDINGS / name


@pytest.fixture(scope="module")
def hololens() -> Clip:
    """57 frames of a real headset at 336 px: pictures, metric depth and poses. The body is a mannequin hung on the head."""
    folder = _recording("hololens")
    pictures = [cv2.imread(str(path))[..., ::-1] for path in sorted((folder / "rgb").iterdir())[:57]]
    depths = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted((folder / "depth").iterdir())[:57]]
    old, new = pictures[0].shape[:2], (224, 336)
    T = np.loadtxt(folder / "camera_to_world.txt").reshape(-1, 4, 4)[:57]
    T[:, 1, 3] += EYES_OVER_FLOOR_M
    head_m, head_rotation = head_from_camera(T)
    standing = load_body().forward(np.zeros((1, 3)), np.zeros((1, 63)), np.zeros((1, 3))).joints_m[0]
    known = np.ones(old, bool)
    return Clip(
        record=ClipRecord("hololens", "unknown", "", "hololens", "MIT", "test"),
        video_mp4=encode_video(np.stack([cv2.resize(p, new[::-1], interpolation=cv2.INTER_AREA) for p in pictures])),
        joints_m=(head_m[:, None] + standing - standing[HEAD]).astype(np.float32),
        K=resized_intrinsics(np.loadtxt(folder / "K.txt"), old, new).astype(np.float32),
        T_world_camera=T.astype(np.float32), head_rotation=head_rotation.astype(np.float32),
        depth_mkv=encode_depth(np.stack([resized_depth(d / np.float32(1000), known, new) for d in depths])),
    )  # fmt: skip


@pytest.fixture(scope="module")
def ares() -> Clip:
    return import_recording(_recording("ares"), licence="MIT", split="test")[0]


def pixel_failures(clip: Clip) -> set[str]:
    """Measures that look at pixels and depth; a mannequin hung on a head stands on no floor."""
    found = {failure.measure for failure in failures(measure(clip))}
    return {name for name in found if name.startswith(("pixel", "repeated", "floor_tilt", "floor_height", "depth"))}


HOLOLENS_FAULTS = {
    "2 late": (lambda c: video_shifted(c, 2), "pixel_lag_frames"),
    "3 early": (lambda c: video_shifted(c, -3), "pixel_lag_frames"),
    "pictures 4 late": (lambda c: video_shifted(c, 4, depth_too=False), "pixel_lag_frames"),
    "depth 0.8": (lambda c: depth_scaled(c, 0.8), "pixel_scale_ratio"),
    "depth 1.25": (lambda c: depth_scaled(c, 1.25), "depth_scale_ratio"),
    "turned aside": (lambda c: camera_turned(c, YAW), "pixel_turn_deg"),
    "turned down": (lambda c: camera_turned(c, PITCH), "floor_tilt_deg"),
    "turned askew": (lambda c: camera_turned(c, ROLL), "floor_tilt_deg"),
    "3 lost": (lambda c: frames_lost(c, 25, 3), "pixel_jump_frames"),
    "3 doubled": (lambda c: frames_doubled(c, 25, 3), "repeated_frames"),
    "mirrored": (mirrored, "pixel_mirror_ratio"),
    "15 a second": (lambda c: wrong_rate(c, 15), "pixel_rate"),
    "25 a second": (lambda c: wrong_rate(c, 25), "pixel_rate"),
    "floating": (lambda c: floating(c, 0.1), "floor_height_error_cm"),
}
ARES_FAULTS = {
    name: fault
    for name, fault in HOLOLENS_FAULTS.items()
    if name in ("2 late", "3 early", "turned aside", "3 lost", "3 doubled", "mirrored", "15 a second", "25 a second")
} | {
    "turned down": (lambda c: camera_turned(c, PITCH), "pixel_turn_deg"),
    "turned askew": (lambda c: camera_turned(c, ROLL), "pixel_turn_deg"),
}  # without depth there is no floor to tell a tilt by


def test_a_headset_s_recording_passes(hololens):
    row = measure(hololens)
    assert pixel_failures(hololens) == set()
    assert row["pixel_lag_frames"] == 0
    assert row["pixel_scale_ratio"] == pytest.approx(1, abs=0.05)
    assert row["pixel_turn_deg"] < 1
    assert row["floor_tilt_deg"] < 1
    assert row["pixel_error_share"] < 0.05


@pytest.mark.parametrize("fault", HOLOLENS_FAULTS)
def test_faults_in_a_headset_s_recording_are_caught(hololens, fault):
    break_it, caught_by = HOLOLENS_FAULTS[fault]
    assert caught_by in pixel_failures(break_it(hololens))


def test_an_imported_recording_without_depth_passes_whole(ares):
    assert failures(measure(ares)) == []
    assert measure(ares)["pixel_lag_frames"] == 0


@pytest.mark.parametrize("fault", ARES_FAULTS)
def test_faults_in_an_imported_recording_are_caught(ares, fault):
    break_it, caught_by = ARES_FAULTS[fault]
    assert caught_by in pixel_failures(break_it(ares))


def test_one_recording_s_motion_does_not_fit_another_s_video(hololens, ares):
    assert "pixel_error_share" in pixel_failures(motion_swapped(hololens, ares))
    assert "pixel_error_share" in pixel_failures(motion_swapped(ares, hololens))
