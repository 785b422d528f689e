"""Streets, roads and parks at all hours, different with every seed. The middle stays clear to walk in."""

import numpy as np

from egoreact.hrd.simulate.scenery import paints
from egoreact.hrd.simulate.scenery.place import Light, Paint, Panel, Place
from egoreact.hrd.simulate.scenery.surfaces import X, Y, Z, block, panel, pick, rgb, standing
from egoreact.hrd.simulate.solids import Colour, Solid, box, ellipsoid, joined, lathe, limb, moved

_FRONTS: tuple[Colour, ...] = (
    (0.50, 0.24, 0.16), (0.66, 0.58, 0.44), (0.60, 0.60, 0.58), (0.46, 0.40, 0.34), (0.62, 0.46, 0.36), (0.70, 0.66, 0.58),
    (0.40, 0.46, 0.50), (0.58, 0.34, 0.30),
)  # fmt: skip
_GREENS: tuple[Colour, ...] = ((0.12, 0.26, 0.06), (0.20, 0.28, 0.06), (0.10, 0.20, 0.08), (0.34, 0.22, 0.05))
_METALS: tuple[Colour, ...] = ((0.10, 0.11, 0.12), (0.10, 0.20, 0.14), (0.35, 0.36, 0.38))


def make_street(rng: np.random.Generator, frames: int, *, road: bool) -> Place:
    park = not road and rng.random() < 0.3
    light, sky, clouds, hour = _weather(rng)
    panels = _ground(rng, road, park)
    things: list[Solid] = []
    for side in (-1.0, 1.0):
        setback = float(rng.uniform(5.5, 7.0)) + (3.0 if road and side > 0 else 0.0)
        if park:
            panels += _hedge(rng, side, setback + float(rng.uniform(0.0, 3.0)))
            rows = np.arange(float(rng.uniform(2.0, 4.0)), 34.0, float(rng.uniform(3.0, 5.0)))
        else:
            panels += _house_row(rng, side, setback)
            rows = np.array([z for z in (2.5, 6.5, 12.0, 19.0) if rng.random() < 0.5])
        things += [
            _tree(rng, side * (setback - float(rng.uniform(0.6, 1.6))), float(z + rng.uniform(-1.2, 1.2)), frames)
            for z in rows
        ]
        things += _clutter(rng, side, setback, frames)
    return Place(
        tuple(panels), light, sky=sky, haze_per_m=float(rng.uniform(0.003, 0.012)), clouds=clouds, things=tuple(things),
        details={"place": "road" if road else "park" if park else "street", "hour": hour},
    )  # fmt: skip


def _weather(rng: np.random.Generator) -> tuple[Light, tuple[Colour, Colour], float, str]:
    """The light, the sky's colours, its clouds, and a word for them."""
    hour = ("noon", "noon", "evening", "overcast")[int(rng.integers(4))]
    azimuth = rng.uniform(-2.4, -0.9) * (1 if rng.random() < 0.5 else -1)
    height = rng.uniform(0.32, 0.5) if hour == "evening" else rng.uniform(0.65, 1.1)
    sun = np.array([np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)])
    if hour == "evening":
        light = Light(
            sun,
            False,
            float(rng.uniform(0.9, 1.2)),
            float(rng.uniform(0.35, 0.5)),
            (1.0, 0.78, 0.52),
            (0.80, 0.88, 1.0),
        )
        return light, ((0.95, 0.72, 0.50), (0.25, 0.36, 0.62)), float(rng.uniform(0.2, 0.7)), hour
    if hour == "overcast":
        light = Light(
            sun, False, float(rng.uniform(0.15, 0.3)), float(rng.uniform(0.75, 0.9)), (1, 1, 1), (0.95, 0.98, 1.0)
        )
        return light, ((0.80, 0.82, 0.84), (0.58, 0.62, 0.68)), 1.0, hour
    light = Light(sun, False, float(rng.uniform(0.85, 1.2)), float(rng.uniform(0.45, 0.62)))
    zenith = rgb(np.array([0.20, 0.40, 0.78]) * rng.uniform(0.8, 1.2))
    return light, ((0.80, 0.88, 0.95), zenith), float(rng.uniform(0.0, 0.6)), hour


