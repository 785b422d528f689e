"""What people do: it helps, it is what was said, and a body could do it."""

import dataclasses
from functools import lru_cache

import numpy as np
import pytest

from egoreact.hrd.simulate import ENCOUNTERS, SimulatorConfig
from egoreact.hrd.simulate.acting.choreography import MAX_HEAD_YAW, perform
from egoreact.hrd.simulate.acting.curves import keyed
from egoreact.hrd.simulate.simulate import Staged, stage
from egoreact.hrd.simulate.things.car import CAR_LENGTH_M, CAR_WIDTH_M, car_path
from egoreact.motion.skeleton import BONE_LENGTHS_M, FEET, FPS, HEAD, NUM_JOINTS, PARENTS

CONFIG = SimulatorConfig(frames=113, own_body=False)
SEEDS = range(6)
HEAD_TOP_M = 0.19
BONES = (list(range(1, NUM_JOINTS)), list(PARENTS[1:]))


@lru_cache(maxsize=32)  # all seeds of a kind: pytest takes the kinds one after another
def staged(category: str, seed: int) -> Staged:
    return stage(CONFIG, category, seed)


@pytest.fixture(params=list(ENCOUNTERS), scope="module")
def category(request: pytest.FixtureRequest) -> str:
    return request.param


def along_bones(joints_m: np.ndarray) -> np.ndarray:
    """(frames, points, 3): points on all bones."""
    s = np.linspace(0, 1, 9)[:, None, None]
    child, parent = joints_m[:, BONES[0]], joints_m[:, BONES[1]]
    return (child[:, None] * s + parent[:, None] * (1 - s)).reshape(len(joints_m), -1, 3)


def above_ground(clip: Staged, points_m: np.ndarray) -> np.ndarray:
    """Heights of points over what is under them: the floor, or the step that was come upon."""
    on_step = (points_m[..., 2] > clip.parameters["distance_m"]) if clip.encounter.name == "step_up" else False
    return points_m[..., 1] - np.where(on_step, clip.parameters.get("height_m", 0.0), 0.0)


def moved_head(clip: Staged) -> np.ndarray:
    head = clip.performance.joints_m[:, HEAD]
    return head - head[0]


def test_bones_keep_their_lengths_exactly(category: str) -> None:
    for seed in SEEDS:
        clip = staged(category, seed)
        joints = clip.performance.joints_m
        assert joints.shape == (113, 22, 3) and np.isfinite(joints).all()
        lengths = np.linalg.norm(joints[:, BONES[0]] - joints[:, BONES[1]], axis=-1)
        expected = BONE_LENGTHS_M[1:] * clip.person.height_scale
        np.testing.assert_allclose(lengths, np.broadcast_to(expected, lengths.shape), atol=1e-9)


def test_planted_feet_stay_and_no_foot_enters_the_floor(category: str) -> None:
    for seed in SEEDS:
        clip = staged(category, seed)
        performance, joints = clip.performance, clip.performance.joints_m
        assert joints[..., 1].min() >= -1e-3
        for side, toe in enumerate((10, 11)):
            planted = (performance.swing[1:, side] == 0) & (performance.swing[:-1, side] == 0)
            assert planted.sum() >= 10
            moves = np.linalg.norm(np.diff(joints[:, toe], axis=0), axis=-1)
            assert moves[planted].max() < 0.002
            assert above_ground(clip, joints[1:, toe][planted]).max() < 0.01
        lowest = above_ground(clip, joints[:, list(FEET)]).min(axis=1)
        assert np.mean(lowest < 0.02) > 0.9  # nobody floats


def test_motion_is_smooth(category: str) -> None:
    for seed in SEEDS:
        clip = staged(category, seed)
        velocity = np.diff(clip.performance.joints_m, axis=0) * FPS
        jerk = np.diff(clip.performance.joints_m, 3, axis=0) * FPS**3
        assert np.linalg.norm(velocity, axis=-1).max() < 7.5
        assert np.linalg.norm(velocity[:, HEAD], axis=-1).max() < 3.5
        assert np.abs(jerk).max() < 4000
        assert np.abs(jerk[:, HEAD]).max() < 700


