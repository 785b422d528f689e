"""Geometry: curves, limbs, torso."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from egoreact.hrd.simulate.acting.curves import bump, keyed, lower_envelope, minimum_jerk, soft_minimum
from egoreact.hrd.simulate.acting.kinematics import Bones, rotation, two_bones
from egoreact.hrd.simulate.acting.steps import LEFT, RIGHT, Step, lay_out, pelvis_over
from egoreact.motion.skeleton import BONE_LENGTHS_M, FPS

angle = st.floats(-3.0, 3.0)
place = st.tuples(*[st.floats(-1.0, 1.0)] * 3).map(np.array)
pole_direction = place.filter(lambda pole: np.linalg.norm(pole) > 0.1)


@settings(max_examples=40, deadline=None)
@given(angle, angle, angle)
def test_rotation_is_yaw_pitch_roll(yaw: float, pitch: float, roll: float) -> None:
    expected = Rotation.from_euler("YXZ", [yaw, pitch, roll]).as_matrix()
    np.testing.assert_allclose(rotation(yaw, pitch, roll), expected, atol=1e-12)


def test_rotations_turn_left_bend_forward_and_lean_right() -> None:
    np.testing.assert_allclose(rotation(np.pi / 2) @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(rotation(0, np.pi / 2) @ [0, 1, 0], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(rotation(0, 0, np.pi / 2) @ [0, 1, 0], [-1, 0, 0], atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(place, place, pole_direction, st.floats(0.2, 0.6), st.floats(0.2, 0.6))
def test_two_bones_keep_their_lengths_and_reach_what_they_can(start, target, pole, upper, lower) -> None:
    middle, end = two_bones(start, target, pole, (upper, lower))
    assert np.linalg.norm(middle - start) == pytest.approx(upper, abs=1e-6)
    assert np.linalg.norm(end - middle) == pytest.approx(lower, abs=1e-6)
    distance = np.linalg.norm(target - start)
    if abs(upper - lower) + 1e-3 < distance < (upper + lower) * 0.9999:
        np.testing.assert_allclose(end, target, atol=1e-9)


def test_a_limb_bends_towards_its_pole() -> None:
    knee, _ = two_bones(np.array([0, 0.8, 0.0]), np.zeros(3), np.array([0, 0, 1.0]), (0.45, 0.45))
    assert knee[2] > 0.1 and abs(knee[0]) < 1e-9


def test_minimum_jerk_starts_and_ends_at_rest() -> None:
    times = np.linspace(0, 1, 1001)
    curve = minimum_jerk(times)
    assert curve[0] == 0.0 and curve[-1] == 1.0 and (np.diff(curve) >= 0).all()
    velocity = np.gradient(curve, times)
    assert velocity[[0, -1]] == pytest.approx([0, 0], abs=1e-4)
    assert velocity.max() == pytest.approx(1.875, abs=1e-3)
    np.testing.assert_allclose(bump(times, 0.3, 0.7)[[0, 300, 500, 700, 1000]], [0, 1, 1, 1, 0], atol=1e-9)


def test_keys_are_met_and_vectors_stay_vectors() -> None:
    times = np.arange(5) * 0.5
    curve = keyed(times, [(0.5, (0.0, 1.0)), (1.0, (2.0, 1.0)), (1.5, (2.0, -1.0))])
    np.testing.assert_allclose(curve, [[0, 1], [0, 1], [2, 1], [2, -1], [2, -1]])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.1, 2.0), min_size=2, max_size=4))
def test_soft_minimum_never_exceeds_the_minimum(values: list[float]) -> None:
    soft = soft_minimum(*[np.array([value]) for value in values], softness=0.01)[0]
    assert min(values) - 0.01 * np.log(len(values)) - 1e-9 <= soft <= min(values) + 1e-9


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=10, max_size=30))
def test_a_lower_envelope_never_exceeds_its_curve(values: list[float]) -> None:
    envelope = lower_envelope(np.array(values), radius_frames=3)
    assert (envelope <= np.array(values) + 1e-12).all() and (envelope >= min(values) - 1e-12).all()


def test_bones_are_the_reference_bodys_times_the_scale() -> None:
    bones = Bones(1.05)
    for joint in (1, 3, 12, 15, 16, 17):
        assert np.linalg.norm(bones.offset(joint)) == pytest.approx(1.05 * BONE_LENGTHS_M[joint])
    for side, toe in ((LEFT, 10), (RIGHT, 11)):
        assert np.linalg.norm(bones.foot(side)) == pytest.approx(1.05 * BONE_LENGTHS_M[toe])


def test_feet_stand_still_but_for_their_steps_and_land_where_told() -> None:
    times = np.arange(61) / FPS
    feet = lay_out(times, [Step(RIGHT, 1.0, 1.4, -0.8, 0.3, yaw=-0.3, height_m=0.12)], Bones())
    assert (feet.toes_m[:, LEFT] == feet.toes_m[0, LEFT]).all()
    np.testing.assert_allclose(
        feet.toes_m[times >= 1.4, RIGHT], [[-0.8, 0.0, 0.3]] * int((times >= 1.4).sum()), atol=1e-12
    )
    assert (feet.toes_m[times <= 1.0, RIGHT] == feet.toes_m[0, RIGHT]).all()
    assert feet.toes_m[:, RIGHT, 1].max() == pytest.approx(0.12, abs=0.005)
    assert feet.angles[0, RIGHT, 1] == 0.0 and feet.angles[-1, RIGHT, 1] == pytest.approx(0.0, abs=1e-12)
    pelvis = pelvis_over(feet, Bones())
    assert pelvis[-1, 0] < -0.25 and abs(pelvis[0, 0]) < 0.02
