"""A streaming session: how long after a frame the motion that answers it is there."""

import numpy as np

from egoreact.evaluation.latency import measure_latency
from egoreact.models.bundle import Bundle
from egoreact.models.vqvae import FRAMES_PER_TOKEN
from egoreact.motion.skeleton import FPS
from egoreact.streaming.session import ReactionEngine


def measure_stream(bundle: Bundle, *, tokens: int = 25, sessions: int = 5) -> dict[str, float | str]:
    """First-frame and per-token latency, one session after another, on frames of noise.

    Args:
        tokens: of each session.
        sessions: counted ones.

    Returns:
        Medians, 99th percentiles (`_p99`), the first frame's median against the paper's 21.33 ms, and how many times
        faster than the 0.2 s that a token lasts the median token is.
    """
    side = bundle.config.encoder.image_size_px
    frames = np.random.default_rng(0).integers(
        0, 256, ((tokens - 1) * FRAMES_PER_TOKEN + 1, side, side, 3), dtype=np.uint8
    )
    figures = measure_latency(ReactionEngine(bundle), frames, sessions=sessions).percentiles()
    first, token = figures["first_frame_latency_ms"], figures["per_token_latency_ms"]
    return {
        "bundle": bundle.digest or "untrained",
        "first_frame_latency_ms": first["p50"],
        "first_frame_latency_ms_p99": first["p99"],
        "per_token_latency_ms": token["p50"],
        "per_token_latency_ms_p99": token["p99"],
        "token_of_real_time": 1e3 * FRAMES_PER_TOKEN / FPS / token["p50"],
    }
