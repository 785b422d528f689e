"""What surfaces look like: functions from metres along a surface to linear colours, made of a little noise and a pattern."""

import numpy as np
from numba import njit

from egoreact.hrd.simulate.noise import Noise
from egoreact.hrd.simulate.scenery.place import Paint
from egoreact.hrd.simulate.solids import Colour, f32


def plain(colour: Colour, rng: np.random.Generator, *, mottled: float = 0.05, cell_m: float = 0.25) -> Paint:
    noise, base = Noise(rng, cell_m), f32(colour)

    def paint(across: np.ndarray, up: np.ndarray) -> np.ndarray:
        return base * (1 + mottled * noise(across, up))[..., None]

    return paint


def fine(colour: Colour, rng: np.random.Generator, *, contrast: float = 0.2, cell_m: float = 0.05) -> Paint:
    """Carpet, asphalt, grass: fine grain over broad patches."""
    grain, patches, base = Noise(rng, cell_m), Noise(rng, 1.1), f32(colour)

    def paint(across: np.ndarray, up: np.ndarray) -> np.ndarray:
        return base * (1 + contrast * grain(across, up) + 0.6 * contrast * patches(across, up))[..., None]

    return paint


def _cells(across: np.ndarray, up: np.ndarray, width_m: float, height_m: float) -> tuple[np.ndarray, ...]:
    """Column and row of each point's cell, and metres to the cell's nearest edge."""
    x, y = across / f32(width_m), up / f32(height_m)
    column, row = np.floor(x), np.floor(y)
    x, y = x - column, y - row
    edge = np.minimum(np.minimum(x, 1 - x) * f32(width_m), np.minimum(y, 1 - y) * f32(height_m))
    return column.astype(np.int32), row.astype(np.int32), edge


def _scatter(column: np.ndarray, row: np.ndarray, table: np.ndarray) -> np.ndarray:
    """One of a table of random values for each cell."""
    return table[(column * 73 + row * 179 + (column * row) % 31) % len(table)]


def planks(colour: Colour, rng: np.random.Generator, *, width_m: float = 0.16, length_m: float = 1.4) -> Paint:
    tints = rng.uniform(0.80, 1.12, 97).astype(np.float32)
    shifts = rng.uniform(0, length_m, 61).astype(np.float32)
    grain, base = Noise(rng, 0.025, stretch=14.0), f32(colour)

    def paint(across: np.ndarray, up: np.ndarray) -> np.ndarray:
        board = np.floor(up / f32(width_m)).astype(np.int32)
        column, row, edge = _cells(across + shifts[board % 61], up, length_m, width_m)
        shade = _scatter(column, row, tints) * (1 + 0.09 * grain(across, up)) * (1 - 0.38 * (edge < 0.008))
        return base * shade[..., None]

    return paint


def tiles(
    colour: Colour,
    second: Colour,
    rng: np.random.Generator,
    *,
    size_m: float = 0.4,
    gap: float = 0.6,
    width_m: float | None = None,
) -> Paint:
    """Two colours in turn, every tile a little different, darker (gap < 1) or lighter joints."""
    tints = rng.uniform(0.93, 1.07, 97).astype(np.float32)
    dirt, pair = Noise(rng, 0.7), f32([colour, second])

    def paint(across: np.ndarray, up: np.ndarray) -> np.ndarray:
        column, row, edge = _cells(across, up, width_m or size_m, size_m)
        shade = _scatter(column, row, tints) * (1 + 0.06 * dirt(across, up)) * np.where(edge < 0.012, f32(gap), 1)
        return pair[(column + row) % 2] * shade[..., None]

    return paint


