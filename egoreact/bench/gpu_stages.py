"""The live path cut into stages, each to be timed by itself: from a camera's JPEG to joints on the host."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from egoreact.models.bundle import Bundle
from egoreact.streaming.graphs import Graphed
from egoreact.streaming.live_batch import LiveBatch
from egoreact.streaming.slots import ALL, MotionStep
from egoreact.vision.backbones import Backbones
from egoreact.vision.dinov2 import preprocess
from egoreact.vision.frames import centre_square
from egoreact.vision.video_depth import VideoDepth

HEIGHT, WIDTH = 480, 640
"""Of the camera's frames, px."""


@dataclass(frozen=True)
class Stage:
    name: str
    run: Callable[[], object]
    plain: Callable[[], object] | None = None
    """The same without a graph, to count its operations; None where the host does the work."""
    touches: Sequence[Tensor] = ()
    """What it must read or write at least once: weights, memory, inputs."""


def camera_jpeg() -> bytes:
    """A smooth picture with some noise, about as large as a camera's."""
    rng = np.random.default_rng(0)
    smooth = cv2.resize(
        rng.integers(0, 256, (12, 16, 3), dtype=np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC
    )
    noisy = np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()


def decode_jpeg(content: bytes) -> UInt8[np.ndarray, "height width 3"]:
    rgb = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert rgb is not None and rgb.dtype == np.uint8
    return rgb


def stages_of(bundle: Bundle) -> list[Stage]:
    """Of one stream's token, eyes of the published kind. Each keeps its own memory going."""
    eyes = bundle.encoder
    assert isinstance(eyes, Backbones) and isinstance(eyes.depth, VideoDepth) and eyes.vit is not None
    vit, depth, config = eyes.vit, eyes.depth, eyes.config
    jpeg = camera_jpeg()
    live = LiveBatch(bundle, [0], height=HEIGHT, width=WIDTH)
    rows, memory = live.rows, live.eyes
    rgb = torch.from_numpy(decode_jpeg(jpeg)[None]).to(rows.device)
    draws = torch.zeros(1, dtype=torch.float64, device=rows.device)
    seen = live.see(rgb)
    rows.choose(ALL, seen, draws)
    features = rows.decode(ALL)
    packed = rows.pose(ALL, features)

    def dinov2(frames: Tensor) -> Tensor:
        with live.precision:
            return vit(pixel_values=preprocess(centre_square(frames), config.vit.image_size_px)).last_hidden_state[:, 0]

    def metric_depth(frames: Tensor) -> Tensor:
        with live.precision:
            return depth.see(centre_square(frames), memory)[0]

    def gpt(semantic: Tensor, depth_m: Tensor, numbers: Tensor) -> Tensor:
        return rows.choose(ALL, replace(seen, semantic=semantic, depth_m=depth_m), numbers)

    def vq_decode(_: Tensor) -> Tensor:
        return rows.decode(ALL)

    def pose(x: Tensor) -> Tensor:
        return rows.pose(ALL, x)

    def on_device(name: str, function: Callable[..., Tensor], inputs: list[Tensor], touches: list[Tensor]) -> Stage:
        graphed = Graphed(function, *inputs)
        return Stage(name, lambda: graphed(*inputs), lambda: function(*inputs), [*inputs, *touches])

    return [
        Stage("jpeg_decode", lambda: decode_jpeg(jpeg)),
        on_device(f"dinov2_{config.vit.image_size_px}", dinov2, [rgb], _tensors(vit)),
        on_device(
            f"depth_{config.depth.network.short_side_px}",
            metric_depth,
            [rgb],
            [*_tensors(depth), *memory.keys, *memory.values],
        ),
        on_device("gpt", gpt, [seen.semantic, seen.depth_m, draws], [*_tensors(bundle.gpt), *rows.ring.tensors]),
        on_device("vq_decode", vq_decode, [rows.tokens], [*_tensors(bundle.tokenizer.decoder), rows.decoder]),
        on_device("pose", pose, [features], [packed]),
        Stage("joints_to_host", lambda: MotionStep.unpack(packed).joints_m.numpy()),
    ]


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]
