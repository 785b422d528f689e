"""Things that come: they move as things do, they miss who reacts and would have hit who does not, and people do what is said."""

import dataclasses
from functools import lru_cache

import numpy as np
import pytest

from egoreact.hrd.simulate import ENCOUNTERS, SimulatorConfig
from egoreact.hrd.simulate.acting.choreography import perform
from egoreact.hrd.simulate.acting.steps import LEFT
from egoreact.hrd.simulate.arrival import BALL, OBJECT, PERSON, VEHICLE
from egoreact.hrd.simulate.simulate import Staged, stage
from egoreact.hrd.simulate.things import rack
from egoreact.hrd.simulate.things.ball import BALL_GRAVITY, TOO_FAST_M_S, lob_path, rolling_path
from egoreact.hrd.simulate.things.bicycle import (
    BICYCLE_LENGTH_M,
    BICYCLE_WIDTH_M,
    CRANK_M,
    GRIP,
    PEDALS,
    WHEEL_M,
    bicycle_path,
    riding,
)  # fmt: skip
from egoreact.hrd.simulate.things.car import CAR_LENGTH_M, CAR_WIDTH_M
from egoreact.hrd.simulate.things.crossing import LANE_M, crossing_path, pass_s
from egoreact.hrd.simulate.things.door import LEAF_M, door_angle, on_leaf, swings_s
from egoreact.hrd.simulate.things.fireball import blast_m
from egoreact.hrd.simulate.things.pendulum import BAG_LENGTH_M, holder, pendulum_path, pendulum_turns, period_s
from egoreact.hrd.simulate.things.sides import side_of
from egoreact.hrd.simulate.things.tumbling import GRAVITY, tumble
from egoreact.motion.skeleton import FEET, FPS, HEAD, NUM_JOINTS, PARENTS

CONFIG = SimulatorConfig(frames=105, own_body=False)
"""Long enough for the end of the story, whenever it begins."""
CLIP_S = (SimulatorConfig().frames - 1) / FPS
SEEDS = range(6)
PELVIS, WRISTS, TOES = 0, [20, 21], [10, 11]
BONES = (list(range(1, NUM_JOINTS)), list(PARENTS[1:]))
THINGS = (
    "ball_low", "ball_rolling", "ball_catch", "car_crossing", "bicycle", "door", "swinging_bag", "falling_box",
    "rain_of_things", "step_up", "edge", "slippery_ground", "explosion",
)  # fmt: skip


@lru_cache(maxsize=32)  # all seeds of a kind: pytest takes the kinds one after another
def staged(category: str, seed: int) -> Staged:
    return stage(CONFIG, category, seed)


def along_bones(joints_m: np.ndarray) -> np.ndarray:
    """(frames, points, 3): points on all bones."""
    s = np.linspace(0, 1, 9)[:, None, None]
    child, parent = joints_m[:, BONES[0]], joints_m[:, BONES[1]]
    return (child[:, None] * s + parent[:, None] * (1 - s)).reshape(len(joints_m), -1, 3)


def standing(clip: Staged) -> np.ndarray:
    """The same points of one who stays as at the clip's start, (1, points, 3)."""
    return along_bones(clip.performance.joints_m[:1])


def walking_on(clip: Staged, speed_m_s: float = 1.05) -> np.ndarray:
    """Of one who walks on as they began, whatever comes."""
    z = speed_m_s * np.maximum(clip.times_s - clip.notes["walk_s"] - 0.2, 0.0)
    return standing(clip) + np.stack([0 * z, 0 * z, z], axis=-1)[:, None]


def at_s(clip: Staged, moment_s: float) -> int:
    """The frame of a moment in the encounter's time."""
    return round((moment_s + clip.begins_s) * FPS)


def yaw_of(rotations: np.ndarray) -> np.ndarray:
    return np.arctan2(rotations[:, 0, 2], rotations[:, 2, 2])


def away(angle: np.ndarray | float) -> np.ndarray:
    """From 0, whichever way round."""
    return np.abs((np.asarray(angle) + np.pi) % (2 * np.pi) - np.pi)


@pytest.mark.parametrize("category", THINGS, scope="module")
def test_what_comes_is_there_and_moves_within_the_world(category: str) -> None:
    clip = staged(category, 0)
    comes = clip.encounter.comes
    segments = {solid.segment for solid in clip.arrival.solids}
    expected = {"ball": BALL, "vehicle": VEHICLE, "object": OBJECT}.get(comes)
    assert expected is None or expected in segments
    assert clip.arrival.watched_m.shape == (105, 3) and np.isfinite(clip.arrival.watched_m).all()
    for solid in clip.arrival.solids:
        assert solid.T_world_solid.shape == (105, 4, 4) and np.isfinite(solid.T_world_solid).all()


