"""Vehicles on the way to where somebody stands."""

from egoreact.hrd.simulate.acting import choreography as pose
from egoreact.hrd.simulate.acting.choreography import HANG, Choreography, Hand, HandKey
from egoreact.hrd.simulate.acting.person import Person
from egoreact.hrd.simulate.acting.steps import LEFT, RIGHT, Step
from egoreact.hrd.simulate.arrival import Parameters
from egoreact.hrd.simulate.encounters.encounter import AT_ONCE_S, Encounter
from egoreact.hrd.simulate.encounters.walking import first_foot, halted, walk_on
from egoreact.hrd.simulate.things.bicycle import bicycle
from egoreact.hrd.simulate.things.car import CAR_LENGTH_M, car
from egoreact.hrd.simulate.things.crossing import crossing_car, heard_s, pass_s
from egoreact.hrd.simulate.things.sides import EITHER, side_of

GUARD_LOW = Hand((0.12, -0.12, 0.5), pose.GUARD.elbow)
HALF_READY = Hand((0.16, -0.66, 0.34), pose.READY.elbow)


def leap_aside(person: Person, parameters: Parameters) -> Choreography:
    """A car comes: two leaps to the right and back, off the road, low and with the arms out."""
    onset = parameters["contact_s"] - 1.30 + person.latency_s
    far, back = -1.80 * person.amplitude, -0.50 * person.amplitude
    steps = (
        Step(RIGHT, onset + 0.06, onset + 0.36, 0.48 * far - 0.12, 0.13 + 0.15 * back, yaw=-0.35, height_m=0.16),
        Step(LEFT, onset + 0.30, onset + 0.62, 0.48 * far + 0.12, 0.13 + 0.45 * back, yaw=-0.2, height_m=0.14),
        Step(RIGHT, onset + 0.58, onset + 0.90, far - 0.14, 0.13 + 0.75 * back, yaw=-0.35, height_m=0.16),
        Step(LEFT, onset + 0.84, onset + 1.18, far + 0.14, 0.13 + back, yaw=0.0, height_m=0.12),
    )
    arms: tuple[HandKey, ...] = (
        (onset, HANG), (onset + 0.35, pose.OUT), (onset + 1.0, pose.OUT), (onset + 1.5, GUARD_LOW), (onset + 2.2, pose.READY),
    )  # fmt: skip
    return Choreography(
        steps=steps,
        sink=((onset - 0.05, 0.0), (onset + 0.3, 0.15), (onset + 0.9, 0.12), (onset + 1.25, 0.2), (onset + 2.0, 0.08)),
        turn=((onset, 0.0), (onset + 0.5, -0.45), (onset + 0.9, -0.35), (onset + 1.6, 0.15)),
        pelvis=((onset, (0.0, 0.0)), (onset + 0.35, (0.18, 0.12)), (onset + 1.2, (0.15, -0.05)), (onset + 2.0, (0.05, 0.0))),
        spine=(
            (onset, (0.0, 0.04, 0.0)), (onset + 0.4, (0.2, 0.25, 0.2)), (onset + 1.2, (0.1, 0.22, -0.08)),
            (onset + 2.0, (0.0, 0.08, 0.0)),
        ),
        left_hand=arms,
        right_hand=arms,
        notes={"onset_s": onset},
    )  # fmt: skip


def wait_at_the_kerb(person: Person, parameters: Parameters) -> Choreography:
    """A car crosses ahead: stop at the kerb, rocked back a little, look after it, and walk on when it is through."""
    start, first = person.latency_s, first_foot(person)
    stop = parameters["kerb_m"] - 0.14
    count = max(2, round((stop - 0.13) / 0.5))
    walk = walk_on(person, start, 0.13, count, first=first, stride_m=(stop - 0.13) / count)
    stand = halted(person, walk, z_m=stop - 0.06)
    onset = max(heard_s(parameters) + 0.25 + person.latency_s, start + 0.3)
    clear = pass_s(parameters) + CAR_LENGTH_M / parameters["speed_m_s"] + 0.10 + person.latency_s
    resumed = max(clear, stand.end_s + 0.15)
    on = halted(person, walk_on(person, resumed, stand.end_z_m, 9, first=stand.side))
    halt, sign, far = walk.end_s, side_of(parameters), person.amplitude
    back = -0.08 * far
    alert: tuple[HandKey, ...] = (
        (halt - 0.25, HANG), (halt + 0.3, HALF_READY), (resumed - 0.2, HALF_READY), (resumed + 0.5, HANG),
    )  # fmt: skip
    return Choreography(
        steps=(*stand.steps, *on.steps),
        sink=((halt - 0.3, 0.0), (halt + 0.15, 0.035), (stand.end_s + 0.2, 0.01), (resumed + 0.3, 0.0)),
        shift=((halt - 0.3, (0.0, 0.0)), (halt + 0.1, (0.0, 0.05)), (halt + 0.55, (0.0, back)), (resumed, (0.0, 0.03)), (resumed + 0.5, (0.0, 0.0))),
        pelvis=((halt - 0.3, (0.0, 0.0)), (halt + 0.3, (-0.06, 0.0)), (resumed, (0.0, 0.0))),
        spine=(
            (start, (0.0, 0.04, 0.0)), (start + 0.6, (0.0, 0.08, 0.0)), (halt - 0.2, (0.08 * sign, 0.07, 0.0)),
            (halt + 0.25, (0.25 * sign * far, -0.06 * far, 0.0)), (resumed - 0.3, (-0.25 * sign * far, 0.0, 0.0)), (resumed + 0.5, (0.0, 0.08, 0.0)),
        ),
        follow=((onset - 0.1, 0.0), (onset + 0.05, 1.0), (resumed + 0.2, 1.0), (resumed + 0.7, 0.0)),
        left_hand=alert,
        right_hand=alert,
        notes={"walk_s": start, "onset_s": onset, "halt_s": halt, "resume_s": resumed},
    )  # fmt: skip


