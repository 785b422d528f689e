"""The log of a RayJob's head pod on this step's output, for people. Nothing depends on it, and no fault of it ends anything."""

import contextlib
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

from components.cluster_api import REQUEST_TIMEOUT_S, Cluster
from components.train.ray_manifest import GROUP, PLURAL, VERSION

log = logging.getLogger(__name__)
PAUSE_S = 5.0
SILENCE_S = 300
"""A stream that says nothing for so long is opened anew."""


@contextlib.contextmanager
def showing_log(cluster: Cluster, job: str) -> Iterator[None]:
    """Prints the lines of the head of the RayJob's cluster while the block lasts, each once."""
    ended = threading.Event()
    thread = threading.Thread(target=_follow, args=(cluster, job, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(1.0)  # the last lines; a stream that hangs is left behind


def _follow(cluster: Cluster, job: str, ended: threading.Event) -> None:
    shown: dict[str, int] = {}
    told = False
    while True:
        last = ended.is_set()
        try:
            pod = _head(cluster, job)
            if pod is not None:
                _show(cluster, pod, shown, ended)
        except Exception as error:  # whatever it is, it is only the log
            if not told and not last:
                log.warning("cannot show the log of RayJob %s (%s); the job goes on", job, _first_line(error))
                told = True
        if last or ended.wait(PAUSE_S):
            return


def _head(cluster: Cluster, job: str) -> str | None:
    """The name of the newest head pod, or None while there is none."""
    status = cluster.objects.get_namespaced_custom_object(
        GROUP, VERSION, cluster.namespace, PLURAL, job, _request_timeout=REQUEST_TIMEOUT_S
    ).get("status", {})
    name = status.get("rayClusterName")
    if not name:
        return None
    selector = f"ray.io/cluster={name},ray.io/node-type=head"
    pods = cluster.core.list_namespaced_pod(
        cluster.namespace, label_selector=selector, _request_timeout=REQUEST_TIMEOUT_S
    ).items
    newest = max(pods, key=lambda pod: pod.metadata.creation_timestamp, default=None)
    return None if newest is None else str(newest.metadata.name)


def _show(cluster: Cluster, pod: str, shown: dict[str, int], ended: threading.Event) -> None:
    """A stream starts at the log's first line; those shown before are passed over."""
    stream: Any = cluster.core.read_namespaced_pod_log(
        pod,
        cluster.namespace,
        container="ray-head",
        follow=True,
        _preload_content=False,
        _request_timeout=(REQUEST_TIMEOUT_S[0], SILENCE_S),
    )
    rest, number = b"", 0
    try:
        for piece in stream.stream(amt=None):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                number += 1
                if number > shown.get(pod, 0):
                    shown[pod] = number
                    print(line.decode(errors="replace"), file=sys.stderr, flush=True)
            if ended.is_set():
                return
    finally:
        stream.close()
        stream.release_conn()


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
