"""Somebody who walks up."""

import numpy as np

from egoreact.hrd.simulate.acting.choreography import HANG, WAVE_IN, WAVE_OUT, Choreography, HandKey
from egoreact.hrd.simulate.arrival import Arrival, Parameters
from egoreact.hrd.simulate.things.somebody import Spot, performed, seen, somebody, way_to


def waving(hello_s: float, waves: int, *, pace_s: float = 0.27) -> tuple[HandKey, ...]:
    """A hand that comes up, goes to and fro and stays up."""
    keys: list[HandKey] = [(hello_s, HANG), (hello_s + 0.5, WAVE_IN)]
    keys += [(hello_s + 0.5 + pace_s * (k + 1), WAVE_OUT if k % 2 == 0 else WAVE_IN) for k in range(waves)]
    return tuple(keys)


def walker(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    """Somebody walks up, stops before the wearer and waves back."""
    person = somebody(parameters)
    goal = Spot(parameters["start_x_m"], parameters["stop_m"], np.pi)
    way = way_to(person, goal, parameters["distance_m"] - parameters["stop_m"], parameters["speed_m_s"])
    hello = way.arrived_s - 0.5
    choreography = Choreography(steps=way.steps, right_hand=waving(hello, 14))
    return seen(performed(person, way.spot, choreography, times_s), person, rng)
