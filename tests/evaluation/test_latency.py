import time

import numpy as np
import pytest

from egoreact.errors import EgoReactError
from egoreact.evaluation.latency import LatencyFigures, measure_latency
from egoreact.models.bundle import Bundle
from egoreact.streaming.session import ReactionEngine

FRAMES = np.random.default_rng(0).integers(0, 256, (13, 56, 56, 3), dtype=np.uint8)


def test_a_real_session(untrained_bundle: Bundle) -> None:
    started = time.perf_counter()
    figures = measure_latency(ReactionEngine(untrained_bundle), FRAMES, sessions=3)
    elapsed_ms = 1e3 * (time.perf_counter() - started)
    assert figures.first_frame_ms.shape == (3,)
    assert figures.per_token_ms.shape == (3, 3)  # frames 4, 8 and 12
    assert 0 < figures.first_frame_ms.sum() + figures.per_token_ms.sum() < elapsed_ms


def test_the_first_session_only_warms_up() -> None:
    class SlowAtFirst:
        """Stands in for an engine whose first session compiles: what a wait is made of is known."""

        opened = 0

        def open(self, seed: int):
            SlowAtFirst.opened += 1
            return Session(0.2 if SlowAtFirst.opened == 1 else 0.004)

    class Session:
        def __init__(self, seconds: float):
            self.seconds, self.frame = seconds, -1

        def push(self, rgb):
            self.frame += 1
            if self.frame % 4:
                return None
            time.sleep(self.seconds)
            return object()

    figures = measure_latency(SlowAtFirst(), FRAMES, sessions=2)  # type: ignore[arg-type]
    assert SlowAtFirst.opened == 3
    assert figures.first_frame_ms.min() >= 4 and np.median(figures.first_frame_ms) < 100
    assert figures.per_token_ms.min() >= 4 and np.median(figures.per_token_ms) < 100


def test_figures() -> None:
    figures = LatencyFigures(np.array([20.0, 22.0]), np.array([[10.0, 11.0, 30.0], [12.0, 13.0, 14.0]]))
    measured = figures.measured()
    assert measured["first_frame_latency_ms"].mean == 21
    assert measured["per_token_latency_ms"].mean == 12  # of the medians 11 and 13
    assert figures.percentiles()["per_token_latency_ms"]["p50"] == 12.5
    assert figures.percentiles()["per_token_latency_ms"]["p99"] == pytest.approx(29.2)


def test_too_little_to_measure(untrained_bundle: Bundle) -> None:
    for frames, sessions in ((FRAMES[:4], 2), (FRAMES, 0)):
        with pytest.raises(EgoReactError, match="latency"):
            measure_latency(ReactionEngine(untrained_bundle), frames, sessions=sessions)
