"""Somebody who walks up."""

import numpy as np

from egoreact.hrd.simulate.arrival import PERSON, Arrival, Parameters
from egoreact.hrd.simulate.choreography import HANG, WAVE_IN, WAVE_OUT, Choreography, HandKey, perform
from egoreact.hrd.simulate.figures import dress, sample_clothes
from egoreact.hrd.simulate.kinematics import Body
from egoreact.hrd.simulate.person import sample_person
from egoreact.hrd.simulate.steps import LEFT, RIGHT, Step


def walker(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    """Somebody walks up, stops before the wearer and waves back."""
    someone, clothes = sample_person(rng), sample_clothes(rng)
    stride, pace = 0.64, 0.64 / parameters["speed_m_s"]
    distance = parameters["distance_m"] - parameters["stop_m"]
    count = max(2, round(distance / stride))
    stride = distance / count
    # Already under way when the clip begins: two steps behind, and late by the time they take.
    lead = 2
    steps = [
        Step(
            side=(RIGHT, LEFT)[k % 2],
            lift_s=(k + 0.08) * pace,
            land_s=(k + 1) * pace,
            x_m=0.085 * (-1) ** (k + 1) * someone.height_scale,
            z_m=0.13 + stride * (k + 1),
        )
        for k in range(count + lead)
    ]
    end = (count + lead + 1) * pace
    last = (RIGHT, LEFT)[(count + lead) % 2]
    steps.append(Step(last, end - 0.9 * pace, end, 0.1 if last == LEFT else -0.1, steps[-1].z_m))
    hello = end - 0.5
    waving: list[HandKey] = [(hello, HANG), (hello + 0.5, WAVE_IN)]
    waving += [(hello + 0.5 + 0.27 * (k + 1), WAVE_OUT if k % 2 == 0 else WAVE_IN) for k in range(10)]
    performance = perform(Choreography(steps=tuple(steps), right_hand=tuple(waving)), someone, times_s + lead * pace)
    body = _turned_round(performance.body, parameters["start_x_m"], parameters["distance_m"] + lead * stride)
    solids = dress(body, clothes, PERSON, someone.height_scale)
    return Arrival(solids, body.joints_m[:, 15] + np.array([0, 0.03, 0]))


def _turned_round(body: Body, x_m: float, z_m: float) -> Body:
    """Facing -z, from (x, z)."""
    turn = np.diag([-1.0, 1.0, -1.0])
    return Body(
        body.joints_m @ turn + np.array([x_m, 0.0, z_m]), turn @ body.pelvis_rotation, turn @ body.chest_rotation,
        turn @ body.head_rotation, turn @ body.foot_rotation,
    )  # fmt: skip
