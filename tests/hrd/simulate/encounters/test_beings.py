"""Animals and people: they come as said, hands meet in space, nobody walks through anybody, and what is done answers it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from egoreact.hrd.clip import SEGMENTATION_CLASSES
from egoreact.hrd.simulate import ENCOUNTERS, SimulatorConfig
from egoreact.hrd.simulate.acting.choreography import PALM_M, perform
from egoreact.hrd.simulate.acting.kinematics import Body
from egoreact.hrd.simulate.arrival import STATIC
from egoreact.hrd.simulate.simulate import Staged, stage
from egoreact.hrd.simulate.things import meetings, others
from egoreact.hrd.simulate.things.bird import bird_path
from egoreact.hrd.simulate.things.cat import HALF_LENGTH_M, cat_path, cross_s
from egoreact.hrd.simulate.things.crossing import heard_s
from egoreact.hrd.simulate.things.insect import insect_path
from egoreact.hrd.simulate.things.somebody import Spot, somebody, way_to
from egoreact.motion.skeleton import FPS, HEAD, NUM_JOINTS, PARENTS

CONFIG = SimulatorConfig(frames=105, own_body=False)
"""Longer than clips are by default, so that all of the story is in it, however long it waited to begin."""
SEEDS = range(5)
KINDS = (
    "wave", "crowd", "child", "call_from_behind", "handshake", "high_five", "hug", "push", "cat", "bird", "insect", "bicycle",
    "car_crossing",
)  # fmt: skip
TRUNK, LEGS, ARMS = (3, 6, 9, 12, 15), (4, 5, 7, 8, 10, 11), (18, 19, 20, 21)
WHOLE = tuple(range(1, NUM_JOINTS))
LEFT, RIGHT = 0, 1
CHEST, LEFT_WRIST, RIGHT_WRIST = 9, 20, 21
MEETINGS = {
    "handshake": meetings.handshake_partner,
    "high_five": meetings.high_five_partner,
    "hug": meetings.hug_partner,
    "push": meetings.push_partner,
}


@lru_cache(maxsize=32)  # all seeds of a kind: pytest takes the kinds one after another
def staged(category: str, seed: int) -> Staged:
    return stage(CONFIG, category, seed)


def at(clip: Staged, moment_s: float) -> int:
    """The frame of a moment of the encounter."""
    return round((moment_s + clip.begins_s) * FPS)


def in_sight(clip: Staged, frame: int) -> bool:
    """Whether the middle of some part of what comes is within the picture."""
    segment = SEGMENTATION_CLASSES.index(clip.encounter.comes)
    parts = np.stack([solid.T_world_solid[frame, :3, 3] for solid in clip.arrival.solids if solid.segment == segment])
    T = clip.T_world_camera[frame]
    x, y, z = ((parts - T[:3, 3]) @ T[:3, :3]).T
    return bool(((z > 0) & (np.abs(x) < z) & (np.abs(y) < z)).any())  # 90 degrees wide and high


def palm(joints_m: np.ndarray, side: int, scale: float) -> np.ndarray:
    elbow, wrist = ((18, 20), (19, 21))[side]
    fore = joints_m[:, wrist] - joints_m[:, elbow]
    return joints_m[:, wrist] + PALM_M * scale * fore / np.linalg.norm(fore, axis=-1, keepdims=True)


def on_bones(joints_m: np.ndarray, bones: Sequence[int]) -> np.ndarray:
    s = np.linspace(0, 1, 6)[:, None, None]
    child, parent = joints_m[:, list(bones)], joints_m[:, [PARENTS[bone] for bone in bones]]
    return (child[:, None] * s + parent[:, None] * (1 - s)).reshape(len(joints_m), -1, 3)


def gap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Least distance of two sets of points, (frames,)."""
    return np.linalg.norm(a[:, :, None] - b[:, None], axis=-1).min(axis=(1, 2))


def both(kind: str, seed: int) -> tuple[Staged, np.ndarray, np.ndarray]:
    clip = staged(kind, seed)
    return clip, clip.performance.joints_m, MEETINGS[kind](clip.parameters, clip.times_s).joints_m


