"""Where the service is, and with what token a client comes to it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from egoreact.errors import EgoReactError

TOKEN_VARIABLE = "EGOREACT_TOKEN"
START_IT = "start it with: egoreact serve"
GIVE_A_TOKEN = f"give a valid token: token=, --token or {TOKEN_VARIABLE}"


@dataclass(frozen=True)
class Endpoint:
    """A service's address, without a slash at its end, and the bearer token, which nothing here ever prints."""

    url: str
    token: str | None = field(default=None, repr=False)

    @staticmethod
    def of(url: str, token: str | None = None) -> "Endpoint":
        """The address, and the token or else `EGOREACT_TOKEN`.

        Raises:
            EgoReactError: no http address, or a token that no header can carry.
        """
        try:
            parts = urlsplit(url)
            known = parts.scheme in ("http", "https") and bool((parts.hostname or "").encode("idna"))
            known = known and parts.port != 0
        except ValueError:  # of a port, or of a host that no name service could look up
            known = False
        if not known or parts.query or parts.fragment:
            raise EgoReactError("is no http address", where=url, remedy="give one like http://127.0.0.1:3000")
        token = token or os.environ.get(TOKEN_VARIABLE) or None
        if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
            raise EgoReactError("the token holds spaces or other characters", where=url, remedy=GIVE_A_TOKEN)
        return Endpoint(url.rstrip("/"), token)

    def headers(self) -> dict[str, str]:
        return {} if self.token is None else {"Authorization": f"Bearer {self.token}"}

    def rest(self, path: str, **query: object) -> str:
        return f"{self.url}{path}" + (f"?{urlencode(query)}" if query else "")

    def websocket(self, query: Mapping[str, object]) -> str:
        return f"{self.url.replace('http', 'ws', 1)}/v1/stream?{urlencode(query)}"


def first_line(error: BaseException) -> str:
    """What an exception says, in one line."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
