"""Spans reach a collector over OTLP/HTTP where the environment names one, and cost nothing where it does not."""

import io
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from PIL import Image
from running import make_frames, running
from websockets.sync.client import connect

from egoreact.client.wire import Frame, unpack_message
from serving.metrics import STAGES

ROOT = Path(__file__).parents[2]
SESSION = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def collector():
    """A receiver of OTLP/HTTP on loopback: its address, and what it has received."""
    received: list[ExportTraceServiceRequest] = []

    class Receive(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces" and self.headers["Content-Type"] == "application/x-protobuf"
            received.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receive)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", received
    server.shutdown()
    thread.join()
    server.server_close()


def run(program: str, **settings: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    command = [sys.executable, "-c", f"from serving.tracing import span\n{program}"]
    return subprocess.run(command, cwd=ROOT, env=kept | settings, text=True, capture_output=True, check=True).stdout


def spans(received: list[ExportTraceServiceRequest]) -> dict:
    return {s.name: s for request in received for r in request.resource_spans for g in r.scope_spans for s in g.spans}


def attributes(holder) -> dict:
    return {a.key: a.value.string_value or a.value.int_value for a in holder.attributes}


def test_spans_come_with_their_parents_and_what_they_are_of(collector):
    url, received = collector
    program = f"""
with span("step", batch=2):
    with span("perception", session={SESSION!r}, digest={"5b" * 32!r}):
        pass
with span("upload"):
    pass
"""
    run(program, OTEL_EXPORTER_OTLP_ENDPOINT=url)
    found = spans(received)
    assert set(found) == {"step", "perception", "upload"}
    step, perception, upload = found["step"], found["perception"], found["upload"]
    assert perception.parent_span_id == step.span_id and perception.trace_id == step.trace_id
    assert not upload.parent_span_id and upload.trace_id != step.trace_id
    assert step.start_time_unix_nano <= perception.start_time_unix_nano <= perception.end_time_unix_nano
    assert attributes(step) == {"batch": 2}
    assert attributes(perception) == {"egoreact.session": SESSION[:8], "egoreact.bundle": "5b" * 6}
    assert attributes(received[0].resource_spans[0].resource)["service.name"] == "egoreact"


def test_what_is_raised_within_is_marked_and_goes_on(collector):
    url, received = collector
    program = """
try:
    with span("gpt"):
        raise ValueError("no")
except ValueError:
    print("raised")
"""
    assert run(program, OTEL_EXPORTER_OTLP_ENDPOINT=url) == "raised\n"
    gpt = spans(received)["gpt"]
    assert gpt.status.code == gpt.status.STATUS_CODE_ERROR and gpt.events[0].name == "exception"


def test_a_token_is_a_trace_with_its_stages_one_after_another(collector):
    url, received = collector
    program = f"""
import time
from serving.tracing import token_spans
timings_ms = {{"image": 4.0, "wait": 2.0, "perception": 10.0}}
since_s = time.perf_counter() - 0.02
with span("session"):
    token_spans(since_s, timings_ms, session={SESSION!r}, index=3)
"""
    run(program, OTEL_EXPORTER_OTLP_ENDPOINT=url)
    found = spans(received)
    token, image, wait, perception = (found[name] for name in ("token", "image", "wait", "perception"))
    assert not token.parent_span_id and token.trace_id != found["session"].trace_id
    assert {s.parent_span_id for s in (image, wait, perception)} == {token.span_id}
    assert attributes(token) == {"egoreact.session": SESSION[:8], "index": 3}
    assert token.start_time_unix_nano == image.start_time_unix_nano
    assert image.end_time_unix_nano - image.start_time_unix_nano == 4_000_000
    assert (wait.start_time_unix_nano, perception.start_time_unix_nano) == (
        image.end_time_unix_nano, wait.end_time_unix_nano
    )  # fmt: skip
    assert 16e6 <= token.end_time_unix_nano - token.start_time_unix_nano < 1e9


def test_a_live_session_of_the_running_service_is_traced(collector, bundle_folder, tmp_path):
    url, received = collector
    picture = io.BytesIO()
    Image.fromarray(make_frames(1)[0]).save(picture, "jpeg")
    with (
        running(tmp_path, EGOREACT_BUNDLE=bundle_folder, OTEL_EXPORTER_OTLP_ENDPOINT=url) as service,
        connect(f"{service.url.replace('http', 'ws')}/v1/stream") as live,
    ):
        hello = unpack_message(live.recv())
        live.send(Frame(0, 0.0, picture.getvalue()).pack())
        timings_ms = unpack_message(live.recv())["timings_ms"]
    found = spans(received)
    assert {"session", "step", "token", *STAGES[:-1]} <= set(found)
    assert attributes(found["token"])["egoreact.session"] == hello["session"][:8]
    assert attributes(found["session"])["egoreact.bundle"] == hello["digest"][:12]
    gpt = found["gpt"]
    assert gpt.trace_id == found["token"].trace_id
    assert (gpt.end_time_unix_nano - gpt.start_time_unix_nano) / 1e6 == pytest.approx(timings_ms["gpt"], abs=0.01)


def test_a_parent_that_others_did_not_sample_hides_nothing(collector):
    """BentoML's middleware puts such a span around every request."""
    url, received = collector
    program = """
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
with TracerProvider(sampler=ALWAYS_OFF).get_tracer("other").start_as_current_span("request"):
    with span("live"):
        with span("decode"):
            pass
"""
    run(program, OTEL_EXPORTER_OTLP_ENDPOINT=url)
    found = spans(received)
    assert set(found) == {"live", "decode"} and found["decode"].parent_span_id == found["live"].span_id


def test_a_collector_that_does_not_answer_does_not_hold_up_an_end():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        program = """
import os, time
from serving.tracing import send_rest
with span("step"):
    pass
started_s = time.monotonic()
send_rest()
print(time.monotonic() - started_s < 8, flush=True)
os._exit(0)
"""
        assert run(program, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{silent.getsockname()[1]}") == "True\n"


def test_a_collector_that_is_away_changes_nothing():
    program = """
with span("step"):
    print("done")
"""
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    assert run(program, **settings) == "done\n"


def test_without_a_collector_no_span_is_made_and_nothing_is_imported():
    program = """
import sys
with span("step", session="s", batch=1) as made:
    print(made, any(name.startswith("opentelemetry.sdk") for name in sys.modules))
"""
    assert run(program) == "None False\n"
