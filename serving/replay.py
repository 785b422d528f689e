"""A recorded session again, through another bundle: what it would have done differently, and how fast.

The challenger perceives exactly what the live session perceived: the same frames at the same boundaries, from the same
seed, whatever was dropped then. So a bundle that is the recorded one gives the recorded motion, and every difference is
the challenger's. Its tokens come one after another on this machine; the recorded latencies are the service's, under its
load at the time. Compare stages with that in mind.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Float32, Int64, UInt8

from egoreact.client.wire import FPS, FRAMES_PER_TOKEN, Chunk, Frame
from egoreact.errors import EgoReactError
from serving.admission import decode_image
from serving.metrics import STAGES
from serving.protocol import Refused
from serving.recording import End, Recorded

if TYPE_CHECKING:
    from egoreact.models.bundle import Bundle

WARM_UP = 3
Token = tuple[Float32[np.ndarray, "4 22 3"], int, dict[str, float]]
"""Joints in metres, the token, and the milliseconds of its stages."""


@dataclass(frozen=True)
class Motion:
    """One side: what a bundle made, and the milliseconds that each token's stages took."""

    digest: str
    joints_m: Float32[np.ndarray, "frames 22 3"]
    tokens: Int64[np.ndarray, "tokens"]
    timings_ms: dict[str, Float[np.ndarray, "tokens"]]
    """By stage; the challenger has no `wait`."""


@dataclass(frozen=True)
class Replay:
    recorded: Motion
    challenger: Motion
    version: str
    """That the service served when it was recorded."""
    begun_at: str
    dropped: int
    """Boundaries that the live session passed over."""
    ended: str
    """Why the recording ends; `cut off` where its process was killed."""

    @property
    def joint_distance_cm(self) -> Float[np.ndarray, "frames"]:
        """Mean over the 22 joints of how far they are apart, frame by frame, both in the frame the session began in."""
        apart_m = self.recorded.joints_m.astype(np.float64) - self.challenger.joints_m
        return 100 * np.linalg.norm(apart_m, axis=-1).mean(axis=-1)

    @property
    def head_errors_cm(self) -> Float[np.ndarray, "frames"]:
        """As the evaluation measures it: bodies on the floor, heads begun at the origin."""
        from egoreact.evaluation.metrics import head_errors_cm

        return head_errors_cm(self.challenger.joints_m, self.recorded.joints_m)

    @property
    def token_agreement(self) -> float:
        """Share of tokens that are the same. Tells something only where both bundles share a tokenizer."""
        return float((self.recorded.tokens == self.challenger.tokens).mean())


def replay_recording(recording: Path, folder: Path) -> Replay:
    """Runs a recording through the bundle in `folder`.

    Raises:
        EgoReactError: no recording, none with motion, one that does not hold together; no bundle, or a damaged one.
    """
    from egoreact.models.bundle import Bundle

    recorded = Recorded.open(recording)
    _check(recorded)
    bundle = Bundle.load(folder)
    reader = _Reader(recorded)
    chunks: list[Chunk] = []
    made: list[Token] = []
    advance = _Session(bundle, recorded)
    for frame, chunk in reader.steps():
        chunks.append(chunk)
        made.append(advance(frame))
    if not chunks:
        raise EgoReactError("holds no motion", where=recording, remedy="use one of a longer session")
    return Replay(
        _motion(str(recorded.hello["digest"]), [(c.joints_m, c.token, c.timings_ms) for c in chunks]),
        _motion(bundle.digest, made),
        str(recorded.hello["version"]), recorded.begun_at, chunks[-1].dropped, reader.ended,
    )  # fmt: skip


def _check(recorded: Recorded) -> None:
    ticks = (recorded.hello.get("fps"), recorded.hello.get("frames_per_token"))
    if ticks != (FPS, FRAMES_PER_TOKEN):
        raise EgoReactError(
            f"has {ticks[0]} frames a second and {ticks[1]} a token, not {FPS} and {FRAMES_PER_TOKEN}",
            where=recorded.path, remedy="replay it with the release that wrote it",
        )  # fmt: skip


class _Reader:
    """Pairs each recorded chunk with the frame it perceived; holds no more frames than the live session did."""

    def __init__(self, recorded: Recorded):
        self.recorded = recorded
        self.ended = "cut off"

    def steps(self) -> Iterator[tuple[Frame, Chunk]]:
        waiting: list[Frame] = []
        index = 0
        for record in self.recorded.records():
            if isinstance(record, Frame):
                waiting.append(record)
            elif isinstance(record, End):
                self.ended = record.reason
            else:
                waiting = waiting[_shown(waiting, record) :]
                if not waiting or waiting[0].captured_at != record.captured_at or record.index != index:
                    raise self._torn(record)
                index += 1
                yield waiting[0], record

    def _torn(self, chunk: Chunk) -> EgoReactError:
        what = f"chunk {chunk.index} (seq {chunk.seq}) does not follow from the frames and chunks before it"
        return EgoReactError(what, where=self.recorded.path, remedy="use another recording")


def _shown(frames: list[Frame], chunk: Chunk) -> int:
    """Place of the newest frame up to the chunk's boundary: the rule under **Time** of the wire's description."""
    return max((place for place, frame in enumerate(frames) if frame.seq <= chunk.seq), default=len(frames))


class _Session:
    """The challenger's own session, in slots like the service's, and warm."""

    def __init__(self, bundle: "Bundle", recorded: Recorded):
        from egoreact.streaming.live_slots import LiveSlots

        self.recorded = recorded
        self.max_side_px = int(recorded.hello["limits"]["max_image_side_px"])
        self.slots = LiveSlots(bundle, 1)
        slot, side = self.slots.join(0), bundle.config.encoder.image_size_px
        for _ in range(WARM_UP):
            self.slots.step({slot: self.slots.prepare(slot, np.zeros((side, side, 3), np.uint8))})
        self.slots.leave(slot)
        self.slot = self.slots.join(int(recorded.hello["seed"]))

    def __call__(self, frame: Frame) -> Token:
        started_s = time.perf_counter()
        ready = self.slots.prepare(self.slot, self._decode(frame))
        image_ms = 1e3 * (time.perf_counter() - started_s)
        step = self.slots.step({self.slot: ready})
        made = step.motion[self.slot]
        timings_ms = {"image": image_ms, **step.spans_ms, "total": 1e3 * (time.perf_counter() - started_s)}
        return made.joints_m[0].numpy(), int(made.tokens[0]), timings_ms

    def _decode(self, frame: Frame) -> UInt8[np.ndarray, "height width 3"]:
        try:
            return decode_image(frame.image, self.max_side_px)
        except Refused as refused:
            raise EgoReactError(
                f"the frame of seq {frame.seq}: {refused.line}",
                where=self.recorded.path,
                remedy="use another recording",
            ) from refused


def _motion(digest: str, steps: list[Token]) -> Motion:
    joints_m, tokens, timings_ms = zip(*steps, strict=True)
    stages = [stage for stage in STAGES if stage in timings_ms[0]]
    return Motion(
        digest, np.concatenate(joints_m), np.array(tokens),
        {stage: np.array([timings[stage] for timings in timings_ms]) for stage in stages},
    )  # fmt: skip
