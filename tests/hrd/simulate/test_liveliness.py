"""What bodies do by themselves: it is the person's own, it has the right frequencies, and it never runs ahead."""

from dataclasses import replace

import numpy as np
import pytest

from egoreact.hrd.simulate.acting.choreography import HANG, READY, Choreography, perform
from egoreact.hrd.simulate.acting.curves import keyed
from egoreact.hrd.simulate.acting.kinematics import Bones
from egoreact.hrd.simulate.acting.liveliness import bursts, dragged, exertion, jolts, sway
from egoreact.hrd.simulate.acting.mirror import mirrored
from egoreact.hrd.simulate.acting.person import Person
from egoreact.hrd.simulate.acting.steps import LEFT, RIGHT, Step, lay_out
from egoreact.motion.skeleton import FPS, HEAD

TIMES_S = np.arange(400) / FPS
PERSON = Person(temper=11)


def power_above(values: np.ndarray, hz: float) -> float:
    power = np.square(np.abs(np.fft.rfft(values * np.hanning(len(values)))))
    return float(power[np.fft.rfftfreq(len(values), 1 / FPS) > hz].sum() / power.sum())


@pytest.mark.parametrize("wavering", [sway, bursts])
def test_wavering_is_of_its_seed_and_of_the_moment_alone(wavering) -> None:
    whole = wavering(TIMES_S, 5, 4)
    np.testing.assert_array_equal(whole, wavering(TIMES_S, 5, 4))
    np.testing.assert_allclose(whole[100:140], wavering(TIMES_S[100:140], 5, 4), atol=1e-12)
    assert np.abs(whole - wavering(TIMES_S, 6, 4)).max() > 0.5
    assert np.sqrt(np.mean(whole**2)) == pytest.approx(1.0, abs=0.15)
    assert np.abs(np.corrcoef(whole.T) - np.eye(4)).max() < 0.6  # channels go their own ways


def test_sway_is_slow_and_unsteadiness_quicker_and_neither_trembles() -> None:
    for seed in range(4):
        slow, quick = sway(TIMES_S, seed, 1)[:, 0], bursts(TIMES_S, seed, 1)[:, 0]
        assert power_above(slow, 1.0) < 0.35 and power_above(quick, 1.5) > 0.9
        assert power_above(slow, 6.0) < 1e-4 and power_above(quick, 6.0) < 1e-3


def test_who_works_harder_wavers_more() -> None:
    still, walking = np.zeros((40, 3)), np.outer(TIMES_S[:40], [0.0, 0.0, 1.2])
    hands = np.zeros((40, 2, 3))
    assert exertion(still, hands).max() == 0.0
    assert exertion(walking, hands)[20] == pytest.approx(1.2, abs=0.01)
    assert (exertion(still[:1], hands[:1]) == 0).all()


def test_a_trunk_gives_way_from_the_landing_on() -> None:
    landings = np.array([[2.0, 0.0, 1.5, 0.09]])
    given = jolts(TIMES_S, landings)
    assert (given[TIMES_S < 1.97] == 0).all()
    assert given[:, 1].min() < -0.004 and given[:, 2].max() > 0.001 and (given[:, 0] == 0).all()
    assert np.abs(given[TIMES_S > 3.0]).max() < 1e-4
    assert (jolts(TIMES_S, np.empty((0, 4))) == 0).all()


def test_what_hangs_lags_and_comes_to_rest() -> None:
    path = np.zeros((200, 3))
    path[:, 0] = keyed(TIMES_S[:200], ((2.0, 0.0), (2.5, 0.5)))
    lag = dragged(path, 1.4, 0.5)[:, 0]
    assert (lag[:38] == 0).all()
    assert lag[40:46].min() < -0.03 and lag.max() > 0.02 and np.abs(lag[-20:]).max() < 1e-3
    np.testing.assert_array_equal(
        lag[:48], dragged(path[:50], 1.4, 0.5)[:48, 0]
    )  # causal but for two frames' differences