@pytest.mark.parametrize("category", [name for name in THINGS if "side" in ENCOUNTERS[name].ranges])
def test_left_and_right_happen_equally_often_and_are_mirror_images(category: str) -> None:
    encounter, clip = ENCOUNTERS[category], staged(category, 0)
    rng = np.random.default_rng(0)
    assert 0.4 < np.mean([side_of(encounter.sample(rng)) > 0 for _ in range(300)]) < 0.6
    person = dataclasses.replace(clip.person, left_handed=False)
    paths = [
        perform(encounter.react(person, clip.parameters | {"side": side}), person, clip.times_s).joints_m[:, PELVIS, 0]
        for side in (0.5, -0.5)
    ]
    lateral = np.abs(paths[0] - paths[1]).max()
    assert category in ("door", "car_crossing") or lateral > 0.05
    np.testing.assert_allclose(
        paths[0] + paths[1], 2 * paths[0][0], atol=0.12
    )  # but for the foot they begin with, which is the same for both, and their sway


@pytest.mark.parametrize("change", [{"height_scale": 1.07}, {"latency_s": 0.08}, {"amplitude": 1.12}, {"temper": 77}])
@pytest.mark.parametrize("category", THINGS, scope="module")
def test_who_it_is_shows(category: str, change: dict[str, float]) -> None:
    clip = staged(category, 0)
    base = dataclasses.replace(clip.person, height_scale=1.0, latency_s=0.0, amplitude=1.0)
    other = dataclasses.replace(base, **change)
    react = clip.encounter.react
    a, b = (perform(react(person, clip.parameters), person, clip.times_s).joints_m for person in (base, other))
    moved = [joints - joints[0] if "height_scale" not in change else joints for joints in (a, b)]
    assert np.linalg.norm(moved[0] - moved[1], axis=-1).max() > (0.004 if "temper" in change else 0.012)


@pytest.mark.parametrize("category", ["car_crossing", "door", "rain_of_things", "step_up", "edge", "slippery_ground"])
def test_quick_walkers_are_quicker(category: str) -> None:
    clip = staged(category, 0)
    slow, quick = (dataclasses.replace(clip.person, pace=pace) for pace in (0.94, 1.06))
    ends = [max(s.land_s for s in clip.encounter.react(p, clip.parameters).steps[:2]) for p in (slow, quick)]
    assert ends[1] < ends[0] - 0.03


@pytest.mark.parametrize("category", ["ball_catch", "falling_box", "step_up", "edge", "car_crossing", "door"])
def test_left_handed_people_begin_with_the_left_foot(category: str) -> None:
    clip = staged(category, 0)
    for left in (True, False):
        person = dataclasses.replace(clip.person, left_handed=left)
        first = min(clip.encounter.react(person, clip.parameters).steps, key=lambda step: step.lift_s)
        assert (first.side == LEFT) == left


# --- when it comes -------------------------------------------------------------------------------------------------

BEGINS_S = {
    "falling_box": lambda p: p["tip_s"] - rack.SLIDES_S,
    "explosion": lambda p: p["flash_s"],
    "swinging_bag": lambda p: p["release_s"],
    "door": swings_s,
}
"""When what comes begins to move; nothing moves that is walked up to, and what rains is on its way from the first."""
WALKED_UP_TO = ("step_up", "edge", "slippery_ground", "door")
UNTIMED = ("falling_box", "rain_of_things", "explosion", "swinging_bag", *WALKED_UP_TO)


@pytest.mark.parametrize("category", UNTIMED, scope="module")
def test_what_is_seen_says_when_and_the_clock_does_not(category: str) -> None:
    clips = [staged(category, seed) for seed in range(16)]
    onsets = np.array([clip.begins_s + clip.notes["onset_s"] for clip in clips])
    assert np.ptp(onsets) > 0.9 and onsets.max() < CLIP_S - 1.0  # a second at least of what people do is in any clip
    if category in WALKED_UP_TO:
        assert all(clip.begins_s == 0.0 and abs(clip.notes["walk_s"]) < 0.1 for clip in clips)
        seen = [BEGINS_S.get(category, lambda p: p["distance_m"])(clip.parameters) for clip in clips]
        assert np.corrcoef(onsets, seen)[0, 1] > 0.8
    else:
        assert max(clip.begins_s for clip in clips) > 0.9


