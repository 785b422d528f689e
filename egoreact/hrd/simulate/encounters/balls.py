"""Balls that somebody throws or kicks."""

from egoreact.hrd.simulate.acting import choreography as pose
from egoreact.hrd.simulate.acting.choreography import HANG, Choreography, Hand, HandKey
from egoreact.hrd.simulate.acting.person import Person
from egoreact.hrd.simulate.acting.steps import LEFT, RIGHT, Step
from egoreact.hrd.simulate.arrival import Parameters
from egoreact.hrd.simulate.encounters.ball_play import catch, stop_or_let_roll
from egoreact.hrd.simulate.encounters.encounter import Encounter
from egoreact.hrd.simulate.things.ball import ball, held_ball, lobbed_ball, rolling_ball
from egoreact.hrd.simulate.things.somebody import WHO

_BALL = {
    "contact_s": (1.3, 1.9), "distance_m": (5.2, 6.4), "radius_m": (0.25, 0.31), "start_y_m": (1.0, 1.4),
} | WHO  # fmt: skip
_SMALL = {"contact_s": (1.15, 1.6), "distance_m": (5.2, 6.4), "start_y_m": (0.6, 1.0)} | WHO
_ROLLING = {
    "contact_s": (1.35, 1.75), "speed_m_s": (2.3, 4.0), "radius_m": (0.12, 0.15), "start_x_m": (-0.8, 0.8),
    "pass_x_m": (-0.16, 0.16),
} | WHO  # fmt: skip
_LOBBED = {
    "contact_s": (1.5, 2.0), "distance_m": (4.2, 5.6), "start_y_m": (1.0, 1.4), "radius_m": (0.11, 0.15),
    "start_x_m": (-0.9, 0.9), "pass_x_m": (-0.08, 0.08), "pass_y_m": (1.12, 1.28),
} | WHO  # fmt: skip
LIFT = Hand((0.25, -0.1, 0.6), (0.8, -0.5, 0.0))
WIDE = Hand((0.78, -0.20, 0.30), (0.2, -0.8, -0.5))


def sidestep_right(person: Person, parameters: Parameters) -> Choreography:
    """A ball comes at the left: step to the right, lean away, shield the head with the left arm."""
    return _sidestep(person, parameters, sign=-1.0)


def sidestep_left(person: Person, parameters: Parameters) -> Choreography:
    """A ball comes at the right: the mirror image."""
    return _sidestep(person, parameters, sign=1.0)


def _sidestep(person: Person, parameters: Parameters, *, sign: float) -> Choreography:
    onset = parameters["contact_s"] - 0.78 + person.latency_s
    reach = 0.74 * person.amplitude
    lead, trail = (LEFT, RIGHT) if sign > 0 else (RIGHT, LEFT)
    stance = 0.12 * sign
    steps = (
        Step(lead, onset + 0.02, onset + 0.40, sign * (reach + 0.02) + stance, 0.10, yaw=0.25 * sign, height_m=0.11),
        Step(trail, onset + 0.34, onset + 0.80, sign * reach - stance, 0.13, height_m=0.09),
    )
    lean = -0.27 * sign * person.amplitude
    shielding: tuple[HandKey, ...] = (
        (onset, HANG), (onset + 0.42, pose.SHIELD), (onset + 0.95, pose.SHIELD), (onset + 1.75, pose.READY),
    )  # fmt: skip
    balancing: tuple[HandKey, ...] = (
        (onset, HANG), (onset + 0.45, pose.OUT), (onset + 0.95, pose.OUT), (onset + 1.8, pose.READY),
    )  # fmt: skip
    return Choreography(
        steps=steps,
        sink=((onset - 0.05, 0.0), (onset + 0.42, 0.14 * person.amplitude), (onset + 1.0, 0.10), (onset + 1.9, 0.05)),
        pelvis=((onset, (0.0, 0.0)), (onset + 0.45, (0.10, 0.4 * lean)), (onset + 1.7, (0.05, 0.1 * lean))),
        spine=(
            (onset, (0.0, 0.04, 0.0)), (onset + 0.45, (0.15 * sign, 0.16, lean)), (onset + 0.9, (0.1 * sign, 0.16, lean)),
            (onset + 1.9, (0.0, 0.10, 0.35 * lean)),
        ),
        left_hand=shielding if sign < 0 else balancing,
        right_hand=balancing if sign < 0 else shielding,
        notes={"onset_s": onset},
    )  # fmt: skip


def duck(person: Person, parameters: Parameters) -> Choreography:
    """A ball comes at the head: down on bent legs, head in, arms over it; stay low."""
    onset = parameters["contact_s"] - 0.72 + person.latency_s
    deep = 0.40 * person.amplitude
    steps = (
        Step(LEFT, onset + 0.05, onset + 0.33, 0.19, 0.16, yaw=0.12, height_m=0.05),
        Step(RIGHT, onset + 0.22, onset + 0.50, -0.17, 0.02, yaw=-0.12, height_m=0.05),
    )
    cover: tuple[HandKey, ...] = (
        (onset - 0.05, HANG), (onset + 0.28, LIFT), (onset + 0.62, pose.COVER), (onset + 1.2, pose.COVER), (onset + 2.0, pose.READY),
    )  # fmt: skip
    return Choreography(
        steps=steps,
        sink=((onset, 0.0), (onset + 0.55, deep), (onset + 1.3, deep), (onset + 2.3, 0.8 * deep)),
        shift=((onset, (0.0, 0.0)), (onset + 0.55, (0.0, -0.10))),
        pelvis=((onset, (0.0, 0.0)), (onset + 0.5, (0.38, 0.0)), (onset + 2.3, (0.34, 0.0))),
        spine=((onset, (0.0, 0.04, 0.0)), (onset + 0.5, (0.0, 0.42, 0.0)), (onset + 2.3, (0.0, 0.30, 0.0))),
        nod=((onset, 0.06), (onset + 0.5, 0.34), (onset + 1.2, 0.34), (onset + 2.2, 0.12)),
        follow=((onset, 1.0), (onset + 0.35, 0.15), (onset + 1.4, 0.15), (onset + 2.0, 0.6)),
        left_hand=cover,
        right_hand=cover,
        notes={"onset_s": onset},
    )


