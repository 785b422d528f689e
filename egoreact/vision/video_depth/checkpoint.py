"""The published checkpoint of metric Video Depth Anything small, found, checked and loaded key by key."""

import os
from pathlib import Path
from typing import NoReturn

import torch
from safetensors.torch import load_file
from torch import Tensor

from egoreact.errors import EgoReactError
from egoreact.vision.video_depth.network import VideoDepth, VideoDepthConfig

VARIABLE = "EGOREACT_VIDEO_DEPTH"
REPOSITORY = "depth-anything/Metric-Video-Depth-Anything-Small"
FILE = "metric_video_depth_anything_vits.pth"
LICENCE = "Apache-2.0"
RELATIVE_FILE = "video_depth_anything_vits"
"""The stem of the same network's weights for relative inverse depth: the same keys, only the name tells them apart."""


def load_video_depth(path: Path | str | None = None, config: VideoDepthConfig | None = None) -> VideoDepth:
    """The network with the weights of a file, in evaluation mode, on the CPU.

    Args:
        path: the checkpoint, .pth as published or .safetensors of the same keys, or a folder that holds the published
            file; `EGOREACT_VIDEO_DEPTH` where not given.
        config: the published small model where not given.

    Raises:
        EgoReactError: no such file, or not one that fits key by key. A .pth file is read as tensors alone: what it may
            hold of code is never run.
    """
    if path is None:
        path = os.environ.get(VARIABLE)
    if not path:
        _refuse("names no file", VARIABLE)
    path = Path(path)
    if path.is_dir():
        path = path / FILE
    if not path.is_file():
        _refuse("no such file", path)
    if path.stem == RELATIVE_FILE:
        _refuse("is the model for relative depth, which gives no metres", path)
    with torch.device("meta"):
        network = VideoDepth(config or VideoDepthConfig())
    state = _read(path)
    _check(state, network.state_dict(), path)
    network.load_state_dict({key: tensor.float() for key, tensor in state.items()}, strict=True, assign=True)
    return network.eval().requires_grad_(False)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on bytes that are no checkpoint, torch's reader fails in any way it likes
        _refuse(f"cannot be read as plain weights ({type(error).__name__})", path)
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        _refuse("holds something else than named weights", path)
    return state


def _check(state: dict[str, Tensor], expected: dict[str, Tensor], path: Path) -> None:
    missing = [key for key in expected if key not in state]
    if missing:
        _refuse(f"lacks {missing[0]} ({len(missing)} of {len(expected)} keys)", path)
    unknown = [key for key in state if key not in expected]
    if unknown:
        _refuse(f"holds {unknown[0]}, which the network has not ({len(unknown)} of {len(state)} keys)", path)
    for key, tensor in expected.items():
        if state[key].shape != tensor.shape:
            _refuse(f"{key} is {tuple(state[key].shape)}, not {tuple(tensor.shape)}", path)


def _refuse(what: str, where: object) -> NoReturn:
    raise EgoReactError(
        what,
        where=where,
        remedy=f"get {FILE} ({LICENCE}) with: hf download {REPOSITORY} {FILE}, and name its path in {VARIABLE}",
    )
