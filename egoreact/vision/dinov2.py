"""A DINOv2-form vision transformer: the hub's dinov2-small, or a small one of the same architecture.

Source: `transformers.Dinov2Model` (facebook/dinov2-small, Apache-2.0: 384 wide, 12 blocks, 6 heads, patch 14).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from transformers import Dinov2Config, Dinov2Model

from egoreact.errors import EgoReactError

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
    position_table_px: int | None = None
    """Image side that the table of positions is for; interpolated to other sizes. 518 for the published weights."""


def build_vit(config: ViTConfig) -> Dinov2Model:
    """The architecture with random weights."""
    return Dinov2Model(
        Dinov2Config(
            hidden_size=config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            image_size=config.position_table_px or config.image_size_px,
            patch_size=config.patch_px,
            attn_implementation="sdpa",  # type: ignore[call-arg]
        )
    )


def load_pretrained(vit: Dinov2Model, source: str) -> None:
    """Puts published weights into the network.

    Args:
        source: a folder that transformers saved, or a model of the Hugging Face hub such as facebook/dinov2-small.

    Raises:
        EgoReactError: the weights cannot be had, or are of another size.
    """
    try:
        pretrained = Dinov2Model.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise EgoReactError(
            f"no DINOv2 weights to be had ({str(error).splitlines()[0][:120]})",
            where=source,
            remedy="name a folder with facebook/dinov2-small's config.json and model.safetensors (Apache-2.0) in EGOREACT_DINOV2",
        ) from error
    state, expected = pretrained.state_dict(), vit.state_dict()
    wrong = [key for key in expected if key not in state or state[key].shape != expected[key].shape]
    if wrong:
        raise EgoReactError(
            f"its weights do not fit the configured transformer at {wrong[0]} ({len(wrong)} of {len(expected)})",
            where=source,
            remedy="give the weights of this width, depth and position table",
        )
    vit.load_state_dict(state)


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
