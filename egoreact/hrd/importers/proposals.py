"""What might have come at a body that left its course: encounters of the simulator, laid out so that the old course meets them.

Each kind knows the deed it calls for, and proposes parameters: the likeliest first. Whether a proposal truly meets the old
course and truly misses the body is for `explain` to find out.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from egoreact.hrd.importers.deeds import Course, Deed
from egoreact.hrd.simulate.acting.kinematics import rotation
from egoreact.hrd.simulate.encounters import ENCOUNTERS
from egoreact.motion.skeleton import FPS, HEAD

LONGEST_FLIGHT_S = 2.0
"""A thrown ball is in the air for no longer; before that it is not there."""
_BALL_M_S, _CAR_M_S, _WALKER_M_S = 5.0, 6.0, 1.2
_FEET = (10, 11)
_LEGS = (4, 5, 7, 8, 10, 11)
"""Knees, ankles, feet: left and right in turn."""


@dataclass(frozen=True)
class Proposal:
    """An encounter as it might have been."""

    encounter: str
    parameters: dict[str, float]
    origin_m: Float[np.ndarray, "3"]
    """Where the encounter has somebody stand, and `yaw` where it has them face."""
    yaw: float
    begins_s: float = 0.0
    """When the encounter's own clock starts; before it the thing is not there."""


Propose = Callable[[np.ndarray, Course, Deed], Iterator[Proposal]]


@dataclass(frozen=True)
class Calls:
    """The deed that an encounter calls for: what is expected of each figure, and within what spread."""

    speed: tuple[float, float]
    left: tuple[float, float]
    ahead: tuple[float, float]
    drop: tuple[float, float]
    lift: tuple[float, float]
    gone: tuple[float, float]
    must: tuple[str, float]
    """A figure, and what it must reach, to its side of 0: without a duck nobody ducked."""
    propose: Propose

    def fits(self, deed: Deed) -> bool:
        name, least = self.must
        return float(getattr(deed, name)) / least >= 1.0

    def unlikely(self, deed: Deed) -> float:
        """Half the squared distance in units of what is usual; each figure counts 8 at most."""
        expected = (self.speed, self.left, self.ahead, self.drop, self.lift, self.gone)
        figures = deed.vector()[: len(expected)]
        return float(
            sum(
                min(0.5 * ((figure - middle) / spread) ** 2, 8.0)
                for figure, (middle, spread) in zip(figures, expected, strict=True)
            )
        )


def _middle(encounter: str, **given: float) -> dict[str, float]:
    """Parameters in the middle of their ranges but for those given."""
    ranges = ENCOUNTERS[encounter].ranges
    return {name: 0.5 * (low + high) for name, (low, high) in ranges.items()} | given


def _thrown(
    encounter: str, course: Course, delays_s: tuple[float, ...], ways: tuple[tuple[float, float, float], ...]
) -> Iterator[Proposal]:
    """Balls that pass the body's old course after each delay. Ways: x from where, x and height of the pass."""
    for delay_s in delays_s:
        contact = course.onset + round(delay_s * FPS)
        flight_s = min(contact / FPS, LONGEST_FLIGHT_S)
        for start_x_m, pass_x_m, pass_y_m in ways:
            parameters = _middle(
                encounter,
                contact_s=flight_s, distance_m=_BALL_M_S * flight_s, start_x_m=start_x_m, pass_x_m=pass_x_m, pass_y_m=pass_y_m,
            )  # fmt: skip
            yield Proposal(encounter, parameters, course.place_m(contact), course.yaw, contact / FPS - flight_s)


def _ball_aside(encounter: str, side: float) -> Propose:
    def propose(joints_m: np.ndarray, course: Course, deed: Deed) -> Iterator[Proposal]:
        head_m = float(joints_m[course.onset, HEAD, 1])
        passes = [(0.1, 1.25), (0.0, 1.25), (0.2, 1.25)]
        if abs(deed.left) < 0.3:  # over the shoulder: who only leans gets the head out of the way
            passes += [(0.1, head_m + 0.27), (0.2, head_m + 0.27)]
        ways = tuple((1.7 * side, pass_x * side, pass_y) for pass_x, pass_y in passes)
        yield from _thrown(encounter, course, (0.9, 0.75, 1.05, 0.6, 1.25), ways)

    return propose


def _ball_high(joints_m: np.ndarray, course: Course, deed: Deed) -> Iterator[Proposal]:
    head_m = float(joints_m[course.onset, HEAD, 1])
    ways = tuple((start_x, 0.0, head_m + above) for above in (0.1, 0.2, 0.0) for start_x in (0.3, -0.3))
    yield from _thrown("ball_high", course, (0.85, 0.7, 1.0, 0.55, 1.2), ways)


def _ball_low(joints_m: np.ndarray, course: Course, deed: Deed) -> Iterator[Proposal]:
    ways = tuple((0.5 * np.sign(x), x, 0.21) for x in (0.1, -0.1, 0.16, -0.16))
    yield from _thrown("ball_low", course, (0.75, 0.6, 0.9, 0.45, 1.05), ways)


def _car(joints_m: np.ndarray, course: Course, deed: Deed) -> Iterator[Proposal]:
    for delay_s in (1.4, 1.2, 1.6, 1.0, 1.9):
        contact_s = course.onset / FPS + delay_s
        for start_x_m in (0.33, 0.5, 0.15, 0.65):
            parameters = _middle("car", contact_s=contact_s, distance_m=_CAR_M_S * contact_s, start_x_m=start_x_m)
            yield Proposal("car", parameters, course.place_m(round(contact_s * FPS)), course.yaw)


