"""Metric Video Depth Anything (small): depth in metres of a whole video, or frame by frame as it comes.

A port: the state dict is the official one, key by key. Source: Chen et al., Video Depth Anything, CVPR 2025
(arXiv 2501.12375), code and small checkpoints Apache-2.0.

Frame by frame is the official training-free streaming mode: strictly causal, less accurate than a whole window
(ScanNet δ1 .836 instead of .926, the authors' figures).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from egoreact.vision.video_depth.encoder import VisionTransformer
from egoreact.vision.video_depth.head import Pyramid, TemporalHead
from egoreact.vision.video_depth.images import image_size, to_frames, to_images
from egoreact.vision.video_depth.state import BLENDED, OVERLAP, SLOTS, WINDOW, DepthState
from egoreact.vision.video_depth.temporal import attend_over_memory, attend_over_windows

KEYFRAMES = (0, 12, *range(24, 32))
"""Frames of a window that stand before the next window's own."""
AT_ONCE = 4
"""Frames that run together where each is for itself; bounds the memory of a window."""


@dataclass(frozen=True)
class VideoDepthConfig:
    """The published small model; smaller ones for tests."""

    width: int = 384
    layers: int = 12
    heads: int = 6
    patch_px: int = 14
    table_side: int = 37
    """Patches along a side of the image that the encoder's positions are for: 518 px."""
    taps: tuple[int, int, int, int] = (2, 5, 8, 11)
    channels: tuple[int, int, int, int] = (48, 96, 192, 384)
    features: int = 64
    temporal_heads: int = 8
    groups: int = 32
    short_side_px: int = 518
    """Of the image a frame is scaled to, a multiple of the patch. Half of it runs in a quarter of the time."""


