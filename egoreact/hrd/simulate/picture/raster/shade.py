"""From the triangle a ray meets to linear light: pictures of panels under baked light, Lambert's law on solids, shadows, sky.

All angles and lengths are the world's. Colours are linear; `develop` puts them on the display.
"""

from typing import Any

import numpy as np
from numba import njit

from egoreact.hrd.simulate.picture.raster.scan import NOTHING

# Nothing here allocates: without counting references to the thirty arrays that are passed on, a pixel takes an eighth of the time.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "_nrt": False}
_inlined, _compiled = njit(forceinline=True, **_OPTIONS), njit(cache=True, nogil=True, **_OPTIONS)
CLEAR_M = 6.0
"""Haze begins beyond."""
TILE = 64
"""Side of the table of noise that grain and clouds are read from."""


@_inlined
def _noise(tile, x, y):
    """Smooth values, about -1 to 1, that repeat after TILE cells."""
    column, row = np.floor(x), np.floor(y)
    u, v = x - column, y - row
    i, j = int(column) & (TILE - 1), int(row) & (TILE - 1)
    k, m = (i + 1) & (TILE - 1), (j + 1) & (TILE - 1)
    top = tile[j, i] + u * (tile[j, k] - tile[j, i])
    bottom = tile[m, i] + u * (tile[m, k] - tile[m, i])
    return top + v * (bottom - top)


@_inlined
def _open_to_light(shadows, x, y, z):
    """1 where no solid stands between a point and the light, 0 where one does, softly in between."""
    light = 1.0
    _, height, width = shadows.nearness.shape
    for k in range(len(shadows.T)):
        T, K = shadows.T[k], shadows.K[k]
        depth = T[2, 0] * x + T[2, 1] * y + T[2, 2] * z + T[2, 3]
        if depth <= 0:
            continue
        column = (T[0, 0] * x + T[0, 1] * y + T[0, 2] * z + T[0, 3]) / depth * K[0] + K[2]
        row = (T[1, 0] * x + T[1, 1] * y + T[1, 2] * z + T[1, 3]) / depth * K[1] + K[3]
        if not (0 <= column < width - 1 and 0 <= row < height - 1):
            continue
        i, j = int(column), int(row)
        u, v = column - i, row - j
        nearness, near = 1.0 / depth, shadows.nearness[k]
        a = 1.0 if near[j, i] > nearness else 0.0
        b = 1.0 if near[j, i + 1] > nearness else 0.0
        c = 1.0 if near[j + 1, i] > nearness else 0.0
        d = 1.0 if near[j + 1, i + 1] > nearness else 0.0
        top, bottom = a + u * (b - a), c + u * (d - c)
        light *= 1.0 - (top + v * (bottom - top))
    return light


