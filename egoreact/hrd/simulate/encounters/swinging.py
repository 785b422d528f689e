"""What is hung or hinged, and swings at somebody."""

import numpy as np

from egoreact.hrd.simulate.acting import choreography as pose
from egoreact.hrd.simulate.acting.choreography import HANG, Choreography, Hand, HandKey, Reach
from egoreact.hrd.simulate.acting.person import Person
from egoreact.hrd.simulate.acting.steps import LEFT, RIGHT, Step
from egoreact.hrd.simulate.arrival import Parameters
from egoreact.hrd.simulate.encounters.encounter import AT_ONCE_S, Encounter
from egoreact.hrd.simulate.encounters.walking import halted, walk_on, walk_up
from egoreact.hrd.simulate.things.door import (
    HALT_M,
    HELD_S,
    LEAF_M,
    PUSH_S,
    STOPPED,
    SWING_S,
    WIDE_OPEN,
    door,
    door_angle,
    on_leaf,
    swings_s,
)  # fmt: skip
from egoreact.hrd.simulate.things.pendulum import period_s, swinging
from egoreact.hrd.simulate.things.sides import EITHER, side_of
from egoreact.hrd.simulate.things.somebody import WHO

WARD = Hand((0.02, 0.06, 0.62), (0.7, -0.8, 0.0))


def hold_the_door(person: Person, parameters: Parameters) -> Choreography:
    """A door swings at somebody who walks up to it: stop, back, a hand against it; then push it on and go through."""
    sign, swing = side_of(parameters), swings_s(parameters)
    start = person.latency_s
    far = parameters["distance_m"] - HALT_M
    up = walk_up(person, start, far, least=1)
    back_m = far - 0.21 * person.amplitude
    # Who sees it open from farther off comes to where it will not reach; who is there already goes back at once.
    recoil = max(swing + 0.26 + person.latency_s, up.end_s - 0.16) + 0.04
    hinged = LEFT if sign > 0 else RIGHT  # the hand on the hinge's side meets the leaf
    last, other = 1 - up.side, up.side
    mirror = {LEFT: 1.0, RIGHT: -1.0}
    steps = (
        *up.steps,
        Step(other, recoil, recoil + 0.38, 0.11 * mirror[other], back_m, height_m=0.05, heel=0.15),
        Step(last, recoil + 0.34, recoil + 0.74, 0.11 * mirror[last], back_m + 0.03, height_m=0.05, heel=0.15),
    )
    touch = swing + SWING_S - 0.12
    push = swing + SWING_S + HELD_S
    go = max(push - 0.10, recoil + 0.80)
    through = halted(person, walk_on(person, go, back_m, 5, first=other, x_m=-0.05 * sign), x_m=-0.05 * sign)
    # The palm rests on the leaf; the wrist is a hand's length before it.
    keys = []
    for time, angle in (
        (touch, door_angle(parameters, np.array([touch]))[0]),
        (push - HELD_S, STOPPED),
        (push, STOPPED),
        (push + PUSH_S, WIDE_OPEN),
    ):
        x, z = on_leaf(parameters, angle, 0.80 * LEAF_M)
        away = np.array([-sign * np.sin(angle), -np.cos(angle)])  # out of the leaf, towards the person
        keys.append((time, (x + 0.06 * away[0], 1.22 * person.height_scale, z + 0.06 * away[1] - 0.03)))
    hand: tuple[HandKey, ...] = (
        (min(recoil, touch - 0.45), HANG), (touch, WARD), (push + 0.5, WARD), (push + 1.2, HANG),
    )  # fmt: skip
    spare: tuple[HandKey, ...] = (
        (recoil, HANG), (recoil + 0.45, pose.READY), (push, pose.READY), (push + 0.7, HANG),
    )  # fmt: skip
    reach = Reach(
        hinged, tuple(keys), ((min(recoil + 0.1, touch - 0.4), 0.0), (touch, 1.0), (push + 0.55, 1.0), (push + 1.0, 0.0)),
    )  # fmt: skip
    return Choreography(
        steps=(*steps, *through.steps),
        sink=((recoil - 0.1, 0.0), (recoil + 0.3, 0.06), (recoil + 0.9, 0.02), (go + 0.4, 0.0)),
        shift=((recoil - 0.1, (0.0, 0.0)), (recoil + 0.3, (0.0, -0.05)), (go, (0.0, -0.02)), (go + 0.4, (0.0, 0.0))),
        pelvis=((recoil - 0.05, (0.0, 0.0)), (recoil + 0.3, (-0.07, 0.0)), (go, (0.02, 0.0))),
        spine=(
            (start, (0.0, 0.04, 0.0)), (recoil - 0.1, (0.0, 0.08, 0.0)), (recoil + 0.3, (0.0, -0.08, 0.0)),
            (push, (0.05 * sign, 0.04, 0.0)), (push + 0.5, (-0.2 * sign, 0.10, 0.0)), (push + 1.3, (0.0, 0.07, 0.0)),
        ),
        follow=((push, 1.0), (push + 0.5, 0.0)),
        left_hand=hand if hinged == LEFT else spare,
        right_hand=spare if hinged == LEFT else hand,
        reaches=(reach,),
        notes={"onset_s": recoil, "walk_s": start, "touch_s": touch, "push_s": push},
    )  # fmt: skip