def wall(
    colour: Colour, rng: np.random.Generator, *, skirting: Colour = (0.75, 0.73, 0.7), dado: Colour | None = None
) -> Paint:
    """Plaster over a skirting board, the lower part in another colour if told."""
    noise, base = Noise(rng, 0.6), f32(colour)

    def paint(across: np.ndarray, up: np.ndarray) -> np.ndarray:
        out = base * (1 + 0.04 * noise(across, up))[..., None]
        if dado is not None:
            out = np.where((up < 1.0)[..., None], f32(dado) * (1 + 0.03 * noise(up, across))[..., None], out)
            out[np.abs(up - 1.0) < 0.03] = f32(skirting)
        out[up < 0.12] = f32(skirting)
        return out

    return paint


def framed(
    inside: Paint, frame: Colour, width_m: float, height_m: float, *, border_m: float = 0.06, bars: bool = False
) -> Paint:
    """A picture, a window with bars, a door: something in a frame."""

    def paint(across: np.ndarray, up: np.ndarray) -> np.ndarray:
        out = inside(across, up)
        edge = np.minimum(np.minimum(across, width_m - across), np.minimum(up, height_m - up)) < border_m
        if bars:
            edge |= (np.abs(across - width_m / 2) < 0.03) | (np.abs(up - height_m * 0.6) < 0.025)
        out[edge] = f32(frame)
        return out

    return paint


def gradient(low: Colour, high: Colour, height_m: float) -> Paint:
    bottom, top = f32(low), f32(high)

    def paint(across: np.ndarray, up: np.ndarray) -> np.ndarray:
        return bottom + np.clip(up / f32(height_m), 0, 1)[..., None] * (top - bottom)

    return paint


def blots(ground: Colour, rng: np.random.Generator) -> Paint:
    """An abstract picture."""
    fields = [Noise(rng, float(rng.uniform(0.2, 0.6))) for _ in range(2)]
    colours = f32(rng.uniform(0.05, 0.8, (2, 3)))

    def paint(across: np.ndarray, up: np.ndarray) -> np.ndarray:
        out = np.broadcast_to(f32(ground), (*across.shape, 3)).copy()
        for field, colour in zip(fields, colours, strict=True):
            out[field(across, up) > 0.15] = colour
        return out

    return paint


def shelf(wood: Colour, rng: np.random.Generator, *, height_m: float = 0.36) -> Paint:
    """Rows of books."""
    spines = f32(rng.uniform(0.05, 0.6, (127, 3)))
    fill = rng.uniform(0.55, 0.92, 127).astype(np.float32)

    def paint(across: np.ndarray, up: np.ndarray) -> np.ndarray:
        column, row, _ = _cells(across, up, 0.055, height_m)
        key = (column * 73 + row * 179) % 127
        out = spines[key]
        out = np.where(((up / height_m) % 1 > fill[key])[..., None], f32(0.02), out)
        return np.where(((up / height_m) % 1 < 0.07)[..., None], f32(wood), out)

    return paint


def facade(
    wall_: Paint, colour: Colour, glass: Colour, rng: np.random.Generator, *, storey_m: float = 3.0, bay_m: float = 2.4
) -> Paint:
    """A house front: windows in rows, some lit or curtained, doors and shop windows below."""
    base, pane = f32(colour), f32(glass)
    brightness = rng.choice(f32([0.7, 1.0, 1.25, 2.2, 4.0]), 97, p=[0.3, 0.35, 0.2, 0.1, 0.05])
    doors, leaf = rng.random(97) < 0.35, f32(rng.uniform(0.04, 0.4, 3))
    trim = base * 0.3 + f32(0.5)
    window_w, window_h = float(rng.uniform(0.4, 0.6)), float(rng.uniform(0.45, 0.58))
    ledge, shade = rng.random() < 0.6, f32(rng.uniform(0.65, 0.9))

    def paint(across: np.ndarray, up: np.ndarray) -> np.ndarray:
        x, y = across / f32(bay_m), up / f32(storey_m)
        column, row = np.floor(x).astype(np.int32), np.floor(y).astype(np.int32)
        dx, dy = np.abs(x - column - 0.5) * 2, np.abs(y - row - 0.52) * 2
        out = wall_(across, up)
        out = np.where((y < 0.95)[..., None], out * shade, out)
        if ledge:
            out[(np.abs(y - np.round(y) - 0.02) < 0.02) & (y > 0.5)] = trim
        out[(dx < window_w + 0.09) & (dy < window_h + 0.07)] = trim
        inside = (dx < window_w) & (dy < window_h)
        shine = (_scatter(column, row, brightness) * (0.75 + 0.5 * (y - row)))[..., None]
        out = np.where(inside[..., None], pane * shine, out)
        out[inside & ((dx < 0.04) | (np.abs(dy - 0.1) < 0.03))] = trim
        door = (row == 0) & _scatter(column, row + 7, doors) & (dx < 0.5) & (y < 0.78)
        out[door] = trim
        out[door & (dx < 0.4) & (y < 0.74)] = leaf
        return out.astype(np.float32)

    return paint


