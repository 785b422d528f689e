"""Words, curves and a map from above, drawn into a picture. Colours are RGB, boxes (left, top, width, height) in px."""

from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float

from egoreact.hrd.clip import Clip
from egoreact.motion.drawing import TRAIL
from egoreact.motion.skeleton import FEET, HEAD

INK, MUTED, PAPER, LINES = (38, 43, 50), (120, 127, 137), (255, 255, 255), (229, 232, 236)
CLASS_COLOURS = {
    "static": (176, 182, 190), "ball": (232, 76, 61), "low_obstacle": (243, 156, 18), "bar": (241, 196, 15),
    "person": (52, 120, 220), "animal": (160, 98, 52), "vehicle": (120, 60, 170), "object": (230, 110, 170),
    "ground": (38, 166, 130), "fire": (255, 112, 20), "own_body": (104, 196, 222),
}  # fmt: skip
Box = tuple[int, int, int, int]
_PANEL = (248, 249, 250)
_SUBPIXEL_BITS = 4


def write(
    picture: np.ndarray,
    text: str,
    x: int,
    y: int,
    size: int,
    colour: tuple[int, int, int],
    *,
    weight: int = 400,
    align: Literal["left", "middle", "right"] = "left",
) -> int:
    """Writes a line whose baseline starts, has its middle or ends at (x, y); returns its width."""
    font = cv2.FontFace("sans")
    width = int(cv2.getTextSize((0, 0), text, (0, 0), font, size, weight)[2])
    start = x - {"left": 0, "middle": width // 2, "right": width}[align]
    cv2.putText(picture, text, (start, y), colour, font, size, weight)
    return width


def curve(
    picture: np.ndarray,
    title: str,
    x: Float[np.ndarray, "points"],
    y: Float[np.ndarray, "points"],
    marked: Float[np.ndarray, "marks"],
    box: Box,
) -> None:
    """A line over time with the lowest and highest value written beside it; dots at the `marked` times."""
    left, top, width, height = box
    write(picture, title, left, top + 14, 15, INK, weight=500)
    top, height = top + 24, height - 24
    picture[top : top + height, left : left + width] = _PANEL
    low, high = float(y.min()), float(y.max())
    middle, reach = (low + high) / 2, max(high - low, 0.1) * 0.6
    plot = width - 56

    def place(at: np.ndarray, values: np.ndarray) -> np.ndarray:
        across = left + 8 + (at - x[0]) / max(x[-1] - x[0], 1e-9) * (plot - 16)
        return np.stack([across, top + height / 2 - (values - middle) / reach * (height / 2 - 4)], axis=1)

    for value in {low, high}:
        row = round(float(place(x[:1], np.array([value]))[0, 1]))
        picture[row, left : left + plot] = LINES
        write(picture, f"{value:.2f}", left + plot + 8, row + 5, 14, MUTED)
    _line(picture, place(x, y), TRAIL, 2)
    for point in place(marked, np.interp(marked, x, y)):
        _dot(picture, point, 3.5, TRAIL)


def map_from_above(picture: np.ndarray, clip: Clip, moments: np.ndarray, box: Box) -> None:
    """The head's way over the floor, seen from above with the first gaze up: gaze ticks at the moments, feet in grey."""
    left, top, width, height = box
    write(picture, "head from above, gaze at each moment", left, top + 14, 15, INK, weight=500)
    top, height = top + 24, height - 24
    panel: np.ndarray = np.full((height, width, 3), _PANEL, np.uint8)
    forward = clip.T_world_camera[:, [0, 2], 2]
    turn = _turn_up(forward[0])
    head = clip.joints_m[:, HEAD][:, [0, 2]] @ turn.T
    feet = clip.joints_m[:, FEET][:, :, [0, 2]] @ turn.T
    gaze = forward @ turn.T
    gaze /= np.maximum(np.linalg.norm(gaze, axis=1, keepdims=True), 1e-6)
    low, high = np.minimum(head.min(0), feet.min((0, 1))) - 0.35, np.maximum(head.max(0), feet.max((0, 1))) + 0.35
    px_per_m = float(min(width / max(high[0] - low[0], 1.8), height / max(high[1] - low[1], 1.8)))
    centre = (low + high) / 2

    def place(points_m: np.ndarray) -> np.ndarray:
        # The world's x is to the left of who looks along +z.
        offset = (points_m - centre) * px_per_m
        return np.stack([width / 2 + offset[..., 0], height / 2 - offset[..., 1]], axis=-1)

    corner = centre - np.array([width, height]) / px_per_m / 2
    for axis in (0, 1):
        first = np.ceil(corner[axis] / 0.5) * 0.5
        for metres in np.arange(first, corner[axis] + (width, height)[axis] / px_per_m, 0.5):
            at = round(float(place(np.full(2, metres))[axis]))
            if 0 <= at < (width, height)[axis]:
                panel[(slice(None), at) if axis == 0 else (at, slice(None))] = LINES
    for foot in range(0, feet.shape[1], 2):
        _line(panel, place(feet[:, foot]), (206, 210, 216), 1)
    _line(panel, place(head), TRAIL, 2)
    for order, moment in enumerate(moments):
        age = (order + 1) / len(moments)
        colour = tuple(round(_PANEL[c] + (0.35 + 0.65 * age) * (TRAIL[c] - _PANEL[c])) for c in range(3))
        ends = np.stack([place(head[moment]), place(head[moment] + 0.28 * gaze[moment])])
        _line(panel, ends, colour, 3)
        _dot(panel, ends[0], 5.5, colour)
    bar = round(0.5 * px_per_m)
    panel[height - 14 : height - 12, width - 14 - bar : width - 14] = MUTED
    write(panel, "0.5 m", width - 14 - bar // 2, height - 20, 13, MUTED, align="middle")
    picture[top : top + height, left : left + width] = panel


def _turn_up(forward: np.ndarray) -> np.ndarray:
    """(2, 2) from world (x, z) to (right, up) of a map whose up is `forward`."""
    up = forward / max(float(np.linalg.norm(forward)), 1e-6)
    # Seen from above with z up the page, x points left: right is −x.
    return np.array([[-up[1], up[0]], [up[0], up[1]]])


def _line(picture: np.ndarray, points: np.ndarray, colour: tuple[int, ...], thickness: int) -> None:
    fixed = np.round(points * 2**_SUBPIXEL_BITS).astype(np.int32)
    cv2.polylines(picture, [fixed], False, colour, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)


def _dot(picture: np.ndarray, point: np.ndarray, radius: float, colour: tuple[int, ...]) -> None:
    x, y = np.round(point * 2**_SUBPIXEL_BITS).astype(int).tolist()
    cv2.circle(picture, (x, y), round(radius * 2**_SUBPIXEL_BITS), colour, -1, cv2.LINE_AA, _SUBPIXEL_BITS)
