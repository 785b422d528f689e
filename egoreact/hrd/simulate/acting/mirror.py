"""The mirror image of a choreography: what was done to the left is done to the right."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from egoreact.hrd.simulate.acting.choreography import Choreography, Reach
from egoreact.hrd.simulate.acting.curves import Key


def mirrored(c: Choreography) -> Choreography:
    return replace(
        c,
        steps=tuple(replace(step, side=1 - step.side, x_m=-step.x_m, yaw=-step.yaw) for step in c.steps),
        shift=_signed(c.shift, (-1, 1)),
        turn=_signed(c.turn, -1),
        pelvis=_signed(c.pelvis, (1, -1)),
        spine=_signed(c.spine, (-1, 1, -1)),
        left_hand=c.right_hand,
        right_hand=c.left_hand,
        reaches=tuple(
            Reach(1 - reach.side, _signed(reach.at_m, (-1, 1, 1)), reach.weight, reach.palm) for reach in c.reaches
        ),
        glance=_signed(c.glance, -1),
    )


def _signed(keys: Sequence[Key], signs: int | Sequence[int]) -> tuple[Key, ...]:
    return tuple((time, np.multiply(signs, value).tolist()) for time, value in keys)
