"""The places encounters happen in: a room and a street, different with every seed. The middle stays clear to walk in."""

from typing import Literal, assert_never

import numpy as np

from egoreact.hrd.simulate import paints
from egoreact.hrd.simulate.arrival import STATIC
from egoreact.hrd.simulate.place import Light, Paint, Panel, Place
from egoreact.hrd.simulate.solids import Colour, Mesh, Solid, ellipsoid, joined, limb, moved, poses

PlaceKind = Literal["room", "street", "road"]
_X, _Y, _Z = np.eye(3)
_WALLS: tuple[Colour, ...] = (
    (0.72, 0.69, 0.62), (0.62, 0.68, 0.70), (0.66, 0.70, 0.60), (0.74, 0.66, 0.60), (0.68, 0.66, 0.72), (0.76, 0.75, 0.72),
)  # fmt: skip
_WOODS: tuple[Colour, ...] = ((0.42, 0.25, 0.13), (0.52, 0.35, 0.20), (0.30, 0.17, 0.09), (0.60, 0.46, 0.30))
_CLOTHS: tuple[Colour, ...] = ((0.22, 0.26, 0.34), (0.30, 0.22, 0.20), (0.20, 0.28, 0.24), (0.40, 0.38, 0.36))
_FRONTS: tuple[Colour, ...] = (
    (0.50, 0.24, 0.16), (0.66, 0.58, 0.44), (0.60, 0.60, 0.58), (0.46, 0.40, 0.34), (0.62, 0.46, 0.36), (0.70, 0.66, 0.58),
)  # fmt: skip


def make_place(kind: PlaceKind, rng: np.random.Generator, frames: int) -> Place:
    match kind:
        case "room":
            return _room(rng, frames)
        case "street":
            return _street(rng, frames, road=False)
        case "road":
            return _street(rng, frames, road=True)
        case _:
            assert_never(kind)


def _pick(rng: np.random.Generator, choices: tuple[Colour, ...], spread: float = 0.04) -> Colour:
    colour = np.clip(np.array(choices[rng.integers(len(choices))]) + rng.uniform(-spread, spread, 3), 0.02, 0.95)
    return _rgb(colour)


def _rgb(colour: np.ndarray) -> Colour:
    return (float(colour[0]), float(colour[1]), float(colour[2]))


def _panel(
    corner: tuple[float, float, float],
    across: np.ndarray,
    up: np.ndarray,
    paint: Paint,
    texel_m: float = 0.05,
    glow: float = 0.0,
) -> Panel:
    return Panel(np.asarray(corner, dtype=np.float64), np.asarray(across), np.asarray(up), paint, texel_m, glow)


def _block(
    low: tuple[float, float, float],
    size: tuple[float, float, float],
    paint: Paint,
    *,
    top: Paint | None = None,
    texel_m: float = 0.05,
) -> list[Panel]:
    """A box without its underside, faces outward."""
    (x, y, z), (w, h, d) = low, size
    return [
        _panel((x + w, y, z), -w * _X, h * _Y, paint, texel_m),
        _panel((x, y, z + d), w * _X, h * _Y, paint, texel_m),
        _panel((x, y, z), d * _Z, h * _Y, paint, texel_m),
        _panel((x + w, y, z + d), -d * _Z, h * _Y, paint, texel_m),
        _panel((x, y + h, z), d * _Z, w * _X, top or paint, texel_m),
    ]


# --- indoors -------------------------------------------------------------------------------------------------------