@pytest.mark.parametrize("category", UNTIMED, scope="module")
def test_what_waits_is_at_rest_and_what_comes_never_jumps(category: str) -> None:
    longest = np.arange(-1.2, 4.0, 1 / FPS)
    for seed in SEEDS:
        clip = staged(category, seed)
        arrival = clip.encounter.arrive(clip.parameters, np.random.default_rng(seed), longest)
        begins = BEGINS_S.get(category, lambda _: 0.0)(clip.parameters)
        for solid in arrival.solids:
            there = solid.balls_m[:, 1] > -10.0  # what is not there yet lies deep below the ground
            speed = np.linalg.norm(np.diff(solid.balls_m[:, :3], axis=0), axis=-1)[there[1:] & there[:-1]] * FPS
            assert np.isfinite(solid.balls_m).all() and speed.max(initial=0.0) < 12.0
            if category == "rain_of_things":
                soon = longest < clip.parameters["first_s"] - 0.4
                assert solid.balls_m[soon, 1].min() > 4.0  # above what is seen
            elif solid.segment != PERSON:  # who sways
                assert np.ptp(solid.T_world_solid[longest < begins - 0.05], axis=0).max() < 1e-6


@pytest.mark.parametrize("category", ["falling_box", "rain_of_things", "explosion", "swinging_bag"])
def test_people_who_wait_only_sway_until_something_moves(category: str) -> None:
    for seed in SEEDS:
        clip = staged(category, seed)
        begins = BEGINS_S.get(category, lambda p: p["first_s"] - 0.25)(clip.parameters)
        waits = clip.times_s < begins
        assert clip.notes["onset_s"] > begins + 0.07  # a startle's latency at least
        joints, forward = clip.performance.joints_m, clip.performance.body.head_rotation[:, :, 2]
        assert np.linalg.norm(joints[waits] - joints[0], axis=-1).max() < 0.08
        assert np.degrees(np.arccos(np.clip(forward[waits] @ forward[waits][-1], -1, 1))[8:]).max() < 7.0


def test_who_holds_the_bag_lets_go_and_is_not_struck() -> None:
    times_s = np.arange(-1.2, 4.0, 1 / FPS)
    for seed in SEEDS:
        p = staged("swinging_bag", seed).parameters
        joints, bag = holder(p, 0.2, times_s).joints_m, pendulum_path(p, times_s)
        along = np.linspace(-0.5, 0.5, 9)[:, None] * BAG_LENGTH_M
        axis = bag[:, None] + along * pendulum_turns(p, times_s)[:, None, :, 1]

        def gaps(points: np.ndarray, axis: np.ndarray = axis) -> np.ndarray:
            return np.linalg.norm(points[:, :, None] - axis[:, None], axis=-1).min(axis=2)

        wrists, held, gone = gaps(joints[:, WRISTS]), times_s < p["release_s"] - 0.1, times_s > p["release_s"] + 0.6
        from_it = wrists[held] - p["radius_m"]
        assert from_it.min() > 0.0 and from_it.max() < 0.16  # a hand's length
        assert wrists[gone][0].min() > p["radius_m"] + 0.3
        assert gaps(along_bones(joints))[gone].min() > p["radius_m"] + 0.1  # though it comes back


# --- balls ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("category", ["ball_low", "ball_rolling", "ball_catch"])
def test_somebody_behind_the_ball_sends_it(category: str) -> None:
    for seed in SEEDS:
        clip = staged(category, seed)
        ball, *thrower = clip.arrival.solids
        assert ball.segment == BALL and {solid.segment for solid in thrower} == {PERSON}
        centre = np.mean([solid.balls_m[:, :3] for solid in thrower], axis=0)
        sent = int(np.searchsorted(clip.times_s, 0.0))
        apart = np.linalg.norm((ball.T_world_solid[:, :3, 3] - centre)[: sent + 1, ::2], axis=-1)
        assert apart.max() < 1.2  # by their hands or feet until it is sent
        assert centre[0, 2] > ball.T_world_solid[0, 2, 3] > 3.0


