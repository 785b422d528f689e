"""Whole clips."""

import json
import multiprocessing

import numpy as np
import pytest

from egoreact.errors import EgoReactError
from egoreact.hrd.clip import SEGMENTATION_CLASSES, Clip
from egoreact.hrd.simulate import ENCOUNTERS, SimulatorConfig, simulate_clip
from egoreact.hrd.simulate.arrival import STATIC
from egoreact.hrd.simulate.picture.lens import CameraEffects
from egoreact.hrd.simulate.simulate import stage
from egoreact.motion.camera import camera_from_head, intrinsics
from egoreact.motion.skeleton import FPS, HEAD

SMALL = SimulatorConfig(image_size_px=48)
CLIPS: dict[str, Clip] = {}


@pytest.fixture(params=list(ENCOUNTERS))
def clip(request: pytest.FixtureRequest) -> Clip:
    name = request.param
    if name not in CLIPS:
        CLIPS[name] = simulate_clip(SMALL, name, 11, f"clip-{name}", "val")
    return CLIPS[name]


def test_a_clip_is_whole(clip: Clip) -> None:
    assert clip.joints_m.shape == (81, 22, 3) and clip.joints_m.dtype == np.float32
    assert clip.rgb.shape == (81, 48, 48, 3)
    assert clip.depth_m is not None and clip.depth_m.shape == (81, 48, 48)
    assert clip.segmentation is not None and clip.segmentation.shape == (81, 48, 48)
    assert clip.head_rotation is not None
    for array in (clip.joints_m, clip.T_world_camera, clip.head_rotation, clip.K, clip.depth_m):
        assert np.isfinite(array).all()
    np.testing.assert_allclose(clip.K, intrinsics(48, 90.0), atol=1e-5)
    assert clip.rgb.std() > 20  # a picture
    record = clip.record
    assert (record.source, record.licence, record.split, record.seed) == ("simulator", "CC0-1.0", "val", 11)
    assert record.caption.endswith(".") and json.loads(json.dumps(record.details)) == record.details
    again = Clip.unpack(clip.pack(), where="test")
    assert again.record == record and (again.joints_m == clip.joints_m).all()


def test_the_camera_is_at_the_eyes(clip: Clip) -> None:
    assert clip.head_rotation is not None
    expected = camera_from_head(clip.joints_m[:, HEAD], clip.head_rotation)
    np.testing.assert_allclose(clip.T_world_camera, expected, atol=1e-5)


def test_what_comes_is_seen_before_anyone_reacts(clip: Clip) -> None:
    """Otherwise a causal learner could not know."""
    segment = SEGMENTATION_CLASSES.index(ENCOUNTERS[clip.record.category].comes)
    assert clip.segmentation is not None
    pixels = (clip.segmentation == segment).sum(axis=(1, 2))
    moments = clip.record.details["moments"]
    onset = int(moments["onset_s"] * FPS)
    heard = 6 if clip.record.category == "car_crossing" else 0  # out of a gateway, which one hears first
    assert pixels[: onset + heard + 1].any() and pixels[: onset + 8].max() >= 5
    # People may be there whatever comes: they throw it, or let go of it.
    other = {"ball", "low_obstacle", "bar", "animal", "vehicle"} - {SEGMENTATION_CLASSES[segment]}
    assert not np.isin(clip.segmentation, [SEGMENTATION_CLASSES.index(name) for name in other]).any()


def test_moments_are_told_in_the_clip_s_time(clip: Clip) -> None:
    staged = stage(SMALL, clip.record.category, 11)
    begins_s, moments = clip.record.details["begins_s"], clip.record.details["moments"]
    assert begins_s == pytest.approx(-staged.times_s[0]) and 0 <= begins_s <= 1.2
    assert moments["onset_s"] == pytest.approx(staged.notes["onset_s"] + begins_s)


def test_depth_of_the_floor_is_metric(clip: Clip) -> None:
    """Static pixels near the middle of the way lie on the plane y = 0, to the millimetre they are stored in."""
    assert clip.depth_m is not None and clip.segmentation is not None
    solids = stage(SMALL, clip.record.category, 11).arrival.solids
    if any(solid.segment == STATIC for solid in solids):
        pytest.skip("walls and racks that an encounter brings are no floor")
    column, row = np.meshgrid(np.arange(48), np.arange(48))
    rays = np.stack(
        [(column - clip.K[0, 2]) / clip.K[0, 0], (row - clip.K[1, 2]) / clip.K[1, 1], np.ones_like(row)], axis=-1
    )
    checked = 0
    for frame in range(0, 81, 8):
        T = clip.T_world_camera[frame].astype(np.float64)
        directions = rays @ T[:3, :3].T
        expected = -T[1, 3] / np.minimum(directions[..., 1], -1e-6)
        point = T[:3, 3] + expected[..., None] * directions
        floor = (
            (directions[..., 1] < -0.05)
            & (np.abs(point[..., 0]) < 1.3)
            & (point[..., 2] > -2.5)
            & (expected < 5)
            & (clip.segmentation[frame] == 0)
        )
        checked += floor.sum()
        np.testing.assert_allclose(clip.depth_m[frame][floor], expected[floor], atol=0.002)
    assert checked > 300


