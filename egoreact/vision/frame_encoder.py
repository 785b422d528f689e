"""One frame to what the reaction needs of it: a semantic vector and a metric depth map.

The embedded encoder is a small DINOv2-form transformer with a depth head, trained on the simulator's own colour, depth
and segmentation. It stands in for DINOv2-small and metric Video Depth Anything small where those weights are absent.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from egoreact.vision.dinov2 import ViTConfig, build_vit, preprocess

OBJECT_CLASSES = 9
"""Segmentation classes 1 … 9: what can come at a person. Class 0 is the static world, 10 the own body."""
SEGMENTATION_CLASSES = 11
OBJECT_FIGURES = 4
"""Of each object class: whether it is there, its centre (x, y) in the image, and its nearness."""


@dataclass(frozen=True)
class FrameEncoderConfig:
    vit: ViTConfig = field(default_factory=lambda: ViTConfig(width=128, layers=4, heads=4, image_size_px=112))
    pixels_per_patch: int = 4
    """Side of the piece of the depth map that each patch token predicts."""

    @property
    def depth_side(self) -> int:
        return self.vit.image_size_px // self.vit.patch_px * self.pixels_per_patch

    @property
    def semantic_dim(self) -> int:
        return self.vit.width


@dataclass(frozen=True)
class FrameFeatures:
    semantic: Float[Tensor, "n semantic_dim"]
    depth_m: Float[Tensor, "n side side"]


@dataclass(frozen=True)
class Perception:
    """All that the embedded encoder says of a frame; training compares it with the simulator's truth."""

    features: FrameFeatures
    log_depth: Float[Tensor, "n side side"]
    segmentation_logits: Float[Tensor, "n 8 side side"]
    objects: Float[Tensor, "n 6 4"]

    def to(self, device: str | torch.device) -> "Perception":
        features = FrameFeatures(self.features.semantic.to(device), self.features.depth_m.to(device))
        rest = (self.log_depth, self.segmentation_logits, self.objects)
        return Perception(features, *(tensor.to(device) for tensor in rest))


class FrameEncoder(nn.Module):
    def __init__(self, config: FrameEncoderConfig):
        super().__init__()
        self.config = config
        width, cells = config.vit.width, config.pixels_per_patch**2
        self.vit = build_vit(config.vit)
        self.depth_head = nn.Linear(width, cells)
        self.segmentation_head = nn.Linear(width, cells * SEGMENTATION_CLASSES)
        self.object_head = nn.Linear(width, OBJECT_CLASSES * OBJECT_FIGURES)

    def forward(self, images: Float[Tensor, "n 3 side side"]) -> Perception:
        """Args:
        images: as `preprocess` gives them.
        """
        tokens = self.vit(pixel_values=images).last_hidden_state
        semantic, patches = tokens[:, 0], tokens[:, 1:]
        log_depth = self._to_map(self.depth_head(patches), 1).squeeze(1)
        return Perception(
            features=FrameFeatures(semantic, log_depth.clamp(-3, 4).exp()),
            log_depth=log_depth,
            segmentation_logits=self._to_map(self.segmentation_head(patches), SEGMENTATION_CLASSES),
            objects=self.object_head(semantic).unflatten(-1, (OBJECT_CLASSES, OBJECT_FIGURES)),
        )

    def _to_map(self, cells: Tensor, channels: int) -> Float[Tensor, "n channels side side"]:
        patches = self.config.depth_side // self.config.pixels_per_patch
        grid = cells.mT.unflatten(-1, (patches, patches))
        return nn.functional.pixel_shuffle(grid, self.config.pixels_per_patch)

    @torch.inference_mode()
    def encode(self, rgb: UInt8[Tensor, "n height width 3"]) -> FrameFeatures:
        """Features of frames of any size, each from its own pixels alone."""
        return self(preprocess(rgb, self.config.vit.image_size_px)).features
