"""Ways of walking that several encounters share: up to somewhere, and on."""

import math
from dataclasses import dataclass

from egoreact.hrd.simulate.acting.person import Person
from egoreact.hrd.simulate.acting.steps import LEFT, RIGHT, STANCE_M, Step

STRIDE_M, PACE_S = 0.56, 0.54
"""Between landings of one foot and the other, of a person of average pace."""
STANDING_Z_M = 0.13
"""Where the foot joints of somebody are who stands at the origin."""


@dataclass(frozen=True)
class Walk:
    """Steps, and where they lead."""

    steps: tuple[Step, ...]
    end_s: float
    """When the last foot lands."""
    end_z_m: float
    """Where its foot joint lands."""
    side: int
    """The foot to go on with."""


def walk_on(
    person: Person, start_s: float, from_z_m: float, count: int, *, first: int, stride_m: float = STRIDE_M,
    step_s: float = PACE_S, x_m: float = 0.0, y_m: float = 0.0,
) -> Walk:  # fmt: skip
    """So many steps straight ahead from foot joints at from_z_m, of step_s each at an average pace."""
    pace = step_s / person.pace
    steps = []
    for k in range(count):
        side = (first + k) % 2
        land = start_s + (k + 1) * pace
        x = x_m + (0.085 if side == LEFT else -0.085) * person.height_scale
        steps.append(Step(side, land - 0.92 * pace, land, x, from_z_m + (k + 1) * stride_m, y_m=y_m))
    return Walk(tuple(steps), start_s + count * pace, from_z_m + count * stride_m, (first + count) % 2)


def walk_up(person: Person, start_s: float, z_m: float, *, least: int = 2, lands: int | None = None) -> Walk:
    """From where they stand until a foot joint lands at z_m, as fast as this person walks however long the steps have to be.

    Args:
        least: how many steps at least.
        lands: the foot that lands there, if it matters; else they begin with their better one.
    """
    far = z_m - STANDING_Z_M
    count = max(least, math.ceil(far / STRIDE_M - 0.25))  # rather one more than long ones
    first = first_foot(person) if lands is None else (lands - count + 1) % 2
    return walk_on(
        person, start_s, STANDING_Z_M, count, first=first, stride_m=far / count, step_s=PACE_S * far / count / STRIDE_M
    )


def halted(person: Person, walk: Walk, *, z_m: float | None = None, x_m: float = 0.0, y_m: float = 0.0) -> Walk:
    """The walk, and the other foot drawn up beside the last."""
    pace = 0.85 * PACE_S / person.pace
    z = walk.end_z_m if z_m is None else z_m
    x = x_m + (STANCE_M if walk.side == LEFT else -STANCE_M) * person.height_scale
    close = Step(walk.side, walk.end_s + 0.08 * pace, walk.end_s + pace, x, z, height_m=0.06, heel=0.35, y_m=y_m)
    return Walk((*walk.steps, close), walk.end_s + pace, z, 1 - walk.side)


def first_foot(person: Person) -> int:
    return LEFT if person.left_handed else RIGHT