def _ground(rng: np.random.Generator, road: bool, park: bool) -> list[Panel]:
    """Near ground in fine texels, far ground in coarse ones."""
    stone = pick(rng, ((0.46, 0.45, 0.43), (0.52, 0.47, 0.41), (0.42, 0.43, 0.46), (0.44, 0.34, 0.28)))
    slabs: Paint
    if rng.random() < 0.4:
        slabs = paints.bricks(stone, rng, width_m=float(rng.uniform(0.2, 0.5)), height_m=float(rng.uniform(0.14, 0.25)))
    else:
        slabs = paints.tiles(stone, rgb(0.93 * np.array(stone)), rng, size_m=float(rng.uniform(0.4, 0.8)), gap=0.6)
    slabs = paints.strewn(
        paints.worn(slabs, rng, strength=0.2), rng, colour=pick(rng, _GREENS), cell_m=0.45, share=0.25
    )
    asphalt = paints.strewn(
        paints.fine((0.17, 0.17, 0.18), rng, contrast=0.2, cell_m=0.04), rng, colour=(0.10, 0.10, 0.11), cell_m=0.9
    )
    lawn = paints.fine(pick(rng, ((0.16, 0.27, 0.08), (0.22, 0.27, 0.09))), rng, contrast=0.3, cell_m=0.06)
    grass = paints.strewn(
        lawn, rng, colour=pick(rng, ((0.6, 0.55, 0.15), (0.6, 0.6, 0.55), (0.35, 0.2, 0.08))), cell_m=0.4
    )
    if road:
        lane = paints.striped(paints.striped(asphalt, 3.6, dash_m=2.0), 0.25)
        strips = [(-14.0, 12.6, slabs), (-1.4, 7.2, lane), (5.8, 10.0, slabs)]
    elif park:
        gravel = paints.fine(pick(rng, ((0.48, 0.42, 0.32), (0.40, 0.36, 0.30))), rng, contrast=0.3, cell_m=0.04)
        path = (
            paints.strewn(gravel, rng, colour=(0.25, 0.2, 0.14), cell_m=0.25, share=0.6)
            if rng.random() < 0.6
            else slabs
        )
        half = float(rng.uniform(1.6, 2.8))
        strips = [(-14.0, 14.0 - half, grass), (-half, 2 * half, path), (half, 15.0 - half, grass)]
    else:
        strips = [(-14.0, 10.8, grass), (-3.2, 6.4, slabs), (3.2, 12.0, asphalt if rng.random() < 0.5 else grass)]
    panels = []
    for x, width, paint in strips:
        inner = abs(x + width / 2) < 4
        panels.append(panel((x, 0, -4.0), 14.0 * Z, width * X, paint, 0.035 if inner else 0.08))
        panels.append(panel((x, 0, 10.0), 90.0 * Z, width * X, _beyond(paint, 14.0), 0.14 if inner else 0.25))
    panels.append(panel((-200.0, -0.05, -60.0), 420.0 * Z, 400.0 * X, grass, 2.0))
    return panels


def _beyond(paint: Paint, start_m: float) -> Paint:
    """The same surface, farther across."""
    return lambda across, up: paint(across + np.float32(start_m), up)


def _house_row(rng: np.random.Generator, side: float, setback: float) -> list[Panel]:
    panels = []
    z = float(rng.uniform(-9.0, -4.0))
    while z < 55.0:
        length, high = float(rng.uniform(7.0, 13.0)), 3.0 * int(rng.integers(2, 5)) + 0.6
        colour = pick(rng, _FRONTS)
        ground = (
            paints.bricks(colour, rng, width_m=0.5, height_m=0.22)
            if rng.random() < 0.5
            else paints.worn(paints.plain(colour, rng), rng)
        )
        front = paints.facade(ground, colour, (0.10, 0.14, 0.18), rng, bay_m=float(rng.uniform(1.9, 2.8)))
        depth = 8.0
        low = (setback if side > 0 else -setback - depth, 0.0, z)
        walls = block(low, (depth, high, length), front, texel_m=0.09 if z < 12 else 0.2)
        # Only the end that faces the wearer and the side along the street can ever be seen.
        panels += [walls[0], walls[2] if side > 0 else walls[3]]
        z += length + (float(rng.uniform(1.5, 4.0)) if rng.random() < 0.4 else 0.0)
    return panels


