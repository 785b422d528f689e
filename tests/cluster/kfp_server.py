"""Kubeflow Pipelines' API as its stock client calls it (REST, v2beta1), in this process, with faults on demand."""

import json
import re
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from kfp_objects import KfpObjects, RefusedError

Answer = tuple[int, Any]


@dataclass
class Fault:
    """What happens to the next requests whose method and path match.

    Args:
        status: answered with instead of the real thing; 0 cuts the connection.
        done: whether the request takes effect all the same, so that only its answer is lost.
        seconds: to wait first.
    """

    pattern: str
    status: int = 0
    times: int = 1
    done: bool = False
    seconds: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, *where: Any) -> None:
        """A client that was interrupted hangs up: no news, and no traceback among what the command prints."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(*where)


class KfpServer(KfpObjects):
    """`with KfpServer() as server:` listens on a free port at `server.url`."""

    def __init__(self) -> None:
        self.reset()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def _handle(self) -> None:
                server._handle(self)

            do_GET = do_POST = do_DELETE = do_PATCH = _handle  # noqa: N815 - http.server's names

        self._http = _Quiet(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def reset(self) -> None:
        """Forgets everything: as a new server."""
        super().reset()
        self.token = ""
        self.requests: list[tuple[str, str]] = []
        self.faults: list[Fault] = []

    def __enter__(self) -> "KfpServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    @contextmanager
    def fault(self, pattern: str, **settings: Any) -> Iterator[Fault]:
        """A fault for as long as the block lasts, or for so many requests."""
        fault = Fault(pattern, **settings)
        self.faults.append(fault)
        try:
            yield fault
        finally:
            if fault in self.faults:
                self.faults.remove(fault)

    def count(self, pattern: str) -> int:
        """Requests so far whose `METHOD /path` matches."""
        return sum(re.fullmatch(pattern, f"{method} {path}") is not None for method, path in self.requests)

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        url = urllib.parse.urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        path = url.path
        with self.lock:
            self.requests.append((handler.command, path))
            fault = self._fault(f"{handler.command} {path}")
        if fault is not None:
            time.sleep(fault.seconds)
            if fault.status != 200 or fault.body is not None:
                if fault.done:
                    self._answer(handler, path, url.query, body)
                self._fail(handler, fault)
                return
        status, content = self._answer(handler, path, url.query, body)
        self._send(handler, status, json.dumps(content).encode(), "application/json", {})

    def _fault(self, request: str) -> Fault | None:
        for fault in self.faults:
            if re.fullmatch(fault.pattern, request) and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    def _fail(self, handler: BaseHTTPRequestHandler, fault: Fault) -> None:
        if fault.status == 0:
            handler.close_connection = True
            handler.connection.close()
            return
        if fault.body is not None:
            self._send(handler, fault.status, fault.body, "text/html", fault.headers)
            return
        content = {"error": "injected", "message": f"injected {fault.status}", "code": 13, "details": []}
        self._send(handler, fault.status, json.dumps(content).encode(), "application/json", fault.headers)

    def _send(
        self, handler: BaseHTTPRequestHandler, status: int, body: bytes, kind: str, headers: dict[str, str]
    ) -> None:
        try:
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Type", kind)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)
        except OSError:  # the client went away
            handler.close_connection = True

    def _answer(self, handler: BaseHTTPRequestHandler, path: str, query: str, body: bytes) -> Answer:
        given = handler.headers.get("authorization", "")
        if self.token and not path.endswith("/healthz") and given != f"Bearer {self.token}":
            return 401, {"error": "Unauthenticated", "message": "Unauthenticated", "code": 16, "details": []}
        arguments = dict(urllib.parse.parse_qsl(query))
        try:
            with self.lock:
                content = _uploaded(handler, body) if "/upload" in path else json.loads(body or b"{}")
                return 200, self.route(handler.command, path, arguments, content)
        except RefusedError as refusal:
            return refusal.status, {"error": str(refusal), "message": str(refusal), "code": 3, "details": []}


def _uploaded(handler: BaseHTTPRequestHandler, body: bytes) -> str:
    head = f"Content-Type: {handler.headers['Content-Type']}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + body)
    for part in message.walk():
        if part.get_param("name", header="content-disposition") == "uploadfile":
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            return content.decode()
    raise RefusedError(400, "InvalidInputError: no uploadfile")
