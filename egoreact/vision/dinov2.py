"""A DINOv2-form vision transformer: the hub's dinov2-small, or a small one of the same architecture.

Source: `transformers.Dinov2Model` (facebook/dinov2-small, Apache-2.0: 384 wide, 12 blocks, 6 heads, patch 14).
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from transformers import Dinov2Config, Dinov2Model

from egoreact.vision.frames import centre_square
from egoreact.vision.published import Published

PUBLISHED = Published(
    repository="facebook/dinov2-small",
    revision="ed25f3a31f01632728cabb09d1542f84ab7b0056",
    file="model.safetensors",
    licence="Apache-2.0",
    variable="EGOREACT_DINOV2",
)


@dataclass(frozen=True)
class ViTConfig:
    width: int = 384
    layers: int = 12
    heads: int = 6
    patch_px: int = 14
    image_size_px: int = 224
    """Side of the square that a frame is scaled to; a multiple of the patch."""
    position_table_px: int | None = None
    """Image side that the table of positions is for; interpolated to other sizes. 518 for the published weights."""


def build_vit(config: ViTConfig) -> Dinov2Model:
    """The architecture with random weights."""
    return Dinov2Model(_architecture(config))


def _architecture(config: ViTConfig) -> Dinov2Config:
    return Dinov2Config(
        hidden_size=config.width,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        image_size=config.position_table_px or config.image_size_px,
        patch_size=config.patch_px,
        attn_implementation="sdpa",  # type: ignore[call-arg]
    )


def load_dinov2(config: ViTConfig, path: Path | str | None = None) -> Dinov2Model:
    """The network with published weights, in evaluation mode.

    Args:
        path: model.safetensors as transformers saves it, or its folder; where not given, what EGOREACT_DINOV2 names, or
            the hub's.

    Raises:
        EgoReactError: the weights are not to be had, or do not fit key by key.
    """
    return PUBLISHED.load(Dinov2Model, _architecture(config), path)


def preprocess(rgb: UInt8[Tensor, "n height width 3"], image_size_px: int) -> Float[Tensor, "n 3 side side"]:
    """Centre square, scaled with anti-aliasing, ImageNet's mean and deviation."""
    square = centre_square(rgb).permute(0, 3, 1, 2).float().div_(255)
    if square.shape[-1] != image_size_px:
        square = nn.functional.interpolate(
            square, size=(image_size_px, image_size_px), mode="bilinear", antialias=True, align_corners=False
        )
    return standardise(square)


def standardise(images: Float[Tensor, "n 3 height width"]) -> Float[Tensor, "n 3 height width"]:
    """From [0, 1] to ImageNet's mean and deviation."""
    mean, std = _imagenet(images.device)
    return (images - mean) / std


@cache
def _imagenet(device: torch.device) -> tuple[Tensor, Tensor]:
    """Kept on the device: a copy from the host at each frame is slow, and no CUDA graph can hold it."""
    with torch.inference_mode(False):
        mean, std = (
            torch.tensor([0.485, 0.456, 0.406], device=device),
            torch.tensor([0.229, 0.224, 0.225], device=device),
        )
        return mean.view(3, 1, 1), std.view(3, 1, 1)
