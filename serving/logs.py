"""The service's log: a line a happening, with the session and the bundle it is of, for people or (json) for machines.

`EGOREACT_LOG=json` makes every line one JSON object. In either form no line ever holds a bearer token, the whole id of a
session (with it one could resume the session) or bytes of a picture: `Scrub` sees to it in whatever is logged, also by
libraries and in tracebacks.
"""

import logging
import os
import re
from collections.abc import MutableMapping
from typing import Any

from egoreact.errors import EgoReactError

NAME = "bentoml.egoreact"
"""Below BentoML's logger, whose handlers every worker has."""
FORMS = ("plain", "json")
SESSION_DIGITS, BUNDLE_DIGITS = 8, 12

SECRETS = (
    (re.compile(r"(?i)\b(bearer)([ .]|%20)[\w~+/.-]+=*"), r"\1\2…"),
    (re.compile(r"(?i)\b((?:resume|token|authorization)['\"]?\s*[=:]\s*['\"]?)(?!bearer)[^\s&'\",)}\]]+"), r"\1…"),
    (re.compile(r"\b([0-9a-f]{8})[0-9a-f]{24}\b"), r"\1…"),
    (re.compile(r"b'(?:[^'\\]|\\.){9,}'|b\"(?:[^\"\\]|\\.){9,}\""), "<bytes>"),
)


def short(session_id: str) -> str:
    """What may be shown of a session's id: enough to find it again, not enough to resume it."""
    return session_id[:SESSION_DIGITS]


def scrub(text: str) -> str:
    """The text without tokens, ids of sessions and bytes."""
    for pattern, instead in SECRETS:
        text = pattern.sub(instead, text)
    return text


class Scrub(logging.Filter):
    """Cleans each record before it is formatted, and adds the bundle where a line does not name one."""

    def __init__(self, digest: str = ""):
        super().__init__()
        self.bundle = digest[:BUNDLE_DIGITS]

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = scrub(record.getMessage()), ()
        if record.exc_info:
            record.exc_text = scrub(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None
        for name, value in list(vars(record).items()):
            if isinstance(value, str | bytes):
                setattr(record, name, scrub(value) if isinstance(value, str) else "<bytes>")
        if self.bundle and not hasattr(record, "bundle"):
            record.bundle = self.bundle
        return True


class Plain(logging.Formatter):
    """`2026-11-22T20:39:44+0000 WARNING a frame is no picture (session 1a2b3c4d, bundle 31a2e0d87829)`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z")

    def formatMessage(self, record: logging.LogRecord) -> str:
        named = [f"{name} {getattr(record, name)}" for name in ("session", "bundle") if hasattr(record, name)]
        return super().formatMessage(record) + (f" ({', '.join(named)})" if named else "")


def form() -> str:
    """Raises EgoReactError where `EGOREACT_LOG` names no form of log."""
    named = os.environ.get("EGOREACT_LOG") or FORMS[0]
    if named not in FORMS:
        raise EgoReactError(f"{named!r} is no form of log", where="EGOREACT_LOG", remedy=f"set {' or '.join(FORMS)}")
    return named


def say(line: str) -> None:
    """Prints a line of the command that runs the service: as it is, or as one JSON object like the others."""
    if form() == "json":
        line = _json().format(logging.LogRecord(NAME, logging.INFO, "", 0, scrub(line), (), None))
    print(line, flush=True)


def configure_logs(digest: str = "") -> None:
    """Gives all handlers that BentoML has set the form that `EGOREACT_LOG` names, and the scrubbing. May be called again.

    Args:
        digest: of the bundle being served, for lines of no session; empty before it is known.

    Raises:
        EgoReactError: as `form`.
    """
    formatter = _json() if form() == "json" else Plain()
    loggers = [logging.getLogger(name) for name in ("", "bentoml", "uvicorn.error", "circus")]
    for handler in {handler for logger in loggers for handler in logger.handlers}:
        handler.setFormatter(formatter)
        for older in [f for f in handler.filters if isinstance(f, Scrub)]:
            handler.removeFilter(older)
        handler.addFilter(Scrub(digest))


def _json() -> logging.Formatter:
    from pythonjsonlogger.core import RESERVED_ATTRS
    from pythonjsonlogger.json import JsonFormatter

    bentomls_own = ("levelname_bracketed", "component", "trace_msg", "request_id", "service_name")
    return JsonFormatter(
        "%(levelname)s %(name)s %(message)s",
        rename_fields={"levelname": "level", "name": "logger", "exc_info": "traceback"},
        timestamp="time",
        reserved_attrs=[*RESERVED_ATTRS, *bentomls_own, "taskName"],
        json_ensure_ascii=False,
    )


class SessionLog(logging.LoggerAdapter):
    """A logger whose lines name their session and bundle; a call's own `extra` is kept."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


def session_log(session_id: str, digest: str) -> SessionLog:
    """The log of one session; of the service as a whole where the id is empty."""
    named = {"session": short(session_id)} if session_id else {}
    return SessionLog(logging.getLogger(NAME), named | {"bundle": digest[:BUNDLE_DIGITS]})