@_inlined
def _picture(panels, p, s, t, spread):
    """Albedo of a panel at (s, t) of its sides, from the picture whose texels are about as large as the spread."""
    level, last = 0, len(panels.start) - 1
    while level < last and spread > 2.6:
        spread *= 0.25
        level += 1
    width, height = panels.width[level, p], panels.height[level, p]
    x = min(max(s * width - 0.5, 0.0), width - 1.001)
    y = min(max(t * height - 0.5, 0.0), height - 1.001)
    i, j = int(x), int(y)
    u, v = x - i, y - j
    first = panels.start[level, p] + j * width + i
    right = 1 if width > 1 else 0
    down = width if height > 1 else 0
    a, b, c, d = (1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v
    k, m = panels.texels[np.uintp(first)], panels.texels[np.uintp(first + right)]
    n, q = panels.texels[np.uintp(first + down)], panels.texels[np.uintp(first + down + right)]
    red = a * (k & 255) + b * (m & 255) + c * (n & 255) + d * (q & 255)
    green = a * (k >> 8 & 255) + b * (m >> 8 & 255) + c * (n >> 8 & 255) + d * (q >> 8 & 255)
    blue = a * (k >> 16) + b * (m >> 16) + c * (n >> 16) + d * (q >> 16)
    scale = 1.0 / (255.0 * 255.0)
    return red * red * scale, green * green * scale, blue * blue * scale


@_inlined
def _light_on_panel(panels, p, s, t):
    width, height = panels.light_width[p], panels.light_height[p]
    x = min(max(s * width - 0.5, 0.0), width - 1.001)
    y = min(max(t * height - 0.5, 0.0), height - 1.001)
    i, j = int(x), int(y)
    u, v = x - i, y - j
    first, light = panels.light_start[p] + j * width + i, panels.light
    first, right = np.uintp(first), np.uintp(first + 1)
    under, last = (
        np.uintp(panels.light_start[p] + (j + 1) * width + i),
        np.uintp(panels.light_start[p] + (j + 1) * width + i + 1),
    )
    a, b, c, d = (1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v
    around = a * light[first, 0] + b * light[right, 0] + c * light[under, 0] + d * light[last, 0]
    lamp = a * light[first, 1] + b * light[right, 1] + c * light[under, 1] + d * light[last, 1]
    return around, lamp


@_inlined
def _sky(air, dx, dy, dz):
    length = np.sqrt(dx * dx + dy * dy + dz * dz)
    up = max(dy / length, 0.0)
    share = np.sqrt(up)
    cloud = 0.0
    if air.clouds > 0 and up > 0:
        u, v = dx / (dy + 0.3 * length), dz / (dy + 0.3 * length)
        cloud = _noise(air.tile, 2.1 * u + 7.0, 2.1 * v) + 0.5 * _noise(air.tile, 5.3 * u, 5.3 * v + 3.0)
        cloud += 0.25 * _noise(air.tile, 13.1 * u, 13.1 * v)
        cloud = min(max(1.4 * (cloud + air.clouds - 0.7), 0.0), 1.0) * min(6 * up, 1.0)
    red = air.horizon[0] + share * (air.zenith[0] - air.horizon[0])
    green = air.horizon[1] + share * (air.zenith[1] - air.horizon[1])
    blue = air.horizon[2] + share * (air.zenith[2] - air.horizon[2])
    return red + cloud * (0.95 - red), green + cloud * (0.96 - green), blue + cloud * (1.0 - blue)


@_inlined
def _shade(f, x, y, forms, view, panels, solids, air, shadows):
    """Linear red, green and blue that come along the ray (x, y, 1), which meets triangle f or NOTHING, and how deep; 0: never."""
    R, eye = view.R, view.eye
    dx = R[0, 0] * x + R[0, 1] * y + R[0, 2]
    dy = R[1, 0] * x + R[1, 1] * y + R[1, 2]
    dz = R[2, 0] * x + R[2, 1] * y + R[2, 2]
    if f == NOTHING:
        red, green, blue = _sky(air, dx, dy, dz)
        return red, green, blue, 0.0
    form = forms[f]
    b0 = form[0] * x + form[1] * y + form[2]
    b1 = form[3] * x + form[4] * y + form[5]
    b2 = form[6] * x + form[7] * y + form[8]
    share = 1.0 / (b0 + b1 + b2)
    depth = abs(form[9]) * share
    b1, b2 = b1 * share, b2 * share
    shine = 0.0
    px, py, pz = eye[0] + depth * dx, eye[1] + depth * dy, eye[2] + depth * dz
    if solids.owner[f] == 0:
        p = f >> 1
        s, t = (b1 + b2, b2) if f & 1 == 0 else (b1, b1 + b2)
        nx, ny, nz = panels.normals[p, 0], panels.normals[p, 1], panels.normals[p, 2]
        facing = abs(nx * dx + ny * dy + nz * dz)
        spread = (depth * view.pixel / panels.texel_m[p]) ** 2 / max(facing, 0.02)
        red, green, blue = _picture(panels, p, s, t, spread)
        around, lamp = _light_on_panel(panels, p, s, t)
        if lamp > 0.01:
            lamp *= _open_to_light(shadows, px + 0.01 * nx, py + 0.01 * ny, pz + 0.01 * nz)
        glow = panels.glow[p]
    else:
        solid = solids.owner[f]
        b0 = 1.0 - b1 - b2
        v, w, q = solids.faces[f, 0], solids.faces[f, 1], solids.faces[f, 2]
        n, turn = solids.normals, solids.R[solid]
        mx = b0 * n[v, 0] + b1 * n[w, 0] + b2 * n[q, 0]
        my = b0 * n[v, 1] + b1 * n[w, 1] + b2 * n[q, 1]
        mz = b0 * n[v, 2] + b1 * n[w, 2] + b2 * n[q, 2]
        nx = turn[0, 0] * mx + turn[0, 1] * my + turn[0, 2] * mz
        ny = turn[1, 0] * mx + turn[1, 1] * my + turn[1, 2] * mz
        nz = turn[2, 0] * mx + turn[2, 1] * my + turn[2, 2] * mz
        size = 1.0 / max(np.sqrt(nx * nx + ny * ny + nz * nz), 1e-9)
        nx, ny, nz = nx * size, ny * size, nz * size
        red, green, blue = solids.colours[f, 0], solids.colours[f, 1], solids.colours[f, 2]
        contrast, cells = solids.grain[solid, 0], solids.grain[solid, 1]
        if contrast > 0:
            rest = solids.rest_m
            gx = cells * (b0 * rest[v, 0] + b1 * rest[w, 0] + b2 * rest[q, 0])
            gy = cells * (b0 * rest[v, 1] + b1 * rest[w, 1] + b2 * rest[q, 1])
            gz = cells * (b0 * rest[v, 2] + b1 * rest[w, 2] + b2 * rest[q, 2])
            # Two slanted projections: where the surface runs along one, the other still varies.
            mottle = _noise(air.tile, gx + 0.7 * gz, gy + 0.3 * gz) + _noise(air.tile, 0.6 * gx - gz, gy - 0.4 * gx)
            fade = 1.0 / (1.0 + (1.5 * cells * depth * view.pixel) ** 2)
            mottle = 1.0 + contrast * fade * mottle
            red, green, blue = red * mottle, green * mottle, blue * mottle
        lx, ly, lz = air.towards[0], air.towards[1], air.towards[2]
        if air.is_lamp:
            lx, ly, lz = lx - px, ly - py, lz - pz
            size = 1.0 / np.sqrt(lx * lx + ly * ly + lz * lz)
            lx, ly, lz = lx * size, ly * size, lz * size
        facing = nx * lx + ny * ly + nz * lz
        around, lamp = 0.72 + 0.28 * ny, 0.0
        glow, gloss = solids.glow[solid], solids.gloss[solid]
        if facing > 0:
            lamp = solids.lit[solid]
            lamp *= _open_to_light(
                shadows, px + 0.03 * nx + 0.02 * lx, py + 0.03 * ny + 0.02 * ly, pz + 0.03 * nz + 0.02 * lz
            )
            if gloss > 0:
                size = 1.0 / np.sqrt(dx * dx + dy * dy + dz * dz)
                hx, hy, hz = lx - dx * size, ly - dy * size, lz - dz * size
                size = 1.0 / max(np.sqrt(hx * hx + hy * hy + hz * hz), 1e-6)
                shine = gloss * lamp * max((hx * nx + hy * ny + hz * nz) * size, 0.0) ** 24
            lamp *= facing
    red = red * (around * air.around[0] + lamp * air.sun[0] + glow) + shine
    green = green * (around * air.around[1] + lamp * air.sun[1] + glow) + shine
    blue = blue * (around * air.around[2] + lamp * air.sun[2] + glow) + shine
    if air.haze_per_m > 0 and depth > CLEAR_M:
        far = 1.0 - 1.0 / (1.0 + air.haze_per_m * (depth - CLEAR_M))
        red += far * (air.horizon[0] - red)
        green += far * (air.horizon[1] - green)
        blue += far * (air.horizon[2] - blue)
    return red, green, blue, depth


@_inlined
def _surface(f, owner):
    """The same number for triangles between which there is no edge to be seen."""
    if f == NOTHING or owner[f] > 0:
        return -1 if f == NOTHING else -2 - owner[f]
    return f >> 1


@_compiled
def draw(face_at, K, forms, view, panels, solids, air, shadows, colour, depth_m, owner):
    """Linear colours, depth and owners (0 the place, then one number a solid) of all pixels, at their centres."""
    height, width = face_at.shape
    fx, fy, cx, cy = K
    for row in range(height):
        for column in range(width):
            f, x, y = face_at[row, column], (column - cx) / fx, (row - cy) / fy
            red, green, blue, depth = _shade(f, x, y, forms, view, panels, solids, air, shadows)
            colour[row, column, 0], colour[row, column, 1], colour[row, column, 2] = red, green, blue
            depth_m[row, column] = depth
            owner[row, column] = 0 if f == NOTHING else solids.owner[f]


@_compiled
def smooth_edges(face_at, corner_face, owners, colour, smoothed):
    """Where an edge passes through a pixel, half its colour comes from its four corners.

    A corner has the colour of a pixel beside it that shows the same surface; of the pixel itself where there is none.
    """
    height, width = face_at.shape
    for row in range(height):
        for column in range(width):
            f = face_at[row, column]
            here = _surface(f, owners)
            red, green, blue = 4 * colour[row, column, 0], 4 * colour[row, column, 1], 4 * colour[row, column, 2]
            for k in range(4):
                down, right = k >> 1, k & 1
                other = corner_face[row + down, column + right]
                j, i = row, column
                if other != f:
                    there = _surface(other, owners)
                    if there != here:
                        for n in range(1, 4):  # the other pixels around this corner
                            v = min(max(row + (2 * down - 1) * (n >> 1), 0), height - 1)
                            u = min(max(column + (2 * right - 1) * (n & 1), 0), width - 1)
                            if _surface(face_at[v, u], owners) == there:
                                j, i = v, u
                                break
                red, green, blue = red + colour[j, i, 0], green + colour[j, i, 1], blue + colour[j, i, 2]
            smoothed[row, column, 0] = 0.125 * red
            smoothed[row, column, 1] = 0.125 * green
            smoothed[row, column, 2] = 0.125 * blue