def test_the_low_ball_misses_and_would_have_hit_the_shins() -> None:
    for seed in SEEDS:
        clip = staged("ball_low", seed)
        path, radius = clip.arrival.watched_m, clip.parameters["radius_m"]
        joints = clip.performance.joints_m
        assert np.linalg.norm(along_bones(joints) - path[:, None], axis=-1).min() > radius + 0.05
        gaps = np.linalg.norm(standing(clip) - path[:, None], axis=-1).min(axis=0)
        assert gaps.min() < radius + 0.06 and standing(clip)[0, gaps.argmin(), 1] < 0.5
        assert joints[:, TOES, 1].max() > path[:, 1].min() + 0.2  # a leg is drawn up


def test_a_slow_ball_is_stopped_by_a_sole_and_a_fast_one_let_past() -> None:
    slow = [s for s in range(20) if staged("ball_rolling", s).parameters["speed_m_s"] < TOO_FAST_M_S]
    assert 5 <= len(slow) <= 15
    for seed in range(20):
        clip = staged("ball_rolling", seed)
        path, radius, contact = (
            rolling_path(clip.parameters, clip.times_s),
            clip.parameters["radius_m"],
            clip.parameters["contact_s"],
        )
        joints = clip.performance.joints_m
        np.testing.assert_allclose(path[:, 1], radius)
        np.testing.assert_array_equal(path[clip.times_s < 0.0], path[0][None].repeat(sum(clip.times_s < 0.0), axis=0))
        rolls = path[(clip.times_s >= 0.0) & (clip.times_s < contact - 0.2)]
        np.testing.assert_allclose(np.linalg.norm(np.diff(rolls, axis=0), axis=-1).std(), 0.0, atol=1e-9)
        if seed in slow:
            assert np.ptp(path[at_s(clip, contact + 0.2) :], axis=0).max() < 1e-9  # there it stays
            gaps = np.linalg.norm(joints[at_s(clip, contact + 0.1) :, TOES] - (path[-1] + [0, radius, 0]), axis=-1)
            assert gaps.min(axis=1).max() < 0.04  # the sole is on top of it
        else:
            assert path[-1, 2] < -2.0
            assert np.linalg.norm(along_bones(joints) - path[:, None], axis=-1).min() > radius + 0.04
            assert np.linalg.norm(standing(clip) - path[:, None], axis=-1).min() < radius + 0.12


def test_the_lobbed_ball_flies_on_a_parabola_and_ends_in_both_hands() -> None:
    for seed in SEEDS:
        clip = staged("ball_catch", seed)
        ball = clip.arrival.solids[0]
        path, radius, contact = ball.T_world_solid[:, :3, 3], clip.parameters["radius_m"], clip.parameters["contact_s"]
        caught = int(np.searchsorted(clip.times_s, contact))
        free = slice(int(np.searchsorted(clip.times_s, 0.3)), caught - 1)  # it has left the hands altogether
        flight = lob_path(clip.parameters, clip.times_s)[free]
        np.testing.assert_allclose(path[free], flight, atol=1e-5)
        np.testing.assert_allclose(np.diff(flight[:, 1], 2) * FPS**2, -BALL_GRAVITY, atol=1e-6)
        wrists = clip.performance.joints_m[:, WRISTS]
        gaps = np.linalg.norm(wrists - path[:, None], axis=-1)
        assert (gaps[caught:] < radius + 0.11).all() and (gaps[caught:] > radius - 0.03).all()
        assert gaps[caught - 6].min() > radius + 0.2  # and not before
        assert (
            np.linalg.norm(np.diff(path[free.start :], axis=0), axis=-1).max() * FPS
            < 1.05 * np.linalg.norm(np.diff(flight, axis=0), axis=-1).max() * FPS
        )
        assert 0.5 < path[-1, 1] < clip.performance.joints_m[-1, HEAD, 1]


# --- vehicles ------------------------------------------------------------------------------------------------------


