"""A long stream through one session as fast as it goes: does a token cost the same at the end as at the start?"""

import time

import numpy as np

from egoreact.bench.machine import resident_mb
from egoreact.errors import EgoReactError
from egoreact.models.bundle import Bundle
from egoreact.models.int8 import with_int8_transformer
from egoreact.models.vqvae import FRAMES_PER_TOKEN
from egoreact.motion.skeleton import FPS
from egoreact.progress import Progress
from egoreact.streaming.session import ReactionEngine, Session

TOKENS_A_MINUTE = 60 * FPS // FRAMES_PER_TOKEN
PICTURES = 20
"""Frames of noise that take turns."""


def measure_long_stream(bundle: Bundle, *, minutes: float = 60, int8: bool = False) -> dict[str, object]:
    """Pushes frames for so many minutes of a stream's own time.

    Args:
        int8: the transformer in 8 bits.

    Returns:
        Milliseconds a token, median and 99th percentile, of the first and the last minute, and the medians' `ratio`;
        `cpu_ratio`, the same of processor time, which does not count what else the machine does; resident memory after the first second and at the end; bytes of the session's own state then, and their
        `state_drift`.

    Raises:
        EgoReactError: less than two seconds.
    """
    tokens = int(minutes * TOKENS_A_MINUTE)
    if tokens < 10:
        raise EgoReactError(f"{minutes} minutes hold {tokens} tokens", where="bench stream", remedy="give 0.04 or more")
    side = bundle.config.encoder.image_size_px
    pictures = np.random.default_rng(0).integers(0, 256, (PICTURES, side, side, 3), dtype=np.uint8)
    session = ReactionEngine(with_int8_transformer(bundle) if int8 else bundle).open(seed=0)
    progress, waits_ms = Progress("bench stream", tokens, "tokens"), np.empty((tokens, 2))
    memory, state = {"start": 0.0}, {"start": 0}
    for token in range(tokens):
        started, cpu_started = time.perf_counter(), time.process_time()
        for frame in range(FRAMES_PER_TOKEN):
            session.push(pictures[(token + frame) % PICTURES])
        waits_ms[token] = 1e3 * (time.perf_counter() - started), 1e3 * (time.process_time() - cpu_started)
        if token == FPS // FRAMES_PER_TOKEN:
            memory["start"], state["start"] = resident_mb(), state_bytes(session)
        progress.advance()
    counted = min(TOKENS_A_MINUTE, tokens // 2)
    first, last = waits_ms[1 : counted + 1], waits_ms[-counted:]
    ratio, cpu_ratio = (np.median(last, axis=0) / np.median(first, axis=0)).tolist()
    return {
        "bundle": bundle.digest or "untrained",
        "int8": int8,
        "tokens": tokens,
        **{
            f"token_ms_{when}_{name}": float(np.percentile(waits[:, 0], percent))
            for when, waits in (("first", first), ("last", last))
            for name, percent in (("p50", 50), ("p99", 99))
        },
        "ratio": ratio,
        "cpu_ratio": cpu_ratio,
        "memory_mb_start": memory["start"],
        "memory_mb_end": resident_mb(),
        "state_bytes": state_bytes(session),
        "state_drift": state_bytes(session) - state["start"],
    }


def state_bytes(session: Session) -> int:
    """All that a session remembers."""
    eyes = session.perception
    return session.stream.rows.byte_count + (eyes.byte_count if eyes else 0)
