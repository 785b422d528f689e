"""Vehicles on the way to where somebody stands."""

from egoreact.hrd.simulate import choreography as pose
from egoreact.hrd.simulate.arrival import Parameters
from egoreact.hrd.simulate.choreography import HANG, Choreography, Hand, HandKey
from egoreact.hrd.simulate.encounters.encounter import Encounter
from egoreact.hrd.simulate.person import Person
from egoreact.hrd.simulate.steps import LEFT, RIGHT, Step
from egoreact.hrd.simulate.things.car import car

GUARD_LOW = Hand((0.12, -0.12, 0.5), pose.GUARD.elbow)


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
)
