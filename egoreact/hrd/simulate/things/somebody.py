"""Somebody else: a performance of the same engine, somewhere in the world and turned anywhere.

Their choreography is written where they are: from their own origin, facing +z, with the clip's own time. Who they are follows
from the parameters `who` and `height` alone, so that whoever reacts may know what they are about to do.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from egoreact.hrd.simulate.acting.choreography import Choreography, Reach, perform
from egoreact.hrd.simulate.acting.curves import Key
from egoreact.hrd.simulate.acting.kinematics import Body, rotation
from egoreact.hrd.simulate.acting.person import Person, sample_person
from egoreact.hrd.simulate.acting.steps import LEFT, RIGHT, Step, stance_m
from egoreact.hrd.simulate.arrival import PERSON, Arrival, Parameters
from egoreact.hrd.simulate.figures.dress import dress, sample_clothes
from egoreact.motion.skeleton import HEAD

WHO = {"who": (0.0, 1e6), "height": (0.93, 1.07)}
"""Ranges of the parameters that say who comes."""


def somebody(parameters: Parameters, number: int = 0) -> Person:
    """The one who comes, or the next of several."""
    person = sample_person(np.random.default_rng((int(parameters["who"]), number)))
    return replace(person, height_scale=parameters["height"]) if number == 0 else person


@dataclass(frozen=True)
class Spot:
    """Where somebody's own origin lies in the world, and where their own +z points."""

    x_m: float
    z_m: float
    heading: float

    def ahead(self, distance_m: float) -> "Spot":
        return Spot(
            self.x_m + distance_m * np.sin(self.heading), self.z_m + distance_m * np.cos(self.heading), self.heading
        )

    def inside(self, places_m: np.ndarray) -> np.ndarray:
        """Places (..., 3) of the world as this somebody has them."""
        return (np.asarray(places_m) - [self.x_m, 0.0, self.z_m]) @ rotation(self.heading)

    def outside(self, body: Body) -> Body:
        """A body of this somebody's own space in the world."""
        turn = rotation(self.heading)
        return Body(
            body.joints_m @ turn.T + np.array([self.x_m, 0.0, self.z_m]),
            *(turn @ rotations for rotations in (
                body.pelvis_rotation, body.chest_rotation, body.head_rotation, body.foot_rotation,
            )),
        )  # fmt: skip


@dataclass(frozen=True)
class Way:
    """Steps straight ahead that end at rest."""

    spot: Spot
    """Where it begins."""
    steps: tuple[Step, ...]
    length_m: float
    arrived_s: float
    """When the last foot lands."""


def way_to(
    person: Person, goal: Spot, distance_m: float, speed_m_s: float, *, stops: bool = True, until_s: float = 9.0
) -> Way:
    """A walk, or from about 2.2 m/s a run, towards a goal: `distance_m` before it at the clip's start, already under way.

    Without a stop it leads on past the goal until `until_s`.
    """
    stride = 0.60 * person.height_scale * max(speed_m_s / 1.15, 0.4) ** 0.5
    lead, short = 3, 0.65 if stops else 0.0  # whoever stops brakes over two shorter steps
    count = max(2, round(distance_m / stride + short))
    stride = distance_m / (count - short)
    pace = stride / speed_m_s
    last = count if stops else int(until_s / pace) + 1
    run = float(np.clip((speed_m_s - 1.8) / 1.0, 0.0, 1.0))
    steps = []
    for k in range(-lead, last):
        side = (RIGHT, LEFT)[k % 2]
        braked = 0.0 if not stops or k < last - 2 else (0.2 if k == last - 2 else short)
        x, z = stance_m(side, 0.0, stride * (k + 1 + lead - braked), 0.0, person.bones, half_m=0.085)
        land = (k + 1) * pace
        swing_s = (0.92 + 0.40 * run) * pace  # runners leave the ground
        steps.append(Step(side, land - swing_s, land, x, z, height_m=0.09 + 0.08 * run, heel=0.5 + 0.4 * run))
    arrived = last * pace
    if stops:
        side = (RIGHT, LEFT)[last % 2]
        x, z = stance_m(side, 0.0, stride * (last + lead - short), 0.0, person.bones)
        arrived += pace
        steps.append(Step(side, arrived - 0.9 * pace, arrived, x, z, height_m=0.06))
    length = stride * (last + lead - short)
    return Way(goal.ahead(-distance_m - stride * lead), tuple(steps), length, arrived)


def reach_to(side: int, spot: Spot, at_m: Sequence[Key], weight: Sequence[Key]) -> Reach:
    """A palm that goes to places given in the world, for a choreography of somebody at `spot`."""
    inside = tuple((time, tuple(spot.inside(np.asarray(place)))) for time, place in at_m)
    return Reach(side, inside, tuple(weight), palm=True)


def performed(
    person: Person,
    spot: Spot,
    choreography: Choreography,
    times_s: Float64[np.ndarray, " frames"],
    watched_m: np.ndarray | tuple[float, float, float] = (0.0, 1.62, 0.0),
) -> Body:
    """Somebody's body in the world, looking at a place of the world: by default the face of whoever stands at its origin."""
    watched = np.broadcast_to(np.asarray(watched_m, dtype=np.float64), (len(times_s), 3))
    return spot.outside(perform(choreography, person, times_s, spot.inside(watched)).body)


def seen(body: Body, person: Person, rng: np.random.Generator) -> Arrival:
    """Somebody dressed, whose face draws the eyes."""
    return Arrival(dress(body, sample_clothes(rng), PERSON, person.height_scale), face_m(body))


def face_m(body: Body) -> Float64[np.ndarray, "frames 3"]:
    return body.joints_m[:, HEAD] + np.array([0.0, 0.03, 0.0])
