"""What an encounter is: what comes, between which bounds it differs, where it happens, and what people do about it.

A reaction is a pure function of who somebody is and of what comes. Times are seconds from the moment the encounter begins,
below 0 before: what comes then waits, or is on its way already. Places are in the world, the person starting at the origin
and facing +z with the left at +x.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from egoreact.hrd.simulate.acting.choreography import Choreography, Performance
from egoreact.hrd.simulate.acting.person import Person
from egoreact.hrd.simulate.arrival import Arrival
from egoreact.hrd.simulate.scenery.places import PlaceKind

Arrive = Callable[[Mapping[str, float], np.random.Generator, np.ndarray], Arrival]
React = Callable[[Person, Mapping[str, float]], Choreography]
Settle = Callable[[Arrival, Performance, Mapping[str, float], np.ndarray], Arrival]

WAITS_S = (0.0, 1.2)
AT_ONCE_S = (0.0, 0.0)


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
    settle: Settle | None = None
    """What becomes of the arrival once it is known what the person does: a ball that was caught follows the hands."""

    waits_s: tuple[float, float] = WAITS_S
    """Bounds of how long a clip runs before the encounter begins, so that nobody can react by the clock. `AT_ONCE_S` where
    the person walks up to what does not move: where it stands says when."""

    def sample(self, rng: np.random.Generator) -> dict[str, float]:
        return {name: float(rng.uniform(low, high)) for name, (low, high) in self.ranges.items()}
