"""How long a person waits for the body to answer: a streaming session's latencies, measured on this machine."""

import time
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from egoreact.errors import EgoReactError
from egoreact.evaluation.metrics import Estimate, estimate
from egoreact.streaming.session import ReactionEngine


@dataclass(frozen=True)
class LatencyFigures:
    """Milliseconds from handing over frame 4t to holding its four motion frames; a warm model, new sessions."""

    first_frame_ms: Float[np.ndarray, " sessions"]
    """Of frame 0, session by session."""
    per_token_ms: Float[np.ndarray, "sessions tokens-1"]
    """Of the frames 4, 8, … after it."""

    def measured(self) -> dict[str, Estimate]:
        """For `protocol.evaluate`: means over sessions of the first frame's latency and of the median token's."""
        return {
            "first_frame_latency_ms": estimate(self.first_frame_ms),
            "per_token_latency_ms": estimate(np.median(self.per_token_ms, axis=1)),
        }

    def percentiles(self) -> dict[str, dict[str, float]]:
        """p50 and p99 of both."""
        return {
            name: {f"p{percent}": float(np.percentile(values, percent)) for percent in (50, 99)}
            for name, values in (
                ("first_frame_latency_ms", self.first_frame_ms),
                ("per_token_latency_ms", self.per_token_ms),
            )
        }


def measure_latency(
    engine: ReactionEngine, frames: UInt8[np.ndarray, "frames height width 3"], *, sessions: int = 5
) -> LatencyFigures:
    """Streams the same frames through new sessions, one after another. One more goes first, uncounted, to warm up.

    Args:
        frames: 20 a second, 5 or more, so that there are two tokens.

    Raises:
        EgoReactError: fewer than 5 frames, or no session.
    """
    if len(frames) < 5 or sessions < 1:
        raise EgoReactError(
            f"{len(frames)} frames in {sessions} sessions",
            where="latency",
            remedy="give 5 frames and 1 session or more",
        )
    waits: list[list[float]] = []
    for seed in range(sessions + 1):
        session = engine.open(seed=seed)
        waits.append([])
        for frame in frames:
            started = time.perf_counter()
            if session.push(frame) is not None:
                waits[-1].append(1e3 * (time.perf_counter() - started))
    counted = np.array(waits[1:])
    return LatencyFigures(counted[:, 0], counted[:, 1:])
