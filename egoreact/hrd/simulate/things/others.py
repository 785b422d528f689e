"""People who do something from further away: who waves, who calls from behind, who comes by in a crowd; and a child."""

from dataclasses import dataclass

import numpy as np

from egoreact.hrd.simulate.acting.choreography import HANG, Choreography, Hand, HandKey, perform
from egoreact.hrd.simulate.acting.curves import keyed
from egoreact.hrd.simulate.acting.kinematics import Body
from egoreact.hrd.simulate.acting.mirror import mirrored
from egoreact.hrd.simulate.arrival import PERSON, Arrival, Parameters
from egoreact.hrd.simulate.figures.dress import dress, sample_clothes
from egoreact.hrd.simulate.things.somebody import Spot, Way, face_m, performed, seen, somebody, way_to

POINT = Hand((0.16, 0.30, 0.93), (0.6, -0.8, 0.0))
HIGH_IN, HIGH_OUT = Hand((0.16, 0.86, 0.22), (0.9, -0.2, 0.1)), Hand((0.52, 0.74, 0.18), (0.9, -0.2, 0.1))
OPEN_LOW = Hand((0.56, -0.50, 0.56), (0.3, -0.9, -0.3))
RECEIVE = Hand((0.16, -0.48, 0.72), (0.6, -0.8, -0.2))
LIFTED = Hand((0.26, 0.22, 0.72), (0.7, -0.7, 0.0))


def _high_waving(hello_s: float, waves: int) -> tuple[HandKey, ...]:
    keys: list[HandKey] = [(hello_s, HANG), (hello_s + 0.5, HIGH_IN)]
    keys += [(hello_s + 0.5 + 0.30 * (k + 1), HIGH_OUT if k % 2 == 0 else HIGH_IN) for k in range(waves)]
    return tuple(keys)


# Somebody far away.


_WALKED_S = 1.0
"""Who waves later than this stands still before it: farther off there may be a wall."""


def far_waver(p: Parameters, times_s: np.ndarray) -> Body:
    """Walks, stops before or where the wave begins, and waves over their head."""
    person, heading = somebody(p), p["from_rad"] + np.pi
    there = Spot(0.0, 0.0, p["from_rad"]).ahead(p["far_m"])
    walked_s = min(p["hello_s"], _WALKED_S)
    way = way_to(person, Spot(there.x_m, there.z_m, heading), 1.15 * walked_s, 1.15)
    return performed(
        person, way.spot, Choreography(steps=way.steps, right_hand=_high_waving(p["hello_s"] - 0.2, 24)), times_s
    )