def _room(rng: np.random.Generator, frames: int) -> Place:
    half, near, far = float(rng.uniform(3.3, 4.2)), -3.0, float(rng.uniform(8.2, 10.5))
    high = float(rng.uniform(2.9, 3.5))
    wall_colour, wood = _pick(rng, _WALLS), _pick(rng, _WOODS)
    dado = _pick(rng, _CLOTHS, 0.06) if rng.random() < 0.3 else None
    plaster = paints.wall(wall_colour, rng, dado=dado)
    deep, wide = far - near, 2 * half
    panels = [
        _panel((-half, 0, near), deep * _Z, wide * _X, _floor(rng, wood), 0.03),
        _panel((-half, high, near), wide * _X, deep * _Z, paints.plain((0.82, 0.82, 0.80), rng, mottled=0.02), 0.12),
        _panel((half, 0, far), -wide * _X, high * _Y, plaster),
        _panel((-half, 0, near), wide * _X, high * _Y, plaster, 0.15),
        _panel((-half, 0, far), -deep * _Z, high * _Y, plaster),
        _panel((half, 0, near), deep * _Z, high * _Y, plaster),
    ]
    panels += _ceiling_lamps(half, high, far) + _openings(rng, half, high, far, wood)
    furniture, things = _furniture(rng, half, far, wood, frames)
    lamp = np.array([rng.uniform(-0.5, 0.5), high - 0.15, rng.uniform(2.0, 3.5)])
    light = Light(lamp, is_lamp=True, strength=float(rng.uniform(0.55, 0.75)), ambient=float(rng.uniform(0.62, 0.78)))
    return Place(
        (*panels, *furniture),
        light,
        sky=((0.7, 0.75, 0.8), (0.4, 0.5, 0.7)),
        things=tuple(things),
        details={"place": "room"},
    )


def _floor(rng: np.random.Generator, wood: Colour) -> Paint:
    choice = rng.integers(4)
    if choice <= 1:
        return paints.planks(_pick(rng, _WOODS), rng)
    if choice == 2:
        light, dark = (
            _pick(rng, ((0.62, 0.60, 0.56),)),
            _pick(rng, ((0.34, 0.34, 0.36), (0.55, 0.53, 0.5), (0.42, 0.30, 0.24))),
        )
        return paints.tiles(light, dark, rng, size_m=float(rng.uniform(0.4, 0.6)))
    return paints.fine(_pick(rng, _CLOTHS, 0.06), rng, contrast=0.16)


def _ceiling_lamps(half: float, high: float, far: float) -> list[Panel]:
    white = paints.gradient((0.9, 0.9, 0.85), (0.9, 0.9, 0.85), 1.0)
    places = [(x, z) for x in (-half / 2, half / 2) for z in (1.5, 4.5, 7.0) if z < far - 1]
    return [_panel((x - 0.5, high - 0.01, z), 1.0 * _X, 0.35 * _Z, white, 0.1, glow=1.6) for x, z in places]


def _openings(rng: np.random.Generator, half: float, high: float, far: float, wood: Colour) -> list[Panel]:
    """A door and pictures on the far wall, windows on one side, pictures on the other."""
    panels = []
    door_x = float(rng.uniform(-half + 1.4, half - 0.5))
    leaf = paints.plain(_pick(rng, (wood, (0.7, 0.69, 0.66))), rng)
    panels.append(
        _panel((door_x, 0, far - 0.02), -0.95 * _X, 2.1 * _Y, paints.framed(leaf, (0.55, 0.53, 0.5), 0.95, 2.1), 0.04)
    )
    side = 1.0 if rng.random() < 0.5 else -1.0
    day = paints.gradient((0.55, 0.68, 0.60), (0.70, 0.85, 1.0), 1.4)
    for z in (1.0, 4.0, 7.0):
        if z + 1.6 > far:
            continue
        window = paints.framed(day, (0.78, 0.78, 0.76), 1.6, 1.4, bars=True)
        panels.append(_on_side_wall(side, half, z, 1.0, 1.6, 1.4, window, glow=0.75))
        picture_w = float(rng.uniform(0.7, 1.2))
        picture = paints.framed(
            paints.blots(_pick(rng, _WALLS), rng), (0.12, 0.09, 0.07), picture_w, 0.8, border_m=0.05
        )
        panels.append(_on_side_wall(-side, half, z + 0.3, 1.3, picture_w, 0.8, picture))
    away = door_x - 1.6 if door_x > 0 else door_x + 2.2
    picture = paints.framed(paints.blots(_pick(rng, _WALLS), rng), (0.12, 0.09, 0.07), 1.1, 0.8, border_m=0.05)
    panels.append(
        _panel((float(np.clip(away, -half + 1.2, half - 0.1)), 1.25, far - 0.02), -1.1 * _X, 0.8 * _Y, picture, 0.03)
    )
    return panels


