"""People who come, greet, push and call."""

from egoreact.hrd.simulate import choreography as pose
from egoreact.hrd.simulate.arrival import Parameters
from egoreact.hrd.simulate.choreography import HANG, Choreography, HandKey
from egoreact.hrd.simulate.encounters.encounter import Encounter
from egoreact.hrd.simulate.person import Person
from egoreact.hrd.simulate.steps import LEFT, RIGHT, Step
from egoreact.hrd.simulate.things.walker import walker


def make_way_and_wave(person: Person, parameters: Parameters) -> Choreography:
    """Somebody comes: two steps towards them, one aside to the left, stop and wave."""
    start, pace = 0.25 + person.latency_s, 0.50 / person.pace
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
    waving: list[HandKey] = [(hello - 0.05, HANG), (hello + 0.5, pose.WAVE_IN)]
    waving += [(hello + 0.5 + 0.26 * (k + 1), pose.WAVE_OUT if k % 2 == 0 else pose.WAVE_IN) for k in range(9)]
    waving += [(hello + 3.4, HANG)]
    resting: tuple[HandKey, ...] = ((0.0, HANG),)
    return Choreography(
        steps=steps,
        turn=((aside, 0.0), (aside + 0.8, -0.16)),
        spine=((start, (0.0, 0.04, 0.0)), (hello, (0.0, 0.07, 0.02)), (hello + 0.6, (0.0, 0.0, -0.03))),
        left_hand=tuple(waving) if person.left_handed else resting,
        right_hand=resting if person.left_handed else tuple(waving),
        notes={"onset_s": start, "wave_s": hello},
    )


TABLE = (
    Encounter(
        name="passer_by",
        caption="Somebody walks up; the person takes two steps towards them, moves aside to the left and waves.",
        comes="person",
        ranges={"distance_m": (4.5, 5.4), "speed_m_s": (1.1, 1.3), "stop_m": (2.5, 2.8), "start_x_m": (-0.15, 0.1)},
        places=("room", "street"),
        arrive=walker,
        react=make_way_and_wave,
    ),
)