@pytest.mark.parametrize("kind", KINDS, scope="module")
def test_not_the_clock_but_what_comes_tells_the_moment(kind: str) -> None:
    clips = [staged(kind, seed) for seed in range(16)]
    onsets_s = [clip.notes["onset_s"] + clip.begins_s for clip in clips]
    assert np.ptp(onsets_s) > 0.9
    assert max(onsets_s) < 3.2  # most of what is done about it is in a clip of 4 s
    for clip in clips:
        first_s = min(clip.notes["onset_s"], clip.notes.get("walk_s", np.inf))
        before = clip.performance.joints_m[: max(at(clip, first_s) - 2, 0)]
        assert np.linalg.norm(before - before[:1], axis=-1).max(initial=0.0) < 0.08  # people sway and breathe
        assert clip.begins_s > 0.0 or abs(clip.notes["walk_s"]) < 0.1  # nothing prompts who walks from the first
        if kind == "car_crossing":
            assert clip.notes["onset_s"] > heard_s(clip.parameters)
        else:
            assert in_sight(clip, at(clip, first_s if clip.begins_s else clip.notes["onset_s"]))


@pytest.mark.parametrize("kind", KINDS, scope="module")
def test_what_comes_is_on_its_way_or_waits_before(kind: str) -> None:
    encounter = ENCOUNTERS[kind]
    times_s = np.arange(-encounter.waits_s[1], 2.0, 1 / FPS)
    for seed in SEEDS:
        arrival = encounter.arrive(staged(kind, seed).parameters, np.random.default_rng(seed), times_s)
        paths_m = np.stack(
            [solid.T_world_solid[:, :3, 3] for solid in arrival.solids if solid.segment > STATIC], axis=1
        )
        assert np.isfinite(paths_m).all() and np.isfinite(arrival.watched_m).all()
        assert np.linalg.norm(np.diff(paths_m, axis=0), axis=-1).max() * FPS < 9.0  # nothing jumps
        assert paths_m[..., 1].min() > -0.05
        if "room" in encounter.places:  # the smallest one's walls
            assert np.abs(paths_m[..., 0]).max() < 3.4
            assert paths_m[..., 2].min() > -2.9 and paths_m[..., 2].max() < 8.1


@pytest.mark.parametrize("kind", ["handshake", "high_five"])
def test_palms_meet_in_space_at_the_moment(kind: str) -> None:
    for seed in SEEDS:
        clip, mine, theirs = both(kind, seed)
        side = meetings.high_five_side(clip.parameters) if kind == "high_five" else RIGHT
        apart = np.linalg.norm(
            palm(mine, side, clip.person.height_scale) - palm(theirs, side, clip.parameters["height"]), axis=-1
        )
        touch = at(clip, clip.notes["contact_s"])
        assert apart[touch] < 0.05
        assert apart[touch - 8] > 0.15 and apart[-1] > 0.15
        if kind == "handshake":  # held for a while, and shaken
            held = slice(touch, at(clip, clip.notes["contact_s"] + 1.0))
            assert apart[held].max() < 0.05
            assert np.ptp(palm(mine, side, clip.person.height_scale)[held, 1]) > 0.05
        else:
            assert abs(palm(mine, side, clip.person.height_scale)[touch, 1] - mine[touch, HEAD, 1]) < 0.25


@pytest.mark.parametrize("kind", ["handshake", "high_five"])
@pytest.mark.parametrize("mine,theirs", [(0.92, 1.07), (1.08, 0.93), (1.08, 1.07), (0.92, 0.93)])
def test_palms_meet_whoever_they_are(kind: str, mine: float, theirs: float) -> None:
    clip = staged(kind, 3)
    person, parameters = replace(clip.person, height_scale=mine), {**clip.parameters, "height": theirs, "hand": 0.9}
    choreography = ENCOUNTERS[kind].react(person, parameters)
    moment = np.array([0.0, 0.5, choreography.notes["contact_s"]])
    times = np.arange(0.0, moment[-1] + 1e-9, 0.05) + moment[-1] % 0.05
    a, b = perform(choreography, person, times).joints_m, MEETINGS[kind](parameters, times).joints_m
    assert np.linalg.norm(palm(a, RIGHT, mine) - palm(b, RIGHT, theirs), axis=-1)[-1] < 0.05


def test_a_hug_is_close_with_arms_around_and_ends() -> None:
    for seed in SEEDS:
        clip, mine, theirs = both("hug", seed)
        touch = at(clip, clip.notes["contact_s"])
        held = slice(touch, at(clip, clip.notes["contact_s"] + 0.8))
        trunks = gap(on_bones(mine, TRUNK), on_bones(theirs, TRUNK))
        assert trunks[held].max() < 0.45 and trunks.min() > 0.24
        for a, b, scale in (
            (mine, theirs, clip.person.height_scale),
            (theirs, mine, clip.parameters["height"]),
        ):
            towards = b[touch, CHEST] - a[touch, CHEST]
            for side in (LEFT, RIGHT):  # either palm is behind the other's chest
                assert np.dot(palm(a, side, scale)[touch] - b[touch, CHEST], towards) > 0
            assert gap(on_bones(a, ARMS), on_bones(b, TRUNK)).min() > 0.09
        opened = np.linalg.norm(mine[:, LEFT_WRIST] - mine[:, RIGHT_WRIST], axis=-1)
        assert opened[: touch - 6].max() > 0.8
        assert trunks[-1] > 0.5  # and they part


