"""The service's own Prometheus series, beside BentoML's, at `/metrics`: what is in progress, how long it takes, who waits.

BentoML scrapes through prometheus-client's multi-process mode: values live in files, a set a worker, and only
histograms, counters and gauges with a `multiprocess_mode` survive the way. So those are all there are here.
"""

import threading
from functools import cache
from time import sleep
from typing import Any

STAGES = ("wait", "image", "perception", "gpt", "decode", "total")
"""Of one token: from the frame falling due, through the shared step, to the chunk on the wire."""
STATES = ("live", "parked")
REASONS = ("sessions_full", "uploads_full", "draining", "unauthorised", "rate", "failed")
"""Why a client was turned away; `failed` where the service itself is to blame (500, 1011). There may be others."""
MEMORY_EVERY_S = 5

STAGE_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5)
"""0.2 is one token's time: a service slower than that falls behind."""
BATCH_BUCKETS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)


class Gauges:
    """All series. Labels that are known beforehand start at 0, so that a rate sees their first increment."""

    def __init__(self) -> None:
        # Only here: BentoML sets the folder of its multi-process series after a service module is imported.
        from prometheus_client import Counter, Gauge, Histogram

        self.sessions: Any = Gauge(
            "egoreact_sessions", "Sessions with a slot: live ones, and parked ones whose client may come back",
            ["state"], multiprocess_mode="livesum",
        )  # fmt: skip
        self.uploads: Any = Gauge("egoreact_uploads", "Uploads in progress", multiprocess_mode="livesum")
        self.refused: Any = Counter("egoreact_refused", "Clients turned away or closed, by reason", ["reason"])
        self.tokens: Any = Counter("egoreact_tokens", "Motion tokens made in live sessions")
        self.dropped: Any = Counter("egoreact_dropped_tokens", "Token boundaries passed over in live sessions")
        self.stage_seconds: Any = Histogram(
            "egoreact_stage_seconds", "One token of a live session, by stage", ["stage"], buckets=STAGE_BUCKETS_S
        )
        self.batch_size: Any = Histogram("egoreact_batch_size", "Sessions that shared a step", buckets=BATCH_BUCKETS)
        self.model: Any = Gauge(
            "egoreact_model", "1 for the model being served", ["version", "digest"], multiprocess_mode="livemax"
        )
        self.draining: Any = Gauge(
            "egoreact_draining", "1 from SIGTERM on, while live sessions have their time", multiprocess_mode="livemax"
        )
        self.memory: Any = Gauge(
            "egoreact_resident_memory_bytes", "Of the worker: its own, for the usual process series are not scraped",
            multiprocess_mode="livesum",
        )  # fmt: skip
        for state in STATES:
            self.sessions.labels(state=state).set(0)
        for reason in REASONS:
            self.refused.labels(reason=reason)
        for stage in STAGES:
            self.stage_seconds.labels(stage=stage)


@cache
def gauges() -> Gauges:
    """The worker's one set of series. The first call must come after BentoML has set its folder: never at import."""
    made = Gauges()
    threading.Thread(target=_watch_memory, args=(made,), name="memory", daemon=True).start()
    return made


def _watch_memory(series: Gauges) -> None:
    """A gauge with a callback would be simpler, but the multi-process mode never calls it."""
    import psutil

    process = psutil.Process()
    while True:
        series.memory.set(process.memory_info().rss)
        sleep(MEMORY_EVERY_S)