def _packed(category: str) -> dict[str, bytes]:
    return simulate_clip(SimulatorConfig(frames=9, image_size_px=32), category, 5, "clip", "train").pack()


@pytest.fixture(scope="module")
def packed_thrice() -> list[list[dict[str, bytes]]]:
    """Three categories packed here, here again, and in another process."""
    names = ["ball_left", "passer_by", "car"]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        elsewhere = pool.map(_packed, names)
    return [[_packed(name) for name in names], [_packed(name) for name in names], elsewhere]


@pytest.mark.parametrize("file", ["json", "motion.npz", "camera.npz", "depth.mkv", "segmentation.mkv", "mp4"])
def test_the_same_seed_gives_the_same_bytes_here_and_in_another_process(packed_thrice: list, file: str) -> None:
    here, again, elsewhere = ([clip[file] for clip in clips] for clips in packed_thrice)
    assert here == again == elsewhere


def test_another_seed_gives_another_clip_and_the_id_none() -> None:
    config = SimulatorConfig(frames=9, image_size_px=32)
    a, b, c = (simulate_clip(config, "dog", seed, name, "test") for seed, name in ((1, "a"), (2, "a"), (1, "b")))
    assert a.video_mp4 == c.video_mp4 and (a.joints_m == c.joints_m).all()
    assert a.video_mp4 != b.video_mp4 and not (a.joints_m == b.joints_m).all()


def test_longer_clips_begin_like_shorter_ones() -> None:
    short = simulate_clip(SimulatorConfig(frames=41, image_size_px=32), "ball_right", 4, "a", "train")
    long = simulate_clip(SimulatorConfig(frames=81, image_size_px=32), "ball_right", 4, "a", "train")
    np.testing.assert_allclose(long.joints_m[:30], short.joints_m[:30], atol=1e-3)


def test_the_own_body_can_be_left_out() -> None:
    own = SEGMENTATION_CLASSES.index("own_body")
    seen = [
        simulate_clip(SimulatorConfig(image_size_px=32, own_body=body), "ball_left", 3, "a", "train")
        for body in (True, False)
    ]
    assert (seen[0].segmentation == own).any() and not (seen[1].segmentation == own).any()
    assert (seen[0].joints_m == seen[1].joints_m).all()


def test_a_clip_looks_the_same_at_another_size() -> None:
    """Noise aside: place, clothes, exposure and blur go by the seed, not by the pixels."""
    small, large = (
        simulate_clip(SimulatorConfig(frames=9, image_size_px=side), "passer_by", 6, "a", "train") for side in (56, 112)
    )
    assert (small.joints_m == large.joints_m).all() and small.record == large.record
    halved = large.rgb.reshape(9, 56, 2, 56, 2, 3).mean(axis=(2, 4))
    assert np.abs(halved - small.rgb).mean() < 6
    assert np.abs(halved.mean(axis=(1, 2)) - small.rgb.mean(axis=(1, 2))).max() < 3


def test_the_camera_is_recorded_and_can_be_perfect() -> None:
    real, perfect = (
        simulate_clip(SimulatorConfig(frames=9, image_size_px=48, camera=camera), "car", 6, "a", "train")
        for camera in (CameraEffects(), None)
    )
    assert 1 / 200 <= real.record.details["camera"]["shutter_s"] <= 1 / 60 and real.record.details["place"] == "road"
    assert perfect.record.details["camera"]["shutter_s"] == 0 == perfect.record.details["camera"]["noise"]
    assert (real.depth_m == perfect.depth_m).all() and (real.segmentation == perfect.segmentation).all()
    assert not (real.rgb == perfect.rgb).all()


def test_an_unknown_category_is_named_with_those_there_are() -> None:
    with pytest.raises(EgoReactError, match=r"'meteor'.*ball_left.*car"):
        simulate_clip(SMALL, "meteor", 0, "a", "train")


@pytest.mark.parametrize("wrong,says", [
    ({"frames": 80}, "frames is 80"), ({"image_size_px": 33}, "image_size_px is 33"), ({"fov_degrees": 170.0}, "fov_degrees"),
    ({"categories": ("car", "ufo")}, "'ufo'"), ({"categories": ()}, "no categories"),
])  # fmt: skip
def test_impossible_configurations_are_refused(wrong: dict, says: str) -> None:
    with pytest.raises(EgoReactError, match=says):
        SimulatorConfig(**wrong)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(EgoReactError, match="seed is -1"):
        simulate_clip(SMALL, "car", -1, "a", "train")
