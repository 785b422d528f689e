"""Rooms and halls, different with every seed: walls, floor, light, furniture. The middle stays clear to walk in."""

import numpy as np

from egoreact.hrd.simulate.scenery import paints
from egoreact.hrd.simulate.scenery.furniture import CLOTHS, WOODS, furnish
from egoreact.hrd.simulate.scenery.place import Light, Paint, Panel, Place
from egoreact.hrd.simulate.scenery.surfaces import X, Y, Z, block, panel, pick
from egoreact.hrd.simulate.solids import Colour

_WALLS: tuple[Colour, ...] = (
    (0.72, 0.69, 0.62), (0.62, 0.68, 0.70), (0.66, 0.70, 0.60), (0.74, 0.66, 0.60), (0.68, 0.66, 0.72), (0.76, 0.75, 0.72),
    (0.55, 0.34, 0.26), (0.30, 0.40, 0.44), (0.62, 0.52, 0.30),
)  # fmt: skip
_LIGHTS: tuple[Colour, ...] = ((1.0, 0.97, 0.92), (1.0, 0.86, 0.66), (0.92, 0.97, 1.0), (1.0, 0.93, 0.80))
_OUTSIDE = {
    "day": ((0.50, 0.62, 0.45), (0.70, 0.85, 1.0), 0.9),
    "dusk": ((0.35, 0.2, 0.15), (0.75, 0.45, 0.3), 0.35),
    "night": ((0.01, 0.01, 0.02), (0.02, 0.03, 0.06), 0.02),
}


def make_room(rng: np.random.Generator, frames: int) -> Place:
    hall = rng.random() < 0.25
    half = float(rng.uniform(5.0, 7.0) if hall else rng.uniform(3.5, 4.3))
    near, far = -3.0, float(rng.uniform(12.0, 17.0) if hall else rng.uniform(8.2, 10.5))
    high = float(rng.uniform(4.0, 6.0) if hall else rng.uniform(2.8, 3.5))
    wall, opposite = _wall(rng), _wall(rng)
    hour = ("day", "day", "dusk", "night")[int(rng.integers(4))]
    deep, wide = far - near, 2 * half
    panels = [
        panel((-half, 0, near), deep * Z, wide * X, _floor(rng), 0.03),
        panel(
            (-half, high, near),
            wide * X,
            deep * Z,
            paints.ceiling(pick(rng, ((0.80, 0.80, 0.78), (0.72, 0.66, 0.56), (0.74, 0.76, 0.8))), rng),
            0.06,
        ),
        panel((half, 0, far), -wide * X, high * Y, opposite, 0.035),
        panel((-half, 0, near), wide * X, high * Y, wall, 0.06),
        panel((-half, 0, far), -deep * Z, high * Y, wall, 0.04),
        panel((half, 0, near), deep * Z, high * Y, wall, 0.04),
    ]
    panels += _ceiling_lamps(rng, half, high, far) + _openings(rng, half, high, far, hour) + _rugs(rng, half)
    if hall:
        panels += _columns(rng, half, high, far)
    furniture, things = furnish(rng, half, far, frames)
    lamp = np.array([rng.uniform(-1.2, 1.2), high - 0.15, rng.uniform(1.5, 4.5)])
    strength, ambient = float(rng.uniform(0.5, 0.85)), float(rng.uniform(0.4, 0.75)) * (1.0 if hour == "day" else 0.75)
    light = Light(lamp, True, strength * (1.4 if hall else 1.0), ambient, colour=pick(rng, _LIGHTS, 0.02))
    return Place(
        (*panels, *furniture), light, sky=((0.7, 0.75, 0.8), (0.4, 0.5, 0.7)), things=tuple(things),
        details={"place": "hall" if hall else "room", "hour": hour},
    )  # fmt: skip


def _wall(rng: np.random.Generator) -> Paint:
    choice = rng.integers(5)
    if choice <= 1:
        dado = pick(rng, CLOTHS, 0.06) if rng.random() < 0.4 else None
        return paints.worn(paints.wall(pick(rng, _WALLS), rng, dado=dado), rng, strength=0.16)
    if choice == 2:
        return paints.worn(
            paints.bricks(pick(rng, ((0.48, 0.24, 0.17), (0.62, 0.60, 0.56), (0.45, 0.36, 0.28))), rng), rng
        )
    base = np.array(pick(rng, _WALLS))
    second = base * rng.uniform(0.6, 0.85)
    return paints.worn(paints.wallpaper((base[0], base[1], base[2]), (second[0], second[1], second[2]), rng), rng)


def _floor(rng: np.random.Generator) -> Paint:
    choice = rng.integers(5)
    if choice <= 1:
        return paints.planks(pick(rng, WOODS), rng, width_m=float(rng.uniform(0.1, 0.2)))
    if choice == 2:
        light, dark = (
            pick(rng, ((0.62, 0.60, 0.56),)),
            pick(rng, ((0.34, 0.34, 0.36), (0.55, 0.53, 0.5), (0.42, 0.30, 0.24))),
        )
        return paints.worn(paints.tiles(light, dark, rng, size_m=float(rng.uniform(0.3, 0.6))), rng)
    if choice == 3:
        stone = pick(rng, ((0.5, 0.48, 0.45), (0.36, 0.37, 0.4)))
        return paints.strewn(paints.tiles(stone, stone, rng, size_m=0.6), rng, colour=(0.3, 0.28, 0.26), cell_m=0.22)
    carpet = paints.fine(pick(rng, CLOTHS, 0.06), rng, contrast=0.2)
    return paints.strewn(carpet, rng, colour=pick(rng, CLOTHS, 0.15), cell_m=0.3, share=0.5)


