"""Ego-motion from pixels on a world whose pictures are exact: a textured floor and wall seen by a camera that moves as told."""

import dataclasses

import cv2
import numpy as np
import pytest

from egoreact.hrd.alignment import failures, measure, residuals
from egoreact.hrd.alignment.ego_motion import estimate
from egoreact.hrd.alignment.faults import camera_turned, depth_scaled, floating, frames_lost, mirrored, video_shifted
from egoreact.hrd.alignment.hand_eye import fit_hand_eye
from egoreact.hrd.alignment.head import camera_at_eyes
from egoreact.hrd.alignment.numbers import angle_deg
from egoreact.hrd.alignment.tracks import follow
from egoreact.hrd.clip import Clip, ClipRecord
from egoreact.motion.camera import camera_from_head, head_from_camera, intrinsics
from egoreact.vision.video import encode_depth, encode_segmentation, encode_video

FRAMES, SIDE_PX, WALL_M = 61, 112, 3.5


def camera_path(amount: float) -> np.ndarray:
    """T_world_camera of a head that looks around and sways; still for 0."""
    t = np.arange(FRAMES) / 20

    def waves(sizes: list[float], rates: list[float], phases: list[float]) -> np.ndarray:
        return amount * np.array(sizes) * np.sin(np.outer(t, rates) + np.array(phases))

    turn = np.radians(waves([8, 14, 5], [2.1, 1.3, 1.7], [0, 0.4, 1.0]))
    position = np.array([0.0, 1.6, 0.0]) + waves([0.15, 0.05, 0.3], [1.9, 2.6, 1.1], [0.3, 0, 0])
    rotations = np.stack([cv2.Rodrigues(vector)[0] for vector in turn])
    return camera_from_head(position, rotations, eyes_in_head_m=np.zeros(3))


