"""Published networks in miniature: the architectures and file formats, with weights made here."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import DepthAnythingForDepthEstimation, Dinov2Model

from egoreact.errors import EgoReactError
from egoreact.vision import dinov2
from egoreact.vision.backbones import Backbones, BackbonesConfig
from egoreact.vision.dinov2 import ViTConfig
from egoreact.vision.video_depth import DepthModelConfig, SingleFrameDepth, VideoDepth, VideoDepthConfig
from egoreact.weights import seeded

TINY_DEPTH = VideoDepthConfig(
    width=16, layers=4, heads=2, table_side=4, taps=(0, 1, 2, 3), channels=(8, 8, 8, 16), features=8, temporal_heads=2,
    groups=4, short_side_px=28,
)  # fmt: skip
TINY_VIT = ViTConfig(width=32, layers=2, heads=2, image_size_px=28, position_table_px=56)
TINY_EYES = BackbonesConfig(vit=TINY_VIT, depth=DepthModelConfig(network=TINY_DEPTH), depth_side=20)


def filled(network: VideoDepth) -> VideoDepth:
    """Weights that depend on each key's place alone: the rule that the golden depths were made by."""
    for place, (key, value) in enumerate(network.state_dict().items()):
        if key.endswith(".pe"):
            continue
        noise = torch.randn(value.shape, generator=torch.Generator().manual_seed(place))
        if value.ndim >= 2:
            value.copy_(noise / (2500 if "pos_embed" in key or "token" in key else value[0].numel()) ** 0.5)
        else:
            value.copy_(0.1 * noise + (1 if key.endswith(("weight", "gamma")) else 0))
    return network.eval().requires_grad_(False)


def tiny_eyes(config: BackbonesConfig = TINY_EYES) -> Backbones:
    """Backbones whose memory matters: untrained, the modules over time change nothing."""
    eyes = seeded(3, lambda: Backbones(config)).eval().requires_grad_(False)
    if isinstance(eyes.depth, VideoDepth):
        filled(eyes.depth)
    return eyes


def save_dinov2(folder: Path, config: ViTConfig = TINY_VIT) -> Dinov2Model:
    """A folder as transformers saves it."""
    network = seeded(7, lambda: dinov2.build_vit(config)).eval()
    network.save_pretrained(folder)
    return network


def save_single_frame(folder: Path, kind: str = "metric") -> DepthAnythingForDepthEstimation:
    """A folder as transformers saves it, of Depth Anything V2 for metric or relative depth."""
    network = seeded(0, lambda: SingleFrameDepth(TINY_DEPTH)).network.eval()
    for place, parameter in enumerate(network.parameters()):
        torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(place))
    network.config.depth_estimation_type = kind
    network.save_pretrained(folder)
    return network


def video(frames: int, seed: int = 0, height: int = 30, width: int = 44) -> Tensor:
    return torch.randint(
        0, 256, (frames, height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


def close(actual: Tensor, expected: Tensor, relative: float = 1e-5) -> None:
    torch.testing.assert_close(actual, expected, rtol=relative, atol=relative * float(expected.abs().max()))


def refusal(function, *arguments, **options) -> str:
    """The one line that it raises."""
    with pytest.raises(EgoReactError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)
