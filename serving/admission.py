"""Who is let in: limits on everything a client can make large, and slots for what is in progress.

BentoML's own `max_concurrency` counts a WebSocket as one request for life and then refuses REST while `/readyz` says
all is well, and its socket gauge leaks; so the service counts for itself. Live sessions and uploads have pools of their
own, so that neither keeps the other out. Over a limit a client gets 503 with Retry-After, or close code 1013, at once:
nothing queues. From SIGTERM on nobody new is let in.
"""

import io
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from egoreact.errors import EgoReactError
from egoreact.vision.video import MIN_SIDE_PX
from serving.metrics import gauges
from serving.protocol import Refused

RETRY_AFTER_S = 5
Kind = Literal["session", "upload"]


@dataclass(frozen=True)
class Limits:
    """What one worker carries. Each is settable: `max_sessions` by `EGOREACT_MAX_SESSIONS`, and so on."""

    max_sessions: int = 16
    """Live ones, and parked ones whose client may come back."""
    max_batch: int = 16
    """Sessions that share a step of the model, at most."""
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
    resume_seconds: int = 15
    """A session whose connection was lost is kept so long for its client to come back."""
    drain_seconds: int = 10
    """What is in progress may go on so long after SIGTERM."""

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
        self.draining = False

    @contextmanager
    def slot(self, kind: Kind, *, next_free_s: float = RETRY_AFTER_S) -> Iterator[None]:
        """Holds a slot for the block; raises `Refused` at once where none is free.

        Args:
            next_free_s: when a slot becomes free at the latest, where that is known and soon.
        """
        self.check_open()
        capacity = self.limits.max_sessions if kind == "session" else self.limits.max_uploads
        if self.in_progress[kind] >= capacity:
            gauges().refused.labels(reason=f"{kind}s_full").inc()
            retry_after_s = max(1, math.ceil(min(next_free_s, RETRY_AFTER_S)))
            raise Refused(
                f"all {capacity} {kind} slots are taken; try again in {retry_after_s} s",
                status=503, close_code=1013, retry_after_s=retry_after_s,
            )  # fmt: skip
        self.in_progress[kind] += 1
        if kind == "upload":
            gauges().uploads.inc()
        try:
            yield
        finally:
            self.in_progress[kind] -= 1
            if kind == "upload":
                gauges().uploads.dec()

    def check_open(self) -> None:
        """Raises `Refused` where the service is about to stop."""
        if self.draining:
            gauges().refused.labels(reason="draining").inc()
            line = f"the service restarts; try again in {RETRY_AFTER_S} s"
            raise Refused(line, status=503, close_code=1012, retry_after_s=RETRY_AFTER_S)


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
