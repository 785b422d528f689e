"""People who come close enough to touch: where and when hands meet, and what the other one does for it.

The place of a touch follows from the parameters alone. Both people reach for it, so that it is met whoever they are.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from egoreact.hrd.simulate.acting.choreography import HANG, READY, Choreography, Hand, HandKey, Reach
from egoreact.hrd.simulate.acting.curves import Key, keyed
from egoreact.hrd.simulate.acting.kinematics import Body
from egoreact.hrd.simulate.acting.person import Person
from egoreact.hrd.simulate.acting.steps import LEFT, RIGHT, Step, stance_m
from egoreact.hrd.simulate.arrival import Arrival, Parameters
from egoreact.hrd.simulate.things.somebody import Spot, Way, performed, reach_to, seen, somebody, way_to

GREET = Hand((-0.10, -0.58, 0.62), (0.35, -0.85, -0.4))
RAISED = Hand((0.10, 0.22, 0.36), (0.55, -0.8, -0.2))
OPEN_ARMS = Hand((0.72, -0.16, 0.48), (0.3, -0.9, -0.3))
UNDER = Hand((0.1, -0.4, 0.7), (0.95, -0.3, 0.2))
OVER = Hand((0.1, 0.2, 0.7), (0.6, 0.8, 0.0))
SHOVE = Hand((-0.10, -0.16, 0.42), (0.55, -0.75, -0.3))
_STEP_UP_M = 0.30
_PALM_HALF_M = 0.017
"""Half the distance between the middles of two palms that touch."""
_HUG_ASIDE_M = 0.07


@dataclass(frozen=True)
class Meeting:
    """Two people face to face at a moment."""

    contact_s: float
    wearer: Spot
    other: Spot
    """Where they stand then, each facing the other."""
    way: Way
    """The other's way there."""
    person: Person
    """The other."""

    def between(self, left_m: float, y_m: float, on_m: float = 0.0) -> tuple[float, float, float]:
        """A place in the world by the middle of the two: to the wearer's left, and on towards the other."""
        s, c = np.sin(self.wearer.heading), np.cos(self.wearer.heading)
        x = 0.5 * (self.wearer.x_m + self.other.x_m) + on_m * s + left_m * c
        z = 0.5 * (self.wearer.z_m + self.other.z_m) + on_m * c - left_m * s
        return float(x), y_m, float(z)


def _meeting(
    p: Parameters, *, gap_m: float, wait_s: float, step_up_m: float = _STEP_UP_M, aside_m: float = 0.0
) -> Meeting:
    """The other stops `gap_m` before where the wearer will stand, both `aside_m` to their left; they touch a little later."""
    person, heading = somebody(p), p["from_rad"]
    left = float(np.cos(heading)), -float(np.sin(heading))
    wearer = Spot(0.0, 0.0, heading).ahead(step_up_m)
    there = wearer.ahead(gap_m)
    other = Spot(there.x_m - aside_m * left[0], there.z_m - aside_m * left[1], heading + np.pi)
    way = way_to(person, other, p["distance_m"], p["speed_m_s"])
    wearer = Spot(wearer.x_m + aside_m * left[0], wearer.z_m + aside_m * left[1], heading)
    return Meeting(way.arrived_s + wait_s, wearer, other, way, person)


def step_up(person: Person, spot: Spot, start_s: float, end_s: float, *, first: int) -> tuple[Step, ...]:
    """Two steps to stand at a spot."""
    middle = 0.5 * (start_s + end_s)
    times = ((start_s, middle + 0.02), (middle, end_s))
    return tuple(
        Step(
            side,
            *span,
            *stance_m(side, spot.x_m, spot.z_m, spot.heading, person.bones),
            yaw=spot.heading,
            height_m=0.06,
        )
        for side, span in zip((first, 1 - first), times, strict=True)
    )


def with_hand(choreography: Choreography, side: int, keys: tuple[HandKey, ...]) -> Choreography:
    """The same, one hand doing this."""
    return replace(choreography, left_hand=keys) if side == LEFT else replace(choreography, right_hand=keys)


# A handshake.

SHAKEN_S = 1.05
"""How long hands stay together."""


def handshake_meeting(p: Parameters) -> Meeting:
    return _meeting(p, gap_m=0.72, wait_s=0.15)


def handshake_reach(p: Parameters, meeting: Meeting, spot: Spot, start_s: float, sign: float) -> Reach:
    """The right palm to the other's, up and down with it, and off. `sign` is +1 for the wearer."""
    y = 0.54 + 0.50 * p["height"]
    contact = meeting.contact_s
    at: list[Key] = [(contact, meeting.between(-sign * _PALM_HALF_M, y))]
    at += [
        (contact + 0.21 * (k + 1), meeting.between(-sign * _PALM_HALF_M, y + (0.04, -0.035)[k % 2])) for k in range(4)
    ]
    off = contact + SHAKEN_S
    return reach_to(RIGHT, spot, at, ((start_s, 0.0), (contact, 1.0), (off, 1.0), (off + 0.45, 0.0)))


