"""The Kubernetes API over plain HTTP, for tests: namespaced objects, patches, status, watches, pod logs, and faults.

`with KubernetesServer() as server:` gives `server.url`; `server.client()` a `kubernetes.client.ApiClient` that speaks
to it. `server.fail("create", "rayjobs", status=500)` makes the next such request fail. Controllers that play KubeRay
and the Deployment controller are in `kubernetes_controllers`.
"""

import sys
import threading
from collections import defaultdict
from http.server import ThreadingHTTPServer
from typing import Any

from kubernetes_http import Fault, Handler, Request, Verb
from kubernetes_objects import Kind, Object, Store


class KubernetesServer:
    """A context manager; objects, faults and requests of one server. Safe to use from several threads."""

    def __init__(self, *, token: str | None = None) -> None:
        self.store, self.token = Store(), token
        self.requests: list[Request] = []
        self._faults: list[Fault] = []
        self._logs: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._ended: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self.closing = threading.Event()
        self._http = _Server(("127.0.0.1", 0), Handler)
        self._http.kubernetes = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> "KubernetesServer":
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        with self.store.changed:
            self.store.changed.notify_all()
        self._http.shutdown()
        self._http.server_close()

    def client(self) -> Any:
        """A `kubernetes.client.ApiClient` for this server."""
        import kubernetes.client

        configuration = kubernetes.client.Configuration(host=self.url)
        if self.token:
            configuration.api_key = {"authorization": f"Bearer {self.token}"}
        return kubernetes.client.ApiClient(configuration)

    def fail(
        self, verb: Verb, plural: str, *, name: str | None = None, times: int = 1, status: int | None = None,
        retry_after_s: int | None = None, reason: str | None = None, cut: bool = False, done: bool = False,
        delay_s: float = 0.0, pieces: int = 0,
    ) -> None:  # fmt: skip
        """Plans a fault (`Fault` says what each word means); several for one verb and plural happen in turn."""
        with self._lock:
            self._faults.append(
                Fault(verb, plural, name, times, status, retry_after_s, reason, cut, done, delay_s, pieces)
            )

    def heal(self) -> None:
        """No planned fault happens any more."""
        with self._lock:
            self._faults.clear()

    def asked(self, verb: Verb, plural: str) -> list[Request]:
        with self._lock:
            return [request for request in self.requests if (request.verb, request.plural) == (verb, plural)]

    def get(self, group: str, plural: str, namespace: str, name: str) -> Object:
        """The object as the API would give it; `RefusalError` 404 where there is none. The core group is ``""``."""
        return self.store.get(Kind(group, plural), namespace, name)

    def names(self, group: str, plural: str, namespace: str) -> list[str]:
        return [each["metadata"]["name"] for each in self.store.list(Kind(group, plural), namespace, lambda _: True)[1]]

    def create(self, group: str, plural: str, namespace: str, body: Object) -> Object:
        """Puts an object there as another client would, with its status where it has one."""
        kind, version = Kind(group, plural), body["apiVersion"]
        made = self.store.create(kind, namespace, body, version)
        if "status" in body:
            made = self.set_status(group, plural, namespace, made["metadata"]["name"], body["status"])
        return made

    def delete(self, group: str, plural: str, namespace: str, name: str) -> None:
        self.store.delete(Kind(group, plural), namespace, name)

    def set_status(self, group: str, plural: str, namespace: str, name: str, status: Object) -> Object:
        """Replaces the status, as a controller does."""
        kind = Kind(group, plural)
        with self.store.changed:
            value = self.store.get(kind, namespace, name)
            return self.store.replace(kind, namespace, name, value | {"status": status}, status=True)

    def write_log(self, namespace: str, pod: str, *lines: str, end: bool = False) -> None:
        """Adds lines to a pod's log; `end` ends the streams that follow it."""
        with self.store.changed:
            self._logs[namespace, pod].extend(lines)
            if end:
                self._ended.add((namespace, pod))
            self.store.changed.notify_all()

    def compact(self) -> None:
        """Forgets old events: watches from before get 410 Gone."""
        self.store.compact()

    def _fault(self, verb: Verb, plural: str, name: str | None) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if (fault.verb, fault.plural) == (verb, plural) and fault.name in (None, name):
                    fault.times -= 1
                    if fault.times == 0:
                        self._faults.remove(fault)
                    return fault
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *where: Any) -> None:
        """Clients hang up, and planned faults hang up on them: no news."""
        if not isinstance(sys.exception(), OSError | ValueError):
            super().handle_error(*where)
