"""How the tests' Kubernetes API speaks HTTP: paths, verbs, status codes, watches and log streams, and planned faults."""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs, urlsplit

from kubernetes_objects import Kind, Object, RefusalError

if TYPE_CHECKING:
    from kubernetes_server import KubernetesServer

Verb = Literal["get", "list", "create", "update", "patch", "delete", "watch", "log"]
PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>v[0-9a-z]+)(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+)(?:/(?P<part>[a-z]+))?)?"
)
REASONS = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Expired",
           429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable"}  # fmt: skip


@dataclass
class Fault:
    """What happens to the next `times` requests of a verb and a plural (and a name, where given)."""

    verb: Verb
    plural: str
    name: str | None
    times: int
    status: int | None
    """Answered instead of what was asked for."""
    retry_after_s: int | None
    reason: str | None
    cut: bool
    """The connection closes without an answer; streams close after `pieces` events or lines."""
    done: bool
    """The request takes effect before it fails: the answer alone is lost."""
    delay_s: float
    pieces: int


@dataclass(frozen=True)
class Request:
    """One request as it came, before any fault."""

    verb: Verb
    plural: str
    namespace: str | None
    name: str | None
    part: str | None
    body: Any
    at_s: float = field(default_factory=time.monotonic)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet

    @property
    def kubernetes(self) -> "KubernetesServer":
        return self.server.kubernetes  # type: ignore[attr-defined]

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - names of http.server

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length) if length else b""
        try:
            self._serve(json.loads(raw) if raw else None)
        except RefusalError as refusal:
            self._send(refusal.code, refusal.document())
        except ConnectionError:
            self.close_connection = True
        except Exception as error:  # a bug of this server is told, not hidden behind a broken connection
            self._send(501, RefusalError(501, "TestServer", repr(error)).document())
            raise

    def _serve(self, body: Any) -> None:
        address = urlsplit(self.path)
        match = PATH.fullmatch(address.path)
        if match is None:
            raise RefusalError(404, "NotFound", "the server could not find the requested resource")
        at = match.groupdict()
        query = {name: values[-1] for name, values in parse_qs(address.query).items()}
        verb = self._verb(at, query)
        server = self.kubernetes
        with server._lock:
            server.requests.append(Request(verb, at["plural"], at["namespace"], at["name"], at["part"], body))
        if server.token and self.headers.get("Authorization") != f"Bearer {server.token}":
            raise RefusalError(401, "Unauthorized", "Unauthorized")
        fault = server._fault(verb, at["plural"], at["name"])
        if fault and fault.delay_s:
            server.closing.wait(fault.delay_s)
        stream = verb in ("watch", "log")
        if fault and (fault.status or (fault.cut and not stream)):
            if fault.done:
                self._act(verb, at, query, body)
            if fault.cut:
                self._cut()
                return
            assert fault.status is not None
            self._fail(fault)
            return
        if stream:
            pieces = fault.pieces if fault and fault.cut else None
            (self._watch if verb == "watch" else self._log)(at, query, pieces)
            return
        self._send(201 if verb == "create" else 200, self._act(verb, at, query, body))

    def _verb(self, at: dict[str, Any], query: dict[str, str]) -> Verb:
        if self.command == "GET":
            if at["part"] == "log":
                return "log"
            if query.get("watch") in ("true", "True", "1"):
                return "watch"
            return "get" if at["name"] else "list"
        verbs: dict[str, Verb] = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
        return verbs[self.command]

    def _act(self, verb: Verb, at: dict[str, Any], query: dict[str, str], body: Any) -> Object:
        store, kind, namespace, name = self.kubernetes.store, _kind(at), at["namespace"], at["name"]
        status = at["part"] == "status"
        api_version = f"{kind.group}/{at['version']}" if kind.group else at["version"]
        if verb == "list":
            version, items = store.list(kind, namespace, _selected(query))
            metadata = {"resourceVersion": str(version)}
            return {"apiVersion": api_version, "kind": "List", "metadata": metadata, "items": items}
        if verb == "create":
            return store.create(kind, namespace, body, api_version)
        if verb == "get":
            return store.get(kind, namespace, name)
        if verb == "update":
            return store.replace(kind, namespace, name, body, status=status)
        if verb == "patch":
            content_type = (self.headers.get("Content-Type") or "").partition(";")[0]
            return store.patch(kind, namespace, name, body, content_type, status=status)
        uid = ((body or {}).get("preconditions") or {}).get("uid")
        gone = store.delete(kind, namespace, name, uid)
        details = {"name": name, "kind": kind.plural, "uid": gone["metadata"]["uid"]}
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}

    def _fail(self, fault: Fault) -> None:
        code = fault.status or 500
        refusal = RefusalError(code, fault.reason or REASONS.get(code, "Unknown"), f"a fault of the test: {code}")
        headers = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
        self._send(code, refusal.document(), headers)

    def _send(self, code: int, value: Object, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(value).encode()
        self.send_response(code)
        fields = {"Content-Type": "application/json", "Content-Length": str(len(content)), **(headers or {})}
        for name, field_value in fields.items():
            self.send_header(name, field_value)
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(2)

    def _watch(self, at: dict[str, Any], query: dict[str, str], pieces: int | None) -> None:
        server, store, kind = self.kubernetes, self.kubernetes.store, _kind(at)
        matches = _selected(query)
        deadline = time.monotonic() + float(query.get("timeoutSeconds") or 300)
        given = query.get("resourceVersion") or ""
        with store.changed:
            seen = int(given) if given not in ("", "0") else store.version
            if given not in ("", "0") and seen < store.oldest:
                gone = RefusalError(410, "Expired", f"too old resource version: {seen} ({store.oldest})")
                first = [{"type": "ERROR", "object": gone.document()}]
            elif given in ("", "0"):
                present = store.list(kind, at["namespace"], matches)[1]
                first = [{"type": "ADDED", "object": each} for each in present]
            else:
                first = []
        send = self._stream("application/json", pieces)
        for event in first:
            if not send(json.dumps(event) + "\n"):
                return
        while not (first and first[0]["type"] == "ERROR"):
            with store.changed:
                news = [event for event in store.events if event.version > seen]
                over = server.closing.is_set() or time.monotonic() >= deadline
                if not news and not over:
                    store.changed.wait(min(0.5, max(0.01, deadline - time.monotonic())))
                    continue
            for event in news:
                seen = event.version
                metadata = event.object["metadata"]
                here = event.kind == kind and at["namespace"] in (None, metadata["namespace"])
                piece = json.dumps({"type": event.type, "object": event.object}) + "\n"
                if here and matches(event.object) and not send(piece):
                    return
            if over:
                break
        send(None)

    def _log(self, at: dict[str, Any], query: dict[str, str], pieces: int | None) -> None:
        server, store, pod = self.kubernetes, self.kubernetes.store, (at["namespace"], at["name"])
        if pod not in server._logs:
            store.get(Kind("", "pods"), *pod)  # 404 where there is no such pod
        follow = query.get("follow") in ("true", "True", "1")
        send = self._stream("text/plain", pieces)
        at_line = max(0, len(server._logs[pod]) - int(query["tailLines"])) if "tailLines" in query else 0
        while True:
            with store.changed:
                lines = server._logs[pod][at_line:]
                over = not follow or pod in server._ended or server.closing.is_set()
                if not lines and not over:
                    store.changed.wait(0.5)
                    continue
            for line in lines:
                if not send(line + "\n"):
                    return
            at_line += len(lines)
            if over:
                break
        send(None)

    def _stream(self, content_type: str, pieces: int | None) -> Callable[[str | None], bool]:
        """Starts a chunked answer; gives what sends one piece (None: the end). It cuts after `pieces` of them."""
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        left = [pieces]

        def send(piece: str | None) -> bool:
            if left[0] == 0:
                self._cut()
                return False
            content = (piece or "").encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
            self.wfile.flush()
            if left[0] is not None:
                left[0] -= 1
            return True

        return send


def _kind(at: dict[str, Any]) -> Kind:
    return Kind(at["group"] or "", at["plural"])


def _selected(query: dict[str, str]) -> Callable[[Object], bool]:
    labels = [part.partition("=")[::2] for part in query.get("labelSelector", "").split(",") if part]
    fields = [part.partition("=")[::2] for part in query.get("fieldSelector", "").split(",") if part]

    def matches(value: Object) -> bool:
        metadata = value["metadata"]
        own = metadata.get("labels") or {}
        return all(own.get(name) == wanted.lstrip("=") for name, wanted in labels) and all(
            metadata.get(name.removeprefix("metadata.")) == wanted.lstrip("=") for name, wanted in fields
        )

    return matches
