"""The published checkpoint of metric Video Depth Anything small, found, checked and loaded key by key."""

from pathlib import Path

import torch

from egoreact.vision.published import Published
from egoreact.vision.video_depth.network import VideoDepth, VideoDepthConfig

PUBLISHED = Published(
    repository="depth-anything/Metric-Video-Depth-Anything-Small",
    revision="273d090f2ce17df50c2872d82c8322c45da5b4dd",
    file="metric_video_depth_anything_vits.pth",
    licence="Apache-2.0",
    variable="EGOREACT_VIDEO_DEPTH",
)
RELATIVE_FILE = "video_depth_anything_vits"
"""The stem of the same network's weights for relative inverse depth: the same keys, only the name tells them apart."""


def load_video_depth(path: Path | str | None = None, config: VideoDepthConfig | None = None) -> VideoDepth:
    """The network with the weights of a file, in evaluation mode, on the CPU.

    Args:
        path: the checkpoint, .pth as published or .safetensors of the same keys, or a folder that holds the published
            file; where not given, what EGOREACT_VIDEO_DEPTH names, or the hub's.
        config: the published small model where not given.

    Raises:
        EgoReactError: no such file, or not one that fits key by key.
    """
    path = PUBLISHED.find(path)
    if path.stem == RELATIVE_FILE:
        PUBLISHED.refuse("is the model for relative depth, which gives no metres", path)
    with torch.device("meta"):
        network = VideoDepth(config or VideoDepthConfig())
    state, expected = PUBLISHED.read(path), network.state_dict()
    PUBLISHED.check(
        path,
        missing=expected.keys() - state.keys(),
        unknown=state.keys() - expected.keys(),
        misshapen=[
            (key, state[key].shape, expected[key].shape)
            for key in expected.keys() & state.keys()
            if state[key].shape != expected[key].shape
        ],
    )
    network.load_state_dict({key: tensor.float() for key, tensor in state.items()}, strict=True, assign=True)
    return network.eval().requires_grad_(False)
