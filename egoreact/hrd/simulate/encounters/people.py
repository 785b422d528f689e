"""People who come, greet, push and call."""

import numpy as np

from egoreact.hrd.simulate.acting.choreography import HANG, Choreography, HandKey
from egoreact.hrd.simulate.acting.curves import Key, keyed
from egoreact.hrd.simulate.acting.mirror import mirrored
from egoreact.hrd.simulate.acting.person import Person
from egoreact.hrd.simulate.acting.steps import LEFT, RIGHT, Step, stance_m
from egoreact.hrd.simulate.arrival import Parameters
from egoreact.hrd.simulate.encounters import meetings
from egoreact.hrd.simulate.encounters.encounter import AT_ONCE_S, Encounter
from egoreact.hrd.simulate.things import others
from egoreact.hrd.simulate.things.meetings import with_hand
from egoreact.hrd.simulate.things.somebody import WHO
from egoreact.hrd.simulate.things.walker import walker, waving


def _walking(
    person: Person, start_s: float, until_s: float, stride_m: float, pace_s: float
) -> tuple[list[Step], float, float]:
    """Steps ahead until about `until_s` and one that closes: the steps, where one stands then (z, m), and when."""
    steps: list[Step] = []
    side, z, moment = (LEFT if person.left_handed else RIGHT), 0.0, start_s
    while moment + 0.7 * pace_s < until_s:
        z += stride_m
        x, toe_z = stance_m(side, 0.0, z, 0.0, person.bones, half_m=0.085)
        steps.append(Step(side, moment + 0.08 * pace_s, moment + pace_s, x, toe_z))
        side, moment = 1 - side, moment + pace_s
    x, toe_z = stance_m(side, 0.0, z, 0.0, person.bones)
    steps.append(Step(side, moment + 0.08 * pace_s, moment + pace_s, x, toe_z, height_m=0.06))
    return steps, z, moment + pace_s


_NOTICED_M = 4.2
"""How far somebody who comes is when people begin to give way."""


def make_way_and_wave(person: Person, parameters: Parameters) -> Choreography:
    """Somebody comes near: two steps towards them, one aside to the left, stop and wave."""
    noticed = (parameters["distance_m"] - _NOTICED_M) / parameters["speed_m_s"]
    start, pace = noticed + person.latency_s, 0.50 / person.pace
    reach = 0.62 * person.amplitude
    aside = start + 2 * pace
    steps = (
        Step(RIGHT, start + 0.04, start + pace, -0.10, 0.60),
        Step(LEFT, start + pace, start + 2 * pace, 0.12, 1.00),
        Step(RIGHT, aside + 0.02, aside + 0.44, reach - 0.26, 1.06, yaw=-0.1),
        Step(LEFT, aside + 0.42, aside + 0.84, reach + 0.10, 1.04, yaw=0.0),
        Step(RIGHT, aside + 0.84, aside + 1.18, reach - 0.10, 1.06, yaw=-0.15, height_m=0.06),
    )
    hello = aside + 0.45
    hand = (*waving(hello, 9, pace_s=0.26), (hello + 3.4, HANG))
    choreography = Choreography(
        steps=steps,
        turn=((aside, 0.0), (aside + 0.8, -0.16)),
        spine=((start, (0.0, 0.04, 0.0)), (hello, (0.0, 0.07, 0.02)), (hello + 0.6, (0.0, 0.0, -0.03))),
        notes={"onset_s": start, "wave_s": hello},
    )
    return with_hand(choreography, LEFT if person.left_handed else RIGHT, hand)


def wave_back(person: Person, parameters: Parameters) -> Choreography:
    """Somebody far away waves at the one who walks: stop and wave back."""
    start, pace = person.latency_s, 0.54 / person.pace
    noticed = parameters["hello_s"] + 0.55 + person.latency_s
    steps, _, end = _walking(person, start, noticed + 0.1, 0.56 * person.height_scale, pace)
    hello = max(noticed + 0.25, end - 0.45)
    hand = (*waving(hello, 9, pace_s=0.28), (hello + 3.7, HANG))
    choreography = Choreography(
        steps=tuple(steps),
        turn=((noticed, 0.0), (noticed + 0.9, 0.6 * parameters["from_rad"])),
        spine=((start, (0.0, 0.05, 0.0)), (noticed, (0.0, 0.07, 0.0)), (hello + 0.5, (0.0, 0.0, 0.03))),
        notes={"onset_s": noticed, "walk_s": start, "wave_s": hello},
    )
    return with_hand(choreography, LEFT if person.left_handed else RIGHT, hand)


