"""Metric Depth Anything V2 (small) through transformers: each frame for itself, with a stream's interface.

Source: Yang et al., Depth Anything V2, NeurIPS 2024 (arXiv 2406.09414). Images are prepared as in its own code, which
Video Depth Anything took over; so are the sizes of the network, which is that one's without its memory.
"""

from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

from egoreact.vision.published import Published
from egoreact.vision.video_depth.images import to_frames, to_images
from egoreact.vision.video_depth.network import AT_ONCE, VideoDepthConfig
from egoreact.vision.video_depth.state import DepthState

PUBLISHED = Published(
    repository="depth-anything/Depth-Anything-V2-Metric-Indoor-Small-hf",
    revision="8078d68a9c75a972131914f6afd0c1723be0da7f",
    file="model.safetensors",
    licence="its card states no licence",
    variable="EGOREACT_DEPTH_ANYTHING",
)
INDOOR_MAX_DEPTH_M = 20


class SingleFrameDepth(nn.Module):
    def __init__(self, config: VideoDepthConfig, max_depth_m: int = INDOOR_MAX_DEPTH_M):
        super().__init__()
        self.config = config
        self.network = DepthAnythingForDepthEstimation(_architecture(config, max_depth_m))

    @property
    def device(self) -> torch.device:
        return self.network.device

    def initial_state(self, batch: int, height: int, width: int) -> DepthState:
        """The state of streams of height × width px: their age, and nothing else."""
        return DepthState((height, width), torch.zeros(batch, dtype=torch.long, device=self.device))

    @torch.no_grad()
    def step(
        self, rgb: UInt8[Tensor, "batch height width 3"], state: DepthState
    ) -> tuple[Float[Tensor, "batch height width"], DepthState]:
        """Depth in metres of the next frame of each stream, from that frame alone.

        Raises:
            EgoReactError: the frames are not one a stream.
        """
        state.check_frames(rgb)
        return to_frames(self.see(rgb, state)[0], (rgb.shape[1], rgb.shape[2])), state

    @torch.no_grad()
    def see(
        self, rgb: UInt8[Tensor, "batch height width 3"], state: DepthState
    ) -> tuple[Float[Tensor, "batch image_height image_width"], Float[Tensor, "batch width"]]:
        """`step` in one pass with the encoder's class token, and depth at the image's own size."""
        state.ages.add_(1)
        return self._see(rgb)

    @torch.no_grad()
    def see_clip(
        self, rgb: UInt8[Tensor, "frames height width 3"], state: DepthState
    ) -> tuple[Float[Tensor, "frames image_height image_width"], Float[Tensor, "frames width"]]:
        """`see` of the next frames of one stream, in order."""
        state.ages.add_(len(rgb))
        return self._see(rgb)

    def _see(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        images = to_images(rgb.to(self.device), self.config.short_side_px, self.config.patch_px)
        rows, columns = (side // self.config.patch_px for side in images.shape[-2:])
        tokens = self.network.backbone(images).feature_maps  # normed, the class token first
        depth_m = self.network.head(self.network.neck(tokens, rows, columns), rows, columns)
        return depth_m, tokens[-1][:, 0]

    @torch.no_grad()
    def offline(self, rgb: UInt8[Tensor, "frames height width 3"]) -> Float[Tensor, "frames height width"]:
        """Depth in metres of a whole video."""
        return torch.cat([to_frames(self._see(part)[0], (rgb.shape[1], rgb.shape[2])) for part in rgb.split(AT_ONCE)])


def _architecture(config: VideoDepthConfig, max_depth_m: int) -> DepthAnythingConfig:
    return DepthAnythingConfig(
        backbone_config=Dinov2Config(
            hidden_size=config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            image_size=config.table_side * config.patch_px,
            patch_size=config.patch_px,
            out_indices=[tap + 1 for tap in config.taps],  # type: ignore[call-arg]
            reshape_hidden_states=False,
            apply_layernorm=True,
        ),
        patch_size=config.patch_px,
        reassemble_hidden_size=config.width,
        neck_hidden_sizes=list(config.channels),
        fusion_hidden_size=config.features,
        depth_estimation_type="metric",
        max_depth=max_depth_m,
    )


def load_single_frame_depth(
    path: Path | str | None = None, config: VideoDepthConfig | None = None, *, max_depth_m: int = INDOOR_MAX_DEPTH_M
) -> SingleFrameDepth:
    """Args:
        path: model.safetensors as transformers saves it, or its folder; where not given, what EGOREACT_DEPTH_ANYTHING
            names, or the hub's model for indoors.
        max_depth_m: 80 of the published model for outdoors.

    Raises:
        EgoReactError: the weights are not to be had, do not fit key by key, or are of a model that the config.json
            beside them says is another.
    """
    path = PUBLISHED.find(path)
    if (path.parent / "config.json").is_file():
        said = DepthAnythingConfig.from_pretrained(path.parent)
        if said.depth_estimation_type != "metric":
            PUBLISHED.refuse("is the model for relative depth, which gives no metres", path)
        if said.max_depth != max_depth_m:
            PUBLISHED.refuse(f"is made for at most {said.max_depth} m, not {max_depth_m}", path)
    with torch.device("meta"):
        depth = SingleFrameDepth(config or VideoDepthConfig(), max_depth_m)
    depth.network = PUBLISHED.load(DepthAnythingForDepthEstimation, depth.network.config, path)
    return depth.eval()
