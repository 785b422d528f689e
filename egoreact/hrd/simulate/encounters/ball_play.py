"""Balls that are stopped, let past and caught."""

from egoreact.hrd.simulate.acting import choreography as pose
from egoreact.hrd.simulate.acting.choreography import HANG, Choreography, Hand, HandKey, Reach
from egoreact.hrd.simulate.acting.person import Person
from egoreact.hrd.simulate.acting.steps import LEFT, RIGHT, Step
from egoreact.hrd.simulate.arrival import Parameters
from egoreact.hrd.simulate.things.ball import CATCH_Z_M, TOO_FAST_M_S, TRAP_Z_M


def stop_or_let_roll(person: Person, parameters: Parameters) -> Choreography:
    """A ball rolls up: the nearer foot is put on it; where it is too fast, aside and let it pass."""
    if parameters["speed_m_s"] >= TOO_FAST_M_S:
        return _let_roll(person, parameters)
    sign = 1.0 if parameters["pass_x_m"] >= 0 else -1.0
    foot = LEFT if sign > 0 else RIGHT
    contact, top = parameters["contact_s"], 2.0 * parameters["radius_m"]
    onset = contact - 0.75 + person.latency_s
    # The foot waits over the ball's way and comes down as the ball is there, whoever was early or late.
    steps = (
        Step(
            foot, onset + 0.08, contact, parameters["pass_x_m"], TRAP_Z_M, height_m=0.09, heel=0.1, rise=0.5, fall=0.62,
            y_m=top, bears=0.2,
        ),
    )  # fmt: skip
    free: tuple[HandKey, ...] = (
        (onset, HANG),
        (contact, pose.BALANCE),
        (contact + 0.5, pose.BALANCE),
        (contact + 1.2, HANG),
    )
    return Choreography(
        steps=steps,
        sink=((onset, 0.0), (contact - 0.05, 0.04), (contact + 0.2, 0.06), (contact + 0.8, 0.04)),
        shift=((onset, (0.0, 0.0)), (contact - 0.2, (-0.02 * sign, -0.06)), (contact + 0.5, (-0.02 * sign, -0.05))),
        pelvis=((onset, (0.0, 0.0)), (contact, (-0.04, -0.04 * sign)), (contact + 0.8, (-0.02, -0.03 * sign))),
        spine=(
            (onset, (0.0, 0.04, 0.0)),
            (contact, (0.0, 0.24 * person.amplitude, 0.03 * sign)),
            (contact + 1.0, (0.0, 0.14, 0.02 * sign)),
        ),
        nod=((onset, 0.06), (contact, 0.3)),
        left_hand=free,
        right_hand=free,
        notes={"onset_s": onset},
    )


def _let_roll(person: Person, parameters: Parameters) -> Choreography:
    sign = -1.0 if parameters["pass_x_m"] >= 0 else 1.0  # to where the person goes
    onset = parameters["contact_s"] - 0.72 + person.latency_s
    lead, trail = (LEFT, RIGHT) if sign > 0 else (RIGHT, LEFT)
    reach = 0.50 * person.amplitude
    steps = (
        Step(lead, onset + 0.02, onset + 0.36, sign * (reach + 0.10), 0.08, yaw=0.2 * sign, height_m=0.10),
        Step(trail, onset + 0.28, onset + 0.68, sign * (reach - 0.12), 0.04, yaw=-0.2 * sign, height_m=0.13, heel=0.3),
    )
    low: tuple[HandKey, ...] = (
        (onset, HANG), (onset + 0.45, pose.BALANCE), (onset + 0.95, pose.BALANCE), (onset + 1.8, HANG),
    )  # fmt: skip
    return Choreography(
        steps=steps,
        sink=((onset - 0.04, 0.0), (onset + 0.3, 0.09), (onset + 0.8, 0.06), (onset + 1.6, 0.01)),
        turn=((onset + 0.2, 0.0), (onset + 0.9, -0.35 * sign)),
        pelvis=((onset, (0.0, 0.0)), (onset + 0.4, (0.08, -0.04 * sign)), (onset + 1.4, (0.04, 0.0))),
        spine=(
            (onset, (0.0, 0.04, 0.0)), (onset + 0.45, (-0.1 * sign, 0.22, -0.08 * sign)), (onset + 1.6, (-0.15 * sign, 0.12, 0.0)),
        ),
        left_hand=low,
        right_hand=low,
        notes={"onset_s": onset},
    )  # fmt: skip