def test_heads_turn_within_bounds(category: str) -> None:
    for seed in SEEDS:
        R = staged(category, seed).performance.body.head_rotation
        np.testing.assert_allclose(R @ R.transpose(0, 2, 1), np.tile(np.eye(3), (113, 1, 1)), atol=1e-9)
        clip = staged(category, seed)
        turn = keyed(clip.times_s, ENCOUNTERS[category].react(clip.person, clip.parameters).turn)
        yaw = np.arctan2(R[:, 0, 2], R[:, 2, 2]) - turn  # from where the body faces
        assert np.abs((yaw + np.pi) % (2 * np.pi) - np.pi).max() <= MAX_HEAD_YAW + 0.02
        turned = np.arccos(np.clip((np.einsum("tij,tij->t", R[1:], R[:-1]) - 1) / 2, -1, 1)) * FPS
        assert np.degrees(turned.max()) < 230


def test_nothing_happens_before_anyone_could_know(category: str) -> None:
    """Until the reaction's onset, or the first step, people only sway."""
    for seed in SEEDS:
        clip = staged(category, seed)
        begin = min(clip.notes.get("walk_s", np.inf), clip.notes["onset_s"])
        before = moved_head(clip)[(begin - 0.35) > clip.times_s]
        assert np.linalg.norm(before, axis=1).max(initial=0.0) < 0.05


def test_the_clock_does_not_say_when(category: str) -> None:
    """The same kind is reacted to early in one clip and late in another."""
    clips = [staged(category, seed) for seed in range(24)]
    onsets = np.array([clip.begins_s + clip.notes["onset_s"] for clip in clips])
    assert np.ptp(onsets) > 0.8
    assert np.std(onsets) > 0.2


@pytest.mark.parametrize("category,axis,low,high", [
    ("ball_left", 0, -1.1, -0.55), ("ball_right", 0, 0.55, 1.1), ("car", 0, -2.2, -1.4), ("car", 2, -0.7, -0.2),
    ("dog", 2, -1.35, -0.75), ("passer_by", 0, 0.45, 0.85), ("passer_by", 2, 0.7, 1.1),
    ("low_obstacle", 2, 2.8, 4.5), ("head_bar", 2, 2.8, 4.5),
])  # fmt: skip
def test_where_the_head_ends(category: str, axis: int, low: float, high: float) -> None:
    for seed in SEEDS:
        assert low < moved_head(staged(category, seed))[80, axis] < high


def test_ducking_lowers_the_head_and_stays_low() -> None:
    for seed in SEEDS:
        head = moved_head(staged("ball_high", seed))
        assert head[:, 1].min() < -0.38
        assert head[-1, 1] < -0.25
        assert np.abs(head[:, 0]).max() < 0.15


@pytest.mark.parametrize("category", ["ball_left", "ball_right", "ball_high"])
def test_the_ball_misses_and_would_have_hit(category: str) -> None:
    for seed in SEEDS:
        clip = staged(category, seed)
        path, radius = clip.arrival.watched_m, clip.parameters["radius_m"]
        body = along_bones(clip.performance.joints_m)
        assert np.linalg.norm(body - path[:, None], axis=-1).min() > radius + 0.08
        standing = along_bones(clip.performance.joints_m[:1])
        assert np.linalg.norm(standing - path[:, None], axis=-1).min() < radius + 0.10


def test_the_car_misses_and_would_have_hit() -> None:
    for seed in SEEDS:
        clip = staged("car", seed)
        front = car_path(clip.parameters, clip.times_s)[:, None]

        def gap(points: np.ndarray, clip: Staged = clip, front: np.ndarray = front) -> float:
            beside = np.abs(points[..., 0] - clip.parameters["start_x_m"]) - CAR_WIDTH_M / 2
            along = np.maximum(front - points[..., 2], points[..., 2] - front - CAR_LENGTH_M)
            return float(np.maximum(beside, along).min())

        assert gap(along_bones(clip.performance.joints_m)) > 0.3
        assert gap(along_bones(clip.performance.joints_m[:1])) < 0


def test_the_body_passes_under_the_bar_and_had_to_duck() -> None:
    for seed in SEEDS:
        clip = staged("head_bar", seed)
        joints, R = clip.performance.joints_m, clip.performance.body.head_rotation
        top = joints[:, HEAD] + R @ np.array([0.0, HEAD_TOP_M * clip.person.height_scale, 0.0])
        points = np.concatenate([along_bones(joints), top[:, None]], axis=1)
        at_bar = np.abs(points[..., 2] - clip.parameters["distance_m"]) < 0.2
        assert points[at_bar][:, 1].max() < clip.parameters["bottom_m"] - 0.05
        assert top[0, 1] > clip.parameters["bottom_m"]
        assert top[-1, 2] > clip.parameters["distance_m"] + 0.5
        assert top[-1, 1] > top[0, 1] - 0.15  # and rises