def handshake_partner(p: Parameters, times_s: np.ndarray) -> Body:
    m = handshake_meeting(p)
    start, off = m.contact_s - 0.75, m.contact_s + SHAKEN_S
    choreography = Choreography(
        steps=m.way.steps,
        spine=((start, (0.0, 0.05, 0.0)), (m.contact_s, (0.12, 0.12, 0.0)), (off, (0.12, 0.10, 0.0)), (off + 0.6, (0.0, 0.04, 0.0))),
        right_hand=((start, HANG), (m.contact_s, GREET), (off, GREET), (off + 0.6, HANG)),
        reaches=(handshake_reach(p, m, m.way.spot, start, -1.0),),
    )  # fmt: skip
    return performed(m.person, m.way.spot, choreography, times_s)


# Hands that clap together.


def high_five_meeting(p: Parameters) -> Meeting:
    return _meeting(p, gap_m=0.80, wait_s=0.25)


def high_five_side(p: Parameters) -> int:
    """Which hand it is, for both."""
    return LEFT if p["hand"] < 0.25 else RIGHT


def high_five_reach(p: Parameters, meeting: Meeting, spot: Spot, sign: float) -> Reach:
    """Out, flat against the other's palm at the moment, and off it. `sign` is +1 for the wearer."""
    side, contact = high_five_side(p), meeting.contact_s
    y = 0.62 + 0.92 * p["height"]

    def at(back_m: float, down_m: float) -> tuple[float, float, float]:
        return meeting.between(0.0, y - down_m, -sign * (_PALM_HALF_M + back_m))

    keys = (
        (contact - 0.20, at(0.17, 0.02)),
        (contact, at(0.0, 0.0)),
        (contact + 0.06, at(0.0, 0.0)),
        (contact + 0.3, at(0.14, 0.08)),
    )
    return reach_to(
        side, spot, keys,
        ((contact - 0.60, 0.0), (contact - 0.20, 1.0), (contact + 0.15, 1.0), (contact + 0.6, 0.0)),
    )  # fmt: skip


def high_five_partner(p: Parameters, times_s: np.ndarray) -> Body:
    m = high_five_meeting(p)
    contact, twist = m.contact_s, 0.25 * (1 if high_five_side(p) == LEFT else -1)
    keys: tuple[HandKey, ...] = (
        (contact - 1.3, HANG), (contact - 0.75, RAISED), (contact + 0.3, RAISED), (contact + 1.0, HANG),
    )  # fmt: skip
    choreography = Choreography(
        steps=m.way.steps,
        spine=((contact - 0.9, (0.0, 0.05, 0.0)), (contact - 0.25, (twist, 0.0, 0.0)), (contact, (-twist, 0.06, 0.0)), (contact + 0.8, (0.0, 0.04, 0.0))),
        reaches=(high_five_reach(p, m, m.way.spot, -1.0),),
    )  # fmt: skip
    return performed(m.person, m.way.spot, with_hand(choreography, high_five_side(p), keys), times_s)


# A hug: what either does is the same as seen from either.


def hug_meeting(p: Parameters) -> Meeting:
    return _meeting(p, gap_m=0.36, wait_s=0.35, step_up_m=0.34, aside_m=_HUG_ASIDE_M)


HUG_HOLDS_S = 0.95


def hug(met_scale: float, contact_s: float, spot: Spot, place: Spot, start_s: float) -> Choreography:
    """Arms opened from `start_s`, closed around the other at `contact_s`, the right one over, the left one under.

    Args:
        met_scale: height of the one in the arms, against the reference body's.
        contact_s: when arms have closed.
        spot: this body's own origin.
        place: where this body stands then.
        start_s: of opening the arms.
    """
    off = contact_s + HUG_HOLDS_S

    def by(left_m: float, y_m: float, ahead_m: float) -> tuple[float, float, float]:
        s, c = np.sin(place.heading), np.cos(place.heading)
        return (
            float(place.x_m + ahead_m * s + left_m * c), y_m * met_scale, float(place.z_m + ahead_m * c - left_m * s),
        )  # fmt: skip

    def around(wide: tuple[float, float, float], back: tuple[float, float, float], side: int) -> Reach:
        keys = ((contact_s - 0.4, wide), (contact_s, back), (off, back), (off + 0.45, wide))
        weight = ((contact_s - 0.75, 0.0), (contact_s - 0.3, 1.0), (off + 0.2, 1.0), (off + 0.7, 0.0))
        return reach_to(side, spot, keys, weight)

    def arm(closed: Hand) -> tuple[HandKey, ...]:
        return (
            (start_s, HANG), (start_s + 0.5, OPEN_ARMS), (contact_s - 0.15, closed), (off + 0.1, closed),
            (off + 0.5, OPEN_ARMS), (off + 1.2, HANG),
        )  # fmt: skip

    return Choreography(
        left_hand=arm(UNDER),
        right_hand=arm(OVER),
        reaches=(
            around(by(0.34, 1.14, 0.42), by(0.0, 1.18, 0.50), LEFT),
            around(by(-0.46, 1.58, 0.40), by(-0.35, 1.43, 0.48), RIGHT),
        ),
        pelvis=((contact_s - 0.5, (0.0, 0.0)), (contact_s, (0.04, -0.03)), (off, (0.04, -0.03)), (off + 0.5, (0.0, 0.0))),
        spine=(
            (start_s, (0.0, 0.04, 0.0)), (contact_s - 0.4, (0.0, 0.02, 0.0)), (contact_s, (0.0, 0.10, -0.10)),
            (off, (0.0, 0.10, -0.10)), (off + 0.6, (0.0, 0.04, 0.0)),
        ),
    )  # fmt: skip


