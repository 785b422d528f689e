"""The table of encounters: what comes, between which bounds it differs, where it happens, and what people do about it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from egoreact.hrd.simulate import reactions
from egoreact.hrd.simulate.arrival import Arrival
from egoreact.hrd.simulate.car import car
from egoreact.hrd.simulate.choreography import Choreography
from egoreact.hrd.simulate.dog import dog
from egoreact.hrd.simulate.objects import ball, head_bar, low_obstacle
from egoreact.hrd.simulate.person import Person
from egoreact.hrd.simulate.places import PlaceKind
from egoreact.hrd.simulate.walker import walker

Arrive = Callable[[Mapping[str, float], np.random.Generator, np.ndarray], Arrival]
React = Callable[[Person, Mapping[str, float]], Choreography]


@dataclass(frozen=True)
class Encounter:
    name: str
    caption: str
    comes: str
    """The segmentation class of what comes."""
    ranges: Mapping[str, tuple[float, float]]
    """Bounds between which each parameter is drawn; names carry the unit."""
    places: tuple[PlaceKind, ...]
    arrive: Arrive
    react: React

    def sample(self, rng: np.random.Generator) -> dict[str, float]:
        return {name: float(rng.uniform(low, high)) for name, (low, high) in self.ranges.items()}


_BALL = {
    "contact_s": (1.3, 1.9), "distance_m": (5.2, 6.4), "radius_m": (0.25, 0.31), "start_y_m": (1.0, 1.4),
}  # fmt: skip
_TABLE = (
    Encounter(
        name="ball_left",
        caption="A ball flies at the person's left side; the person steps to the right and shields the head with the left arm.",
        comes="ball",
        ranges=_BALL | {"start_x_m": (1.3, 2.1), "pass_x_m": (0.05, 0.2), "pass_y_m": (1.15, 1.35)},
        places=("room", "street"),
        arrive=ball,
        react=reactions.sidestep_right,
    ),
    Encounter(
        name="ball_right",
        caption="A ball flies at the person's right side; the person steps to the left and shields the head with the right arm.",
        comes="ball",
        ranges=_BALL | {"start_x_m": (-2.1, -1.3), "pass_x_m": (-0.2, -0.05), "pass_y_m": (1.15, 1.35)},
        places=("room", "street"),
        arrive=ball,
        react=reactions.sidestep_left,
    ),
    Encounter(
        name="ball_high",
        caption="A ball flies straight at the person's head; the person ducks low and covers the head.",
        comes="ball",
        ranges=_BALL | {"start_x_m": (-0.35, 0.35), "pass_x_m": (-0.05, 0.05), "pass_y_m": (1.58, 1.72)},
        places=("room", "street"),
        arrive=ball,
        react=reactions.duck,
    ),
    Encounter(
        name="low_obstacle",
        caption="Something low lies in the way; the person walks up to it, steps over it with high knees and walks on.",
        comes="low_obstacle",
        ranges={"distance_m": (1.7, 2.2), "height_m": (0.24, 0.34), "depth_m": (0.18, 0.30)},
        places=("room", "street"),
        arrive=low_obstacle,
        react=reactions.step_over,
    ),
    Encounter(
        name="head_bar",
        caption="A bar hangs across the way at head height; the person walks up to it, ducks under it and walks on.",
        comes="bar",
        ranges={"distance_m": (1.9, 2.4), "bottom_m": (1.46, 1.56)},
        places=("room", "street"),
        arrive=head_bar,
        react=reactions.duck_under,
    ),
    Encounter(
        name="person",
        caption="Somebody walks up; the person takes two steps towards them, moves aside to the left and waves.",
        comes="person",
        ranges={"distance_m": (4.5, 5.4), "speed_m_s": (1.1, 1.3), "stop_m": (2.5, 2.8), "start_x_m": (-0.15, 0.1)},
        places=("room", "street"),
        arrive=walker,
        react=reactions.make_way_and_wave,
    ),
    Encounter(
        name="animal",
        caption="A dog runs up; the person backs away step by step with the hands held low.",
        comes="animal",
        ranges={
            "distance_m": (4.6, 5.6), "speed_m_s": (3.0, 3.6), "slow_m_s2": (3.2, 3.8), "stop_m": (0.55, 0.75),
            "start_x_m": (-0.25, 0.25), "size": (1.05, 1.25),
        },
        places=("room", "street"),
        arrive=dog,
        react=reactions.step_back,
    ),
    Encounter(
        name="car",
        caption="A car drives at the person, who leaps to the right and back, off the road.",
        comes="vehicle",
        ranges={"contact_s": (2.0, 2.5), "distance_m": (12.0, 14.0), "start_x_m": (0.15, 0.5)},
        places=("road",),
        arrive=car,
        react=reactions.leap_aside,
    ),
)  # fmt: skip
ENCOUNTERS: dict[str, Encounter] = {encounter.name: encounter for encounter in _TABLE}
