"""The places encounters happen in, different with every seed: rooms and halls, streets and parks, roads."""

import dataclasses
from typing import Literal, assert_never

import numpy as np

from egoreact.hrd.simulate.scenery.indoors import make_room
from egoreact.hrd.simulate.scenery.outdoors import make_street
from egoreact.hrd.simulate.scenery.place import Place, cut_out

PlaceKind = Literal["room", "street", "road"]


def make_place(
    kind: PlaceKind, rng: np.random.Generator, frames: int, hole_m: tuple[float, float, float, float] | None = None
) -> Place:
    """A place of this kind.

    Args:
        frames: of the clip.
        hole_m: where the floor is cut out: x from, x to, z from, z to.
    """
    match kind:
        case "room":
            place = make_room(rng, frames)
        case "street":
            place = make_street(rng, frames, road=False)
        case "road":
            place = make_street(rng, frames, road=True)
        case _:
            assert_never(kind)
    if hole_m is None:
        return place
    return dataclasses.replace(place, panels=tuple(part for panel in place.panels for part in cut_out(panel, hole_m)))
