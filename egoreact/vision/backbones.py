"""The published eyes: DINOv2-small for what a frame means, metric video depth for how far everything is. Frozen.

Both see the frame's centre square, as the embedded encoder does, so semantics and depth speak of the same place and the
cost of a frame does not depend on its shape. Depth comes out at the depth network's image size and is reduced to
`depth_side` by taking the pixel nearest each cell's centre: an average of depths would be of nothing that is there.

Frames perceived are 4t only, 5 a second. So the 32 positions of the depth network's memory span 6.4 s, and the farthest
frame it looks back to, but for the first, is 41 perceived frames old, 8.2 s; at a video's usual 30 frames a second the
same would be 1.1 and 1.4 s.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from egoreact.vision import dinov2
from egoreact.vision.dinov2 import ViTConfig, build_vit, load_dinov2, preprocess
from egoreact.vision.frame_features import FrameFeatures
from egoreact.vision.frames import centre_square, in_pieces
from egoreact.vision.video_depth import (
    DepthModelConfig,
    DepthState,
    VideoDepthConfig,
    build_depth,
    load_depth,
    weights_of,
)


@dataclass(frozen=True)
class BackbonesConfig:
    kind: Literal["backbones"] = "backbones"
    semantics: Literal["dinov2", "depth_encoder"] = "dinov2"
    """Whose class token the semantic vector is. The two published ViT-S/14 share an architecture, not weights: Depth
    Anything trained its own further. `dinov2` is the paper's and runs both; `depth_encoder` takes the token of the pass
    that depth needs anyway, so that one ViT runs once a frame, with semantics that depth training has changed."""
    vit: ViTConfig = field(default_factory=lambda: ViTConfig(position_table_px=518))
    """DINOv2, where semantics are its."""
    depth: DepthModelConfig = field(
        default_factory=lambda: DepthModelConfig(network=VideoDepthConfig(short_side_px=252))
    )
    """Images of 252 px are for live use; 518, the published size, costs four times as much."""
    depth_side: int = 224
    """Of the depth map that the reaction sees."""

    @property
    def semantic_dim(self) -> int:
        return self.vit.width if self.semantics == "dinov2" else self.depth.network.width

    @property
    def image_size_px(self) -> int:
        """Side of the largest image made of a frame's centre square: a larger square is scaled down."""
        depth_px = self.depth.network.short_side_px
        return max(self.vit.image_size_px, depth_px) if self.semantics == "dinov2" else depth_px

    @property
    def description(self) -> str:
        depth = weights_of(self.depth)
        weights = f"{depth.repository} ({depth.licence}) at {self.depth.network.short_side_px} px"
        if self.semantics == "depth_encoder":
            return f"{weights} for depth and, by its encoder's class token, semantics; frozen"
        vit = dinov2.PUBLISHED
        return f"{vit.repository} ({vit.licence}) at {self.vit.image_size_px} px for semantics, {weights} for depth; frozen"


class Backbones(nn.Module):
    def __init__(self, config: BackbonesConfig):
        super().__init__()
        self.config = config
        self.vit = build_vit(config.vit) if config.semantics == "dinov2" else None
        self.depth = build_depth(config.depth)

    def initial_state(self, batch: int, height: int, width: int) -> DepthState:
        """Of streams of height × width px before their first frame."""
        side = min(height, width)
        return replace(self.depth.initial_state(batch, side, side), frame_size=(height, width))

    @torch.inference_mode()
    def perceive(
        self, rgb: UInt8[Tensor, "batch height width 3"], state: DepthState
    ) -> tuple[FrameFeatures, DepthState]:
        """What the next frame 4t of each stream shows. Writes into the state: give it a state only once.

        Raises:
            EgoReactError: the frames are not one a stream, or of another size than a remembering stream's; the state is
                then as it was.
        """
        state.check_frames(rgb)
        return self._features(rgb, self.depth.see, state), state

    @torch.inference_mode()
    def encode(self, rgb: UInt8[Tensor, "n height width 3"]) -> FrameFeatures:
        """The frames 4t of one clip, in order, from its start: what `perceive` gives of each."""
        state = self.initial_state(1, *rgb.shape[1:3])
        return FrameFeatures.join([self._features(piece, self.depth.see_clip, state) for piece in in_pieces(rgb)])

    def _features(
        self, rgb: Tensor, see: Callable[[Tensor, DepthState], tuple[Tensor, Tensor]], state: DepthState
    ) -> FrameFeatures:
        square = centre_square(rgb.to(self.depth.device))
        depth_m, class_token = see(square, state)
        if self.vit is not None:
            images = preprocess(square, self.config.vit.image_size_px)
            class_token = self.vit(pixel_values=images).last_hidden_state[:, 0]
        side = self.config.depth_side
        cells = nn.functional.interpolate(depth_m[:, None], (side, side), mode="nearest-exact").squeeze(1)
        return FrameFeatures(class_token, cells)


def load_backbones(config: BackbonesConfig) -> Backbones:
    """With the published weights, in evaluation mode, on the CPU.

    Raises:
        EgoReactError: they are not to be had, or do not fit; says which file, from where, under what licence.
    """
    with torch.device("meta"):
        backbones = Backbones(config)
    if backbones.vit is not None:
        backbones.vit = load_dinov2(config.vit)
    backbones.depth = load_depth(config.depth)
    return backbones.eval()