def test_a_push_meets_the_chest_and_throws_back_only_then() -> None:
    for seed in SEEDS:
        clip, mine, theirs = both("push", seed)
        touch = at(clip, clip.notes["contact_s"])
        for side in (LEFT, RIGHT):
            reached = palm(theirs, side, clip.parameters["height"])
            assert np.linalg.norm(reached - mine[:, CHEST], axis=-1)[touch - 1 : touch + 2].min() < 0.27
            assert (reached[touch, 2] - mine[touch, CHEST, 2]) < 0.19  # before the chest, at its surface
            assert (reached[:, 2] - mine[:, CHEST, 2]).min() > 0.06  # never in it
        moved = mine[:, HEAD, 2] - mine[0, HEAD, 2]
        assert np.abs(moved[: touch - 1]).max() < 0.05
        assert moved[-1] < -0.7
        airborne = (mine[:, (10, 11), 1] > 0.03).astype(int)
        assert (np.diff(airborne, axis=0) == 1).sum() >= 3  # hasty steps


@pytest.mark.parametrize("kind", ["handshake", "high_five", "push"])
def test_nobody_passes_through_anybody(kind: str) -> None:
    for seed in SEEDS:
        _, mine, theirs = both(kind, seed)
        for a, b in ((mine, theirs), (theirs, mine)):
            assert gap(on_bones(a, TRUNK), on_bones(b, (*TRUNK, *LEGS))).min() > 0.3
            assert gap(on_bones(a, LEGS), on_bones(b, LEGS)).min() > 0.2
            assert gap(on_bones(a, ARMS), on_bones(b, TRUNK)).min() > 0.1


@pytest.mark.parametrize("frames", [105, 149])
def test_a_crowd_is_passed_between(frames: int) -> None:
    for seed in SEEDS:
        clip = stage(replace(CONFIG, frames=frames), "crowd", seed)
        mine = clip.performance.joints_m
        crowd = [body.joints_m for body in others.crowd_bodies(clip.parameters, clip.times_s)]
        assert 3 <= len(crowd) <= 5
        for number, body in enumerate(crowd):
            near = np.linalg.norm(mine[:, 0] - body[:, 0], axis=-1) < 1.4
            assert gap(on_bones(mine[near], WHOLE), on_bones(body[near], WHOLE)).min() > 0.14
            assert body[0, 0, 2] > mine[0, 0, 2] + 1.0 and body[-1, 0, 2] < mine[-1, 0, 2]
            for other in crowd[:number]:
                assert np.linalg.norm(body[:, 0] - other[:, 0], axis=-1).min() > 0.7
        side = np.sign(clip.parameters["side"])
        assert side * mine[-1, 0, 0] > 0.45 and mine[-1, 0, 2] > 1.8
        across = mine[:, 16] - mine[:, 17]
        turned = np.abs(np.arctan2(across[:, 2], across[:, 0]))
        for passing in others.crowd_passings(clip.parameters)[:2]:
            assert turned[at(clip, passing.moment_s) - 4 : at(clip, passing.moment_s) + 5].max() > 0.3


def test_one_stops_for_who_waves_and_waves_back() -> None:
    for seed in SEEDS:
        clip = staged("wave", seed)
        mine, theirs = clip.performance.joints_m, others.far_waver(clip.parameters, clip.times_s).joints_m
        pace = np.linalg.norm(np.gradient(mine[:, 0, ::2], axis=0), axis=-1) * FPS
        assert pace[at(clip, 0.8) : at(clip, 1.2)].max() > 0.7 and pace[-15:].max() < 0.15
        hand = LEFT_WRIST if clip.person.left_handed else RIGHT_WRIST
        waving = slice(at(clip, clip.notes["wave_s"] + 0.7), at(clip, clip.notes["wave_s"] + 1.7))
        assert mine[waving, hand, 1].min() > mine[waving, HEAD, 1].min() - 0.25
        assert theirs[at(clip, clip.parameters["hello_s"] + 0.4) :, RIGHT_WRIST, 1].min() > theirs[0, HEAD, 1]
        assert np.linalg.norm(theirs[-1, 0] - mine[-1, 0]) > 2.5