def weave(person: Person, parameters: Parameters) -> Choreography:
    """People come towards and past: walk on, a shoulder back for each, one step aside for who comes straight."""
    start, pace = person.latency_s, others.CROWD_PACE_S
    steps: list[Step] = []
    passings = others.crowd_passings(parameters)
    onset = passings[0].moment_s - 0.65 + person.latency_s
    aside_s = others.aside_s(parameters) + person.latency_s
    lane = ((aside_s, 0.0), (aside_s + 0.95, others.ASIDE_M))
    for k in range(16):
        side = (LEFT, RIGHT)[k % 2]
        land = start + (k + 1) * pace
        x = float(keyed(np.array([land]), lane)[0])
        steps.append(
            Step(
                side,
                land - 0.92 * pace,
                land,
                *stance_m(side, x, others.CROWD_STRIDE_M * (k + 0.8), 0.0, person.bones, half_m=0.09),
            )
        )
    yaw: list[Key] = [(onset, (0.0, 0.05, 0.0))]
    turn: list[Key] = [(onset, 0.0)]
    for passing in passings:
        past = float(np.sign(passing.x_m - float(keyed(np.array([passing.moment_s]), lane)[0])))
        if abs(passing.x_m) < 1.0:  # the shoulder on their side goes back
            yaw += [(passing.moment_s - 0.05, (0.42 * past * person.amplitude, 0.06, -0.06 * past))]
            turn += [(passing.moment_s - 0.05, 0.22 * past)]
    yaw += [(yaw[-1][0] + 0.6, (0.0, 0.05, 0.0))]
    turn += [(turn[-1][0] + 0.6, 0.0)]
    choreography = Choreography(
        steps=tuple(steps), spine=tuple(yaw), turn=tuple(turn), arm_swing=0.6,
        notes={"onset_s": onset, "walk_s": start, "aside_s": aside_s},
    )  # fmt: skip
    return choreography if parameters["side"] > 0 else mirrored(choreography)


def crouch_to_child(person: Person, parameters: Parameters) -> Choreography:
    """A child runs up: one foot back, down on bent legs, arms open, the head down to it."""
    arrives = others.child_way(parameters).arrived_s
    onset = arrives - 1.15 + person.latency_s
    heading, deep = parameters["from_rad"], 0.40 * person.amplitude
    x, z = stance_m(RIGHT, 0.0, -0.30, 0.0, person.bones, half_m=0.12)
    steps = (Step(RIGHT, onset, onset + 0.45, x, z, yaw=-0.15, height_m=0.05),)
    arms: tuple[HandKey, ...] = (
        (onset + 0.1, HANG), (onset + 0.75, others.OPEN_LOW), (arrives + 0.5, others.OPEN_LOW), (arrives + 1.0, others.RECEIVE),
    )  # fmt: skip
    return Choreography(
        steps=steps,
        sink=((onset, 0.0), (onset + 0.95, deep), (onset + 8.0, deep)),
        shift=((onset, (0.0, 0.0)), (onset + 0.9, (0.0, 0.06))),
        turn=((onset, 0.0), (onset + 0.6, heading)),
        pelvis=((onset, (0.0, 0.0)), (onset + 0.95, (0.20, 0.0))),
        spine=((onset, (0.0, 0.04, 0.0)), (onset + 0.95, (0.0, 0.26, 0.0))),
        nod=((onset, 0.06), (onset + 0.9, 0.2)),
        left_hand=arms,
        right_hand=arms,
        notes={"onset_s": onset, "arrives_s": arrives},
    )  # fmt: skip


