"""Who sends a ball on its way: they hold it and throw it at time 0, or step up to it and kick it.

Until then the ball rests, so that only what they do says when it comes.
"""

import numpy as np
from jaxtyping import Float64

from egoreact.hrd.simulate.acting import choreography as pose
from egoreact.hrd.simulate.acting.choreography import HANG, Choreography, HandKey, Reach
from egoreact.hrd.simulate.acting.curves import minimum_jerk
from egoreact.hrd.simulate.acting.kinematics import ARMS, Body
from egoreact.hrd.simulate.acting.steps import LEFT, RIGHT, Step, stance_m
from egoreact.hrd.simulate.arrival import PERSON, Parameters
from egoreact.hrd.simulate.figures.dress import dress, sample_clothes
from egoreact.hrd.simulate.solids import Solid
from egoreact.hrd.simulate.things.somebody import Spot, performed, somebody

_PALM_M = 0.075
"""From the wrist to the middle of the palm."""
_BEHIND = 0.25
"""How far behind a ball's middle the palms are that push it, of its radius; they are at its sides."""
_CHEST_M, _PUSH_M, _FOLLOW_M = 0.17, 0.34, 0.10
"""From the spine to a ball held at the chest; how far hands push it, and how far they go on."""
_WIND_UP_S, _FOLLOW_S, _SETTLE_S = 0.36, 0.06, 0.25
_STRIDE_M = 0.36
_KICK_S, _SWING_M = 0.42, 0.55
_FOOT_M = 0.06
"""From the foot joint to the tip of the toes."""


def between_palms(joints_m: Float64[np.ndarray, "frames 22 3"]) -> Float64[np.ndarray, "frames 3"]:
    """Where a ball is that both hands hold."""
    palms = [
        wrist + _PALM_M * (wrist - elbow) / np.linalg.norm(wrist - elbow, axis=-1, keepdims=True)
        for wrist, elbow in ((joints_m[:, w], joints_m[:, e]) for _, _, e, w in ARMS)
    ]
    return 0.5 * (palms[0] + palms[1])


def throw(
    parameters: Parameters, flight_m: Float64[np.ndarray, "frames 3"], release_m: np.ndarray, speed_m_s: np.ndarray, times_s: np.ndarray
) -> tuple[Body, Float64[np.ndarray, "frames 3"]]:  # fmt: skip
    """Somebody who throws with both hands, and the ball's way: in their hands until time 0, then its flight.

    Args:
        parameters: of the encounter; `who`, `height` and `radius_m` count.
        flight_m: where the ball flies, right from time 0 on.
        release_m: (3,) where it leaves the hands at time 0.
        speed_m_s: (3,) with which it does.
        times_s: of the frames.
    """
    person, radius = somebody(parameters), parameters["radius_m"]
    heading = float(np.arctan2(speed_m_s[0], speed_m_s[2]))
    push = speed_m_s / np.linalg.norm(speed_m_s)
    # They step towards where they throw: at release the trunk is half a stride ahead of where it stood.
    ahead = _CHEST_M + radius + _PUSH_M + 0.3 * _STRIDE_M
    spot = Spot(float(release_m[0]), float(release_m[2]), heading).ahead(-ahead)
    aside = np.array([np.cos(heading), 0.0, -np.sin(heading)])
    onward = np.array([np.sin(heading), 0.0, np.cos(heading)])
    reaches = []
    for side, sign in ((LEFT, 1.0), (RIGHT, -1.0)):
        palm = release_m + radius * (sign * np.sqrt(1.0 - _BEHIND**2) * aside - _BEHIND * onward)
        held, after = palm - _PUSH_M * push - 0.3 * _STRIDE_M * onward, palm + _FOLLOW_M * push
        at = tuple((time, tuple(spot.inside(place))) for time, place in ((-_WIND_UP_S, held), (_FOLLOW_S, after)))
        reaches.append(Reach(side, at, ((_FOLLOW_S, 1.0), (0.6, 0.0)), palm=True))
    low = float(np.clip(1.15 - release_m[1], 0.0, 0.5))  # from how low it is thrown
    bent = 0.12 + 0.8 * low
    hands: tuple[HandKey, ...] = ((0.0, pose.READY), (0.9, HANG))
    x, z = stance_m(RIGHT, 0.0, _STRIDE_M, 0.0, person.bones)
    choreography = Choreography(
        steps=(Step(RIGHT, -_WIND_UP_S - 0.05, 0.02, x, z, height_m=0.07, heel=0.3),),
        sink=((-_WIND_UP_S - 0.5, 0.3 * low), (-0.1, 0.04 + 0.3 * low), (0.8, 0.02)),
        spine=((-_WIND_UP_S, (0.0, bent - 0.10, 0.0)), (0.02, (0.0, bent + 0.18, 0.0)), (0.9, (0.0, 0.06, 0.0))),
        left_hand=hands,
        right_hand=hands,
        reaches=tuple(reaches),
    )
    body = performed(person, spot, choreography, times_s)
    in_hands = between_palms(body.joints_m) + _BEHIND * radius * onward
    thrown = np.flatnonzero(times_s >= 0.0)
    if not len(thrown):
        return body, in_hands
    # Hands are where they should be but for a few centimetres, which the ball makes up for as it flies.
    first = thrown[0]
    left_over = (1.0 - minimum_jerk((times_s - times_s[first]) / _SETTLE_S))[:, None]
    path = flight_m + left_over * (in_hands[first] - flight_m[first])
    return body, np.where((np.arange(len(times_s)) < first)[:, None], in_hands, path)


def kick(parameters: Parameters, ball_m: np.ndarray, heading: float, times_s: np.ndarray) -> Body:
    """Somebody behind a ball on the floor who steps up at time 0 and kicks it with the right foot.

    Args:
        parameters: of the encounter; `who`, `height` and `radius_m` count.
        ball_m: (3,) where the ball rests.
        heading: yaw of where it goes.
        times_s: of the frames.
    """
    person = somebody(parameters)
    # The right foot swings straight at the ball; at time 0 it has done most of its way.
    x, z = stance_m(RIGHT, 0.0, 0.0, 0.0, person.bones)
    struck_m = z + 0.9 * _SWING_M
    aside = np.array([np.cos(heading), 0.0, -np.sin(heading)])
    foot = Spot(float(ball_m[0] - x * aside[0]), float(ball_m[2] - x * aside[2]), heading)
    spot = foot.ahead(-struck_m - _FOOT_M - parameters["radius_m"])
    back = stance_m(LEFT, 0.0, 0.5 * _SWING_M, 0.0, person.bones)
    away: tuple[HandKey, ...] = ((-0.5, HANG), (0.0, pose.BALANCE), (0.3, pose.BALANCE), (1.0, HANG))
    choreography = Choreography(
        steps=(
            Step(RIGHT, -_KICK_S, 0.14, x, z + _SWING_M, height_m=0.07, heel=0.7),
            Step(LEFT, 0.18, 0.55, *back, height_m=0.06),
        ),
        sink=((-0.6, 0.0), (-0.1, 0.05), (0.6, 0.0)),
        spine=((-0.5, (0.0, 0.05, 0.0)), (0.0, (0.12, 0.16, 0.0)), (0.8, (0.0, 0.05, 0.0))),
        left_hand=away,
        right_hand=away,
    )
    return performed(person, spot, choreography, times_s)


def dressed(body: Body, parameters: Parameters, rng: np.random.Generator) -> list[Solid]:
    return dress(body, sample_clothes(rng), PERSON, somebody(parameters).height_scale)
