"""A DINOv2-form vision transformer: the hub's dinov2-small, or a small one of the same architecture.

Source: `transformers.Dinov2Model` (facebook/dinov2-small, Apache-2.0: 384 wide, 12 blocks, 6 heads, patch 14).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from transformers import Dinov2Config, Dinov2Model

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ViTConfig:
    width: int = 384
    layers: int = 12
    heads: int = 6
    patch_px: int = 14
    image_size_px: int = 224
    """Side of the square that a frame is scaled to; a multiple of the patch."""


def build_vit(config: ViTConfig) -> Dinov2Model:
    """The architecture with random weights, its position table at the configured image size."""
    return Dinov2Model(
        Dinov2Config(
            hidden_size=config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            image_size=config.image_size_px,
            patch_size=config.patch_px,
            attn_implementation="sdpa",  # type: ignore[call-arg]
        )
    )


def preprocess(rgb: UInt8[Tensor, "n height width 3"], image_size_px: int) -> Float[Tensor, "n 3 side side"]:
    """Centre square, scaled with anti-aliasing, ImageNet's mean and deviation."""
    side = min(rgb.shape[1:3])
    top, left = (rgb.shape[1] - side) // 2, (rgb.shape[2] - side) // 2
    square = rgb[:, top : top + side, left : left + side].permute(0, 3, 1, 2).float() / 255
    if side != image_size_px:
        square = nn.functional.interpolate(
            square, size=(image_size_px, image_size_px), mode="bilinear", antialias=True, align_corners=False
        )
    mean, std = (torch.tensor(values, device=rgb.device).view(1, 3, 1, 1) for values in (IMAGE_MEAN, IMAGE_STD))
    return (square - mean) / std
