"""The first reaction of a release, asked for as people ask: it counts as served only once this has come."""

import time

import numpy as np

from egoreact.client.live import LiveSession
from egoreact.client.rest import model
from egoreact.client.retry import Backoff
from egoreact.errors import EgoReactError

TOKENS = 3
PATIENCE_S = 60.0
"""For a service whose slots are all taken, or that does not answer yet."""
PAUSE_S = 1.0


def warm_up(url: str, digest: str, *, patience_s: float = PATIENCE_S) -> float:
    """Reacts to a few frames over a live session; returns the seconds of the slowest of them.

    `EGOREACT_TOKEN` is the bearer token, where the service asks for one.

    Raises:
        EgoReactError: it serves another bundle, does not answer, refuses us, or its motion is no motion.
    """
    give_up_s = time.monotonic() + patience_s
    while True:
        try:
            return _react(url, digest, patience_s)
        except EgoReactError as error:
            if time.monotonic() >= give_up_s or _is_final(error):
                raise
        time.sleep(PAUSE_S)


class _WrongAnswerError(EgoReactError):
    """What waiting does not mend."""


def _is_final(error: EgoReactError) -> bool:
    return isinstance(error, _WrongAnswerError) or "token" in error.remedy


def _react(url: str, digest: str, timeout_s: float) -> float:
    described = model(url, timeout_s=timeout_s)
    _check_digest(url, described["digest"], digest)
    side = described["image_side_px"]
    picture = np.full((side, side, 3), 90, np.uint8)
    picture[: side // 2] = (140, 180, 220)  # a sky over a ground
    slowest_s = 0.0
    with LiveSession(url, timeout_s=timeout_s, retry=Backoff(give_up_s=0)) as session:
        _check_digest(url, session.hello.digest, digest)
        for token in range(TOKENS):
            started_s = time.monotonic()
            chunk = session.exchange(session.hello.frames_per_token * token, picture)
            slowest_s = max(slowest_s, time.monotonic() - started_s)
            if chunk is None or not np.isfinite(chunk.joints_m).all():
                raise _WrongAnswerError("its motion is not finite", where=url, remedy="see the service's log")
    return slowest_s


def _check_digest(url: str, found: str, wanted: str) -> None:
    if found != wanted:
        remedy = "another release may be under way; see: egoreact lineage champion"
        raise EgoReactError(f"it serves bundle {found[:12]}, not {wanted[:12]}", where=url, remedy=remedy)