def catch(person: Person, parameters: Parameters) -> Choreography:
    """A ball is lobbed at the chest: half a step to meet it, both hands out, give way as it lands in them, hold it."""
    contact, radius = parameters["contact_s"], parameters["radius_m"]
    onset = contact - 0.95 + person.latency_s
    foot = LEFT if person.left_handed else RIGHT
    sign = 1.0 if foot == LEFT else -1.0
    middle = parameters["pass_x_m"]
    apart = radius + 0.015
    # Arms are about 0.53 m and start 0.19 m from the middle: the palms are a ball apart.
    inward = (apart - 0.19 * person.height_scale) / (0.53 * person.height_scale)
    ready = Hand((inward, -0.34, 0.66), (0.6, -0.8, -0.3))
    drawn = Hand((inward, -0.56, 0.44), (0.6, -0.5, -0.7))
    holding = Hand((inward, -0.48, 0.50), (0.6, -0.5, -0.7))
    keys: tuple[HandKey, ...] = (
        (onset, HANG), (contact - 0.3, ready), (contact, ready), (contact + 0.30, drawn), (contact + 0.9, holding),
    )  # fmt: skip
    reaches = tuple(
        Reach(
            side, ((0.0, (middle + s * apart, parameters["pass_y_m"] - 0.03, CATCH_Z_M - 0.07)),),
            ((contact - 0.34, 0.0), (contact - 0.02, 1.0), (contact + 0.03, 1.0), (contact + 0.28, 0.0)),
        )
        for side, s in ((LEFT, 1.0), (RIGHT, -1.0))
    )  # fmt: skip
    high = 1.22 * person.height_scale - parameters["pass_y_m"]  # the chest's height above the ball's
    return Choreography(
        steps=(
            Step(foot, onset + 0.14, contact - 0.34, 0.11 * sign, 0.13 + 0.20 * person.amplitude, height_m=0.06, heel=0.3),
            Step(1 - foot, contact + 0.42, contact + 0.86, -0.11 * sign, 0.11 + 0.20 * person.amplitude, height_m=0.06, heel=0.4),
            Step(foot, contact + 1.25, contact + 1.60, 0.12 * sign, 0.14 + 0.20 * person.amplitude, yaw=0.1 * sign, height_m=0.04, heel=0.2),
        ),
        sink=((onset, 0.0), (contact, 0.03 + 0.3 * max(high, 0.0)), (contact + 0.25, 0.08), (contact + 0.9, 0.02)),
        shift=((onset, (0.0, 0.0)), (contact, (0.5 * middle, 0.04)), (contact + 0.3, (0.4 * middle, -0.03)), (contact + 1.0, (0.0, 0.0))),
        pelvis=((onset, (0.0, 0.0)), (contact, (0.05, 0.0)), (contact + 0.3, (0.08, 0.0)), (contact + 1.0, (0.02, 0.0))),
        spine=(
            (onset, (0.0, 0.04, 0.0)), (contact, (0.0, 0.10, 0.0)), (contact + 0.28, (0.0, 0.20, 0.0)),
            (contact + 1.1, (0.0, 0.06, 0.0)),
        ),
        nod=((contact - 0.25, 0.06), (contact + 0.25, 0.46), (contact + 1.3, 0.46), (contact + 2.0, 0.30)),
        left_hand=keys,
        right_hand=keys,
        reaches=reaches,
        notes={"onset_s": onset, "catch_s": contact},
    )  # fmt: skip