def lift_legs_over(person: Person, parameters: Parameters) -> Choreography:
    """A ball comes at the shins: hop aside on one leg, the other, where the ball is to pass, drawn up high."""
    sign = 1.0 if parameters["pass_x_m"] >= 0 else -1.0  # of the leg that it comes at
    onset = parameters["contact_s"] - 0.64 + person.latency_s
    lead, trail = (RIGHT, LEFT) if sign > 0 else (LEFT, RIGHT)
    aside = 0.40 * person.amplitude
    over = parameters["pass_y_m"] + parameters["radius_m"] + 0.18
    steps = (
        Step(lead, onset + 0.02, onset + 0.34, -sign * aside, 0.03, yaw=-0.2 * sign, height_m=0.12),
        Step(
            trail, onset + 0.26, onset + 1.06, -sign * (aside - 0.26), 0.03, height_m=over, heel=0.35, rise=0.38, fall=0.62,
        ),
        Step(lead, onset + 1.12, onset + 1.42, -sign * (aside + 0.06), 0.05, yaw=-0.1 * sign, height_m=0.05, heel=0.2),
    )  # fmt: skip
    out: tuple[HandKey, ...] = (
        (onset, HANG), (onset + 0.45, WIDE), (onset + 0.8, WIDE), (onset + 1.4, pose.READY), (onset + 2.2, HANG),
    )  # fmt: skip
    balancing: tuple[HandKey, ...] = (
        (onset + 0.04, HANG), (onset + 0.5, pose.OUT), (onset + 0.85, pose.OUT), (onset + 1.5, pose.READY), (onset + 2.3, HANG),
    )  # fmt: skip
    lean = -0.12 * sign * person.amplitude
    return Choreography(
        steps=steps,
        sink=((onset - 0.04, 0.0), (onset + 0.16, 0.08), (onset + 0.5, 0.03), (onset + 1.1, 0.10), (onset + 1.8, 0.02)),
        pelvis=((onset, (0.0, 0.0)), (onset + 0.5, (0.05, lean)), (onset + 1.2, (0.06, 0.0)), (onset + 1.9, (0.0, 0.0))),
        spine=(
            (onset, (0.0, 0.04, 0.0)), (onset + 0.4, (0.1 * sign, 0.26, -0.6 * lean)), (onset + 0.8, (0.1 * sign, 0.22, -0.6 * lean)),
            (onset + 1.7, (0.1 * sign, 0.10, 0.0)),
        ),
        left_hand=out if sign > 0 else balancing,
        right_hand=balancing if sign > 0 else out,
        notes={"onset_s": onset},
    )  # fmt: skip


TABLE = (
    Encounter(
        name="ball_left",
        caption="Somebody throws a ball at the person's left side; the person steps to the right and shields the head with the left arm.",
        comes="ball",
        ranges=_BALL | {"start_x_m": (1.3, 2.1), "pass_x_m": (0.05, 0.2), "pass_y_m": (1.15, 1.35)},
        places=("room", "street"),
        arrive=ball,
        react=sidestep_right,
    ),
    Encounter(
        name="ball_right",
        caption="Somebody throws a ball at the person's right side; the person steps to the left and shields the head with the right arm.",
        comes="ball",
        ranges=_BALL | {"start_x_m": (-2.1, -1.3), "pass_x_m": (-0.2, -0.05), "pass_y_m": (1.15, 1.35)},
        places=("room", "street"),
        arrive=ball,
        react=sidestep_left,
    ),
    Encounter(
        name="ball_high",
        caption="Somebody throws a ball straight at the person's head; the person ducks low and covers the head.",
        comes="ball",
        ranges=_BALL | {"start_x_m": (-0.35, 0.35), "pass_x_m": (-0.05, 0.05), "pass_y_m": (1.58, 1.72)},
        places=("room", "street"),
        arrive=ball,
        react=duck,
    ),
    Encounter(
        name="ball_low",
        caption="Somebody throws a ball at the person's shins; the person hops aside and draws the leg up over it.",
        comes="ball",
        ranges=_SMALL
        | {"radius_m": (0.14, 0.18), "start_x_m": (-0.8, 0.8), "pass_x_m": (-0.16, 0.16), "pass_y_m": (0.17, 0.26)},
        places=("room", "street"),
        arrive=ball,
        react=lift_legs_over,
    ),
    Encounter(
        name="ball_rolling",
        caption="Somebody kicks a ball, which rolls up along the floor; the person stops it with the sole of a foot, or steps aside where it is fast.",
        comes="ball",
        ranges=_ROLLING,
        places=("room", "street"),
        arrive=rolling_ball,
        react=stop_or_let_roll,
    ),
    Encounter(
        name="ball_catch",
        caption="Somebody lobs a ball to the person, who reaches out, catches it with both hands and keeps it.",
        comes="ball",
        ranges=_LOBBED,
        places=("room", "street"),
        arrive=lobbed_ball,
        react=catch,
        settle=held_ball,
    ),
)
