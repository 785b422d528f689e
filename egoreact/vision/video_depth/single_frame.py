"""Metric Depth Anything V2 (small, indoor) through transformers: each frame for itself, with a stream's interface.

Source: Yang et al., Depth Anything V2, NeurIPS 2024 (arXiv 2406.09414); the card of these weights states no licence.
Images are prepared as in its own code, which Video Depth Anything took over.
"""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from transformers import DepthAnythingForDepthEstimation

from egoreact.errors import EgoReactError
from egoreact.vision.video_depth.images import to_frames, to_images
from egoreact.vision.video_depth.state import DepthState

REPOSITORY = "depth-anything/Depth-Anything-V2-Metric-Indoor-Small-hf"
REVISION = "8078d68a9c75a972131914f6afd0c1723be0da7f"
PATCH_PX = 14
AT_ONCE = 4


class SingleFrameDepth(nn.Module):
    def __init__(self, network: DepthAnythingForDepthEstimation, short_side_px: int = 518):
        super().__init__()
        self.network, self.short_side_px = network, short_side_px

    @property
    def device(self) -> torch.device:
        return self.network.device

    def initial_state(self, batch: int, height: int, width: int, *, dtype: torch.dtype = torch.float32) -> DepthState:
        """The state of streams of height × width px: their age, and nothing else."""
        return DepthState((height, width), torch.zeros(batch, dtype=torch.long, device=self.device))

    @torch.no_grad()
    def step(
        self, rgb: UInt8[Tensor, "batch height width 3"], state: DepthState
    ) -> tuple[Float[Tensor, "batch height width"], DepthState]:
        """Depth in metres of the next frame of each stream, from that frame alone.

        Raises:
            EgoReactError: the frames do not fit the state.
        """
        state.check_frames(rgb)
        state.ages.add_(1)
        images = to_images(rgb.to(self.device), self.short_side_px, PATCH_PX)
        return to_frames(self.network(pixel_values=images).predicted_depth, state.frame_size), state

    def offline(self, rgb: UInt8[Tensor, "frames height width 3"]) -> Float[Tensor, "frames height width"]:
        """Depth in metres of a whole video."""
        height, width = rgb.shape[1:3]
        parts = [self.step(part, self.initial_state(len(part), height, width))[0] for part in rgb.split(AT_ONCE)]
        return torch.cat(parts)


def load_single_frame_depth(source: str = "", revision: str = "", *, short_side_px: int = 518) -> SingleFrameDepth:
    """Args:
        source: a folder that transformers saved, or a model of the Hugging Face hub; the published one where empty.
        revision: commit of the hub's repository; needed for another than the published one.

    Raises:
        EgoReactError: the weights cannot be had, lack a key, or give no metres. Only safetensors are read.
    """
    if not source:
        source, revision = REPOSITORY, revision or REVISION
    remedy = f"name a folder with {REPOSITORY}'s config.json and model.safetensors"
    if not Path(source).is_dir() and not revision:
        raise EgoReactError("is no folder, and no revision of the hub is given", where=source, remedy=remedy)
    try:
        loaded: Any = DepthAnythingForDepthEstimation.from_pretrained(
            source, revision=revision or "main", use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0][:120]
        raise EgoReactError(f"no weights of metric depth to be had ({reason})", where=source, remedy=remedy) from error
    network, report = loaded
    missing = sorted(report["missing_keys"])
    if missing:
        raise EgoReactError(
            f"lacks {missing[0]} ({len(missing)} of {len(network.state_dict())} keys)", where=source, remedy=remedy
        )
    if network.config.depth_estimation_type != "metric":
        raise EgoReactError("is a model for relative depth, which gives no metres", where=source, remedy=remedy)
    return SingleFrameDepth(network.eval().requires_grad_(False), short_side_px)
