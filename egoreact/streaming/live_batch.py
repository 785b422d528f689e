"""A batch of streams in lock step, from camera frames to motion: on a GPU all of it is one CUDA graph.

At published sizes eyes, transformer, tokenizer and motion decoder are about a thousand operations a frame, most of which
run for less time than their launch takes.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from egoreact.models.bundle import Bundle
from egoreact.streaming.graphs import Graphed
from egoreact.streaming.slots import ALL, MotionStep, StreamRows, draw
from egoreact.vision.frame_features import FrameFeatures


class LiveBatch:
    """Each stream gives what a session of its own would. Where the bundle is in half precision, so are the eyes."""

    def __init__(self, bundle: Bundle, seeds: list[int], *, height: int, width: int, temperature: float | None = None):
        """Args:
        seeds: one a stream.
        height, width: of the frames, px.
        """
        self.rows = StreamRows(bundle, len(seeds), temperature=temperature)
        self.encoder = bundle.encoder
        eyes = self.encoder.initial_state(len(seeds), height, width)
        keys, values = (tuple(x.to(self.rows.dtype) for x in memory) for memory in (eyes.keys, eyes.values))
        self.eyes = replace(eyes, keys=keys, values=values)
        frames = torch.zeros(len(seeds), height, width, 3, dtype=torch.uint8, device=self.rows.device)
        draws = torch.zeros(len(seeds), dtype=torch.float64, device=self.rows.device)
        self._advance = Graphed(self.advance, frames, draws)
        self.begin(seeds)

    def begin(self, seeds: list[int]) -> None:
        """All streams anew."""
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.rows.reset(ALL)
        self.eyes.reset()

    def step(self, rgb: UInt8[np.ndarray, "batch height width 3"]) -> MotionStep:
        """Frame 4t of each stream in, its motion frames 4t … 4t + 3 out."""
        return MotionStep.unpack(self._advance(torch.from_numpy(rgb), draw(self.generators)))

    @torch.inference_mode()
    def advance(self, rgb: UInt8[Tensor, "batch height width 3"], draws: Float[Tensor, "batch"]) -> Tensor:
        """`step` on the device."""
        seen = self.see(rgb)
        self.rows.choose(ALL, seen, draws)
        return self.rows.pose(ALL, self.rows.decode(ALL))

    @torch.inference_mode()
    def see(self, rgb: UInt8[Tensor, "batch height width 3"]) -> FrameFeatures:
        """What the next frame 4t of each stream shows."""
        with self.precision:
            return self.encoder.perceive(rgb, self.eyes)[0]

    @property
    def precision(self) -> AbstractContextManager:
        """Of the eyes. Without autocast's cache: a graph would keep what the cache lets go."""
        if self.rows.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.rows.device.type, self.rows.dtype, cache_enabled=False)