def _hedge(rng: np.random.Generator, side: float, setback: float) -> list[Panel]:
    """A hedge along the path, gaps in it, and the wood behind."""
    green, panels = pick(rng, _GREENS), []
    z = -8.0
    while z < 40.0:
        length, high = float(rng.uniform(4.0, 9.0)), float(rng.uniform(0.8, 2.0))
        low = (setback if side > 0 else -setback - 0.8, 0.0, z)
        walls = block(low, (0.8, high, length), paints.leafy(green, rng), texel_m=0.06 if z < 12 else 0.15)
        panels += [walls[0], walls[2] if side > 0 else walls[3], walls[4]]
        z += length + float(rng.uniform(0.5, 3.0))
    wood, x = paints.leafy(rgb(0.8 * np.array(green)), rng, cell_m=0.5), side * (setback + 12.0)
    tall = float(rng.uniform(5.0, 9.0))
    panels.append(panel((x, 0, -20.0 if side > 0 else 90.0), side * 110.0 * Z, tall * Y, wood, 0.3))
    if side > 0:
        panels.append(panel((40.0, 0, 70.0), -80.0 * X, tall * Y, wood, 0.3))
    return panels


def _tree(rng: np.random.Generator, x: float, z: float, frames: int) -> Solid:
    high, wide = float(rng.uniform(1.9, 3.0)), float(rng.uniform(0.75, 1.2))
    green = np.array(pick(rng, _GREENS))
    crown = []
    for k in range(int(rng.integers(3, 6))):
        size = wide * float(rng.uniform(0.55, 1.0))
        at = (float(rng.uniform(-0.5, 0.5)), high + 0.7 + float(rng.uniform(-0.5, 0.9)), float(rng.uniform(-0.5, 0.5)))
        blob = ellipsoid((size, 1.1 * size, size), rgb(green * (0.8 + 0.15 * k)), rings=7, sections=8)
        crown.append(moved(blob, at))
    trunk = limb(high, 0.14, 0.09, (0.20, 0.13, 0.08))
    return standing(joined([trunk, *crown]), x, z, frames, "tree", grain=(0.45, 7.0))


def _clutter(rng: np.random.Generator, side: float, setback: float, frames: int) -> list[Solid]:
    """Lanterns, benches, bins and posts along the edge of the way."""
    things, z = [], float(rng.uniform(-1.0, 3.0))
    while z < 30.0:
        x, metal = side * (setback - float(rng.uniform(1.4, 2.0))), pick(rng, _METALS)
        kind = rng.integers(4)
        if kind == 0:
            head = moved(ellipsoid((0.18, 0.14, 0.18), (0.9, 0.88, 0.8), rings=6, sections=8), (0, 3.9, 0))
            mesh = joined([limb(3.8, 0.07, 0.04, metal, sections=8), head])
        elif kind == 1:
            slats = [
                box((0.45, 0.04, 1.6), (0.35, 0.22, 0.12), centre_m=(0, 0.45, 0)),
                box((0.05, 0.4, 1.6), (0.35, 0.22, 0.12), centre_m=(0.22 * side, 0.75, 0)),
            ]
            mesh = joined([*slats, *(box((0.4, 0.43, 0.06), metal, centre_m=(0, 0.215, k)) for k in (-0.6, 0.6))])
        elif kind == 2:
            mesh = lathe(
                [(0.0, 0.0), (0.2, 0.0), (0.25, 0.75), (0.27, 0.8), (0.12, 0.95), (0.0, 0.96)], metal, sections=10
            )
        else:
            stripe = pick(rng, ((0.7, 0.1, 0.08), (0.75, 0.75, 0.72), (0.1, 0.1, 0.1)))
            posts = [box((0.14, 0.9, 0.14), metal, centre_m=(0, 0.45, k)) for k in (-0.8, 0.0, 0.8)]
            mesh = joined([*posts, box((0.05, 0.12, 1.9), stripe, centre_m=(0, 0.7, 0))])
        things.append(standing(mesh, x, z, frames, "street furniture", grain=(0.12, 9.0)))
        z += float(rng.uniform(2.5, 7.0))
    return things
