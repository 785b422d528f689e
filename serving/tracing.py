"""Spans of what the service does, by OpenTelemetry over OTLP/HTTP, where the environment names a collector.

`OTEL_EXPORTER_OTLP_ENDPOINT` (or `…_TRACES_ENDPOINT`) switches it on; all the other settings of OpenTelemetry's SDK hold,
for example `OTEL_TRACES_SAMPLER` and `OTEL_EXPORTER_OTLP_HEADERS`. Without it a span costs one look at a cache.

Spans are children of this module's spans alone: BentoML puts an unsampled one of its own around each request, and a
sampler that asks the parent would drop everything inside.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import cache
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

from serving.logs import BUNDLE_DIGITS, short

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

SWITCHES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
LAST_S = 1.0
Value = str | bool | int | float

_nothing = nullcontext()
_around: ContextVar["Span | None"] = ContextVar("span around", default=None)
_setting_up = Lock()


def span(name: str, *, session: str = "", digest: str = "", **attributes: Value) -> AbstractContextManager[Any]:
    """The block as a span, a child of the one around it in this thread or task; an exception in it marks it and goes on.

    Args:
        session: id of the session; only its first digits are told.
        digest: of the bundle; the same.
    """
    provider = _set_up()
    if provider is None:
        return _nothing
    if session:
        attributes["egoreact.session"] = short(session)
    if digest:
        attributes["egoreact.bundle"] = digest[:BUNDLE_DIGITS]
    return _span(provider, name, attributes)


def token_spans(since_s: float, timings_ms: Mapping[str, float], *, session: str, **attributes: Value) -> None:
    """One token of a live session, now that it is sent: a trace of its own, with a child for each of its stages.

    A session's tokens are no children of one span: it would hold thousands, and a sampler could not thin them out.

    Args:
        since_s: when it fell due, by `time.perf_counter`.
        timings_ms: its stages in their order; they end where the next begins.
    """
    provider = _set_up()
    if provider is None:
        return
    from opentelemetry.context import Context
    from opentelemetry.trace import set_span_in_context

    tracer = provider.get_tracer("egoreact")
    begin_ns = time.time_ns() - round((time.perf_counter() - since_s) * 1e9)
    attributes["egoreact.session"] = short(session)
    token = tracer.start_span("token", Context(), attributes=attributes, start_time=begin_ns)
    within, at_ns = set_span_in_context(token, Context()), begin_ns
    for stage, milliseconds in timings_ms.items():
        started = tracer.start_span(stage, within, start_time=at_ns)
        at_ns += round(milliseconds * 1e6)
        started.end(at_ns)
    token.end(max(at_ns, time.time_ns()))


@contextmanager
def _span(provider: "TracerProvider", name: str, attributes: dict[str, Value]) -> Iterator["Span"]:
    from opentelemetry.context import Context
    from opentelemetry.trace import set_span_in_context, use_span

    outer = _around.get()
    parent = Context() if outer is None else set_span_in_context(outer, Context())
    started = provider.get_tracer("egoreact").start_span(name, parent, attributes=attributes)
    token = _around.set(started)
    try:
        with use_span(started, end_on_exit=True):  # marks what is raised
            yield started
    finally:
        _around.reset(token)


def send_rest() -> None:
    """Sends the spans that still wait, where a process is about to end; gives up after a second."""
    provider = _set_up()
    if provider is not None:
        sending = Thread(
            target=provider.force_flush, name="last spans", daemon=True
        )  # its own timeout counts for nothing
        sending.start()
        sending.join(LAST_S)


def _set_up() -> "TracerProvider | None":
    with _setting_up:
        return _provider()


@cache
def _provider() -> "TracerProvider | None":
    if not any(os.environ.get(name) for name in SWITCHES):
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = os.environ.get("OTEL_SERVICE_NAME") or "egoreact"
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: named}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
