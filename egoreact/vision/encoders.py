"""What sees: the embedded encoder, or the published backbones. Both are used alike.

encode(rgb)                                the frames 4t of one clip, in order, from its start, all at once
initial_state(batch, height, width)        of streams before their first frame
perceive(rgb, state)                       the next frame 4t of each stream; equal to `encode`
config.semantic_dim, .depth_side           sizes of the features
config.image_size_px                       side that a frame's centre square is scaled down to, at the most
"""

from pathlib import Path
from typing import Annotated, Any, assert_never

from pydantic import Discriminator, Tag
from typing_extensions import TypeAliasType

from egoreact.vision.backbones import Backbones, BackbonesConfig
from egoreact.vision.frame_encoder import FrameEncoder, FrameEncoderConfig
from egoreact.weights import load_network


def _kind(config: Any) -> Any:
    """Configs from before there were two kinds name none."""
    return config.get("kind", "embedded") if isinstance(config, dict) else getattr(config, "kind", None)


Encoder = FrameEncoder | Backbones
EncoderConfig = TypeAliasType(
    "EncoderConfig",
    Annotated[
        Annotated[FrameEncoderConfig, Tag("embedded")] | Annotated[BackbonesConfig, Tag("backbones")],
        Discriminator(_kind),
    ],
)


def build_encoder(config: EncoderConfig) -> Encoder:
    """With random weights."""
    match config:
        case FrameEncoderConfig():
            return FrameEncoder(config)
        case BackbonesConfig():
            return Backbones(config)
        case _:
            assert_never(config)


def load_encoder(folder: Path) -> Encoder:
    """What `egoreact.weights.save_network` wrote, in evaluation mode.

    Raises:
        EgoReactError: a file is missing, not of this kind, or does not fit.
    """
    return load_network(folder, EncoderConfig, build_encoder)  # type: ignore[arg-type]
