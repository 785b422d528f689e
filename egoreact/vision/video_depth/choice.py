"""Which model of metric depth, as a config; they are used alike."""

from dataclasses import dataclass
from typing import Literal, Protocol, assert_never

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from egoreact.vision.video_depth.checkpoint import load_video_depth
from egoreact.vision.video_depth.network import VideoDepthConfig
from egoreact.vision.video_depth.single_frame import load_single_frame_depth
from egoreact.vision.video_depth.state import DepthState


@dataclass(frozen=True)
class DepthModelConfig:
    kind: Literal["video_depth_anything", "depth_anything_v2"] = "video_depth_anything"
    """The one remembers past frames, the other sees each frame for itself."""
    source: str = ""
    """A file or folder, or a hub model (depth_anything_v2). Empty: EGOREACT_VIDEO_DEPTH, or the published one."""
    revision: str = ""
    """Commit, where the source is a model of the hub other than the published one."""
    short_side_px: int = 518


class MetricDepth(Protocol):
    """Depth in metres of frames, one after another or all at once."""

    def initial_state(self, batch: int, height: int, width: int, *, dtype: torch.dtype = ...) -> DepthState: ...

    def step(
        self, rgb: UInt8[Tensor, "batch height width 3"], state: DepthState
    ) -> tuple[Float[Tensor, "batch height width"], DepthState]: ...

    def offline(self, rgb: UInt8[Tensor, "frames height width 3"]) -> Float[Tensor, "frames height width"]: ...


def load_depth(config: DepthModelConfig) -> MetricDepth:
    """Raises:
    EgoReactError: the weights cannot be had, or are others; says which file, from where, under what licence.
    """
    match config.kind:
        case "video_depth_anything":
            return load_video_depth(config.source or None, VideoDepthConfig(short_side_px=config.short_side_px))
        case "depth_anything_v2":
            return load_single_frame_depth(config.source, config.revision, short_side_px=config.short_side_px)
        case _:
            assert_never(config.kind)