def test_feet_clear_the_obstacle() -> None:
    for seed in SEEDS:
        clip = staged("low_obstacle", seed)
        joints = clip.performance.joints_m
        heels = joints[:, [7, 8]] - np.array([0.0, 0.06, 0.06])
        soles = np.concatenate([joints[:, list(FEET)], heels], axis=1)
        over = np.abs(soles[..., 2] - clip.parameters["distance_m"]) < clip.parameters["depth_m"] / 2 + 0.02
        assert over.any()
        assert soles[over][:, 1].min() > clip.parameters["height_m"] + 0.02
        assert soles[-1, :, 2].min() > clip.parameters["distance_m"]


@pytest.mark.parametrize("category,hand,other", [("passer_by", 21, 20), ("passer_by", 20, 21)])
def test_people_wave_with_the_hand_they_use(category: str, hand: int, other: int) -> None:
    clip = next(c for s in range(200) if (c := staged(category, s)).person.left_handed == (hand == 20))
    waving = clip.times_s - clip.notes["wave_s"]
    joints = clip.performance.joints_m[(waving > 0.8) & (waving < 1.55)]
    assert joints[:, hand, 1].min() > joints[:, HEAD, 1].min() - 0.25
    assert joints[:, other, 1].max() < joints[:, 0, 1].max()
    assert np.ptp(joints[:, hand, 0]) > 0.08


def test_the_head_follows_only_what_was_already_there() -> None:
    """Another end of the ball's flight changes no earlier head."""
    encounter = ENCOUNTERS["ball_left"]
    clip = staged("ball_left", 0)
    choreography = encounter.react(clip.person, clip.parameters)
    watched = clip.arrival.watched_m
    other = watched.copy()
    other[30:] = [-3.0, 0.2, 4.0]
    a = perform(choreography, clip.person, clip.times_s, watched).body
    b = perform(choreography, clip.person, clip.times_s, other).body
    assert (a.head_rotation[:31] == b.head_rotation[:31]).all() and (a.joints_m[:31] == b.joints_m[:31]).all()
    assert np.abs(a.head_rotation[40:] - b.head_rotation[40:]).max() > 0.1


def test_later_people_react_later_and_larger_people_are_larger() -> None:
    clip = staged("ball_high", 0)
    react = ENCOUNTERS["ball_high"].react
    quick = dataclasses.replace(clip.person, latency_s=-0.05)
    slow = dataclasses.replace(clip.person, latency_s=0.05)
    onsets = [react(person, clip.parameters).notes["onset_s"] for person in (quick, slow)]
    assert onsets[1] - onsets[0] == pytest.approx(0.1)
    tall = dataclasses.replace(clip.person, height_scale=1.08)
    short = dataclasses.replace(clip.person, height_scale=0.92)
    heights = [perform(react(p, clip.parameters), p, clip.times_s).joints_m[0, HEAD, 1] for p in (tall, short)]
    assert heights[0] / heights[1] == pytest.approx(1.08 / 0.92, rel=0.01)


def test_categories_can_be_told_apart_by_what_bodies_do() -> None:
    """The motion most like a clip's, from the onset on, is of the same kind: motions are as different as their names."""
    names = list(ENCOUNTERS)
    joints = np.stack([[_after_onset(staged(name, seed)) for seed in SEEDS] for name in names])
    motions = (joints - joints[:, :, :1, :1]).reshape(len(names) * len(SEEDS), -1)
    kinds = np.repeat(np.arange(len(names)), len(SEEDS))
    apart = np.linalg.norm(motions[:, None] - motions, axis=-1)
    np.fill_diagonal(apart, np.inf)
    assert np.mean(kinds[apart.argmin(axis=1)] == kinds) > 0.93


def _after_onset(clip: Staged) -> np.ndarray:
    onset = int(np.searchsorted(clip.times_s, clip.notes["onset_s"]))
    return clip.performance.joints_m[onset : onset + 50 : 4]


@pytest.mark.parametrize("category", ["ball_left", "ball_right", "ball_high", "car", "dog", "low_obstacle", "head_bar"])
def test_what_is_seen_decides_what_is_done(category: str) -> None:
    """Seeds differ far less than the motion is long, from the onset on."""
    clips, after = [staged(category, seed) for seed in SEEDS], np.arange(int(1.2 * FPS))
    paths = np.stack([moved_head(clip)[np.searchsorted(clip.times_s, clip.notes["onset_s"]) + after] for clip in clips])
    paths -= paths[:, :1]
    within = np.linalg.norm(paths - paths.mean(axis=0), axis=-1).mean()
    assert within < 0.3 * np.linalg.norm(paths, axis=-1).mean()