def test_quick_movements_swing_out_and_meet_their_keys() -> None:
    keys = ((1.0, 0.0), (1.4, 1.0))
    plain, live = keyed(TIMES_S, keys), keyed(TIMES_S, keys, overshoot=0.08)
    assert plain.max() == pytest.approx(1.0) and 1.05 < live.max() < 1.12
    assert live[28] == pytest.approx(1.0) and live[60] == pytest.approx(1.0, abs=1e-3)
    slow = keyed(TIMES_S, ((1.0, 0.0), (4.0, 1.0)), overshoot=0.08)
    assert slow.max() < 1.015


def test_a_performance_is_the_persons_own_and_does_not_depend_on_the_clips_length() -> None:
    choreography = Choreography(left_hand=((1.0, HANG), (1.6, READY)))
    short, long = perform(choreography, PERSON, TIMES_S[:81]), perform(choreography, PERSON, TIMES_S[:149])
    np.testing.assert_allclose(short.joints_m[:60], long.joints_m[:60], atol=1e-9)
    again = perform(choreography, PERSON, TIMES_S[:81])
    assert (again.joints_m == short.joints_m).all()
    other = perform(choreography, replace(PERSON, temper=12), TIMES_S[:81])
    apart = np.linalg.norm(other.joints_m - short.joints_m, axis=-1)
    assert 0.003 < apart[:, HEAD].max() < 0.08
    assert apart[:, (10, 11)].max() < 1e-12  # feet stay where they stand


def test_feet_land_on_the_heel_where_steps_go_ahead_only() -> None:
    times = np.arange(0, 1.5, 0.01)
    ahead = lay_out(times, [Step(LEFT, 0.5, 1.0, 0.1, 0.75)], Bones())
    aside = lay_out(times, [Step(LEFT, 0.5, 1.0, 0.7, 0.13)], Bones())
    assert ahead.angles[:, LEFT, 1].min() < -0.2 and aside.angles[:, LEFT, 1].min() > -0.02
    heel = ahead.toes_m[:, LEFT, 1] + 0.20 * np.sin(ahead.angles[:, LEFT, 1])
    assert heel[ahead.angles[:, LEFT, 1] < 0].min() > -1e-3  # which never enters the floor
    np.testing.assert_allclose(ahead.landings, [[1.0, 0.0, (0.75 - ahead.toes_m[0, LEFT, 2]) / 0.5, 0.09]], atol=0.05)


def test_a_mirrored_choreography_is_the_mirror_image() -> None:
    choreography = Choreography(
        steps=(Step(RIGHT, 0.5, 0.9, -0.5, 0.2, yaw=-0.3),),
        shift=((0.0, (0.0, 0.0)), (1.0, (0.05, 0.1))),
        turn=((0.0, 0.0), (1.0, 0.4)),
        pelvis=((0.0, (0.0, 0.0)), (1.0, (0.1, 0.2))),
        spine=((0.0, (0.0, 0.0, 0.0)), (1.0, (0.2, 0.1, 0.3))),
        left_hand=((0.2, HANG), (0.8, READY)),
        glance=((0.0, 0.0), (0.5, 0.4)),
    )
    assert mirrored(mirrored(choreography)) == Choreography(**{
        **choreography.__dict__,
        **{name: mirrored(mirrored(choreography)).__dict__[name] for name in ("shift", "turn", "pelvis", "spine", "glance")},
    })  # fmt: skip
    a = perform(choreography, PERSON, TIMES_S[:40]).joints_m
    b = perform(mirrored(choreography), PERSON, TIMES_S[:40]).joints_m
    pairs = [0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20]
    np.testing.assert_allclose(b[:, pairs] * [-1, 1, 1], a, atol=0.06)  # but for the sway and the unequal hips
    assert np.abs(b - a).max() > 0.3
