"""What the shading kernels are told of a frame: arrays by name."""

from typing import NamedTuple

import numpy as np


class View(NamedTuple):
    """A camera in the world: x = R · ray + eye, and the size of a pixel in rays."""

    R: np.ndarray
    eye: np.ndarray
    pixel: float


class Panels(NamedTuple):
    """The place's rectangles, two triangles each from face 0 on."""

    normals: np.ndarray
    corners_m: np.ndarray
    glow: np.ndarray
    texels: np.ndarray
    """Square roots of linear red, green and blue, a byte each from the lowest on."""
    start: np.ndarray
    """(levels, panels) first texel of each picture, and its sides."""
    width: np.ndarray
    height: np.ndarray
    texel_m: np.ndarray
    light: np.ndarray
    """(cells, 2): share of the light from all around, and of the lamp's."""
    light_start: np.ndarray
    light_width: np.ndarray
    light_height: np.ndarray


class Solids(NamedTuple):
    """What moves. Face and vertex numbers count on from the panels'; solid 0 is the place."""

    faces: np.ndarray
    normals: np.ndarray
    rest_m: np.ndarray
    """Where a vertex is when nothing moves: grain goes along with it."""
    colours: np.ndarray
    owner: np.ndarray
    R: np.ndarray
    gloss: np.ndarray
    glow: np.ndarray
    grain: np.ndarray
    """(solids, 2): contrast, and cells a metre."""
    lit: np.ndarray
    """How much of the lamp or sun the place lets through to each."""


class Air(NamedTuple):
    """Light and sky, linear."""

    towards: np.ndarray
    is_lamp: bool
    sun: np.ndarray
    around: np.ndarray
    horizon: np.ndarray
    zenith: np.ndarray
    clouds: float
    haze_per_m: float
    tile: np.ndarray


class Shadows(NamedTuple):
    """Depth maps from the light, a few."""

    nearness: np.ndarray
    T: np.ndarray
    """(maps, 4, 4) from world to the map's camera."""
    K: np.ndarray
    """(maps, 4) focal lengths and centres."""
