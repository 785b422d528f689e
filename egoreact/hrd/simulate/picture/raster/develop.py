"""From linear light to the picture that a camera keeps: motion blur, exposure, vignette, noise, and a film's curve."""

import numpy as np
from numba import njit

from egoreact.hrd.simulate.picture.raster.scan import NOTHING

TABLE = 4096
FULL = 4.0
"""Linear light at the table's end."""
STILL = 0.4
"""Pixels; a shorter way leaves no blur."""
_MOST = 8
"""Samples along a pixel's way, at most."""


def to_display(linear: np.ndarray) -> np.ndarray:
    """Linear light to display values 0…1: a film's curve, dark in the shadows and soft in the lights (Narkowicz's ACES fit)."""
    x = 0.62 * np.maximum(linear, 0.0)
    return np.clip(x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14), 0.0, 1.0) ** (1 / 2.2)


DISPLAY = np.rint(255 * to_display(FULL * (np.arange(TABLE) / (TABLE - 1)) ** 2)).astype(np.uint8)
"""Display values by the square root of linear light, so that the dark has as many steps as it needs."""


@njit(cache=True, nogil=True, error_model="numpy")
def find_motion(face_at, K, forms, faces, points_then, turn, motion):
    """The farthest that anything moves; for each pixel, the pixels that what it shows moves in the picture, column and row, until its vertices are at `points_then`.

    turn: rotation (3, 3) from the camera's axes now to those then; all that the sky does.
    """
    height, width = face_at.shape
    fx, fy, cx, cy = K
    farthest = 0.0
    for row in range(height):
        for column in range(width):
            f = face_at[row, column]
            x, y = (column - cx) / fx, (row - cy) / fy
            if f == NOTHING:
                px = turn[0, 0] * x + turn[0, 1] * y + turn[0, 2]
                py = turn[1, 0] * x + turn[1, 1] * y + turn[1, 2]
                pz = turn[2, 0] * x + turn[2, 1] * y + turn[2, 2]
            else:
                px, py, pz = 0.0, 0.0, 0.0
                for k in range(3):
                    share = forms[f, 3 * k] * x + forms[f, 3 * k + 1] * y + forms[f, 3 * k + 2]
                    v = faces[f, k]
                    px += share * points_then[v, 0]
                    py += share * points_then[v, 1]
                    pz += share * points_then[v, 2]
            if pz <= 0:
                motion[row, column, 0] = motion[row, column, 1] = 0.0
            else:
                mx, my = (px / pz - x) * fx, (py / pz - y) * fy
                motion[row, column, 0], motion[row, column, 1] = mx, my
                farthest = max(farthest, mx * mx + my * my)
    return np.sqrt(farthest)


@njit(cache=True, nogil=True, error_model="numpy")
def blur(colour, motion, reach, blurred):
    """Each pixel's mean over the way of the fastest of itself and of its neighbours `reach` away."""
    height, width, _ = colour.shape
    for row in range(height):
        for column in range(width):
            mx, my = motion[row, column, 0], motion[row, column, 1]
            for k in range(4):
                j = min(max(row + (k - 1) * reach * (k % 2 == 0), 0), height - 1)
                i = min(max(column + (k - 2) * reach * (k % 2), 0), width - 1)
                if motion[j, i, 0] ** 2 + motion[j, i, 1] ** 2 > mx * mx + my * my:
                    mx, my = motion[j, i, 0], motion[j, i, 1]
            length = np.sqrt(mx * mx + my * my)
            # A sample is a pixel wide: one a pixel leaves no gaps.
            count = min(max(int(np.ceil(length)), 2), _MOST)
            if length < STILL:
                for channel in range(3):
                    blurred[row, column, channel] = colour[row, column, channel]
                continue
            red, green, blue = 0.0, 0.0, 0.0
            for k in range(count):
                s = (k + 0.5) / count - 0.5
                x = min(max(column + s * mx, 0.0), width - 1.001)
                y = min(max(row + s * my, 0.0), height - 1.001)
                i, j = int(x), int(y)
                u, v = x - i, y - j
                a, b, c, d = (1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v
                red += (
                    a * colour[j, i, 0]
                    + b * colour[j, i + 1, 0]
                    + c * colour[j + 1, i, 0]
                    + d * colour[j + 1, i + 1, 0]
                )
                green += (
                    a * colour[j, i, 1]
                    + b * colour[j, i + 1, 1]
                    + c * colour[j + 1, i, 1]
                    + d * colour[j + 1, i + 1, 1]
                )
                blue += (
                    a * colour[j, i, 2]
                    + b * colour[j, i + 1, 2]
                    + c * colour[j + 1, i, 2]
                    + d * colour[j + 1, i + 1, 2]
                )
            blurred[row, column, 0] = red / count
            blurred[row, column, 1] = green / count
            blurred[row, column, 2] = blue / count


@njit(cache=True, nogil=True, error_model="numpy")
def develop(colour, gains, vignette, grain, noise, shifts, display, rgb):
    """Writes display colours.

    Args:
        gains: of red, green and blue.
        vignette: light lost in the corners, 0 to 1.
        grain: deviation of the square root of the light, which photons give the same everywhere.
        noise: table of unit normal values, its sides powers of two.
        shifts: (3, 2) where in the table each channel's noise begins.
    """
    height, width, _ = colour.shape
    side = len(noise) - 1
    half_x, half_y = 0.5 * (width - 1), 0.5 * (height - 1)
    scale = (TABLE - 1) / np.sqrt(FULL)
    for row in range(height):
        for column in range(width):
            x, y = (column - half_x) / half_x, (row - half_y) / half_y
            through = 1.0 - 0.5 * vignette * (x * x + y * y)
            for channel in range(3):
                sample = noise[(row + shifts[channel, 0]) & side, (column + shifts[channel, 1]) & side]
                root = np.sqrt(colour[row, column, channel] * gains[channel] * through) + grain * sample
                index = int(root * scale + 0.5)
                rgb[row, column, channel] = display[min(max(index, 0), TABLE - 1)]
