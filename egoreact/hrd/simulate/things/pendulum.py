"""What hangs and swings at somebody: a punching bag on its chain, a lamp on its cord, and who holds it until it is let go."""

import numpy as np
from jaxtyping import Float64

from egoreact.hrd.simulate.acting.choreography import GUARD, HANG, Choreography, HandKey
from egoreact.hrd.simulate.acting.kinematics import Body, rotation
from egoreact.hrd.simulate.acting.steps import LEFT, RIGHT
from egoreact.hrd.simulate.arrival import OBJECT, PERSON, Arrival, Parameters, bright
from egoreact.hrd.simulate.figures.dress import dress, sample_clothes
from egoreact.hrd.simulate.solids import Mesh, Solid, joined, lathe, limb, moved, poses
from egoreact.hrd.simulate.things.sides import side_of
from egoreact.hrd.simulate.things.somebody import Spot, performed, reach_to, somebody

PIVOT_M = 2.88
"""Height of what it hangs from."""
BAG_LENGTH_M = 0.95
_GRAVITY, _DAMPING = 9.81, 0.10
_HELD_BELOW_M, _GRIPPED, _ARMS_M = 0.26, 0.6, 0.42
"""Where a bag is held, from its middle; how far behind what hangs the palms are, of its radius; from them to the spine."""


def period_s(parameters: Parameters) -> float:
    """Of one swing there and back: a pendulum's, a little longer for its width."""
    return float(2 * np.pi * np.sqrt(parameters["length_m"] / _GRAVITY) * (1 + parameters["swing"] ** 2 / 16))


def pendulum_angle(parameters: Parameters, times_s: np.ndarray) -> Float64[np.ndarray, " frames"]:
    """Radians from plumb, away from the wearer above 0; it is let go at release_s, held out until then, and dies down slowly."""
    late = np.maximum(times_s - parameters["release_s"], 0.0)
    omega = 2 * np.pi / period_s(parameters)
    return (
        parameters["swing"]
        * np.exp(-_DAMPING * late)
        * (np.cos(omega * late) + _DAMPING / omega * np.sin(omega * late))
    )


def pendulum_turns(parameters: Parameters, times_s: np.ndarray) -> Float64[np.ndarray, "frames 3 3"]:
    """It swings in a plane that passes the wearer's middle a little on its own side."""
    plane = rotation(side_of(parameters) * parameters["slant"])
    return plane @ rotation(0.0, -pendulum_angle(parameters, times_s)) @ plane.T


def pendulum_path(parameters: Parameters, times_s: np.ndarray) -> Float64[np.ndarray, "frames 3"]:
    """The middle of what swings."""
    pivot = np.array([0.0, PIVOT_M, parameters["distance_m"]])
    return pivot - parameters["length_m"] * pendulum_turns(parameters, times_s)[:, :, 1]


def swinging(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    turns = pendulum_turns(parameters, times_s)
    pivot = np.tile([0.0, PIVOT_M, parameters["distance_m"]], (len(times_s), 1))
    is_bag = rng.random() < 0.6
    mesh = _bag(parameters, rng) if is_bag else _lamp(parameters, rng)
    hung = Solid(mesh, poses(pivot, turns), OBJECT, gloss=0.15, name="pendulum")
    body = holder(parameters, _HELD_BELOW_M if is_bag else 0.0, times_s)
    dressed = dress(body, sample_clothes(rng), PERSON, somebody(parameters).height_scale)
    return Arrival([hung, *dressed], pendulum_path(parameters, times_s))


def holder(parameters: Parameters, below_m: float, times_s: np.ndarray) -> Body:
    """Somebody beyond it with their palms at its sides, below_m below its middle, who opens their hands at release_s."""
    person, release, radius = somebody(parameters), parameters["release_s"], parameters["radius_m"]
    plane = rotation(side_of(parameters) * parameters["slant"])
    turn = pendulum_turns(parameters, np.array([release]))[0]
    aside, ahead = plane[:, 0], plane[:, 2]
    beyond = turn @ ahead  # out of what hangs there, away from the wearer
    middle = pendulum_path(parameters, np.array([release]))[0] - below_m * turn[:, 1]
    grip = middle + _GRIPPED * radius * beyond
    spot = Spot(grip[0], grip[2], float(np.arctan2(-ahead[0], -ahead[2]))).ahead(-_ARMS_M)
    reaches = []
    for side, sign in ((LEFT, -1.0), (RIGHT, 1.0)):  # they face the wearer
        held = grip + sign * np.sqrt(1.0 - _GRIPPED**2) * radius * aside
        opened = held + 0.12 * (sign * aside + beyond)
        at_m = ((release - 0.10, held), (release + 0.25, opened))
        reaches.append(reach_to(side, spot, at_m, ((release + 0.25, 1.0), (release + 0.9, 0.0))))
    hands: tuple[HandKey, ...] = ((release + 0.2, GUARD), (release + 0.9, HANG))
    choreography = Choreography(
        spine=((release, (0.0, 0.10, 0.0)), (release + 0.7, (0.0, 0.02, 0.0))),
        left_hand=hands,
        right_hand=hands,
        reaches=tuple(reaches),
    )
    return performed(person, spot, choreography, times_s)


def _bag(parameters: Parameters, rng: np.random.Generator) -> Mesh:
    """The origin is the pivot."""
    length, radius, half = parameters["length_m"], parameters["radius_m"], BAG_LENGTH_M / 2
    leather, dark = bright(rng), (0.03, 0.03, 0.03)
    k = radius
    profile = [(0.0, -half), (0.8 * k, -half), (k, -half + 0.06), (k, half - 0.06), (0.8 * k, half), (0.0, half)]
    bands = [
        lathe([(k + 0.004, y - 0.05), (k + 0.006, y), (k + 0.004, y + 0.05)], dark, sections=18) for y in (-0.22, 0.22)
    ]
    bag = joined([lathe(profile, leather, sections=18), *bands])
    chain = moved(
        limb(length - half - 0.12, 0.012, 0.012, (0.35, 0.35, 0.37), sections=6), (0, -length + half + 0.12, 0)
    )
    straps = [
        moved(
            limb(0.21, 0.008, 0.008, dark, sections=6), (x, -length + half - 0.02, z), rotation(0.0, -2.8 * z, 2.8 * x)
        )
        for x, z in ((0.12, 0.0), (-0.12, 0.0), (0.0, 0.12), (0.0, -0.12))
    ]
    return joined([moved(bag, (0, -length, 0)), chain, *straps])


def _lamp(parameters: Parameters, rng: np.random.Generator) -> Mesh:
    """A wide shade as tall as the bag is thick, on a cord; a heavy foot of glass below it."""
    length, k = parameters["length_m"], parameters["radius_m"]
    shade, brass, glow = bright(rng), (0.62, 0.48, 0.22), (2.6, 2.3, 1.6)
    parts = [
        lathe(
            [(1.05 * k, -0.10), (0.95 * k, 0.0), (0.55 * k, 0.18), (0.12 * k, 0.24), (0.0, 0.25)], shade, sections=20
        ),
        lathe([(0.0, -0.16), (0.4 * k, -0.13), (0.55 * k, -0.02), (0.3 * k, 0.08), (0.0, 0.1)], glow, sections=14),
        lathe([(1.05 * k, -0.12), (1.08 * k, -0.10), (1.05 * k, -0.08)], brass, sections=20),
    ]
    cord = limb(length - 0.25, 0.010, 0.010, (0.05, 0.05, 0.05), sections=6)
    return joined([*(moved(part, (0, -length, 0)) for part in parts), moved(cord, (0, -length + 0.25, 0))])
