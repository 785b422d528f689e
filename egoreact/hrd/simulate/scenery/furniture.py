"""What stands in rooms along the walls, and what lies about."""

from collections.abc import Callable

import numpy as np

from egoreact.hrd.simulate.scenery import paints
from egoreact.hrd.simulate.scenery.place import Panel
from egoreact.hrd.simulate.scenery.surfaces import block, pick, standing
from egoreact.hrd.simulate.solids import Colour, Solid, box, ellipsoid, joined, lathe, limb, moved

WOODS: tuple[Colour, ...] = ((0.42, 0.25, 0.13), (0.52, 0.35, 0.20), (0.30, 0.17, 0.09), (0.60, 0.46, 0.30))
CLOTHS: tuple[Colour, ...] = (
    (0.22, 0.26, 0.34), (0.30, 0.22, 0.20), (0.20, 0.28, 0.24), (0.40, 0.38, 0.36), (0.42, 0.16, 0.12), (0.45, 0.36, 0.12),
)  # fmt: skip
_POTS: tuple[Colour, ...] = ((0.5, 0.25, 0.15), (0.6, 0.6, 0.58), (0.15, 0.25, 0.35))

Piece = tuple[float, list[Panel], list[Solid]]
"""How much of the wall it takes (m), and what it is made of."""


class Wall:
    """One side wall, x = ±half: furniture goes along it from z on."""

    def __init__(self, rng: np.random.Generator, side: float, half: float, frames: int):
        self.rng, self.side, self.half, self.frames = rng, side, half, frames

    def against(self, z: float, y: float, size: tuple[float, float, float], paint: paints.Paint) -> list[Panel]:
        """A box (depth, height, length) that touches the wall."""
        x = self.half - size[0] - 0.01 if self.side > 0 else -self.half + 0.01
        return block((x, y, z), size, paint)

    def off(self, metres: float) -> float:
        """x at a distance from the wall."""
        return self.side * (self.half - metres)


def _chest(wall: Wall, z: float) -> Piece:
    rng, length = wall.rng, float(wall.rng.uniform(1.1, 1.9))
    drawers = paints.tiles(pick(rng, WOODS), pick(rng, WOODS), rng, size_m=0.27, width_m=length / 2, gap=0.4)
    return length, wall.against(z, 0.0, (0.42, 0.81, length), drawers), []


def _shelf(wall: Wall, z: float) -> Piece:
    rng, length = wall.rng, float(wall.rng.uniform(1.1, 1.9))
    books = paints.shelf(pick(rng, WOODS), rng)
    return length, wall.against(z, 0.0, (0.34, float(rng.uniform(1.5, 2.1)), length), books), []


def _sofa(wall: Wall, z: float) -> Piece:
    rng, length = wall.rng, float(wall.rng.uniform(1.5, 2.3))
    colour = pick(rng, CLOTHS, 0.1)
    cloth = paints.fine(colour, rng, contrast=0.1)
    seams = paints.tiles(colour, colour, rng, size_m=0.42, width_m=length / 3, gap=0.6)
    panels = wall.against(z, 0.0, (0.85, 0.42, length), seams) + wall.against(z, 0.42, (0.25, 0.40, length), seams)
    for end in (z, z + length - 0.18):
        panels += wall.against(end, 0.42, (0.85, 0.18, 0.18), cloth)
    cushion = box((0.4, 0.35, 0.14), pick(rng, CLOTHS, 0.2))
    cushions = [
        standing(cushion, wall.off(0.42), z + 0.5 * length * (0.6 + 0.5 * k), wall.frames, "cushion", y=0.6)
        for k in (0, 1)
    ]
    return length, panels, cushions