def striped(
    ground: Paint, along_m: float, *, colour: Colour = (0.75, 0.75, 0.72), width_m: float = 0.14, dash_m: float = 0.0
) -> Paint:
    """A line at `along_m` up the surface, running across it, broken where a dash length is told."""

    def paint(across: np.ndarray, up: np.ndarray) -> np.ndarray:
        out = ground(across, up)
        line = np.abs(up - along_m) < width_m / 2
        if dash_m:
            line &= across % (2.5 * dash_m) < dash_m
        out[line] = f32(colour)
        return out

    return paint


def worn(inside: Paint, rng: np.random.Generator, *, strength: float = 0.10, cell_m: float = 0.16) -> Paint:
    """The same surface with scattered marks and stains: something to hold on to wherever one looks."""
    spots, stains = Noise(rng, cell_m), Noise(rng, 5 * cell_m)

    def paint(across: np.ndarray, up: np.ndarray) -> np.ndarray:
        marks = np.clip(f32(4.0) * (np.abs(spots(across, up)) - f32(0.55)), 0.0, 1.0)
        shade = 1 - f32(strength) * marks + f32(0.5 * strength) * stains(across, up)
        return inside(across, up) * shade[..., None]

    return paint


def wallpaper(
    colour: Colour, second: Colour, rng: np.random.Generator, *, skirting: Colour = (0.75, 0.73, 0.7)
) -> Paint:
    """Stripes, diamonds or dots over a skirting board."""
    kind, width, base, other = int(rng.integers(3)), float(rng.uniform(0.12, 0.4)), f32(colour), f32(second)
    noise = Noise(rng, 0.5)

    def paint(across: np.ndarray, up: np.ndarray) -> np.ndarray:
        x, y = across / f32(width), up / f32(width)
        if kind == 0:
            second_here = x % 1 < 0.45
        elif kind == 1:
            second_here = np.abs(x % 1 - 0.5) + np.abs(y % 1 - 0.5) < 0.36
        else:
            second_here = (x % 1 - 0.5) ** 2 + ((y + 0.5 * np.floor(x)) % 1 - 0.5) ** 2 < 0.07
        out = np.where(second_here[..., None], other, base) * (1 + f32(0.05) * noise(across, up))[..., None]
        out[up < 0.12] = f32(skirting)
        return out

    return paint


def bricks(colour: Colour, rng: np.random.Generator, *, width_m: float = 0.26, height_m: float = 0.09) -> Paint:
    tints = rng.uniform(0.72, 1.15, 97).astype(np.float32)
    dirt, base = Noise(rng, 0.9), f32(colour)
    joint = f32(rng.uniform(0.35, 0.6))

    def paint(across: np.ndarray, up: np.ndarray) -> np.ndarray:
        course = np.floor(up / f32(height_m)).astype(np.int32)
        column, row, edge = _cells(across + f32(0.5 * width_m) * (course % 2), up, width_m, height_m)
        out = base * (_scatter(column, row, tints) * (1 + 0.08 * dirt(across, up)))[..., None]
        return np.where((edge < 0.006)[..., None], joint * (0.6 + 0.4 * base), out)

    return paint


