"""Frames to the images that depth models are fed, and their depth back to the frames."""

import math

from jaxtyping import Float, UInt8
from torch import Tensor, nn

from egoreact.vision.dinov2 import standardise
from egoreact.vision.video_depth.head import resize

WIDEST = 1.78
"""Longer sides than this many short ones shrink the image, so that it holds no more pixels than 16:9 does."""


def image_size(height: int, width: int, short_side_px: int, patch_px: int = 14) -> tuple[int, int]:
    """A frame's image, height and width: the aspect kept, multiples of the patch, the short side at least as asked."""
    longer = max(height, width) / min(height, width)
    if longer > WIDEST:
        short_side_px = max(1, round(int(short_side_px * 1.777 / longer) / patch_px)) * patch_px
    scale = short_side_px / min(height, width)

    def side(length: int) -> int:
        nearest = round(scale * length / patch_px) * patch_px
        return nearest if nearest >= short_side_px else math.ceil(scale * length / patch_px) * patch_px

    return side(height), side(width)


def to_images(
    rgb: UInt8[Tensor, "n height width 3"], short_side_px: int, patch_px: int = 14
) -> Float[Tensor, "n 3 image_height image_width"]:
    """Bicubic without anti-aliasing (OpenCV's INTER_CUBIC), ImageNet's mean and deviation: the official way."""
    images = rgb.permute(0, 3, 1, 2).float().div_(255)
    size = image_size(rgb.shape[1], rgb.shape[2], short_side_px, patch_px)
    if size != tuple(images.shape[-2:]):
        images = nn.functional.interpolate(images, size=size, mode="bicubic", align_corners=False)
    return standardise(images)


def to_frames(depth_m: Float[Tensor, "n height width"], frame_size: tuple[int, int]) -> Tensor:
    """Depth at the frames' own size."""
    return resize(depth_m[:, None].float(), frame_size).squeeze(1)
