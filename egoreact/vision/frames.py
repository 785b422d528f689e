"""Frames as they come from a camera or a file: RGB, 8 bits, of any size within bounds."""

from collections.abc import Iterator
from typing import Any

from jaxtyping import UInt8
from torch import Tensor

from egoreact.errors import EgoReactError
from egoreact.vision.video import MAX_SIDE_PX, MIN_SIDE_PX

FRAMES_AT_ONCE, PIXELS_AT_ONCE = 32, 2**24
"""A clip is encoded in pieces of so many frames, of fewer where they are large."""


def check_frame(rgb: Any) -> None:
    """Args:
    rgb: an array or a tensor.

    Raises:
        EgoReactError: it is not (height, width, 3) of 8 bits, or a side is outside 16 to 8192 px.
    """
    shape, kind = tuple(rgb.shape), str(rgb.dtype).removeprefix("torch.")
    if len(shape) != 3 or shape[-1] != 3 or kind != "uint8":
        raise EgoReactError(
            f"is {kind} of shape {shape}", where="frame", remedy="give RGB as uint8 of shape (height, width, 3)"
        )
    height, width = shape[:2]
    if min(height, width) < MIN_SIDE_PX or max(height, width) > MAX_SIDE_PX:
        raise EgoReactError(
            f"is {width} x {height} px", where="frame", remedy=f"sides must be {MIN_SIDE_PX} to {MAX_SIDE_PX} px"
        )


def centre_square(rgb: UInt8[Tensor, "n height width 3"]) -> UInt8[Tensor, "n side side 3"]:
    """A view."""
    side = min(rgb.shape[1:3])
    top, left = (rgb.shape[1] - side) // 2, (rgb.shape[2] - side) // 2
    return rgb[:, top : top + side, left : left + side]


def in_pieces(rgb: UInt8[Tensor, "n height width 3"]) -> Iterator[Tensor]:
    """The frames in order, a bounded number of pixels at a time."""
    height, width = rgb.shape[1:3]
    yield from rgb.split(max(1, min(FRAMES_AT_ONCE, PIXELS_AT_ONCE // (height * width))))