def seen(T: np.ndarray, K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colour and depth of a floor y = 0 and a wall z = 3.5 m, each with a texture of its own."""
    rng = np.random.default_rng(4)
    textures = [cv2.GaussianBlur(rng.uniform(0, 255, (512, 512)).astype(np.float32), (0, 0), 2.5) for _ in range(2)]
    textures = [cv2.normalize(texture, None, 20, 235, cv2.NORM_MINMAX) for texture in textures]
    row, column = np.mgrid[0:SIDE_PX, 0:SIDE_PX]
    rays = np.stack([column, row, np.ones_like(row)], axis=-1) @ np.linalg.inv(K).T
    rgb, depths = [], []
    for camera in T:
        directions = rays @ camera[:3, :3].T
        with np.errstate(divide="ignore"):
            floor = np.where(directions[..., 1] < 0, -camera[1, 3] / directions[..., 1], np.inf)
        wall = (WALL_M - camera[2, 3]) / directions[..., 2]
        depth = np.minimum(floor, wall)
        point = camera[:3, 3] + depth[..., None] * directions
        across, up = point[..., 0], np.where(wall < floor, point[..., 1], point[..., 2])
        maps = [(60 * value % 512).astype(np.float32) for value in (across, up)]
        picture = [cv2.remap(texture, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP) for texture in textures]
        rgb.append(np.where(wall < floor, *picture))
        depths.append(depth)
    grey = np.stack(rgb).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1), np.stack(depths).astype(np.float32)


def clip_of(amount: float) -> Clip:
    T, K = camera_path(amount), intrinsics(SIDE_PX, 90)
    rgb, depth_m = seen(T, K)
    head_m, head_rotation = head_from_camera(T)
    return Clip(
        record=ClipRecord("plane", "unknown", "", "test", "CC0-1.0", "test"), video_mp4=encode_video(rgb, crf=12),
        joints_m=np.repeat(head_m[:, None], 22, axis=1).astype(np.float32), K=K.astype(np.float32),
        T_world_camera=T.astype(np.float32), head_rotation=head_rotation.astype(np.float32),
        depth_mkv=encode_depth(depth_m),
    )  # fmt: skip


@pytest.fixture(scope="module")
def moving() -> Clip:
    return clip_of(1.0)


@pytest.fixture(scope="module")
def still() -> Clip:
    return clip_of(0.0)


def pixel_failures(clip: Clip) -> set[str]:
    return {failure.measure for failure in failures(measure(clip)) if failure.measure.startswith("pixel")}


@pytest.mark.parametrize("apart", [4, 16])
def test_the_motion_between_frames_comes_from_the_pixels_alone(moving, apart):
    pairs = estimate(follow(dataclasses.replace(moving, joints_m=0 * moving.joints_m)), apart)
    T = camera_path(1.0)
    truth = np.linalg.inv(T[pairs.second]) @ T[pairs.first]
    assert len(pairs) >= 0.8 * (FRAMES - apart) / 4
    assert angle_deg(pairs.rotation, truth[:, :3, :3]).mean() < 0.25
    assert np.linalg.norm(pairs.translation_m - truth[:, :3, 3], axis=-1).mean() < 0.02
    assert pairs.disagreement_deg(truth[:, :3, :3], truth[:, :3, 3]).mean() < 0.1


def test_without_depth_the_rotation_remains(moving):
    pairs = estimate(follow(dataclasses.replace(moving, depth_mkv=None)), 4)
    T = camera_path(1.0)
    truth = np.linalg.inv(T[pairs.second]) @ T[pairs.first]
    assert np.isnan(pairs.translation_m).all()
    assert np.median(angle_deg(pairs.rotation, truth[:, :3, :3])) < 1.0
    assert pairs.disagreement_deg(truth[:, :3, :3], truth[:, :3, 3]).mean() < 0.25


@pytest.mark.parametrize("with_depth", [True, False])
def test_a_turned_camera_is_measured_about_any_axis(moving, with_depth):
    for axis in np.eye(3):
        clip = camera_turned(moving, np.radians(10) * axis)
        if not with_depth:
            clip = dataclasses.replace(clip, depth_mkv=None)
        tracks = follow(clip)
        found = fit_hand_eye(estimate(tracks, 8), camera_at_eyes(clip))
        np.testing.assert_allclose(found.turn_deg, 10 * axis, atol=1.5)
        assert np.abs(found.turn_deg - 10 * axis).max() < 4 * np.sqrt(np.diag(found.turn_covariance_deg2)).max()


def test_a_good_clip_passes_with_figures_near_what_they_should_be(moving):
    row = measure(moving)
    assert pixel_failures(moving) == set()
    assert (row["pixel_lag_frames"], row["pixel_jump_frames"], row["pixel_rate"], row["repeated_frames"]) == (
        0,
        0,
        1,
        0,
    )
    assert row["pixel_scale_ratio"] == pytest.approx(1, abs=0.03)
    assert row["pixel_turn_deg"] < 0.8
    assert row["pixel_mirror_ratio"] < 0.1
    assert row["floor_tilt_deg"] < 0.1
    assert row["floor_height_error_cm"] == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize("frames", [-5, -2, 3, 8])
@pytest.mark.parametrize("with_depth", [True, False])
def test_lag_is_measured_in_frames(moving, frames, with_depth):
    clip = video_shifted(moving, frames)
    row = measure(clip if with_depth else dataclasses.replace(clip, depth_mkv=None))
    assert row["pixel_lag_frames"] == frames
    assert row["lag_frames"] == 0  # the recorded camera goes with the motion: only the pixels can tell


def test_lost_frames_are_a_jump(moving):
    row = measure(frames_lost(moving, 30, 5))
    assert row["pixel_jump_frames"] == pytest.approx(-5, abs=1)
    assert row["repeated_frames"] >= 4


def test_scale_height_and_mirror(moving):
    assert measure(depth_scaled(moving, 0.8))["pixel_scale_ratio"] == pytest.approx(0.8, abs=0.03)
    assert measure(floating(moving, 0.1))["floor_height_error_cm"] == pytest.approx(-10, abs=0.5)
    assert measure(mirrored(moving))["pixel_mirror_ratio"] > 10


def test_a_still_head_says_nothing_and_never_fails(still):
    row = measure(still)
    judged = ("pixel_error_share", "pixel_lag_frames", "pixel_jump_frames", "pixel_rate", "pixel_mirror_ratio",
              "pixel_turn_deg", "pixel_scale_ratio")  # fmt: skip
    assert {name: row[name] for name in judged} == dict.fromkeys(judged)
    assert pixel_failures(still) == set()


def test_a_still_video_under_a_moving_head_fails(moving, still):
    assert "pixel_error_share" in pixel_failures(dataclasses.replace(moving, video_mp4=still.video_mp4))
    assert "pixel_error_share" in pixel_failures(dataclasses.replace(still, video_mp4=moving.video_mp4))


def test_what_cannot_be_followed_is_unknown(moving):
    blank = np.full((FRAMES, SIDE_PX, SIDE_PX, 3), 127, np.uint8)
    row = measure(dataclasses.replace(moving, video_mp4=encode_video(blank)))
    assert row["pixel_error_share"] is None and row["pixel_pairs"] == 0
    tiny = np.stack([cv2.resize(frame, (32, 32)) for frame in moving.rgb])
    assert measure(dataclasses.replace(moving, video_mp4=encode_video(tiny)))["pixel_pairs"] is None
    assert measure(dataclasses.replace(moving, video_mp4=moving.video_mp4[:400]))["pixel_pairs"] is None
    assert measure(dataclasses.replace(moving, joints_m=moving.joints_m * np.nan))["pixel_pairs"] is None
    assert measure(dataclasses.replace(moving, K=0 * moving.K))["pixel_pairs"] is None


WILD = {
    "huge motion": lambda c: {"joints_m": c.joints_m * np.float32(1e30)},
    "huge camera": lambda c: {"T_world_camera": c.T_world_camera * np.float32(1e30)},
    "no rotations": lambda c: {"head_rotation": c.head_rotation * 0},
    "random matrices": lambda c: {"head_rotation": np.random.default_rng(0).normal(size=(FRAMES, 3, 3)).astype("f4")},
    "focal length 1e-9": lambda c: {"K": c.K * np.float32(1e-9)},
    "focal length negative": lambda c: {"K": -c.K},
    "K of NaN": lambda c: {"K": c.K * np.nan},
    "principal point away": lambda c: {"K": c.K + np.array([[0, 0, 1e6], [0, 0, 0], [0, 0, 0]], np.float32)},
    "no depth anywhere": lambda c: {"depth_mkv": encode_depth(0 * c.depth_m)},
    "depth of one value": lambda c: {"depth_mkv": encode_depth(0 * c.depth_m + 2)},
    "depth of noise": lambda c: {"depth_mkv": encode_depth(np.random.default_rng(0).uniform(0, 9, c.depth_m.shape))},
    "depth in another shape": lambda c: {"depth_mkv": encode_depth(c.depth_m[:, :20, :90])},
    "little depth": lambda c: {"depth_mkv": encode_depth(c.depth_m[:7])},
    "all moves": lambda c: {"segmentation_mkv": encode_segmentation(np.full(c.depth_m.shape, 1, np.uint8))},
    "classes in another shape": lambda c: {
        "segmentation_mkv": encode_segmentation(np.zeros((FRAMES, 30, 80), np.uint8))
    },
    "noise for pictures": lambda c: {
        "video_mp4": encode_video(np.random.default_rng(0).integers(0, 255, c.rgb.shape, dtype=np.uint8))
    },
    "a wide strip": lambda c: {"video_mp4": encode_video(c.rgb[:, :16])},
    "five frames": lambda c: {"video_mp4": encode_video(c.rgb[:5])},
}


@pytest.mark.parametrize("what", WILD)
def test_nothing_makes_it_raise(moving, what):
    row = measure(dataclasses.replace(moving, **WILD[what](moving)))
    assert all(value is None or np.isfinite(value) for value in row.values())


def test_larger_pictures_and_depth_of_another_size_give_the_same(moving):
    large = np.stack([cv2.resize(frame, (400, 400), interpolation=cv2.INTER_CUBIC) for frame in moving.rgb])
    K = moving.K * np.array([[400 / 112], [400 / 112], [1]], np.float32)
    K[:2, 2] += 0.5 * (400 / 112 - 1)
    row = measure(dataclasses.replace(moving, video_mp4=encode_video(large), K=K))
    assert row["pixel_lag_frames"] == 0 and row["pixel_error_deg"] < 0.2
    assert row["pixel_scale_ratio"] == pytest.approx(1, abs=0.05)


def test_the_curves_of_pixels_and_head_lie_on_each_other(moving):
    series = residuals(moving)
    for pixels, head in (("pixel_turn_deg_s", "head_turn_deg_s"), ("pixel_pace_m_s", "head_pace_m_s")):
        assert len(series[pixels]) == FRAMES
        known = np.isfinite(series[pixels])
        assert known.sum() > 50
        assert np.corrcoef(series[pixels][known], series[head][known])[0, 1] > 0.95
