"""Metric depth of egocentric video: Video Depth Anything, and Depth Anything V2 beside it.

network = load_video_depth()                       # the file that EGOREACT_VIDEO_DEPTH names, or the hub's
state = network.initial_state(batch=2, height=240, width=320)
depth_m, state = network.step(rgb, state)          # (2, 240, 320, 3) uint8 → (2, 240, 320) metres, causal
depth_m = network.offline(video)                   # (T, 240, 320, 3) uint8 → (T, 240, 320) metres, a whole video
"""

from egoreact.vision.video_depth.checkpoint import load_video_depth
from egoreact.vision.video_depth.choice import DepthModelConfig, MetricDepth, build_depth, load_depth, weights_of
from egoreact.vision.video_depth.network import VideoDepth, VideoDepthConfig
from egoreact.vision.video_depth.single_frame import SingleFrameDepth, load_single_frame_depth
from egoreact.vision.video_depth.state import DepthState

__all__ = [
    "DepthModelConfig",
    "DepthState",
    "MetricDepth",
    "SingleFrameDepth",
    "VideoDepth",
    "VideoDepthConfig",
    "build_depth",
    "load_depth",
    "load_single_frame_depth",
    "load_video_depth",
    "weights_of",
]