def let_pass_and_look_after(person: Person, parameters: Parameters) -> Choreography:
    """A bicycle comes head-on: aside to where its line is farther, then turn after it."""
    sign = side_of(parameters)  # where the bicycle passes
    onset = parameters["contact_s"] - 1.05 + person.latency_s
    reach = 0.72 * person.amplitude
    lead, trail = (RIGHT, LEFT) if sign > 0 else (LEFT, RIGHT)
    x, passed = -sign * reach, parameters["contact_s"] + 0.05
    steps = (
        Step(lead, onset + 0.02, onset + 0.40, x - 0.12 * sign, 0.09, yaw=-0.15 * sign, height_m=0.11),
        Step(trail, onset + 0.33, onset + 0.76, x + 0.12 * sign, 0.12, yaw=0.1 * sign, height_m=0.10),
        Step(trail, passed, passed + 0.42, x + 0.14 * sign, -0.06, yaw=1.0 * sign, height_m=0.07, heel=0.35),
        Step(lead, passed + 0.36, passed + 0.84, x - 0.02 * sign, 0.18, yaw=1.35 * sign, height_m=0.08, heel=0.4),
        Step(trail, passed + 0.80, passed + 1.20, x + 0.05 * sign, -0.12, yaw=1.9 * sign, height_m=0.06, heel=0.3),
    )
    near: tuple[HandKey, ...] = (
        (onset, HANG), (onset + 0.45, GUARD_LOW), (passed + 0.2, GUARD_LOW), (passed + 1.0, HALF_READY), (passed + 1.9, HANG),
    )  # fmt: skip
    far: tuple[HandKey, ...] = (
        (onset, HANG), (onset + 0.45, pose.OUT), (passed - 0.1, pose.OUT), (passed + 0.6, pose.BALANCE), (passed + 1.5, HANG),
    )  # fmt: skip
    lean = 0.14 * sign * person.amplitude
    return Choreography(
        steps=steps,
        sink=((onset - 0.05, 0.0), (onset + 0.4, 0.10), (onset + 0.9, 0.05), (passed + 1.2, 0.0)),
        turn=((onset, 0.0), (onset + 0.4, 0.12 * sign), (passed - 0.05, 0.2 * sign), (passed + 1.1, 1.75 * sign)),
        pelvis=((onset, (0.0, 0.0)), (onset + 0.4, (0.06, 0.3 * lean)), (onset + 0.95, (0.0, 0.3 * lean)), (passed + 0.8, (0.02, 0.0))),
        spine=(
            (onset, (0.0, 0.04, 0.0)), (onset + 0.45, (0.1 * sign, 0.12, lean)), (passed, (0.2 * sign, 0.02, lean)),
            (passed + 0.5, (0.35 * sign, 0.05, 0.0)), (passed + 1.4, (0.25 * sign, 0.05, 0.0)),
        ),
        glance=((passed, 0.0), (passed + 0.35, 0.55 * sign), (passed + 1.6, 0.5 * sign)),
        left_hand=near if sign > 0 else far,
        right_hand=far if sign > 0 else near,
        notes={"onset_s": onset, "passed_s": passed},
    )  # fmt: skip


TABLE = (
    Encounter(
        name="car",
        caption="A car drives at the person, who leaps to the right and back, off the road.",
        comes="vehicle",
        ranges={"contact_s": (2.0, 2.5), "distance_m": (12.0, 14.0), "start_x_m": (0.15, 0.5)},
        places=("road",),
        arrive=car,
        react=leap_aside,
    ),
    Encounter(
        name="car_crossing",
        caption="A car crosses the way from one side; the person stops at the kerb, looks after it and walks on once it has passed.",
        comes="vehicle",
        ranges={"side": EITHER, "kerb_m": (1.15, 2.25), "late_s": (-0.08, 0.08), "speed_m_s": (6.0, 7.2)},
        places=("street",),
        arrive=crossing_car,
        react=wait_at_the_kerb,
        waits_s=AT_ONCE_S,  # the car comes later where the kerb is farther off
    ),
    Encounter(
        name="bicycle",
        caption="A bicycle comes head-on; the person steps aside, away from its line, turns and looks after it.",
        comes="vehicle",
        ranges={
            "side": EITHER,
            "contact_s": (1.35, 1.75),
            "speed_m_s": (4.2, 5.4),
            "drift_m_s": (-0.15, 0.15),
            "pass_x_m": (0.05, 0.22),
        },
        places=("street",),
        arrive=bicycle,
        react=let_pass_and_look_after,
    ),
)