def test_the_crossing_car_passes_ahead_and_would_have_hit_who_walks_on() -> None:
    for seed in SEEDS:
        clip = staged("car_crossing", seed)
        x, sign, z = (
            crossing_path(clip.parameters, clip.times_s),
            side_of(clip.parameters),
            clip.parameters["kerb_m"] + LANE_M,
        )

        def gap(points: np.ndarray, x: np.ndarray = x, sign: float = sign, z: float = z) -> float:
            along = sign * (points[..., 0] - x[:, None])  # behind its front above 0
            return float(
                np.maximum(np.maximum(-along, along - CAR_LENGTH_M), np.abs(points[..., 2] - z) - CAR_WIDTH_M / 2).min()
            )

        joints = clip.performance.joints_m
        assert gap(along_bones(joints)) > 0.4
        assert gap(walking_on(clip)) < 0.1
        beside = np.abs(x + sign * CAR_LENGTH_M / 2) < CAR_LENGTH_M / 2 + 0.5
        assert joints[beside][:, list(FEET), 2].max() < clip.parameters["kerb_m"]
        yaw = sign * yaw_of(clip.performance.body.head_rotation)
        assert yaw[: at_s(clip, pass_s(clip.parameters))].max() > 0.35  # to where it comes from
        assert yaw[at_s(clip, pass_s(clip.parameters) + 0.6) :].min() < -0.25  # and to where it goes
        assert (joints[-1, PELVIS, 2] - joints[-7, PELVIS, 2]) * FPS / 6 > 0.3  # on again


def test_the_bicycle_misses_and_is_looked_after() -> None:
    for seed in SEEDS:
        clip = staged("bicycle", seed)
        path, sign = bicycle_path(clip.parameters, clip.times_s), side_of(clip.parameters)

        def gap(points: np.ndarray, path: np.ndarray = path) -> float:
            beside = np.abs(points[..., 0] - path[:, None, 0]) - BICYCLE_WIDTH_M / 2
            return float(np.maximum(beside, np.abs(points[..., 2] - path[:, None, 2]) - BICYCLE_LENGTH_M / 2).min())

        assert gap(along_bones(clip.performance.joints_m)) > 0.08
        assert gap(standing(clip)) < -0.1
        assert -sign * clip.performance.joints_m[-1, PELVIS, 0] > 0.4
        goes = path[-1] - clip.performance.joints_m[-1, HEAD]
        assert away(yaw_of(clip.performance.body.head_rotation)[-1] - np.arctan2(goes[0], goes[2])) < 0.9


def test_the_rider_sits_pedals_and_holds_on() -> None:
    pedalled = np.linspace(0, 4 * np.pi, 80)
    joints = riding(pedalled).joints_m
    for side, sign in ((0, 1.0), (1, -1.0)):
        angle = pedalled + (0.0 if side == 0 else np.pi)
        pedal = np.array(PEDALS) + CRANK_M * np.stack([0 * angle, -np.sin(angle), np.cos(angle)], axis=-1)
        assert np.linalg.norm(joints[:, TOES[side], 1:] - pedal[:, 1:], axis=-1).max() < 0.05
        assert np.linalg.norm(joints[:, WRISTS[side]] - np.array(GRIP) * [sign, 1, 1], axis=-1).max() < 0.11
    assert np.ptp(joints[:, PELVIS], axis=0).max() < 0.05 and abs(joints[:, PELVIS, 1].mean() - 0.95) < 0.06


def test_the_wheels_turn_as_far_as_they_roll() -> None:
    clip = staged("bicycle", 0)
    path = bicycle_path(clip.parameters, clip.times_s)
    wheels = [solid for solid in clip.arrival.solids if solid.name == "wheel"]
    assert len(wheels) == 2
    for wheel in wheels:
        spin = wheel.T_world_solid[1:, :3, :3] @ wheel.T_world_solid[:-1, :3, :3].transpose(0, 2, 1)
        turned = np.arccos(np.clip((np.trace(spin, axis1=1, axis2=2) - 1) / 2, -1, 1))
        rolled = np.linalg.norm(np.diff(path, axis=0), axis=-1) / WHEEL_M
        np.testing.assert_allclose(turned, rolled, atol=0.12)


# --- what swings ---------------------------------------------------------------------------------------------------


def test_the_door_is_held_by_a_hand_and_touches_nothing_else() -> None:
    for seed in SEEDS:
        clip = staged("door", seed)
        angle = door_angle(clip.parameters, clip.times_s)
        leaf = np.stack([on_leaf(clip.parameters, angle, s * LEAF_M) for s in np.linspace(0, 1, 24)], axis=1)

        def gaps(points: np.ndarray, leaf: np.ndarray = leaf) -> np.ndarray:
            level = points[..., ::2] if points.ndim == 3 else points[:, None, ::2]
            return np.linalg.norm(level[:, :, None] - leaf[:, None], axis=-1).min(axis=2)

        joints = clip.performance.joints_m
        trunk = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 16, 17]
        assert gaps(joints[:, trunk]).min() > 0.08
        assert gaps(walking_on(clip)).min() < 0.03
        wrist = WRISTS[0] if side_of(clip.parameters) > 0 else WRISTS[1]
        held = slice(at_s(clip, clip.notes["touch_s"]) + 1, at_s(clip, clip.notes["push_s"]) + 6)
        assert gaps(joints[held, wrist], leaf[held]).max() < 0.13
        assert np.median(joints[: at_s(clip, clip.notes["onset_s"]) - 2, HEAD, 2]) < clip.parameters["distance_m"] - 0.5
        assert joints[-1, HEAD, 2] > clip.parameters["distance_m"]  # through
        at_wall = np.abs(joints[..., 2] - clip.parameters["distance_m"]) < 0.1
        assert np.abs(joints[at_wall][:, 0]).max() < 0.46