def turn_round(person: Person, parameters: Parameters) -> Choreography:
    """Somebody ahead points past one: turn round in four steps, the head first, and see who waves there."""
    onset = parameters["call_s"] + 0.62 + person.latency_s
    bones = person.bones
    # A foot at a time, each landing where somebody stands who has turned as far.
    turns = ((LEFT, 0.0, 0.46, 1.15), (RIGHT, 0.42, 0.86, 1.75), (LEFT, 0.82, 1.26, 2.75), (RIGHT, 1.22, 1.66, np.pi))
    steps = [
        Step(side, onset + lift, onset + land, *stance_m(side, 0.0, 0.0, yaw, bones), yaw=yaw, height_m=0.06, heel=0.3)
        for side, lift, land, yaw in turns
    ]
    steps.append(
        Step(
            LEFT,
            onset + 1.64,
            onset + 1.95,
            *stance_m(LEFT, 0.0, 0.0, np.pi, bones),
            yaw=np.pi,
            height_m=0.04,
            heel=0.2,
        )
    )
    hello = onset + 1.95
    choreography = Choreography(
        steps=tuple(steps),
        turn=((onset + 0.05, 0.0), (onset + 1.85, np.pi)),
        glance=((onset - 0.15, 0.0), (onset + 0.3, 0.58), (onset + 1.2, 0.58), (onset + 1.8, 0.0)),
        spine=((onset - 0.05, (0.0, 0.04, 0.0)), (onset + 0.4, (0.35, 0.05, 0.0)), (onset + 1.1, (0.30, 0.05, 0.0)), (onset + 1.8, (0.0, 0.03, 0.0))),
        right_hand=(*waving(hello, 7, pace_s=0.28), (hello + 3.0, HANG)),
        notes={"onset_s": onset, "turned_s": onset + 1.85},
    )  # fmt: skip
    return choreography if parameters["side"] > 0 else mirrored(choreography)


TABLE = (
    Encounter(
        name="passer_by",
        caption="Somebody walks up; the person takes two steps towards them, moves aside to the left and waves.",
        comes="person",
        ranges={"distance_m": (4.5, 5.4), "speed_m_s": (1.1, 1.3), "stop_m": (2.5, 2.8), "start_x_m": (-0.15, 0.1)}
        | WHO,
        places=("room", "street"),
        arrive=walker,
        react=make_way_and_wave,
        waits_s=(0.0, 0.9),  # a late wave is still seen
    ),
    *meetings.TABLE,
    Encounter(
        name="wave",
        caption="Somebody far away waves; the person, who is walking, stops and waves back.",
        comes="person",
        ranges={"far_m": (5.6, 6.5), "from_rad": (-0.16, 0.16), "hello_s": (0.6, 1.8)} | WHO,
        places=("room", "street"),
        arrive=others.wave,
        react=wave_back,
        waits_s=AT_ONCE_S,  # who walks does so from the start
    ),
    Encounter(
        name="crowd",
        caption="Several people come towards and past; the person walks on, turns the shoulders and steps aside between them.",
        comes="person",
        ranges={"people": (3.0, 5.999), "first_s": (1.15, 2.25), "speed_m_s": (1.15, 1.35), "side": (-1.0, 1.0)} | WHO,
        places=("street",),
        arrive=others.crowd,
        react=weave,
        waits_s=AT_ONCE_S,  # who walks does so from the start
    ),
    Encounter(
        name="child",
        caption="A child runs up; the person crouches with open arms and bends the head down to it.",
        comes="person",
        ranges={"distance_m": (3.4, 4.6), "speed_m_s": (2.1, 2.5), "stop_m": (0.70, 0.78), "from_rad": (-0.1, 0.1)}
        | WHO
        | {"height": (0.60, 0.70)},
        places=("room", "street"),
        arrive=others.child,
        react=crouch_to_child,
    ),
    Encounter(
        name="call_from_behind",
        caption="Somebody ahead points past the person, who turns round by steps and sees who waves from behind.",
        comes="person",
        ranges={"call_s": (0.3, 0.8), "ahead_m": (2.4, 3.2), "behind_m": (2.0, 2.5), "side": (-1.0, 1.0)} | WHO,
        places=("room",),
        arrive=others.call_from_behind,
        react=turn_round,
        waits_s=(0.0, 0.7),  # turning round takes long
    ),
)