def ceiling(colour: Colour, rng: np.random.Generator) -> Paint:
    """Boards or speckled tiles with dark joints."""
    tints, grains, base = rng.uniform(0.9, 1.05, 97).astype(np.float32), Noise(rng, 0.07), f32(colour)
    width, length = ((0.6, 0.6), (0.6, 1.2), (0.2, 3.0))[int(rng.integers(3))]

    def paint(across: np.ndarray, up: np.ndarray) -> np.ndarray:
        column, row, edge = _cells(across, up, length, width)
        marks = np.clip(3.0 * (grains(across, up) - 0.45), 0.0, 1.0)
        shade = _scatter(column, row, tints) * (1 - 0.16 * marks) * np.where(edge < 0.012, f32(0.62), 1)
        return base * shade[..., None]

    return paint


def rug(rng: np.random.Generator, width_m: float, height_m: float) -> Paint:
    """A carpet with borders and a repeated figure."""
    colours, cell = f32(rng.uniform(0.06, 0.55, (3, 3))), float(rng.uniform(0.22, 0.4))
    grain = Noise(rng, 0.03)

    def paint(across: np.ndarray, up: np.ndarray) -> np.ndarray:
        edge = np.minimum(np.minimum(across, width_m - across), np.minimum(up, height_m - up))
        x, y = np.abs(across / f32(cell) % 1 - 0.5), np.abs(up / f32(cell) % 1 - 0.5)
        figure = np.where(x + y < 0.3, 1, np.where(np.maximum(x, y) > 0.44, 2, 0))
        index = np.where(edge < 0.06, 1, np.where(edge < 0.16, 2, np.where(edge < 0.2, 1, figure)))
        return colours[index] * (1 + f32(0.15) * grain(across, up))[..., None]

    return paint


def leafy(colour: Colour, rng: np.random.Generator, *, cell_m: float = 0.09) -> Paint:
    """Hedges and far woods: clumps of light and dark."""
    fine_, broad, base = Noise(rng, cell_m), Noise(rng, 5 * cell_m), f32(colour)

    def paint(across: np.ndarray, up: np.ndarray) -> np.ndarray:
        shade = 1 + 0.5 * fine_(across, up) + 0.35 * broad(across, up)
        return base * np.maximum(shade, 0.25)[..., None]

    return paint


def strewn(
    ground: Paint, rng: np.random.Generator, *, colour: Colour, cell_m: float = 0.35, share: float = 0.3
) -> Paint:
    """The same ground with a leaf, a stone or a patch in some of its cells."""
    places = f32(rng.uniform(0.25, 0.75, (113, 2)))
    there = rng.random(113) < share
    sizes = f32(np.where(there, rng.uniform(0.06, 0.2, 113), -1.0))
    marks = f32(colour) * f32(rng.uniform(0.5, 1.2, (113, 1)))

    def paint(across: np.ndarray, up: np.ndarray) -> np.ndarray:
        out = f32(ground(across, up))
        _strew(f32(across), f32(up), np.float32(1.0 / cell_m), places, sizes, marks, out)
        return out

    return paint


@njit(cache=True, nogil=True, error_model="numpy")
def _strew(across, up, cells_a_metre, places, sizes, marks, out):
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            x, y = across[row, column] * cells_a_metre, up[row, column] * cells_a_metre
            i, j = np.int64(np.floor(x)), np.int64(np.floor(y))
            key = (i * 37 + j * 71 + (i * j) % 13) % len(sizes)
            if abs(x - i - places[key, 0]) + 0.6 * abs(y - j - places[key, 1]) < sizes[key]:
                for channel in range(3):
                    out[row, column, channel] = marks[key, channel]