def _dog(joints_m: np.ndarray, course: Course, deed: Deed) -> Iterator[Proposal]:
    for delay_s in (1.2, 1.0, 1.5, 0.8, 1.8):
        stops_s = course.onset / FPS + delay_s
        for stop_m in (0.65, 0.5, 0.35):
            parameters = _middle("dog", stop_m=stop_m)
            run, slow = parameters["speed_m_s"], parameters["slow_m_s2"]
            ran_s = max(stops_s - run / slow, 0.0)
            parameters["distance_m"] = stop_m + run**2 / (2 * slow) + run * ran_s
            yield Proposal("dog", parameters, course.place_m(round(stops_s * FPS)), course.yaw)


def _passer_by(joints_m: np.ndarray, course: Course, deed: Deed) -> Iterator[Proposal]:
    for meets_s in (1.4, 1.0, 1.8, 2.2):
        stop_m = 0.5 + course.speed_m_s * meets_s
        arrives_s = course.onset / FPS + 0.8 * meets_s
        for start_x_m in (0.0, 0.15, -0.15):
            parameters = _middle(
                "passer_by",
                speed_m_s=_WALKER_M_S, stop_m=stop_m, distance_m=stop_m + max(_WALKER_M_S * arrives_s, 1.3), start_x_m=start_x_m,
            )  # fmt: skip
            yield Proposal("passer_by", parameters, course.start_m, course.yaw)


def _low_obstacle(joints_m: np.ndarray, course: Course, deed: Deed) -> Iterator[Proposal]:
    last = min(course.onset + 2 * FPS, len(joints_m))
    feet = (joints_m[course.onset : last, _FEET] - course.start_m) @ rotation(course.yaw)
    middle_m = float(np.median([feet[feet[:, k, 1].argmax(), k, 2] for k in (0, 1)]))
    legs = (joints_m[:, _LEGS] - course.start_m) @ rotation(course.yaw)
    legs = np.concatenate([legs, 0.5 * (legs[:, :-2] + legs[:, 2:])], axis=1)
    deep_m = ENCOUNTERS["low_obstacle"].ranges["depth_m"][0]
    for height_m in (0.29, 0.24, 0.20, 0.15):
        for off_m in sorted(np.arange(-0.4, 0.41, 0.05), key=abs):
            distance_m = middle_m + float(off_m)
            over = np.abs(legs[..., 2] - distance_m) < 0.5 * deep_m
            # What the legs would go through need not be tried.
            if distance_m > 0.4 and not (over & (legs[..., 1] < height_m)).any():
                parameters = _middle("low_obstacle", distance_m=distance_m, height_m=height_m, depth_m=deep_m)
                yield Proposal("low_obstacle", parameters, course.start_m, course.yaw)


def _head_bar(joints_m: np.ndarray, course: Course, deed: Deed) -> Iterator[Proposal]:
    last = min(course.onset + 3 * FPS, len(joints_m))
    head = (joints_m[course.onset : last, HEAD] - course.start_m) @ rotation(course.yaw)
    lowest_m = float(head[head[:, 1].argmin(), 2])
    for bottom_m in (1.51, 1.44, 1.37, 1.30):
        for off_m in (0.0, 0.15, -0.15, 0.3, -0.3):
            parameters = _middle("head_bar", distance_m=lowest_m + off_m, bottom_m=bottom_m)
            if parameters["distance_m"] > 0.4:
                yield Proposal("head_bar", parameters, course.start_m, course.yaw)


KINDS: dict[str, Calls] = {
    "ball_left": Calls((0, 0.4), (-0.7, 0.25), (0, 0.3), (0.15, 0.15), (0.14, 0.12), (0, 0.4), ("aside", -0.3), _ball_aside("ball_left", 1.0)),
    "ball_right": Calls((0, 0.4), (0.7, 0.25), (0, 0.3), (0.15, 0.15), (0.14, 0.12), (0, 0.4), ("aside", 0.3), _ball_aside("ball_right", -1.0)),
    "ball_high": Calls((0, 0.3), (0, 0.15), (-0.1, 0.25), (0.5, 0.17), (0.09, 0.12), (-0.1, 0.3), ("drop", 0.22), _ball_high),
    "ball_low": Calls((0, 0.4), (0, 0.25), (0, 0.3), (0.1, 0.12), (0.45, 0.14), (0, 0.3), ("lift", 0.25), _ball_low),
    "car": Calls((0, 0.5), (-1.7, 0.4), (-0.4, 0.4), (0.24, 0.2), (0.2, 0.15), (-0.4, 0.5), ("left", -1.0), _car),
    "dog": Calls((0, 0.4), (0, 0.25), (-1.1, 0.35), (0.15, 0.15), (0.1, 0.12), (-1.1, 0.5), ("gone", -0.4), _dog),
    "passer_by": Calls((1.0, 0.3), (0.5, 0.3), (-0.8, 0.5), (0, 0.1), (0.1, 0.1), (0.6, 0.5), ("ahead", -0.5), _passer_by),
    "low_obstacle": Calls((1.0, 0.4), (0, 0.2), (0, 0.5), (0.05, 0.1), (0.5, 0.14), (1.4, 0.5), ("lift", 0.3), _low_obstacle),
    "head_bar": Calls((0.9, 0.35), (0, 0.2), (0.3, 0.5), (0.36, 0.12), (0.12, 0.1), (1.4, 0.5), ("drop", 0.18), _head_bar),
}  # fmt: skip
"""Expected figures: those of the simulator's people, with spreads that leave room for others."""