def _rugs(rng: np.random.Generator, half: float) -> list[Panel]:
    rugs: list[Panel] = []
    for _ in range(int(rng.integers(3))):
        width, length = float(rng.uniform(1.2, 2.2)), float(rng.uniform(1.6, 3.0))
        x, z = float(rng.uniform(-half + 0.9, half - 0.9 - width)), float(rng.uniform(0.3, 6.0))
        rugs.append(panel((x, 2e-4 * (1 + len(rugs)), z), length * Z, width * X, paints.rug(rng, length, width), 0.025))
    return rugs


def _ceiling_lamps(rng: np.random.Generator, half: float, high: float, far: float) -> list[Panel]:
    white = paints.gradient((0.9, 0.9, 0.85), (0.9, 0.9, 0.85), 1.0)
    width, length = ((1.0, 0.35), (0.5, 0.5), (0.2, 1.5))[int(rng.integers(3))]
    places = [(x, z) for x in (-half / 2, half / 2) for z in np.arange(1.5, far - 1, 3.0)]
    return [
        panel((x - width / 2, high - 0.01, float(z)), width * X, length * Z, white, 0.1, glow=1.6) for x, z in places
    ]


def _columns(rng: np.random.Generator, half: float, high: float, far: float) -> list[Panel]:
    stone = paints.worn(paints.bricks(pick(rng, _WALLS), rng, width_m=0.5, height_m=0.3), rng)
    sides = [(side * (half - 1.2), z) for side in (-1, 1) for z in np.arange(1.0, far - 1.0, 4.0)]
    return [part for x, z in sides for part in block((x - 0.2, 0.0, float(z)), (0.4, high, 0.4), stone)[:4]]


def _openings(rng: np.random.Generator, half: float, high: float, far: float, hour: str) -> list[Panel]:
    """A door and pictures on the far wall, windows on one side, pictures and posters on the other."""
    panels = []
    door_x = float(rng.uniform(-half + 1.4, half - 0.5))
    wood = pick(rng, (*WOODS, (0.7, 0.69, 0.66)))
    leaf = paints.tiles(wood, wood, rng, size_m=0.7, width_m=0.475, gap=0.5)
    door = paints.framed(leaf, (0.55, 0.53, 0.5), 0.95, 2.1)
    panels.append(panel((door_x, 0, far - 0.02), -0.95 * X, 2.1 * Y, door, 0.04))
    side = 1.0 if rng.random() < 0.5 else -1.0
    low, top, glow = _OUTSIDE[hour]
    wide, tall = float(rng.uniform(1.2, 2.0)), float(rng.uniform(1.2, min(high - 1.4, 2.4)))
    view = paints.strewn(paints.gradient(low, top, tall), rng, colour=low, cell_m=0.5, share=0.4)
    window = paints.framed(view, (0.78, 0.78, 0.76), wide, tall, bars=True)
    for z in np.arange(-1.5, far - wide - 0.3, float(rng.uniform(2.4, 3.4))):
        panels.append(_on_side_wall(side, half, float(z), 0.95, wide, tall, window, glow=glow))
        if rng.random() < 0.85:
            picture_w, picture_h = float(rng.uniform(0.5, 1.3)), float(rng.uniform(0.5, 1.0))
            panels.append(
                _on_side_wall(
                    -side,
                    half,
                    float(z) + 0.3,
                    float(rng.uniform(1.1, 1.5)),
                    picture_w,
                    picture_h,
                    _picture(rng, picture_w, picture_h),
                )
            )
    for _ in range(int(rng.integers(1, 4))):
        picture_w, picture_h = float(rng.uniform(0.5, 1.3)), float(rng.uniform(0.5, 1.0))
        x = float(rng.uniform(-half + 0.2 + picture_w, half - 0.2))
        if x - picture_w > door_x or x < door_x - 0.95:
            y = float(rng.uniform(1.1, 1.5))
            panels.append(
                panel(
                    (x, y, far - 0.02 - 0.002 * len(panels)),
                    -picture_w * X,
                    picture_h * Y,
                    _picture(rng, picture_w, picture_h),
                    0.03,
                )
            )
    return panels


def _picture(rng: np.random.Generator, width_m: float, height_m: float) -> Paint:
    inside = (
        paints.blots(pick(rng, _WALLS), rng)
        if rng.random() < 0.7
        else paints.shelf(pick(rng, WOODS), rng, height_m=0.12)
    )
    return paints.framed(
        inside, pick(rng, ((0.12, 0.09, 0.07), (0.6, 0.5, 0.25), (0.75, 0.75, 0.73))), width_m, height_m, border_m=0.05
    )


def _on_side_wall(
    side: float, half: float, z: float, y: float, width: float, height: float, paint: Paint, glow: float = 0.0
) -> Panel:
    if side > 0:
        return panel((half - 0.02, y, z), width * Z, height * Y, paint, 0.04, glow)
    return panel((-half + 0.02, y, z + width), -width * Z, height * Y, paint, 0.04, glow)