def _on_side_wall(
    side: float, half: float, z: float, y: float, width: float, height: float, paint: Paint, glow: float = 0.0
) -> Panel:
    if side > 0:
        return _panel((half - 0.02, y, z), width * _Z, height * _Y, paint, 0.04, glow)
    return _panel((-half + 0.02, y, z + width), -width * _Z, height * _Y, paint, 0.04, glow)


def _furniture(
    rng: np.random.Generator, half: float, far: float, wood: Colour, frames: int
) -> tuple[list[Panel], list[Solid]]:
    """Along the side walls, from the front to the far wall."""
    panels: list[Panel] = []
    things: list[Solid] = []
    for side in (-1.0, 1.0):
        z = float(rng.uniform(0.8, 1.8))
        while z < far - 2.0:
            kind = rng.integers(5)
            length = float(rng.uniform(1.1, 1.9))
            if kind == 0:
                panels += _along_wall(side, half, z, 0.0, (0.42, 0.8, length), paints.plain(_pick(rng, _WOODS), rng))
            elif kind == 1:
                books = paints.shelf(wood, rng)
                panels += _along_wall(side, half, z, 0.0, (0.34, float(rng.uniform(1.5, 2.0)), length), books)
            elif kind == 2:
                cloth = paints.fine(_pick(rng, _CLOTHS, 0.1), rng, contrast=0.08)
                panels += _along_wall(side, half, z, 0.0, (0.85, 0.42, length + 0.4), cloth)
                panels += _along_wall(side, half, z, 0.42, (0.25, 0.40, length + 0.4), cloth)
                length += 0.4
            elif kind == 3:
                things.append(_plant(rng, side * (half - 0.5), z + 0.4, frames))
                length = 0.8
            else:
                panels += _along_wall(side, half, z, 0.0, (0.5, 0.5, 0.5), paints.plain(_pick(rng, _CLOTHS, 0.15), rng))
                length = 0.5
            z += length + float(rng.uniform(0.5, 1.4))
    return panels, things


def _along_wall(
    side: float, half: float, z: float, y: float, size: tuple[float, float, float], paint: Paint
) -> list[Panel]:
    depth = size[0]
    x = half - depth - 0.01 if side > 0 else -half + 0.01
    return _block((x, y, z), size, paint)


def _plant(rng: np.random.Generator, x: float, z: float, frames: int) -> Solid:
    pot = limb(0.3, 0.13, 0.17, _pick(rng, ((0.5, 0.25, 0.15), (0.6, 0.6, 0.58))))
    leaves = [
        moved(
            ellipsoid((0.22, 0.30, 0.22), (0.08, 0.24 + 0.08 * k, 0.06), rings=6, sections=8),
            (0.1 * k - 0.1, 0.75 + 0.2 * k, 0.08 * (k % 2)),
        )
        for k in range(3)
    ]
    return _standing(joined([pot, *leaves]), x, z, frames, "plant")


def _standing(mesh: Mesh, x: float, z: float, frames: int, name: str) -> Solid:
    return Solid(mesh, poses(np.tile([x, 0.0, z], (frames, 1)), np.eye(3)), STATIC, shadow=False, name=name)


# --- outdoors ------------------------------------------------------------------------------------------------------


def _street(rng: np.random.Generator, frames: int, *, road: bool) -> Place:
    azimuth, height = rng.uniform(-2.4, -0.9) * (1 if rng.random() < 0.5 else -1), rng.uniform(0.7, 1.05)
    sun = np.array([np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)])
    light = Light(sun, False, strength=float(rng.uniform(0.85, 1.15)), ambient=float(rng.uniform(0.5, 0.65)))
    horizon, zenith = (0.80, 0.88, 0.95), _rgb(np.array([0.20, 0.40, 0.78]) * rng.uniform(0.8, 1.2))
    panels = _ground(rng, road)
    things: list[Solid] = []
    for side in (-1.0, 1.0):
        setback = float(rng.uniform(5.5, 7.0)) + (3.0 if road and side > 0 else 0.0)
        panels += _house_row(rng, side, setback)
        rows = [z + float(rng.uniform(-1.5, 1.5)) for z in (6.5, 12.0, 19.0) if rng.random() < 0.5]
        things += [_tree(rng, side * (setback - 1.3), z, frames) for z in rows]
    return Place(
        tuple(panels), light, sky=(horizon, zenith), haze_per_m=0.008, things=tuple(things),
        details={"place": "road" if road else "street"},
    )  # fmt: skip


