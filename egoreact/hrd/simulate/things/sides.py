"""Left or right, as drawn: an encounter that may come from either side has `side` among its parameters."""

from egoreact.hrd.simulate.arrival import Parameters

EITHER = (-1.0, 1.0)
"""Bounds of `side`."""


def side_of(parameters: Parameters) -> float:
    """1 for the left, -1 for the right, equally often."""
    return 1.0 if parameters["side"] >= 0.0 else -1.0
