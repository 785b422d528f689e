"""Explained motions: what comes is a reason, it is what the simulator had come, and the pictures show it."""

from functools import cache

import numpy as np
import pytest

from egoreact.errors import EgoReactError
from egoreact.hrd.alignment import failures, measure
from egoreact.hrd.clip import SEGMENTATION_CLASSES
from egoreact.hrd.importers import ImportConfig, import_recording
from egoreact.hrd.importers.deeds import course_at, deed_after, find_onsets
from egoreact.hrd.importers.explain import MIN_CLEARANCE_M, Explanation, explain
from egoreact.hrd.importers.meeting import from_where_one_stands, gap_m, parts_of
from egoreact.hrd.importers.proposals import KINDS
from egoreact.hrd.importers.scene import render_wearer_view
from egoreact.hrd.simulate import ENCOUNTERS, SimulatorConfig
from egoreact.hrd.simulate.acting.kinematics import rotation
from egoreact.hrd.simulate.acting.person import Person
from egoreact.hrd.simulate.simulate import stage
from egoreact.hrd.simulate.solids import Solid, box, ellipsoid, joined, poses
from egoreact.motion.export import write_npz
from egoreact.motion.skeleton import BONE_LENGTHS_M, HEAD, PARENTS, T_POSE_OFFSETS_M

CONFIG = SimulatorConfig(frames=81, own_body=False)
SEEDS = range(200, 203)


