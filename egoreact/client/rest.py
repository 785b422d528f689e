"""Whole videos and the model's description by REST, with the standard library alone."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Literal

from egoreact.client.endpoint import GIVE_A_TOKEN, START_IT, Endpoint, first_line
from egoreact.errors import EgoReactError

Form = Literal["json", "npz", "bvh", "glb"]


def react(
    url: str,
    video: Path | bytes,
    *,
    seed: int = 0,
    form: Form = "json",
    token: str | None = None,
    timeout_s: float = 300.0,
) -> Any:
    """The reaction to a whole video.

    Args:
        url: of the service.
        video: an mp4 or webm file, or its bytes.
        seed: of sampling.
        form: json gives a map; npz, bvh and glb give bytes.
        token: bearer token; `EGOREACT_TOKEN` where not given.
        timeout_s: to wait for the answer to begin.

    Raises:
        EgoReactError: the service's own line where it refuses.
    """
    with _post(Endpoint.of(url, token), video, seed, form, timeout_s) as answer:
        content = _read(answer, url)
    return json.loads(content) if form == "json" else content


def react_while_made(
    url: str, video: Path | bytes, *, seed: int = 0, token: str | None = None, timeout_s: float = 300.0
) -> Iterator[dict[str, Any]]:
    """The reaction to a whole video, a map at a time while it is made (NDJSON): metadata, chunks, a summary.

    Raises:
        EgoReactError: the service's own line where it refuses, at first or on the way.
    """
    with _post(Endpoint.of(url, token), video, seed, "ndjson", timeout_s) as answer:
        message: dict[str, Any] = {}
        while line := _read_line(answer, url):
            try:
                message = json.loads(line)
            except ValueError as error:
                raise _broken(url, error) from error
            if "error" in message:
                raise EgoReactError(str(message["error"]), where=url, remedy="see the limits at /v1/model")
            yield message
        if message.get("type") != "summary":
            raise _broken(url, EOFError("no summary came"))


def model(url: str, *, token: str | None = None, timeout_s: float = 30.0) -> dict[str, Any]:
    """What `GET /v1/model` says: version, digest, joints, limits, and the run and data the model comes from."""
    endpoint = Endpoint.of(url, token)
    with _open(endpoint, urllib.request.Request(endpoint.rest("/v1/model"), method="GET"), timeout_s) as answer:
        return json.loads(_read(answer, url))


def is_ready(url: str, *, timeout_s: float = 5.0) -> bool:
    """Whether the service takes new work: False while it loads, drains, or is not there."""
    endpoint = Endpoint.of(url)
    try:
        with _open(endpoint, urllib.request.Request(endpoint.rest("/readyz"), method="GET"), timeout_s):
            return True
    except EgoReactError:
        return False


def _post(endpoint: Endpoint, video: Path | bytes, seed: int, form: str, timeout_s: float) -> IO[bytes]:
    if isinstance(video, Path) and not video.is_file():
        raise EgoReactError("no such file", where=video, remedy="check the path")
    body = video.read_bytes() if isinstance(video, Path) else video
    address = endpoint.rest("/v1/reactions", format=form, seed=seed)
    headers = {"Content-Type": "application/octet-stream"}
    return _open(endpoint, urllib.request.Request(address, body, headers), timeout_s)


def _open(endpoint: Endpoint, request: urllib.request.Request, timeout_s: float) -> IO[bytes]:
    for name, value in endpoint.headers().items():
        request.add_unredirected_header(name, value)  # a redirect must not carry the token to another host
    try:
        return urllib.request.build_opener(_Http, _Https).open(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(endpoint, error) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        line = first_line(reason) if isinstance(reason, BaseException) else str(reason)
        raise EgoReactError(f"cannot be reached ({line})", where=endpoint.url, remedy=START_IT) from error


def _refusal(endpoint: Endpoint, error: urllib.error.HTTPError) -> EgoReactError:
    try:
        line = str(json.loads(error.read())["error"])
    except (ValueError, KeyError, TypeError, OSError, http.client.HTTPException):
        line = f"the service answered {error.code} without a reason"
    remedy = f"the service answered {error.code}"
    if error.code == 401:
        remedy = GIVE_A_TOKEN
    elif after := error.headers.get("Retry-After"):
        remedy = f"try again in {after} s"
    return EgoReactError(line, where=endpoint.url, remedy=remedy)


def _read(answer: IO[bytes], url: str) -> bytes:
    try:
        return answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise _broken(url, error) from error


def _read_line(answer: IO[bytes], url: str) -> bytes:
    try:
        return answer.readline()
    except (OSError, http.client.HTTPException) as error:
        raise _broken(url, error) from error


def _broken(url: str, error: Exception) -> EgoReactError:
    return EgoReactError(f"the answer broke off ({first_line(error)})", where=url, remedy="send the video again")


class _Patient:
    """A service that refuses at once hangs up on the body; its answer is there all the same, and says why."""

    def request(self, *arguments: Any, **options: Any) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            super().request(*arguments, **options)  # type: ignore[misc]


class _Connection(_Patient, http.client.HTTPConnection):
    pass


class _SecureConnection(_Patient, http.client.HTTPSConnection):
    pass


class _Http(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, request)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_SecureConnection, request)