def test_the_bag_swings_as_a_pendulum_and_misses_who_sways() -> None:
    for seed in SEEDS:
        clip = staged("swinging_bag", seed)
        path, length = pendulum_path(clip.parameters, clip.times_s), clip.parameters["length_m"]
        pivot = np.array([0.0, 2.88, clip.parameters["distance_m"]])
        np.testing.assert_allclose(np.linalg.norm(path - pivot, axis=-1), length)
        free = slice(at_s(clip, clip.parameters["release_s"]) + 2, None)
        swing = np.arcsin(np.clip((path[free, 2] - pivot[2]) / length, -1, 1))
        pull = np.diff(swing, 2) * FPS**2
        np.testing.assert_allclose(pull, -9.81 / length * np.sin(swing[1:-1]), atol=0.75)
        down = -pendulum_turns(clip.parameters, clip.times_s)[:, :, 1]
        axis = path[:, None] + down[:, None] * (np.linspace(-0.5, 0.5, 9) * BAG_LENGTH_M)[None, :, None]

        def gap(points: np.ndarray, axis: np.ndarray = axis) -> float:
            return float(np.linalg.norm(points[:, :, None] - axis[:, None], axis=-1).min())

        joints = clip.performance.joints_m
        assert gap(joints[:, [HEAD, 12, 9, 16, 17, 6]]) > clip.parameters["radius_m"] + 0.10
        assert gap(joints[:1, [HEAD, 12, 9, 16, 17, 6]]) < clip.parameters["radius_m"] + 0.05
        near, beat = clip.notes["near_s"], period_s(clip.parameters)
        nearest, farthest = at_s(clip, near), at_s(clip, near + 0.5 * beat)
        assert joints[nearest, HEAD, 2] < joints[farthest, HEAD, 2] - 0.12  # in its rhythm
        assert joints[nearest, WRISTS, 1].min() > joints[nearest, 9, 1] - 0.1  # hands up


# --- what falls ----------------------------------------------------------------------------------------------------


def _corners(path: np.ndarray, half: tuple[float, float]) -> np.ndarray:
    """(frames, 4, 2): z and height of a box's corners."""
    c, s = np.cos(path[:, 2]), np.sin(path[:, 2])
    corners = [(-(x * c + y * s), y * c - x * s) for x in (-half[0], half[0]) for y in (-half[1], half[1])]
    return path[:, None, :2] + np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1)


def _outside(points: np.ndarray, path: np.ndarray, half: tuple[float, float], half_wide: float, x_m: float) -> float:
    """How near any point comes to the box, at each frame; below 0 within."""
    z, y = points[..., 2] - path[:, None, 0], points[..., 1] - path[:, None, 1]
    c, s = np.cos(path[:, None, 2]), np.sin(path[:, None, 2])
    deep, high = np.abs(-z * c - y * s), np.abs(y * c - z * s)
    return float(np.maximum(np.maximum(deep - half[0], high - half[1]), np.abs(points[..., 0] - x_m) - half_wide).min())