def _ground(rng: np.random.Generator, road: bool) -> list[Panel]:
    """Near ground in fine texels, far ground in coarse ones."""
    stone = _pick(rng, ((0.46, 0.45, 0.43), (0.52, 0.47, 0.41), (0.42, 0.43, 0.46)))
    slabs = paints.tiles(stone, _rgb(0.93 * np.array(stone)), rng, size_m=float(rng.uniform(0.5, 0.8)), gap=0.68)
    asphalt = paints.fine((0.17, 0.17, 0.18), rng, contrast=0.16, cell_m=0.04)
    grass = paints.fine((0.16, 0.27, 0.08), rng, contrast=0.25, cell_m=0.06)
    panels = []
    if road:
        strips = [
            (-14.0, 12.6, slabs),
            (-1.4, 7.2, paints.striped(paints.striped(asphalt, 3.6, dash_m=2.0), 0.25)),
            (5.8, 10.0, slabs),
        ]
    else:
        other = asphalt if rng.random() < 0.5 else grass
        strips = [(-14.0, 10.8, grass), (-3.2, 6.4, slabs), (3.2, 12.0, other)]
    for x, width, paint in strips:
        inner = abs(x + width / 2) < 4
        panels.append(_panel((x, 0, -4.0), 14.0 * _Z, width * _X, paint, 0.03 if inner else 0.08))
        panels.append(_panel((x, 0, 10.0), 90.0 * _Z, width * _X, _beyond(paint, 14.0), 0.14 if inner else 0.25))
    panels.append(_panel((-200.0, -0.05, 60.0), 300.0 * _Z, 400.0 * _X, grass, 2.0))
    return panels


def _beyond(paint: Paint, start_m: float) -> Paint:
    """The same surface, farther across."""
    return lambda across, up: paint(across + np.float32(start_m), up)


def _house_row(rng: np.random.Generator, side: float, setback: float) -> list[Panel]:
    panels = []
    z = float(rng.uniform(-9.0, -4.0))
    while z < 55.0:
        length, high = float(rng.uniform(7.0, 13.0)), 3.0 * int(rng.integers(2, 5)) + 0.6
        front = paints.facade(_pick(rng, _FRONTS), (0.10, 0.14, 0.18), rng, bay_m=float(rng.uniform(2.0, 2.8)))
        depth = 8.0
        low = (setback if side > 0 else -setback - depth, 0.0, z)
        block = _block(low, (depth, high, length), front, texel_m=0.09 if z < 12 else 0.2)
        # Only the end that faces the wearer and the side along the street can ever be seen.
        panels += [block[0], block[2] if side > 0 else block[3]]
        z += length + (float(rng.uniform(1.5, 4.0)) if rng.random() < 0.4 else 0.0)
    return panels


def _tree(rng: np.random.Generator, x: float, z: float, frames: int) -> Solid:
    high = float(rng.uniform(2.0, 2.8))
    green = np.array([0.12, 0.26, 0.06]) * rng.uniform(0.8, 1.25)
    crown = [
        moved(
            ellipsoid((1.0 * s, 1.1 * s, 1.0 * s), _rgb(green * (0.85 + 0.15 * k)), rings=8, sections=12),
            (dx, high + dy, dz),
        )
        for k, (dx, dy, dz, s) in enumerate(
            ((0, 0.7, 0, 1.0), (0.55, 0.2, 0.3, 0.7), (-0.5, 0.35, -0.3, 0.75), (0.1, 1.5, -0.1, 0.7))
        )
    ]
    return _standing(joined([limb(high, 0.14, 0.09, (0.20, 0.13, 0.08)), *crown]), x, z, frames, "tree")
