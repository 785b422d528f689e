"""Animals that come close."""

from egoreact.hrd.simulate import choreography as pose
from egoreact.hrd.simulate.arrival import Parameters
from egoreact.hrd.simulate.choreography import HANG, Choreography, HandKey
from egoreact.hrd.simulate.encounters.encounter import Encounter
from egoreact.hrd.simulate.person import Person
from egoreact.hrd.simulate.steps import LEFT, RIGHT, Step
from egoreact.hrd.simulate.things.dog import dog


def step_back(person: Person, parameters: Parameters) -> Choreography:
    """A dog runs up: step by step backwards, hands low between it and oneself."""
    # People start back when the dog is about 2.8 m away.
    onset = (parameters["distance_m"] - 2.8) / parameters["speed_m_s"] + person.latency_s
    reach = 1.15 * person.amplitude
    steps = (
        Step(RIGHT, onset, onset + 0.36, -0.13, 0.13 - 0.42 * reach, heel=0.15),
        Step(LEFT, onset + 0.32, onset + 0.72, 0.13, 0.13 - 0.86 * reach, heel=0.15),
        Step(RIGHT, onset + 0.68, onset + 1.10, -0.14, 0.13 - 1.06 * reach, heel=0.15),
    )
    low: tuple[HandKey, ...] = (
        (onset, HANG),
        (onset + 0.5, pose.LOW),
        (onset + 2.0, pose.LOW),
        (onset + 3.2, pose.LOW),
    )
    return Choreography(
        steps=steps,
        sink=((onset, 0.0), (onset + 0.5, 0.09), (onset + 1.2, 0.12), (onset + 2.4, 0.09)),
        shift=((onset, (0.0, 0.0)), (onset + 0.5, (0.0, -0.05)), (onset + 1.4, (0.0, -0.02))),
        pelvis=((onset, (0.0, 0.0)), (onset + 0.45, (-0.06, 0.0)), (onset + 1.3, (0.16, 0.0))),
        spine=((onset, (0.0, 0.04, 0.0)), (onset + 0.45, (0.0, -0.06, 0.0)), (onset + 1.4, (0.0, 0.20, 0.0))),
        left_hand=low,
        right_hand=low,
        notes={"onset_s": onset},
    )


TABLE = (
    Encounter(
        name="dog",
        caption="A dog runs up; the person backs away step by step with the hands held low.",
        comes="animal",
        ranges={
            "distance_m": (4.6, 5.6),
            "speed_m_s": (3.0, 3.6),
            "slow_m_s2": (3.2, 3.8),
            "stop_m": (0.55, 0.75),
            "start_x_m": (-0.25, 0.25),
            "size": (1.05, 1.25),
        },
        places=("room", "street"),
        arrive=dog,
        react=step_back,
    ),
)
