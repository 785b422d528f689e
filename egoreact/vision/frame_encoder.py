"""One frame to what the reaction needs of it: a semantic vector and a metric depth map.

The embedded encoder is a small DINOv2-form transformer with a depth head, trained on the simulator's own colour, depth
and segmentation. It stands in for DINOv2-small and metric Video Depth Anything small where those weights are absent.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from egoreact.vision.dinov2 import ViTConfig, build_vit, preprocess
from egoreact.vision.frame_features import FrameFeatures
from egoreact.vision.frames import in_pieces
from egoreact.vision.video_depth import DepthState

OBJECT_CLASSES = 9
"""Segmentation classes 1 … 9: what can come at a person. Class 0 is the static world, 10 the own body."""
SEGMENTATION_CLASSES = 11
OBJECT_FIGURES = 4
"""Of each object class: whether it is there, its centre (x, y) in the image, and its nearness."""
GAZE_UNIT_RADIANS = 0.2
"""About how far eyes turn from straight ahead, so that the network's own number for it is of order one."""


@dataclass(frozen=True)
class FrameEncoderConfig:
    kind: Literal["embedded"] = "embedded"
    vit: ViTConfig = field(default_factory=lambda: ViTConfig(width=128, layers=4, heads=4, image_size_px=112))
    pixels_per_patch: int = 4
    """Side of the piece of the depth map that each patch token predicts."""

    @property
    def depth_side(self) -> int:
        return self.vit.image_size_px // self.vit.patch_px * self.pixels_per_patch

    @property
    def semantic_dim(self) -> int:
        return self.vit.width

    @property
    def image_size_px(self) -> int:
        return self.vit.image_size_px

    @property
    def description(self) -> str:
        return f"DINOv2 form, {self.vit.layers} × {self.vit.width}, {self.vit.image_size_px} px, trained on simulated pictures"


@dataclass(frozen=True)
class Perception:
    """All that the embedded encoder says of a frame; training compares it with the simulator's truth."""

    features: FrameFeatures
    log_depth: Float[Tensor, "n side side"]
    segmentation_logits: Float[Tensor, "n 8 side side"]
    objects: Float[Tensor, "n 9 4"]
    gaze: Float[Tensor, "n 2"]
    """Turn to the left and tilt upwards of the optical axis in the world, radians."""

    def to(self, device: str | torch.device) -> "Perception":
        features = FrameFeatures(self.features.semantic.to(device), self.features.depth_m.to(device))
        rest = (self.log_depth, self.segmentation_logits, self.objects, self.gaze)
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
        self.gaze_head = nn.Linear(width, 2)

    def forward(self, images: Float[Tensor, "n 3 side side"]) -> Perception:
        """Args:
        images: as `preprocess` gives them.
        """
        semantic, patches, log_depth = self._look(images)
        return Perception(
            features=_features(semantic, log_depth),
            log_depth=log_depth,
            segmentation_logits=self._to_map(self.segmentation_head(patches), SEGMENTATION_CLASSES),
            objects=self.object_head(semantic).unflatten(-1, (OBJECT_CLASSES, OBJECT_FIGURES)),
            gaze=self.gaze_head(semantic) * GAZE_UNIT_RADIANS,
        )

    def see(self, images: Float[Tensor, "n 3 side side"]) -> FrameFeatures:
        """`forward`'s features, without what only training reads."""
        semantic, _, log_depth = self._look(images)
        return _features(semantic, log_depth)

    def _look(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The semantic vector, the patches' and the depth map's logarithm."""
        tokens = self.vit(pixel_values=images).last_hidden_state
        semantic, patches = tokens[:, 0], tokens[:, 1:]
        return semantic, patches, self._to_map(self.depth_head(patches), 1).squeeze(1)

    def _to_map(self, cells: Tensor, channels: int) -> Float[Tensor, "n channels side side"]:
        patches = self.config.depth_side // self.config.pixels_per_patch
        grid = cells.mT.unflatten(-1, (patches, patches))
        return nn.functional.pixel_shuffle(grid, self.config.pixels_per_patch)

    @property
    def device(self) -> torch.device:
        return self.depth_head.weight.device

    @torch.inference_mode()
    def encode(self, rgb: UInt8[Tensor, "n height width 3"]) -> FrameFeatures:
        """Features of frames of any size, each from its own pixels alone."""
        side = self.config.vit.image_size_px
        return FrameFeatures.join([self.see(preprocess(part.to(self.device), side)) for part in in_pieces(rgb)])

    def initial_state(self, batch: int, height: int, width: int) -> DepthState:
        """Of streams before their first frame: their age, and nothing else."""
        return DepthState((height, width), torch.zeros(batch, dtype=torch.long, device=self.device))

    @torch.inference_mode()
    def perceive(
        self, rgb: UInt8[Tensor, "batch height width 3"], state: DepthState
    ) -> tuple[FrameFeatures, DepthState]:
        """What the next frame 4t of each stream shows; its size may change."""
        state.check_frames(rgb)
        state.ages.add_(1)
        return self.encode(rgb), state


def _features(semantic: Tensor, log_depth: Tensor) -> FrameFeatures:
    return FrameFeatures(semantic, log_depth.clamp(-3, 4).exp())