def test_one_crouches_to_a_child_with_open_arms_and_looks_at_it() -> None:
    for seed in SEEDS:
        clip = staged("child", seed)
        mine, child = clip.performance.joints_m, others.running_child(clip.parameters, clip.times_s).joints_m
        assert child[0, HEAD, 1] < 1.2  # small
        assert mine[-1, HEAD, 1] < mine[0, HEAD, 1] - 0.35
        assert abs(mine[-1, HEAD, 1] - child[-1, HEAD, 1]) < 0.3
        opened = np.linalg.norm(mine[:, LEFT_WRIST] - mine[:, RIGHT_WRIST], axis=-1)
        assert opened.max() > 0.85
        assert gap(on_bones(mine, WHOLE), on_bones(child, WHOLE)).min() > 0.1
        sight = clip.performance.body.head_rotation[-1, :, 2]
        towards = child[-1, HEAD] - mine[-1, HEAD]
        assert np.dot(sight, towards / np.linalg.norm(towards)) > np.cos(0.45)


def yaw_of(rotations: np.ndarray) -> np.ndarray:
    return np.unwrap(np.arctan2(rotations[:, 0, 2], rotations[:, 2, 2]))


def test_one_turns_round_by_steps_with_the_head_first_to_who_calls() -> None:
    for seed in SEEDS:
        clip = staged("call_from_behind", seed)
        body, side = clip.performance.body, np.sign(clip.parameters["side"])
        mine, caller = body.joints_m, others.caller(clip.parameters, clip.times_s).joints_m
        head, pelvis = side * yaw_of(body.head_rotation), side * yaw_of(body.pelvis_rotation)
        assert pelvis[-1] == pytest.approx(np.pi, abs=0.15)
        assert np.argmax(head > 1.0) < np.argmax(pelvis > 1.0) - 1
        assert (head - pelvis).max() > 0.4
        for toe in (10, 11):  # both feet step, more than once between them
            assert mine[:, toe, 1].max() > 0.03
        towards = caller[-1, HEAD] - mine[-1, HEAD]
        assert np.dot(body.head_rotation[-1, :, 2], towards / np.linalg.norm(towards)) > np.cos(0.45)
        assert caller[-10:, RIGHT_WRIST, 1].min() > caller[0, HEAD, 1]
        assert min(gap(mine[:, (7, 10)], mine[:, (8, 11)])) > 0.08  # feet do not cross through each other


def test_who_points_points_past_the_wearer_at_who_calls() -> None:
    for seed in SEEDS:
        clip = staged("call_from_behind", seed)
        p = clip.parameters
        arm = LEFT if p["side"] > 0 else RIGHT
        pointer, caller = (who(p, clip.times_s).joints_m for who in (others.pointer, others.caller))
        when = at(clip, p["call_s"] + 0.9)
        along = pointer[when, (20, 21)[arm]] - pointer[when, (16, 17)[arm]]
        wanted = caller[when, HEAD] - pointer[when, (16, 17)[arm]]
        level = np.dot(along[::2], wanted[::2]) / np.linalg.norm(along[::2]) / np.linalg.norm(wanted[::2])
        assert level > np.cos(0.5)


def test_a_cat_crosses_close_before_a_lifted_foot_and_is_let_past() -> None:
    for seed in SEEDS:
        clip = staged("cat", seed)
        mine, (path, _) = clip.performance.joints_m, cat_path(clip.parameters, clip.times_s)
        way = np.gradient(path, axis=0)
        way /= np.linalg.norm(way, axis=-1, keepdims=True)
        k = clip.parameters["size"]
        cat = np.stack(
            [path + way * s * k + [0, 0.2 * k, 0] for s in np.linspace(-1.6, 1.2, 9) * HALF_LENGTH_M], axis=1
        )
        near = gap(on_bones(mine, WHOLE), cat)
        assert 0.12 < near.min() < 0.5
        assert path[0, 0] * clip.parameters["side"] > 0 > path[-1, 0] * clip.parameters["side"]
        up = (mine[:, (10, 11), 1] > 0.08).max(axis=1)
        crossing = slice(at(clip, cross_s(clip.parameters)) - 2, at(clip, cross_s(clip.parameters)) + 3)
        assert up[crossing].all()  # a foot hangs in the air
        assert mine[-1, 0, 2] > mine[at(clip, cross_s(clip.parameters)), 0, 2] + 0.4  # and then on


