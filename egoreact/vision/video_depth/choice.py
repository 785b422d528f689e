"""Which model of metric depth, as a config; they are used alike."""

from dataclasses import dataclass, field
from typing import Literal, assert_never

from egoreact.vision.published import Published
from egoreact.vision.video_depth import checkpoint, single_frame
from egoreact.vision.video_depth.network import VideoDepth, VideoDepthConfig
from egoreact.vision.video_depth.single_frame import INDOOR_MAX_DEPTH_M, SingleFrameDepth

MetricDepth = VideoDepth | SingleFrameDepth


@dataclass(frozen=True)
class DepthModelConfig:
    kind: Literal["video_depth_anything", "depth_anything_v2"] = "video_depth_anything"
    """The one remembers past frames, the other sees each frame for itself."""
    network: VideoDepthConfig = field(default_factory=VideoDepthConfig)
    """Sizes; the published small models share them."""
    max_depth_m: int = INDOOR_MAX_DEPTH_M
    """Of depth_anything_v2: 20 of the model for indoors, 80 of the one for outdoors."""


def build_depth(config: DepthModelConfig) -> MetricDepth:
    """With random weights."""
    match config.kind:
        case "video_depth_anything":
            return VideoDepth(config.network)
        case "depth_anything_v2":
            return SingleFrameDepth(config.network, config.max_depth_m)
        case _:
            assert_never(config.kind)


def load_depth(config: DepthModelConfig) -> MetricDepth:
    """With the published weights, in evaluation mode, on the CPU.

    Raises:
        EgoReactError: they are not to be had, or do not fit; says which file, from where, under what licence.
    """
    match config.kind:
        case "video_depth_anything":
            return checkpoint.load_video_depth(config=config.network)
        case "depth_anything_v2":
            return single_frame.load_single_frame_depth(config=config.network, max_depth_m=config.max_depth_m)
        case _:
            assert_never(config.kind)


def weights_of(config: DepthModelConfig) -> Published:
    """Where they come from."""
    return {"video_depth_anything": checkpoint.PUBLISHED, "depth_anything_v2": single_frame.PUBLISHED}[config.kind]
