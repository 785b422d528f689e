"""A box on its way down, in the plane it falls in: it rolls over an edge, flies, strikes the floor with its corners and rests."""

import math

import numpy as np
from jaxtyping import Float64

GRAVITY = 9.81
_SUBSTEPS_PER_S = 500
_RESTITUTION, _FRICTION, _CRUMPLES = 0.08, 0.6, 0.35
"""Of cardboard. A corner that strikes gives way: it takes a share of the turning, in proportion to how hard it struck."""
_REST_SPEED = 0.12
"""Below this, m/s, a corner no longer bounces."""


def tumble(
    half_m: tuple[float, float], start: tuple[float, float, float], speed: tuple[float, float, float],
    moments_s: Float64[np.ndarray, " moments"],
) -> Float64[np.ndarray, "moments 3"]:  # fmt: skip
    """Where a box is that flies and falls: along the floor, height (m) and angle, at moments after it was let go.

    Corners meet the floor at height 0 with impulses: restitution, and friction after Coulomb.

    Args:
        half_m: half its sides, along the floor and up at angle 0.
        start: along, height (m), angle; the angle turns what is ahead down.
        speed: of each, m/s and rad/s.
        moments_s: ascending.
    """
    a, b = half_m
    along, height, angle = start
    v_along, v_height, turn = speed
    inertia = (a * a + b * b) / 3.0  # of unit mass
    dt = 1.0 / _SUBSTEPS_PER_S
    states = np.empty((len(moments_s), 3))
    now, k = 0.0, 0
    while k < len(moments_s):
        if moments_s[k] <= now:
            states[k] = along, height, angle
            k += 1
            continue
        v_height -= GRAVITY * dt
        along, height, angle, now = along + v_along * dt, height + v_height * dt, angle + turn * dt, now + dt
        c, s = math.cos(angle), math.sin(angle)
        deepest = 0.0
        for x, y in ((a, b), (a, -b), (-a, b), (-a, -b)):
            # Ahead turns down: (x, y) -> (x c + y s, y c - x s).
            r_along, r_height = x * c + y * s, y * c - x * s
            if height + r_height >= 0.0:
                continue
            deepest = min(deepest, height + r_height)
            into = v_height - turn * r_along
            slide = v_along + turn * r_height
            if into >= 0.0:
                continue
            bounce = _RESTITUTION if into < -_REST_SPEED else 0.0
            push = -(1.0 + bounce) * into / (1.0 + r_along * r_along / inertia)
            drag = -slide / (1.0 + r_height * r_height / inertia)
            drag = max(-_FRICTION * push, min(_FRICTION * push, drag))
            v_along, v_height = v_along + drag, v_height + push
            turn += (drag * r_height - push * r_along) / inertia
            turn *= 1.0 - _CRUMPLES * min(-into / 2.0, 1.0)
        height -= deepest
    return states


def tipping(
    half_m: tuple[float, float], begun: float, until: float, moments_s: Float64[np.ndarray, " moments"]
) -> tuple[Float64[np.ndarray, " moments"], float, float]:
    """A box whose middle stands over an edge tips over it: angles, how long it takes, and its speed of turning at the end.

    Near its balance gravity turns it away exponentially, as a pendulum upside down.

    Args:
        half_m: half its sides, along the floor and up.
        begun: radians from its balance at first.
        until: radians at which it is let go; the angle is held there.
        moments_s: since it began.
    """
    a, b = half_m
    rate = math.sqrt(GRAVITY * b / ((a * a + b * b) / 3.0 + b * b))
    took = math.acosh(until / begun) / rate
    return begun * np.cosh(rate * np.clip(moments_s, 0.0, took)), took, begun * rate * math.sinh(rate * took)