def _plant(wall: Wall, z: float) -> Piece:
    rng = wall.rng
    pot = limb(0.3, 0.13, 0.17, pick(rng, _POTS))
    leaves = [
        moved(
            ellipsoid(
                (0.05, float(rng.uniform(0.22, 0.4)), 0.12), (0.07, 0.2 + 0.1 * rng.random(), 0.05), rings=6, sections=6
            ),
            (0.17 * np.cos(a), 0.62 + 0.35 * rng.random(), 0.17 * np.sin(a)),
        )
        for a in np.arange(7) * 0.9
    ]
    return 0.8, [], [standing(joined([pot, *leaves]), wall.off(0.5), z + 0.4, wall.frames, "plant", grain=(0.25, 30.0))]


def _table(wall: Wall, z: float) -> Piece:
    """With a chair, and something on it."""
    rng, length = wall.rng, float(wall.rng.uniform(1.1, 1.6))
    wood = pick(rng, WOODS)
    legs = [
        box((0.06, 0.72, 0.06), wood, centre_m=(x, 0.36, k))
        for x in (-0.3, 0.3)
        for k in (-length / 2 + 0.08, length / 2 - 0.08)
    ]
    top = box((0.75, 0.05, length), wood, centre_m=(0, 0.745, 0))
    bowl = moved(
        lathe([(0.0, 0.0), (0.08, 0.0), (0.17, 0.12), (0.14, 0.12), (0.0, 0.03)], pick(rng, CLOTHS, 0.3)),
        (0.05, 0.77, 0.2),
    )
    screen = box((0.04, 0.34, 0.5), (0.03, 0.03, 0.04), centre_m=(0.2 * wall.side, 0.97, -0.15))
    seat = box((0.42, 0.05, 0.42), pick(rng, CLOTHS), centre_m=(-0.45 * wall.side, 0.45, 0))
    back = box((0.05, 0.5, 0.42), wood, centre_m=(-0.64 * wall.side, 0.72, 0))
    chair = [
        box((0.04, 0.45, 0.04), wood, centre_m=(-0.45 * wall.side + x, 0.225, k))
        for x in (-0.18, 0.18)
        for k in (-0.18, 0.18)
    ]
    parts = joined([top, *legs, bowl, screen, seat, back, *chair])
    return length, [], [standing(parts, wall.off(0.42), z + length / 2, wall.frames, "table", grain=(0.12, 12.0))]


def _boxes(wall: Wall, z: float) -> Piece:
    rng, panels = wall.rng, []
    for k in range(int(rng.integers(1, 4))):
        side = float(rng.uniform(0.3, 0.55))
        cardboard = paints.framed(
            paints.worn(paints.plain((0.42, 0.29, 0.17), rng), rng), (0.36, 0.24, 0.14), side, side
        )
        panels += wall.against(z + 0.5 * (k % 2), 0.0 if k < 2 else 0.4, (side, side, side), cardboard)
    return 1.1, panels, []


def _lamp(wall: Wall, z: float) -> Piece:
    shade = moved(lathe([(0.0, 0.0), (0.2, 0.0), (0.13, 0.26), (0.0, 0.26)], (0.9, 0.8, 0.6)), (0, 1.45, 0))
    foot = joined(
        [limb(1.45, 0.015, 0.015, (0.1, 0.1, 0.1)), moved(ellipsoid((0.16, 0.02, 0.16), (0.1, 0.1, 0.1)), (0, 0.02, 0))]
    )
    return 0.5, [], [standing(joined([shade, foot]), wall.off(0.35), z + 0.25, wall.frames, "lamp")]


_PIECES: tuple[Callable[[Wall, float], Piece], ...] = (_chest, _shelf, _sofa, _plant, _table, _boxes, _lamp)


def furnish(rng: np.random.Generator, half: float, far: float, frames: int) -> tuple[list[Panel], list[Solid]]:
    """Along both side walls, from behind the wearer to the far wall."""
    panels: list[Panel] = []
    things: list[Solid] = []
    for side in (-1.0, 1.0):
        wall, z = Wall(rng, side, half, frames), float(rng.uniform(-2.2, -0.8))
        while z < far - 2.2:
            length, flat, solid = _PIECES[int(rng.integers(len(_PIECES)))](wall, z)
            panels, things = panels + flat, things + solid
            z += length + float(rng.uniform(0.25, 1.1))
    return panels, things