def test_the_box_falls_tumbles_and_lies() -> None:
    for seed in range(12):
        clip = staged("falling_box", seed)
        path, half = rack.falling_path(clip.parameters, clip.times_s), rack.half_sides(clip.parameters)
        corners = _corners(path, half)
        assert corners[..., 1].min() > -0.01  # never through the floor
        assert np.ptp(path[-6:], axis=0).max() < 0.01  # at rest
        assert np.sort(corners[-1, :, 1])[:2].max() < 0.02  # on a side of it
        assert path[0, 1] > 2.2 and path[-1, 2] > 0.8  # it has turned over
        falling = (path[:, 1] < clip.parameters["shelf_m"] - 0.2) & (corners[..., 1].min(axis=1) > 0.3)
        runs = np.flatnonzero(falling[2:] & falling[1:-1] & falling[:-2])
        np.testing.assert_allclose(np.diff(path[:, 1], 2)[runs] * FPS**2, -GRAVITY, atol=0.1)
        joints, wide = clip.performance.joints_m, 0.5 * clip.parameters["size_m"]
        assert _outside(along_bones(joints), path, half, wide, clip.parameters["x_m"]) > 0.03
        assert _outside(standing(clip), path, half, wide, clip.parameters["x_m"]) < 0.0
        tips, covered = at_s(clip, clip.parameters["tip_s"]), at_s(clip, clip.notes["onset_s"] + 0.75)
        forward = clip.performance.body.head_rotation[:, :, 2]
        assert forward[tips + 4, 1] > 0.15  # looks up
        assert joints[covered, WRISTS, 1].min() > joints[covered, HEAD, 1]  # arms over the head
        assert joints[-1, PELVIS, 2] < -0.5


def test_tumbling_neither_gains_energy_nor_sinks() -> None:
    half, moments = (0.2, 0.17), np.arange(0, 3, 0.01)
    states = tumble(half, (0.0, 2.0, 0.6), (0.8, 0.0, 4.0), moments)
    speed = np.gradient(states, 0.01, axis=0)
    inertia = (half[0] ** 2 + half[1] ** 2) / 3
    energy = GRAVITY * states[:, 1] + 0.5 * (speed[:, 0] ** 2 + speed[:, 1] ** 2 + inertia * speed[:, 2] ** 2)
    assert energy.max() < energy[2] * 1.05 and energy[-1] < 0.12 * energy[0]
    box = np.stack([-states[:, 0], states[:, 1], states[:, 2]], axis=-1)
    assert _corners(box, half)[..., 1].min() > -0.01


def test_things_rain_around_and_people_cover_their_head_and_leave() -> None:
    for seed in SEEDS:
        clip = staged("rain_of_things", seed)
        sign, joints = side_of(clip.parameters), clip.performance.joints_m
        drops = np.stack([solid.T_world_solid[:, :3, 3] for solid in clip.arrival.solids], axis=1)
        assert drops.shape[1] >= 14
        gaps = np.linalg.norm(along_bones(joints)[:, :, None] - drops[:, None], axis=-1)
        assert gaps.min() > 0.15
        late = drops[at_s(clip, clip.notes["onset_s"] + 0.6) :]
        assert (
            np.linalg.norm(standing(clip)[:, :, None] - late[:, None], axis=-1).min() < 0.45
        )  # it rains where they stood
        first = drops[: at_s(clip, clip.notes["onset_s"])]
        assert (np.abs(first[..., 1]) < 2.0).any() and (
            first[..., 2][np.abs(first[..., 1]) < 2.0] > 0.8
        ).all()  # seen before it is near
        cover = slice(at_s(clip, clip.notes["onset_s"] + 0.8), at_s(clip, clip.notes["out_s"]) - 1)
        assert (joints[cover, WRISTS, 1] > joints[cover, HEAD, 1][:, None]).all()
        assert joints[cover, HEAD, 1].max() < joints[0, HEAD, 1] - 0.12
        assert sign * joints[-1, PELVIS, 0] > 0.9


# --- ground --------------------------------------------------------------------------------------------------------


def test_soles_stand_on_the_step() -> None:
    for seed in SEEDS:
        clip = staged("step_up", seed)
        joints, edge, high = clip.performance.joints_m, clip.parameters["distance_m"], clip.parameters["height_m"]
        toes, heels = joints[:, TOES], joints[:, [7, 8]] - np.array([0.0, 0.06, 0.05])
        soles = np.concatenate([toes, heels], axis=1)
        assert soles[soles[..., 2] > edge][:, 1].min() > high - 0.012  # never in it
        planted = clip.performance.swing == 0
        up = planted & (toes[..., 2] > edge)
        assert up.sum() > 10
        np.testing.assert_allclose(toes[up][:, 1], high, atol=2e-3)
        np.testing.assert_allclose(toes[planted & ~up][:, 1], 0.0, atol=2e-3)
        assert high - 0.06 < joints[-1, HEAD, 1] - joints[0, HEAD, 1] < high + 0.06
        assert joints[-1, PELVIS, 2] > edge + 0.6


