"""Who may use the service: bearer tokens, their rates, and the web pages that browsers may call it from.

The file of the tokens is read again when it changes, so that a token made or revoked counts at once. Where no token was
ever made the service is open, and then it listens on loopback only: `require_tokens` sees to that.
"""

import hmac
import ipaddress
import logging
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from egoreact.client.wire import BEARER_PREFIX
from egoreact.errors import EgoReactError
from serving.metrics import gauges
from serving.protocol import Refused
from serving.tokens import Token, digest_of, read_tokens, tokens_file

log = logging.getLogger("bentoml.egoreact")
_ORIGIN = re.compile(r"https?://[^/?#@\s,*]+")


def require_tokens(host: str) -> None:
    """Raises EgoReactError where `host`, the address to listen on, is not loopback and no token is set."""
    if not _is_loopback(host) and all(token.revoked_at for token in read_tokens(tokens_file())):
        raise EgoReactError(
            "no token is set, and others could reach the service there",
            where=f"--host {host}",
            remedy="make one with: egoreact token create NAME, or listen on 127.0.0.1",
        )


@dataclass
class Access:
    """The rules of one worker. Used from its event loop only, so plain counters suffice."""

    path: Path | None = None
    """Of the tokens; None: the service is open and stays so."""
    origins: tuple[str, ...] = ()
    """Of web pages on other hosts that may call the service."""
    required: bool = False
    """Whether a token is needed though none was made yet."""
    clock: Callable[[], float] = time.monotonic
    _tokens: list[Token] = field(default_factory=list, init=False)
    _read: tuple[int, int, int] | None = field(default=None, init=False)
    """Which file was read: its node, size and time."""
    _left: dict[str, tuple[float, float]] = field(default_factory=dict, init=False)
    """By name: what was left of the rate, and when."""
    _sessions: dict[str, int] = field(default_factory=dict, init=False)

    @staticmethod
    def from_environment() -> "Access":
        """By `EGOREACT_TOKENS` and `EGOREACT_ALLOWED_ORIGINS`, a list with commas.

        Raises:
            EgoReactError: a named file that is absent, a line of it that is no token, or an entry that is no origin.
        """
        path, named = tokens_file(), bool(os.environ.get("EGOREACT_TOKENS"))
        if named and not path.is_file():
            remedy = "make a token with: egoreact token create NAME, or unset it"
            raise EgoReactError("no such file", where=f"EGOREACT_TOKENS={path}", remedy=remedy)
        read_tokens(path)
        listed = os.environ.get("EGOREACT_ALLOWED_ORIGINS", "").split(",")
        origins = tuple(origin.strip().rstrip("/") for origin in listed if origin.strip())
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                remedy = "list origins with commas, for example https://lab.example,http://localhost:5173"
                raise EgoReactError(f"'{origin}' is no origin", where="EGOREACT_ALLOWED_ORIGINS", remedy=remedy)
        return Access(path, origins, required=named)

    @property
    def open(self) -> bool:
        """Whether nobody needs a token: none was ever made."""
        self._refresh()
        return not self.required

    def check(self, authorization: str | None, subprotocols: Sequence[str] = ()) -> str:
        """The name of the token that a client shows; "" where the service is open.

        Args:
            authorization: the header of that name: `Bearer TOKEN`.
            subprotocols: of a WebSocket; one may be `bearer.TOKEN`.

        Raises:
            Refused: 401 or close code 4401: no token, or one that is unknown or revoked.
        """
        if self.open:
            return ""
        scheme, _, shown = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            offered = (word for word in subprotocols if word.startswith(BEARER_PREFIX))
            shown = next(offered, "").removeprefix(BEARER_PREFIX)
        if not shown:
            raise _unauthorised("a bearer token is needed; send the header Authorization: Bearer TOKEN")
        digest, name = digest_of(shown.strip()), None
        for token in self._tokens:  # all of them, whichever fits: the time tells nothing
            if hmac.compare_digest(digest, token.sha256) and token.revoked_at is None:
                name = token.name
        if name is None:
            raise _unauthorised("the bearer token is unknown or was revoked")
        return name

    def spend(self, name: str) -> None:
        """Counts an upload or a new session against the token's rate.

        Raises:
            Refused: 429 or close code 1013, with when to come back, where the rate is used up.
        """
        token = self._find(name)
        if token is None:
            return
        now, most = self.clock(), float(token.rate_per_minute)
        left, since = self._left.get(name, (most, now))
        left = min(most, left + (now - since) * most / 60)
        if left < 1:
            wait_s = math.ceil((1 - left) * 60 / most)
            raise _over(f"the token's {token.rate_per_minute} a minute are used up; try again in {wait_s} s", wait_s)
        self._left[name] = (left - 1, now)

    @contextmanager
    def session(self, name: str) -> Iterator[None]:
        """Holds one of the token's live sessions for the block.

        Raises:
            Refused: 429 or close code 1013 where all are taken.
        """
        token = self._find(name)
        if token is not None and self._sessions.get(name, 0) >= token.sessions:
            raise _over(f"the token's {token.sessions} live sessions are taken; end one, or try again in 5 s", 5)
        self._sessions[name] = self._sessions.get(name, 0) + 1
        try:
            yield
        finally:
            self._sessions[name] -= 1

    def allows_origin(self, origin: str | None, host: str | None) -> bool:
        """Whether a page of `origin` may call the service under the name `host`; without an origin it is no page.

        A page of the service's own may. Where the service is open, only under a loopback name: a foreign site can give
        its own name the address 127.0.0.1, and would pass for ours.
        """
        if origin is None or origin in self.origins:
            return True
        try:
            parts = urlsplit(origin)
            name = parts.hostname or ""
        except ValueError:
            return False
        return parts.netloc == host and (not self.open or _is_loopback(name))

    def _find(self, name: str) -> Token | None:
        return next((token for token in self._tokens if token.name == name and token.revoked_at is None), None)

    def _refresh(self) -> None:
        if self.path is None:
            return
        try:
            status = self.path.stat()
        except OSError:
            self._tokens, self._read = [], None  # deleted: nobody is let in until there is one again
            return
        found = (status.st_ino, status.st_size, status.st_mtime_ns)
        if found == self._read:
            return
        self._read = found
        try:
            self._tokens = read_tokens(self.path)
        except EgoReactError as error:
            log.error("the tokens stay as they were: %s", error)
        self.required = self.required or bool(self._tokens)


def _unauthorised(line: str) -> Refused:
    gauges().refused.labels(reason="unauthorised").inc()
    return Refused(line, status=401, close_code=4401)


def _over(line: str, retry_after_s: int) -> Refused:
    gauges().refused.labels(reason="rate").inc()
    return Refused(line, status=429, close_code=1013, retry_after_s=retry_after_s)


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