def sway_with_it(person: Person, parameters: Parameters) -> Choreography:
    """Something heavy swings at the head: a foot back, sway away from it each time it comes, hands up all the while."""
    sign, beat = side_of(parameters), period_s(parameters)
    first = parameters["release_s"] + 0.5 * beat  # when it is nearest
    onset = parameters["release_s"] + 0.30 + person.latency_s
    foot = RIGHT if sign > 0 else LEFT
    away = -0.10 * sign * person.amplitude
    back = -0.21 * person.amplitude
    steps: tuple[Step, ...] = (
        Step(
            foot,
            onset + 0.08,
            onset + 0.46,
            -0.24 * sign,
            0.13 - 0.50 * person.amplitude,
            yaw=-0.35 * sign,
            height_m=0.06,
            heel=0.2,
        ),
        Step(
            1 - foot, onset + 0.48, onset + 0.80, 0.03 * sign, 0.13 - 0.15 * person.amplitude, height_m=0.04, heel=0.15
        ),
    )
    # Later the feet only shuffle, as the weight comes forward and as it goes back.
    for k in range(10):
        side, moment = (1 - foot, foot)[k % 2], first + (0.5 * k + 0.5) * beat
        wander = 0.03 * (k % 4)
        x, z = (-0.24 * sign - wander, -0.46) if side == foot else ((0.03 + wander) * sign, -0.10)
        yaw = -0.3 * sign if side == foot else 0.0
        z = 0.13 + z * person.amplitude
        steps += (Step(side, moment - 0.20, moment + 0.06, x, z, yaw=yaw, height_m=0.04, heel=0.25),)
    sway: list[tuple[float, tuple[float, float]]] = [(onset, (0.0, 0.0))]
    tilt: list[tuple[float, tuple[float, float]]] = [(onset, (0.0, 0.0))]
    trunk: list[tuple[float, tuple[float, float, float]]] = [(onset, (0.0, 0.04, 0.0))]
    sink: list[tuple[float, float]] = [(onset, 0.0)]
    for k in range(8):
        less = 0.85**k
        near, gone = first + k * beat - 0.06, first + (k + 0.5) * beat + 0.05
        sway += [(near, (less * away, less * back)), (gone, (0.3 * away, 0.06))]
        tilt += [(near, (-0.16 * less, 0.35 * sign * less * 0.3)), (gone, (0.04, 0.0))]
        trunk += [(near, (0.1 * sign, -0.26 * less, 0.20 * sign * less)), (gone, (0.1 * sign, 0.08, 0.04 * sign))]
        sink += [(near, 0.10 * less), (gone, 0.06)]
    up: tuple[HandKey, ...] = (
        (onset, HANG),
        (first - 0.1, FRONT),
        (first + 0.5 * beat, LOWER),
        (first + beat, FRONT),
        (first + 1.6 * beat, LOWER),
    )
    other: tuple[HandKey, ...] = (
        (onset + 0.05, HANG), (first - 0.05, FRONT_OTHER), (first + 0.55 * beat, LOWER), (first + 1.05 * beat, FRONT_OTHER),
        (first + 1.6 * beat, LOWER),
    )  # fmt: skip
    return Choreography(
        steps=steps,
        sink=tuple(sink),
        shift=tuple(sway),
        pelvis=tuple(tilt),
        spine=tuple(trunk),
        left_hand=up if sign > 0 else other,
        right_hand=other if sign > 0 else up,
        notes={"onset_s": onset, "near_s": first},
    )


FRONT = Hand((-0.10, 0.02, 0.48), (0.8, -0.8, 0.0))
FRONT_OTHER = Hand((-0.06, -0.10, 0.42), (0.8, -0.8, -0.1))
LOWER = Hand((-0.02, -0.22, 0.44), (0.8, -0.8, -0.2))

TABLE = (
    Encounter(
        name="door",
        caption="A door swings open at the person, who stops, steps back, holds it off with a hand and then walks through.",
        comes="object",
        ranges={"side": EITHER, "distance_m": (1.8, 2.75), "before_s": (-0.4, 0.5)},
        waits_s=AT_ONCE_S,
        places=("room",),
        arrive=door,
        react=hold_the_door,
    ),
    Encounter(
        name="swinging_bag",
        caption="Somebody lets go of something heavy that hangs and swings at the person's head, who raises the hands and sways back in its rhythm.",
        comes="object",
        ranges={
            "side": EITHER,
            "release_s": (0.35, 0.8),
            "distance_m": (1.05, 1.2),
            "length_m": (1.35, 1.55),
            "swing": (0.62, 0.74),
            "slant": (0.0, 0.10),
            "radius_m": (0.16, 0.20),
        }
        | WHO,
        places=("room",),
        arrive=swinging,
        react=sway_with_it,
    ),
)