def test_a_bird_would_hit_the_head_and_misses_it_with_an_arm_over_it() -> None:
    for seed in SEEDS:
        clip = staged("bird", seed)
        mine, path = clip.performance.joints_m, bird_path(clip.parameters, clip.times_s)
        assert np.linalg.norm(path - mine[0, HEAD], axis=-1).min() < 0.3
        assert np.linalg.norm(on_bones(mine, WHOLE) - path[:, None], axis=-1).min() > 0.2
        now, side = at(clip, clip.parameters["contact_s"]), np.sign(clip.parameters["pass_x_m"])
        arm = LEFT_WRIST if side > 0 else RIGHT_WRIST
        assert mine[now, arm, 1] > mine[now, HEAD, 1]
        assert mine[now, HEAD, 1] < mine[0, HEAD, 1] - 0.25
        looks = side * yaw_of(clip.performance.body.head_rotation)[-1]
        assert looks > 1.2  # after it


def test_an_insect_is_swatted_at_with_the_hand_one_uses() -> None:
    hands = set()
    for seed in range(16):
        clip = staged("insect", seed)
        hands.add(clip.person.left_handed)
        if seed not in SEEDS and not clip.person.left_handed:
            continue
        mine, path = clip.performance.joints_m, insect_path(clip.parameters, clip.times_s)
        used, other = (LEFT_WRIST, RIGHT_WRIST) if clip.person.left_handed else (RIGHT_WRIST, LEFT_WRIST)
        from_head = mine[:, used] - mine[:, HEAD]
        swats = np.diff(np.sign(np.diff(from_head[at(clip, clip.notes["onset_s"] + 0.4) :, 0])))
        assert np.count_nonzero(swats) >= 4
        assert np.ptp(from_head[:, 0]) > 0.3 and np.ptp(mine[-50:, other, 0]) < np.ptp(mine[-50:, used, 0])
        assert 0.2 < np.linalg.norm(path - mine[:, HEAD], axis=-1).min() < 0.6
        side = LEFT if clip.person.left_handed else RIGHT
        assert np.linalg.norm(palm(mine, side, clip.person.height_scale) - path, axis=-1).min() < 0.45
        assert mine[-1, HEAD, 2] - mine[0, HEAD, 2] < -0.3
    assert hands == {False, True}


@pytest.mark.parametrize("what", [meetings.handshake_partner, others.far_waver, others.running_child, others.caller])
def test_others_follow_from_the_parameters_alone(what: Callable[..., Body]) -> None:
    kinds = {
        "handshake_partner": "handshake",
        "far_waver": "wave",
        "running_child": "child",
        "caller": "call_from_behind",
    }
    clip = staged(kinds[what.__name__], 1)
    p, times_s = clip.parameters, clip.times_s
    assert (what(p, times_s).joints_m == what(dict(p), times_s).joints_m).all()
    someone_else = what({**p, "who": p["who"] + 1}, times_s).joints_m
    assert np.abs(someone_else - what(p, times_s).joints_m).max() > 0.005


def test_a_spot_leads_out_and_back() -> None:
    spot = Spot(1.0, -2.0, 2.1)
    places = np.random.default_rng(0).normal(size=(5, 3))
    ahead = spot.ahead(0.5)
    np.testing.assert_allclose(spot.inside(np.array([ahead.x_m, 0.3, ahead.z_m])), [0.0, 0.3, 0.5], atol=1e-12)
    body = Body(places[None], *np.tile(np.eye(3), (3, 1, 1, 1)), np.tile(np.eye(3), (1, 2, 1, 1)))
    np.testing.assert_allclose(spot.inside(spot.outside(body).joints_m[0]), places, atol=1e-12)


@pytest.mark.parametrize("speed_m_s", [1.1, 2.4])
def test_a_way_ends_at_its_goal_at_its_speed(speed_m_s: float) -> None:
    p = {"who": 5.0, "height": 1.0}
    way = way_to(somebody(p), Spot(0.3, 1.0, np.pi), 4.0, speed_m_s)
    assert way.arrived_s == pytest.approx(4.0 / speed_m_s, rel=0.4)
    end = way.spot.ahead(way.length_m)
    assert (end.x_m, end.z_m) == pytest.approx((0.3, 1.0))
    moments = [step.land_s for step in way.steps]
    assert min(moments) <= 0.0 and moments == sorted(moments)  # under way when the clip begins
