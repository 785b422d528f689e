"""Who is let in: limits on everything a client can make large, slots for what is in progress, and gauges of both.

BentoML's own `max_concurrency` counts a WebSocket as one request for life and then refuses REST while `/readyz` says
all is well, and its socket gauge leaks; so the service counts for itself. Over a limit a client gets 503 with
Retry-After, or close code 1013, at once: nothing queues.
"""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8

from egoreact.errors import EgoReactError
from egoreact.vision.video import MIN_SIDE_PX
from serving.protocol import Refused

RETRY_AFTER_S = 5
Kind = Literal["session", "upload"]


@dataclass(frozen=True)
class Limits:
    """What one worker carries. Each is settable: `max_sessions` by `EGOREACT_MAX_SESSIONS`, and so on."""

    max_sessions: int = 8
    max_uploads: int = 2
    max_message_bytes: int = 2 * 1024 * 1024
    max_image_side_px: int = 2048
    max_upload_bytes: int = 64 * 1024 * 1024
    max_upload_side_px: int = 4096
    max_upload_seconds: int = 60
    """Seconds of video in one upload."""
    idle_seconds: int = 20
    """A live session that sends no frame for so long is closed; an upload that stalls for so long too."""
    session_seconds: int = 600

    @staticmethod
    def from_environment() -> "Limits":
        """Raises EgoReactError where a setting is no positive whole number."""
        given = {}
        for field in fields(Limits):
            name = f"EGOREACT_{field.name.upper()}"
            text = os.environ.get(name)
            if text is None:
                continue
            if not text.isdecimal() or int(text) == 0:
                raise EgoReactError(f"{text!r} is no positive whole number", where=name, remedy="set one, or unset it")
            given[field.name] = int(text)
        return Limits(**given)

    def public(self) -> dict[str, int]:
        """As clients see them in `hello` and `/v1/model`."""
        return asdict(self)


class Admission:
    """The slots of one worker. Used from its event loop only, so plain counters suffice."""

    def __init__(self, limits: Limits):
        self.limits = limits
        self.in_progress: dict[Kind, int] = {"session": 0, "upload": 0}

    @contextmanager
    def slot(self, kind: Kind) -> Iterator[None]:
        """Holds a slot for the block; raises `Refused` at once where none is free."""
        capacity = self.limits.max_sessions if kind == "session" else self.limits.max_uploads
        if self.in_progress[kind] >= capacity:
            gauges().refused.labels(reason=f"{kind}s_full").inc()
            raise Refused(
                f"all {capacity} {kind} slots are taken; try again in {RETRY_AFTER_S} s",
                status=503, close_code=1013, retry_after_s=RETRY_AFTER_S,
            )  # fmt: skip
        self.in_progress[kind] += 1
        gauges().in_progress.labels(kind=kind).inc()
        try:
            yield
        finally:
            self.in_progress[kind] -= 1
            gauges().in_progress.labels(kind=kind).dec()


def decode_image(content: bytes, max_side_px: int) -> UInt8[np.ndarray, "height width 3"]:
    """RGB of a JPEG, PNG or WebP; its size is read from the header and judged before a pixel is decoded.

    The orientation a JPEG may carry in EXIF is not applied: frames come from cameras, not from albums.

    Raises:
        Refused: not such an image, cut short, or a side outside 16 px to `max_side_px`.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG", "WEBP")) as image:
            width, height = image.size
            if min(width, height) < MIN_SIDE_PX or max(width, height) > max_side_px:
                raise _unfit_size(f"{width} x {height}", max_side_px)
            return np.array(image.convert("RGB"))
    except Image.DecompressionBombError as error:
        raise _unfit_size("far too many", max_side_px) from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        line = "the image cannot be read as JPEG, PNG or WebP"
        raise Refused(line, status=400, close_code=1007) from error


def _unfit_size(size: str, max_side_px: int) -> Refused:
    line = f"the image is {size} px; sides must be {MIN_SIDE_PX} to {max_side_px} px"
    return Refused(line, status=400, close_code=1008)


class Gauges:
    """The service's own Prometheus series, beside BentoML's, at `/metrics`."""

    def __init__(self) -> None:
        # Only here: BentoML sets the folder of its multi-process series after a service module is imported.
        from prometheus_client import Counter, Gauge, Histogram

        self.in_progress: Any = Gauge(
            "egoreact_in_progress", "Live sessions and uploads in progress", ["kind"], multiprocess_mode="livesum"
        )
        self.refused: Any = Counter("egoreact_refused", "Clients turned away or closed, by reason", ["reason"])
        self.tokens: Any = Counter("egoreact_tokens", "Motion tokens made in live sessions")
        self.dropped: Any = Counter("egoreact_dropped_tokens", "Token boundaries passed over in live sessions")
        self.token_seconds: Any = Histogram(
            "egoreact_token_seconds", "From a frame's arrival to its chunk on the wire",
            buckets=(0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2),
        )  # fmt: skip
        self.model: Any = Gauge(
            "egoreact_model", "1 for the model being served", ["version", "digest"], multiprocess_mode="livemax"
        )


@cache
def gauges() -> Gauges:
    return Gauges()