def back_away(person: Person, place: Spot, start_s: float, distance_m: float) -> tuple[Step, ...]:
    """A step back with both feet."""
    return step_up(person, place.ahead(-distance_m), start_s, start_s + 0.8, first=RIGHT)


def hug_partner(p: Parameters, times_s: np.ndarray) -> Body:
    m = hug_meeting(p)
    inside = Spot(0.0, m.way.length_m, 0.0)
    apart = back_away(m.person, inside, m.contact_s + HUG_HOLDS_S + 0.15, 0.35)
    done = hug(1.0, m.contact_s, m.way.spot, m.other, m.contact_s - 1.2)
    return performed(m.person, m.way.spot, replace(done, steps=m.way.steps + apart), times_s)


# A push with both hands.


def push_meeting(p: Parameters) -> Meeting:
    return _meeting(p, gap_m=0.62, wait_s=-0.08, step_up_m=0.0)


PUSH_HALF_M, PUSH_Y = 0.10, 1.24


def push_partner(p: Parameters, times_s: np.ndarray) -> Body:
    """Hands come up on the last step, meet the chest of whoever stands there, and go on with it."""
    m = push_meeting(p)
    contact, y = m.contact_s, PUSH_Y * (0.6 + 0.4 * p["height"])
    reaches = []
    for side, left in ((LEFT, -PUSH_HALF_M), (RIGHT, PUSH_HALF_M)):

        def at(on_m: float, left: float = left) -> tuple[float, float, float]:
            return m.between(left, y, on_m - 0.31)

        keys = (
            (contact - 0.22, at(0.30)),
            (contact, at(0.105)),
            (contact + 0.18, at(-0.02)),
            (contact + 0.5, at(0.12)),
        )
        weight = ((contact - 0.5, 0.0), (contact - 0.2, 1.0), (contact + 0.25, 1.0), (contact + 0.7, 0.0))
        reaches.append(reach_to(side, m.way.spot, keys, weight))
    arms: tuple[HandKey, ...] = (
        (contact - 0.65, HANG), (contact - 0.25, SHOVE), (contact + 0.3, SHOVE), (contact + 0.9, READY), (contact + 1.6, HANG),
    )  # fmt: skip
    choreography = Choreography(
        steps=m.way.steps,
        left_hand=arms,
        right_hand=arms,
        reaches=tuple(reaches),
        sink=((contact - 0.5, 0.0), (contact, 0.05), (contact + 0.8, 0.0)),
        spine=((contact - 0.6, (0.0, 0.04, 0.0)), (contact - 0.2, (0.0, 0.0, 0.0)), (contact + 0.15, (0.0, 0.26, 0.0)), (contact + 0.9, (0.0, 0.06, 0.0))),
    )  # fmt: skip
    return performed(m.person, m.way.spot, choreography, times_s)


def comes(
    partner: Callable[[Parameters, np.ndarray], Body], meeting: Callable[[Parameters], Meeting], hands_y_m: float
) -> Callable[[Parameters, np.random.Generator, np.ndarray], Arrival]:
    """The arrival of somebody who does this. The face draws the eyes, and about the touch the hands do, at this height."""

    def arrive(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
        arrival, met = seen(partner(parameters, times_s), somebody(parameters), rng), meeting(parameters)
        contact = met.contact_s
        drawn = keyed(
            times_s, ((contact - 0.75, 0.0), (contact - 0.35, 1.0), (contact + 0.7, 1.0), (contact + 1.2, 0.2))
        )
        hands = np.array(met.between(0.0, hands_y_m))
        return replace(arrival, watched_m=arrival.watched_m + drawn[:, None] * (hands - arrival.watched_m))

    return arrive