def test_feet_stay_off_the_pit_and_eyes_look_into_it() -> None:
    for seed in SEEDS:
        clip = staged("edge", seed)
        joints, edge = clip.performance.joints_m, clip.parameters["distance_m"]
        x0, x1, z0, z1 = clip.arrival.hole_m or (0.0, 0.0, 0.0, 0.0)
        assert z0 == edge and z1 > z0 + 2 and x0 < -1 < 1 < x1
        assert joints[:, list(FEET), 2].max() < edge - 0.03
        assert joints[:, list(FEET), 2].max() > edge - 0.3
        assert walking_on(clip)[..., 2].max() > edge + 0.5
        halt, back = at_s(clip, clip.notes["halt_s"]), at_s(clip, clip.notes["away_s"])
        assert np.abs(joints[halt : halt + 12, WRISTS, 0]).max(axis=0).min() > 0.45  # arms out
        lean = joints[:, 12, 2] - joints[:, PELVIS, 2]
        assert lean[halt : halt + 14].min() < lean[0] - 0.05  # back
        forward = clip.performance.body.head_rotation[:, :, 2]
        assert forward[halt:back, 1].min() < -np.sin(np.radians(22))
        assert joints[-1, PELVIS, 2] < joints[back, PELVIS, 2] - 0.25
        low = min((solid.mesh.vertices_m[:, 1].min() for solid in clip.arrival.solids), default=0.0)
        assert low < -1.5


def test_the_foot_slides_on_the_ice_and_the_body_recovers() -> None:
    for seed in SEEDS:
        clip = staged("slippery_ground", seed)
        joints, slip = clip.performance.joints_m, clip.notes["slip_s"]
        during = slice(int(np.searchsorted(clip.times_s, slip)), at_s(clip, slip + 0.35) + 1)
        foot = 0 if side_of(clip.parameters) > 0 else 1
        assert np.ptp(joints[during, TOES[foot], 2]) > 0.2
        assert joints[during, TOES[foot], 1].max() < 0.005  # flat along the ground
        (ice,) = clip.arrival.solids
        shore = ice.mesh.vertices_m + ice.T_world_solid[0, :3, 3]
        assert joints[during, TOES[foot], 2].min() > clip.parameters["distance_m"]
        assert joints[during, TOES[foot], 2].max() < shore[:, 2].max()
        soon = slice(at_s(clip, slip), at_s(clip, slip + 0.7))
        assert joints[soon, PELVIS, 1].min() < joints[0, PELVIS, 1] - 0.12
        apart = np.abs(joints[soon, WRISTS, 0] - joints[soon, PELVIS, 0][:, None])
        assert apart.max(axis=0).min() > 0.45  # both arms fly out
        assert joints[-1, PELVIS, 1] > joints[0, PELVIS, 1] - 0.07
        assert joints[-1, PELVIS, 2] > joints[at_s(clip, slip), PELVIS, 2] + 0.4


# --- surprises -----------------------------------------------------------------------------------------------------


def test_people_turn_away_from_the_flash_and_look_again() -> None:
    for seed in SEEDS:
        clip = staged("explosion", seed)
        flash, brightness = clip.parameters["flash_s"], clip.arrival.brightness
        assert brightness is not None
        np.testing.assert_array_equal(brightness[flash - 0.01 > clip.times_s], 1.0)
        assert brightness.max() > 1.8 and brightness[-1] < 1.01
        joints, R = clip.performance.joints_m, clip.performance.body.head_rotation
        there = blast_m(clip.parameters) - joints[:, HEAD]
        off = away(yaw_of(R) - np.arctan2(there[:, 0], there[:, 2]))
        hidden = at_s(clip, clip.notes["onset_s"] + 0.9)
        assert np.degrees(off[hidden]) > 45
        assert np.degrees(off[-1]) < 30 or clip.notes["look_s"] > 3.2
        assert np.linalg.norm(joints[hidden, WRISTS] - joints[hidden, HEAD], axis=-1).max() < 0.42
        assert joints[hidden, PELVIS, 1] < joints[0, PELVIS, 1] - 0.2
        moved = np.linalg.norm(joints - joints[0], axis=-1).max(axis=1)
        assert moved[flash > clip.times_s].max() < 0.05 < moved[at_s(clip, flash + 0.3)]  # startled within 0.3 s
        for solid in clip.arrival.solids:
            before = solid.T_world_solid[flash - 0.01 > clip.times_s, 1, 3]
            assert (before < -10).all()  # nothing to be seen before
