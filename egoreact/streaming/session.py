"""A session: one person's frames in, one after another, and that person's motion out.

Frames arrive at 20 a second. Frame 4t is perceived and gives motion frames 4t … 4t + 3 at once; the three frames after
it only count. So the body is never later than the frame it answers by more than the time this takes.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8

from egoreact.models.bundle import Bundle
from egoreact.models.vqvae import FRAMES_PER_TOKEN
from egoreact.motion.skeleton import FPS
from egoreact.streaming.reaction_stream import ReactionStream
from egoreact.vision.frames import check_frame
from egoreact.vision.video import iterate_video
from egoreact.vision.video_depth import DepthState


@dataclass(frozen=True)
class MotionChunk:
    """Motion of one token."""

    index: int
    """t."""
    first_frame: int
    """4t."""
    token: int
    joints_m: Float32[np.ndarray, "4 22 3"]
    """World positions, y up, the body's start at the origin facing +z."""
    features: Float32[np.ndarray, "4 263"]
    timings_ms: dict[str, float]
    """`perception`, `gpt`, `decode`."""


@dataclass(frozen=True)
class Reaction:
    """A whole video's answer."""

    joints_m: Float32[np.ndarray, "frames 22 3"]
    features: Float32[np.ndarray, "frames 263"]
    tokens: Int64[np.ndarray, "tokens"]
    bundle_digest: str
    timings_ms: dict[str, list[float]]
    fps: int = FPS


class ReactionEngine:
    """A loaded bundle that opens sessions."""

    def __init__(self, bundle: Bundle, *, seed: int = 0, temperature: float | None = None):
        self.bundle, self.seed, self.temperature = bundle, seed, temperature

    def open(self, seed: int | None = None) -> "Session":
        """A new session. Two with the same seed and frames give the same motion."""
        seed = self.seed if seed is None else seed
        return Session(self.bundle, ReactionStream(self.bundle, [seed], temperature=self.temperature))


class Session:
    def __init__(self, bundle: Bundle, stream: ReactionStream):
        self.bundle, self.stream = bundle, stream
        self.frames = 0
        """Frames taken so far."""
        self.perception: DepthState | None = None
        """What the eyes remember; None before the first frame."""

    def push(self, rgb: UInt8[np.ndarray, "height width 3"]) -> MotionChunk | None:
        """Takes the next frame; gives a chunk for frames 0, 4, 8, …

        Raises:
            EgoReactError: it is no RGB frame of 16 to 8192 px, or its size changes where the eyes remember places in
                the frame. The frame does not count; the session goes on with the next good one.
        """
        check_frame(rgb)
        frame = self.frames
        if frame % FRAMES_PER_TOKEN:
            self.frames += 1
            return None
        started = time.perf_counter()
        if self.perception is None:
            self.perception = self.bundle.encoder.initial_state(1, *rgb.shape[:2])
        seen, self.perception = self.bundle.encoder.perceive(
            torch.from_numpy(np.ascontiguousarray(rgb))[None], self.perception
        )
        self.frames += 1
        perceived = time.perf_counter()
        self.stream.choose(seen)
        chosen = time.perf_counter()
        step = self.stream.decode()
        decoded = time.perf_counter()
        spans = {"perception": perceived - started, "gpt": chosen - perceived, "decode": decoded - chosen}
        return MotionChunk(
            index=frame // FRAMES_PER_TOKEN,
            first_frame=frame,
            token=int(step.tokens[0]),
            joints_m=step.joints_m[0].numpy(),
            features=step.features[0].numpy(),
            timings_ms={name: seconds * 1e3 for name, seconds in spans.items()},
        )


def react(
    bundle: Bundle,
    video: Path | bytes,
    *,
    seed: int = 0,
    temperature: float | None = None,
    on_frame: Callable[[int], None] | None = None,
) -> Reaction:
    """The reaction to a whole video, resampled to 20 frames a second by wall clock; holds one frame at a time.

    Raises:
        EgoReactError: as `egoreact.vision.video.iterate_video`.
    """
    frames = iterate_video(video, fps=FPS)
    return react_to_frames(bundle, frames, seed=seed, temperature=temperature, on_frame=on_frame)


def react_to_frames(
    bundle: Bundle,
    frames: Iterable[UInt8[np.ndarray, "height width 3"]],
    *,
    seed: int = 0,
    temperature: float | None = None,
    on_frame: Callable[[int], None] | None = None,
) -> Reaction:
    """The reaction to frames at 20 a second, at least one."""
    session = ReactionEngine(bundle, seed=seed, temperature=temperature).open()
    chunks: list[MotionChunk] = []
    for index, rgb in enumerate(frames):
        chunk = session.push(rgb)
        if chunk is not None:
            chunks.append(chunk)
        if on_frame is not None:
            on_frame(index)
    count = session.frames  # the last token may reach past the video's end
    return Reaction(
        joints_m=np.concatenate([chunk.joints_m for chunk in chunks])[:count],
        features=np.concatenate([chunk.features for chunk in chunks])[:count],
        tokens=np.array([chunk.token for chunk in chunks]),
        bundle_digest=bundle.digest,
        timings_ms={name: [chunk.timings_ms[name] for chunk in chunks] for name in chunks[0].timings_ms},
    )
