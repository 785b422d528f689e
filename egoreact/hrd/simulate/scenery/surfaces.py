"""Rectangles and boxes that places are built of, and what is picked for them."""

import numpy as np

from egoreact.hrd.simulate.arrival import STATIC
from egoreact.hrd.simulate.scenery.place import Paint, Panel
from egoreact.hrd.simulate.solids import Colour, Mesh, Solid, poses

X, Y, Z = np.eye(3)


def pick(rng: np.random.Generator, choices: tuple[Colour, ...], spread: float = 0.04) -> Colour:
    """One of the colours, a little different."""
    colour = np.clip(np.array(choices[rng.integers(len(choices))]) + rng.uniform(-spread, spread, 3), 0.02, 0.95)
    return rgb(colour)


def rgb(colour: np.ndarray) -> Colour:
    return (float(colour[0]), float(colour[1]), float(colour[2]))


def panel(
    corner: tuple[float, float, float],
    across: np.ndarray,
    up: np.ndarray,
    paint: Paint,
    texel_m: float = 0.05,
    glow: float = 0.0,
) -> Panel:
    return Panel(np.asarray(corner, dtype=np.float64), np.asarray(across), np.asarray(up), paint, texel_m, glow)


def block(
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
        panel((x + w, y, z), -w * X, h * Y, paint, texel_m),
        panel((x, y, z + d), w * X, h * Y, paint, texel_m),
        panel((x, y, z), d * Z, h * Y, paint, texel_m),
        panel((x + w, y, z + d), -d * Z, h * Y, paint, texel_m),
        panel((x, y + h, z), d * Z, w * X, top or paint, texel_m),
    ]


def standing(
    mesh: Mesh, x: float, z: float, frames: int, name: str, *, y: float = 0.0, grain: tuple[float, float] = (0.06, 25.0)
) -> Solid:
    """Something that is not flat and never moves; its shadow is painted where it falls."""
    return Solid(mesh, poses(np.tile([x, y, z], (frames, 1)), np.eye(3)), STATIC, shadow=False, grain=grain, name=name)