class VideoDepth(nn.Module):
    def __init__(self, config: VideoDepthConfig):
        super().__init__()
        self.config = config
        self.pretrained = VisionTransformer(
            config.width, config.layers, config.heads, config.patch_px, config.table_side, config.taps
        )
        self.head = TemporalHead(
            config.width, config.channels, config.features, config.temporal_heads, config.groups, config.patch_px
        )

    @property
    def device(self) -> torch.device:
        return self.pretrained.cls_token.device

    def initial_state(self, batch: int, height: int, width: int) -> DepthState:
        """The state of streams of height × width px before their first frame: 136 MB each for images of 252 × 252 px."""
        rows, columns = (
            side // self.config.patch_px
            for side in image_size(height, width, self.config.short_side_px, self.config.patch_px)
        )
        shapes = [
            (SLOTS, batch, places, attention.to_k.out_features)
            for attention, places in zip(self.head.attentions, self.head.places(rows, columns), strict=True)
        ]
        keys, values = (tuple(torch.zeros(shape, device=self.device) for shape in shapes) for _ in "kv")
        return DepthState((height, width), torch.zeros(batch, dtype=torch.long, device=self.device), keys, values)

    @torch.no_grad()
    def step(
        self, rgb: UInt8[Tensor, "batch height width 3"], state: DepthState
    ) -> tuple[Float[Tensor, "batch height width"], DepthState]:
        """Depth in metres of the next frame of each stream, from that frame and those before. Writes into the state.

        Raises:
            EgoReactError: the frames do not fit the state.
        """
        state.check_frames(rgb)
        return to_frames(self.see(rgb, state)[0], state.frame_size), state

    @torch.no_grad()
    def see(
        self, rgb: UInt8[Tensor, "batch height width 3"], state: DepthState
    ) -> tuple[Float[Tensor, "batch image_height image_width"], Float[Tensor, "batch width"]]:
        """`step` in one pass with the encoder's class token, and depth at the image's own size."""
        maps, class_token = self.pretrained(self._images(rgb))
        return self._next(self.head.pyramid(maps), state), class_token

    @torch.no_grad()
    def see_clip(
        self, rgb: UInt8[Tensor, "frames height width 3"], state: DepthState
    ) -> tuple[Float[Tensor, "frames image_height image_width"], Float[Tensor, "frames width"]]:
        """`see` of the next frames of one stream, in order. What each frame is for itself runs together."""
        maps, class_token = self.pretrained(self._images(rgb))
        frames = zip(*(level.split(1) for level in self.head.pyramid(maps)), strict=True)
        return torch.cat([self._next(list(frame), state) for frame in frames]), class_token

    @torch.no_grad()
    def step_images(
        self, images: Float[Tensor, "batch 3 height width"], state: DepthState
    ) -> Float[Tensor, "batch height width"]:
        """`step` for images as `to_images` gives them; depth at their size."""
        return self._next(self.pyramid(images), state)

    def _next(self, pyramid: Pyramid, state: DepthState) -> Float[Tensor, "batch height width"]:
        fused = self.head.fuse(pyramid, attend_over_memory(state))
        state.ages.add_(1)
        return self.head.depth(fused)

    @torch.no_grad()
    def offline(self, rgb: UInt8[Tensor, "frames height width 3"]) -> Float[Tensor, "frames height width"]:
        """Depth in metres of a whole video. Not causal: a frame's depth depends on later frames too.

        Windows of 32 frames, one begun every 22. The first ten frames of each but the first are keyframes of the window
        before; eight of them are its last, and there the depth goes over from the one window's to the other's.
        """
        size = (rgb.shape[1], rgb.shape[2])
        parts: list[Tensor] = []
        for pyramid in self._windows(rgb):
            depth_m = to_frames(self.window(pyramid), size)
            if parts:
                later = torch.linspace(0, 1, BLENDED, device=self.device)[:, None, None]
                parts[-1][-BLENDED:].lerp_(depth_m[OVERLAP - BLENDED : OVERLAP], later)
                depth_m = depth_m[OVERLAP:]
            parts.append(depth_m)
        return torch.cat(parts)[: len(rgb)]

    def _windows(self, rgb: Tensor) -> Iterator[Pyramid]:
        """The pyramid of each window. No frame is encoded twice; the last one fills up the last window."""
        pyramid: Pyramid = []
        for first in range(0, len(rgb), WINDOW - OVERLAP):
            new = rgb[first + OVERLAP if first else 0 : first + WINDOW]
            shown = [maps[list(KEYFRAMES)] for maps in pyramid]
            if len(new):
                encoded = _in_parts(lambda part: self.pyramid(self._images(part)), [new])
                shown = [torch.cat(pair) for pair in zip(shown, encoded, strict=True)] if shown else encoded
            pyramid = [torch.cat([maps, maps[-1:].expand(WINDOW - len(maps), -1, -1, -1)]) for maps in shown]
            yield pyramid

    @torch.no_grad()
    def window(self, pyramid: Pyramid) -> Float[Tensor, "frames height width"]:
        """Depth of the frames of one window at their images' size."""
        fused = self.head.fuse(pyramid, attend_over_windows(len(pyramid[0])))
        return _in_parts(lambda *maps: [self.head.depth(list(maps))], fused)[0]

    @torch.no_grad()
    def pyramid(self, images: Float[Tensor, "n 3 height width"]) -> Pyramid:
        """What the head makes of each frame for itself, before it looks over time."""
        return self.head.pyramid(self.pretrained(images)[0])

    def _images(self, rgb: Tensor) -> Tensor:
        return to_images(rgb.to(self.device), self.config.short_side_px, self.config.patch_px)


def _in_parts(function: Callable[..., list[Tensor]], tensors: list[Tensor]) -> list[Tensor]:
    """Applies it to a few frames at a time."""
    parts = [function(*few) for few in zip(*(tensor.split(AT_ONCE) for tensor in tensors), strict=True)]
    return [torch.cat(pieces) for pieces in zip(*parts, strict=True)]
