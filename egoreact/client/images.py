"""Pictures as the wire takes them. OpenCV is needed for arrays alone, and loaded with the first of them."""

from typing import Literal

import numpy as np
from jaxtyping import UInt8

from egoreact.errors import EgoReactError

Encoding = Literal["jpeg", "png", "webp"]
Rgb = UInt8[np.ndarray, "height width 3"]


def encode_image(rgb: Rgb, encoding: Encoding = "jpeg") -> bytes:
    """JPEG at quality 90, lossless PNG, or lossless WebP.

    Raises:
        EgoReactError: OpenCV is not installed, or the array is no picture.
    """
    try:
        import cv2
    except ImportError as error:
        raise EgoReactError(
            "an array needs OpenCV to be encoded", where="image",
            remedy="send the bytes of a JPEG, PNG or WebP, or: pip install opencv-python-headless",
        ) from error  # fmt: skip
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
        raise EgoReactError(
            f"is {rgb.dtype} of shape {rgb.shape}", where="image", remedy="give uint8 RGB, (height, width, 3)"
        )
    options = {
        "jpeg": [cv2.IMWRITE_JPEG_QUALITY, 90],
        "png": [cv2.IMWRITE_PNG_COMPRESSION, 1],
        "webp": [cv2.IMWRITE_WEBP_QUALITY, 101],
    }
    _, encoded = cv2.imencode(f".{encoding}", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options[encoding])
    return encoded.tobytes()