def wave(p: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    return seen(far_waver(p, times_s), somebody(p), rng)


# A child who runs up.


def child_way(p: Parameters) -> Way:
    goal = Spot(0.0, 0.0, p["from_rad"]).ahead(p["stop_m"])
    goal = Spot(goal.x_m, goal.z_m, p["from_rad"] + np.pi)
    return way_to(somebody(p), goal, p["distance_m"], p["speed_m_s"])


def running_child(p: Parameters, times_s: np.ndarray) -> Body:
    """Stands at first, runs up with bent arms, stops and lifts the arms."""
    way = child_way(p)
    begin, end = way.steps[0].lift_s, way.arrived_s
    fore = Hand((0.04, -0.62, 0.42), (0.4, -0.3, -0.9))
    arms: tuple[HandKey, ...] = ((begin, HANG), (begin + 0.3, fore), (end - 0.5, fore), (end + 0.05, LIFTED))
    choreography = Choreography(
        steps=way.steps,
        spine=(
            (begin, (0.0, 0.02, 0.0)), (begin + 0.3, (0.0, 0.14, 0.0)), (end - 0.3, (0.0, 0.14, 0.0)),
            (end + 0.3, (0.0, -0.06, 0.0)),
        ),
        left_hand=arms,
        right_hand=arms,
        arm_swing=1.6,
    )  # fmt: skip
    return performed(somebody(p), way.spot, choreography, times_s, (0.0, 1.2, 0.1))


def child(p: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    return seen(running_child(p, times_s), somebody(p), rng)


# Somebody ahead who points at somebody behind, who calls.


def pointer(p: Parameters, times_s: np.ndarray) -> Body:
    """Stands ahead, looks past the wearer and points there, beside them, with the arm on that side."""
    person, point = somebody(p), p["call_s"]
    arm: tuple[HandKey, ...] = (
        (point, HANG), (point + 0.45, POINT), (point + 1.5, POINT), (point + 2.3, HANG),
    )  # fmt: skip
    choreography = Choreography(
        left_hand=arm,
        spine=((point - 0.1, (0.0, 0.04, 0.0)), (point + 0.4, (-0.2, 0.05, 0.0)), (point + 1.5, (-0.2, 0.05, 0.0)), (point + 2.3, (0.0, 0.04, 0.0))),
    )  # fmt: skip
    if p["side"] < 0:
        choreography = mirrored(choreography)
    spot = Spot(-0.45 * np.sign(p["side"]), p["ahead_m"], np.pi)
    before, behind = (0.0, 1.62, 0.0), (0.7 * np.sign(p["side"]), 1.65, -p["behind_m"])
    watched = keyed(times_s, ((point - 0.4, before), (point, behind)))
    return spot.outside(perform(choreography, person, times_s, spot.inside(watched)).body)


def caller(p: Parameters, times_s: np.ndarray) -> Body:
    """Stands behind the wearer and waves."""
    spot = Spot(0.7 * np.sign(p["side"]), -p["behind_m"], 0.0)
    choreography = Choreography(right_hand=_high_waving(p["call_s"] - 0.3, 26))
    return performed(somebody(p, 1), spot, choreography, times_s)


def call_from_behind(p: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    """What draws the eyes is who points, and then who is pointed at."""
    ahead, behind = pointer(p, times_s), caller(p, times_s)
    first, second = seen(ahead, somebody(p), rng), seen(behind, somebody(p, 1), rng)
    called = (times_s > p["call_s"] + 0.55)[:, None]
    return Arrival([*first.solids, *second.solids], np.where(called, second.watched_m, first.watched_m))


# A crowd.


@dataclass(frozen=True)
class Passing:
    """One of a crowd: when they are level with the wearer, on which lane, how fast."""

    moment_s: float
    x_m: float
    """Of their lane, for a wearer who gives way to the left."""
    speed_m_s: float


CROWD_PACE_S, CROWD_STRIDE_M = 0.54, 0.46
ASIDE_M = 0.60
"""How far the wearer gives way to the one who comes straight at them."""
_LANES = ((0.0, -0.76), (0.6, 0.84), (1.6, -0.20), (2.0, 1.40), (2.25, -0.44))
"""How much later than the first each one passes, s, and where, m."""


def crowd_passings(p: Parameters) -> list[Passing]:
    """Those who come, in the order in which they pass: three to five."""
    count = int(p["people"])
    return [
        Passing(p["first_s"] + later_s, lane, p["speed_m_s"] * (1.0 + 0.05 * ((k * 7) % 5 - 2)))
        for k, (later_s, lane) in enumerate(_LANES[:count])
    ]


def aside_s(p: Parameters) -> float:
    """When the wearer begins to give way."""
    return p["first_s"] + 0.5


def wearer_z_m(moment_s: float) -> float:
    """About how far the wearer has walked."""
    return max(moment_s - 0.55, 0.0) * CROWD_STRIDE_M / CROWD_PACE_S


def crowd_bodies(p: Parameters, times_s: np.ndarray) -> list[Body]:
    side = float(np.sign(p["side"]))
    bodies = []
    for number, passing in enumerate(crowd_passings(p)):
        person = somebody(p, number)
        goal = Spot(side * passing.x_m, wearer_z_m(passing.moment_s), np.pi)
        way = way_to(person, goal, passing.moment_s * passing.speed_m_s, passing.speed_m_s, stops=False)
        # They look where they go, and turn the shoulders a little too.
        yaw = -0.3 * float(np.sign(side * passing.x_m - 0.3 * side))
        m = passing.moment_s
        choreography = Choreography(
            steps=way.steps,
            spine=((m - 0.6, (0.0, 0.05, 0.0)), (m - 0.05, (yaw, 0.05, 0.0)), (m + 0.5, (0.0, 0.05, 0.0))),
        )
        bodies.append(performed(person, way.spot, choreography, times_s, (float(goal.x_m), 1.5, -30.0)))
    return bodies


def crowd(p: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    """What draws the eyes is who comes next."""
    bodies, passings = crowd_bodies(p, times_s), crowd_passings(p)
    solids = []
    for number, body in enumerate(bodies):
        solids += dress(body, sample_clothes(rng), PERSON, somebody(p, number).height_scale)
    following = np.searchsorted([passing.moment_s - 0.45 for passing in passings], times_s)
    faces = np.stack([face_m(body) for body in bodies])
    return Arrival(solids, faces[np.minimum(following, len(bodies) - 1), np.arange(len(times_s))])