@cache
def motion(category: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Joints and head of a simulated reaction, what it reacted to forgotten."""
    body = stage(CONFIG, category, seed).performance.body
    return body.joints_m.astype(np.float32), body.head_rotation.astype(np.float32)


@cache
def explained(category: str, seed: int) -> Explanation | None:
    return explain(*motion(category, seed), seed=seed)


def t_pose(frames: int = 81) -> np.ndarray:
    joints = np.zeros((22, 3))
    for joint in range(1, 22):
        joints[joint] = joints[PARENTS[joint]] + T_POSE_OFFSETS_M[joint]
    return np.tile(joints - [0, joints[:, 1].min(), 0], (frames, 1, 1))


# --- the encounter -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("category", list(KINDS))
def test_most_simulated_reactions_get_their_own_cause_back(category):
    found = [explained(category, seed) for seed in SEEDS]
    agree = sum(reason is not None and reason.encounter == category for reason in found)
    assert agree >= 2, [reason and reason.encounter for reason in found]


@pytest.mark.parametrize("category", list(KINDS))
def test_what_comes_would_have_met_the_body_and_does_not(category):
    for seed in SEEDS:
        reason = explained(category, seed)
        if reason is None:
            continue
        joints, _ = motion(category, seed)
        course = course_at(joints.astype(np.float64), reason.onset)
        for body, expected in (
            (joints, reason.clearance_m),
            (course.kept(joints.astype(np.float64)), reason.counterfactual_m),
        ):
            here = from_where_one_stands(body, reason.origin_m, reason.yaw)
            frames = slice(0, 81) if expected > 0 else slice(reason.onset, 81)
            assert gap_m(reason.arrival.solids, here, frames).min() == pytest.approx(expected, abs=1e-6)
        assert reason.counterfactual_m <= 0 < MIN_CLEARANCE_M <= reason.clearance_m
        assert reason.parameters.keys() == ENCOUNTERS[reason.encounter].ranges.keys()


def test_a_turned_motion_gets_the_same_reason_from_the_other_side():
    joints, head = motion("ball_left", 201)
    R = rotation(2.0)
    one, other = explain(joints, head), explain(joints @ R.T.astype(np.float32), (R @ head).astype(np.float32))
    assert one is not None and other is not None
    assert other.encounter == one.encounter == "ball_left"
    assert np.cos(other.yaw - one.yaw - 2.0) == pytest.approx(1, abs=1e-3)
    assert other.clearance_m == pytest.approx(one.clearance_m, abs=1e-3)


def test_nothing_comes_where_nothing_happens():
    standing = t_pose()
    assert explain(standing, np.tile(np.eye(3), (81, 1, 1))) is None
    walking = standing + np.arange(81)[:, None, None] * np.array([0.0, 0.0, 0.06])
    assert find_onsets(walking) == []
    assert explain(walking, np.tile(np.eye(3), (81, 1, 1))) is None


def test_nothing_unseen_is_a_reason():
    joints, head = motion("ball_left", 202)
    assert explain(joints, head) is not None
    assert explain(joints, head @ rotation(np.pi)) is None  # eyes in the back of the head


def test_one_kind_alone_may_be_asked_for():
    joints, head = motion("dog", 200)
    assert explain(joints, head, only="car") is None
    reason = explain(joints, head, only="dog")
    assert reason is not None and reason.encounter == "dog"
    with pytest.raises(EgoReactError, match="'explosion' cannot be made up around a motion; use one of ball_left"):
        explain(joints, head, only="explosion")


def test_the_caption_says_what_was_done():
    reason = explained("ball_high", 201)
    assert reason is not None
    assert reason.caption.startswith("Somebody throws a ball straight at the person's head; the person ")
    assert "ducks" in reason.caption and "steps to" not in reason.caption


# --- deeds and meetings --------------------------------------------------------------------------------------------------


def test_a_deed_is_measured_against_the_course_in_its_own_axes():
    joints = t_pose()
    way = np.zeros((81, 3))
    way[:, 2] = 0.05 * np.minimum(np.arange(81), 30)  # 1 m/s, then stands
    way[31:, 0] = np.minimum(0.04 * np.arange(50), 0.6)
    joints = (joints + way[:, None]) @ rotation(1.0).T
    course = course_at(joints, 30)
    assert (course.speed_m_s, course.yaw) == (pytest.approx(1.0), pytest.approx(1.0))
    deed = deed_after(joints, course)
    assert deed.left == pytest.approx(0.6, abs=1e-6)
    assert deed.ahead == pytest.approx(-1.4, abs=1e-6)
    assert deed.gone == pytest.approx(0, abs=1e-6)
    assert min(abs(onset - 30) for onset in find_onsets(joints)) <= 4
    np.testing.assert_allclose(course.kept(joints)[50, 0], joints[30, 0] + course.velocity_m_s, atol=1e-9)


def test_distances_of_boxes_and_balls_from_a_body():
    joints = t_pose(3)
    head = joints[0, HEAD]
    ball = Solid(
        ellipsoid((0.2, 0.2, 0.2), (1, 1, 1), rings=15, sections=24),
        poses(np.tile(head + np.array([0, 0, 1.0]), (3, 1)), np.eye(3)),
        1,
    )
    # From the ball's middle to the head joint 1 m, less the ball, less the neck's thickness; the skull is higher and thicker.
    assert gap_m([ball], joints)[0] == pytest.approx(np.hypot(1.0, 0.09) - 0.2 - 0.10, abs=0.01)
    post = Solid(box((0.1, 3.0, 0.1), (1, 1, 1)), poses(np.tile([0, 1.5, 0.0], (3, 1)), np.eye(3)), 1)
    assert gap_m([post], joints)[0] < -0.05
    gate = Solid(
        joined([box((0.1, 3, 0.1), (1, 1, 1), centre_m=(x, 1.5, 0)) for x in (-2.0, 2.0)]),
        poses(np.zeros((3, 3)), np.eye(3)),
        1,
    )
    assert len(parts_of(gate.mesh)) == 2
    wrist = np.abs(joints[0, :, 0]).max()
    assert gap_m([gate], joints)[0] == pytest.approx(1.95 - wrist - 0.05, abs=0.01)  # between the posts is nothing
    assert gap_m([gate, post], joints)[0] < 0
    assert Person().bones.length(4) == pytest.approx(BONE_LENGTHS_M[4])


# --- the pictures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("category", ["ball_right", "low_obstacle", "passer_by", "car"])
def test_the_view_shows_what_comes_before_the_body_acts(category):
    joints, head = motion(category, 202)
    reason = explained(category, 202)
    assert reason is not None
    view = render_wearer_view(joints, head, reason=reason, image_size_px=64, seed=3)
    comes = SEGMENTATION_CLASSES.index(ENCOUNTERS[reason.encounter].comes)
    seen = (view.segmentation == comes).sum(axis=(1, 2)) > 0
    assert seen[max(0, reason.onset - 20) : reason.onset + 3].sum() >= 3
    calm = render_wearer_view(joints, head, image_size_px=64, seed=3)
    assert not (calm.segmentation == comes).any()
    np.testing.assert_array_equal(view.T_world_camera, calm.T_world_camera)


def test_an_imported_motion_is_told_with_its_reason(tmp_path):
    joints, head = motion("ball_left", 200)
    path = write_npz(tmp_path / "take.npz", joints, head_rotation=head)
    (clip,) = import_recording(path, licence="x")
    assert clip.record.category == "ball_left"
    assert clip.record.caption.startswith(
        "Somebody throws a ball at the person's left side; the person steps to the right"
    )
    details = clip.record.details["explanation"]
    assert details["counterfactual_m"] <= 0 < details["clearance_m"]
    assert [str(failure) for failure in failures(measure(clip))] == []
    (plain,) = import_recording(path, licence="x", config=ImportConfig(explain=False, image_size_px=16))
    assert plain.record.category == "unknown" and "explanation" not in plain.record.details
    (asked,) = import_recording(path, licence="x", config=ImportConfig(category="dog", image_size_px=16))
    assert asked.record.category == "unknown"  # no dog explains it
    (told,) = import_recording(path, licence="x", config=ImportConfig(caption="A ball!", image_size_px=16))
    assert told.record.caption == "A ball!"
