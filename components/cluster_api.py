"""The Kubernetes API as steps need it: patient with an API server that is busy, away or restarting.

Every call is repeated on 429 (after what `Retry-After` says), 5xx and broken connections, until its time is up. A
refusal that repeating does not change is one line for the person who runs the pipeline.
"""

import json
import logging
import os
import random
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from egoreact.errors import EgoReactError

log = logging.getLogger(__name__)
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
REQUEST_TIMEOUT_S = (5, 30)
"""Connect, read."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 20.0
PASSING = (0, 408, 429, 500, 502, 503, 504)

T = TypeVar("T")


@dataclass(frozen=True)
class Cluster:
    """A namespace of a cluster, and the client that speaks to it."""

    api: Any
    """`kubernetes.client.ApiClient`."""
    namespace: str
    sleep: Callable[[float], None] = time.sleep

    @staticmethod
    def of_this_pod(wanted_by: str) -> "Cluster":
        """The pod's own cluster by its service account, else the one that kubectl uses; `KUBECONFIG` comes before both.

        Args:
            wanted_by: the setting that wants a cluster, for the message.

        Raises:
            EgoReactError: none is configured.
        """
        import kubernetes.client
        import kubernetes.config

        configuration = kubernetes.client.Configuration()
        try:
            if "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ:
                kubernetes.config.load_incluster_config(client_configuration=configuration)
            else:
                kubernetes.config.load_kube_config(client_configuration=configuration)
        except (kubernetes.config.ConfigException, OSError) as error:
            raise EgoReactError(
                f"no cluster is reachable from here ({str(error).splitlines()[0]})",
                where=wanted_by,
                remedy="run this on a cluster, name a kubeconfig in KUBECONFIG, or unset it to stay on this machine",
            ) from error
        configuration.retries = False  # `call` repeats
        namespace = NAMESPACE_FILE.read_text().strip() if NAMESPACE_FILE.is_file() else None
        return Cluster(
            kubernetes.client.ApiClient(configuration), os.environ.get("EGOREACT_NAMESPACE") or namespace or "default"
        )

    @property
    def objects(self) -> Any:
        import kubernetes.client

        return kubernetes.client.CustomObjectsApi(self.api)

    @property
    def core(self) -> Any:
        import kubernetes.client

        return kubernetes.client.CoreV1Api(self.api)

    @property
    def apps(self) -> Any:
        import kubernetes.client

        return kubernetes.client.AppsV1Api(self.api)

    def call(self, do: Callable[[], T], what: str, *, limit_s: float, passing: Collection[int] = PASSING) -> T:
        """What `do` gives, repeated until it answers.

        Args:
            what: for messages, as in "create RayJob a".
            limit_s: how long it is repeated.
            passing: statuses that repeating may change.

        Raises:
            EgoReactError: still no answer, or refused for want of rights.
            kubernetes.client.ApiException: any other refusal.
        """
        import urllib3
        from kubernetes.client.exceptions import ApiException

        deadline, pause_s, told = time.monotonic() + limit_s, FIRST_PAUSE_S, False
        while True:
            wait_s = 0.0
            try:
                return do()
            except ApiException as error:
                if error.status not in passing:
                    raise _understood(error, what) from error
                reason, cause = f"status {error.status}", error
                wait_s = _retry_after_s(error)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                reason, cause = type(error).__name__, error
            left_s = deadline - time.monotonic()
            wait_s = max(wait_s, pause_s * random.uniform(0.5, 1.0))
            if left_s <= wait_s:
                raise EgoReactError(
                    f"could not {what} for {limit_s:.0f} s ({reason})",
                    where=f"the Kubernetes API at {self.api.configuration.host}, namespace {self.namespace}",
                    remedy="look at the API server; started again, the step goes on where it was",
                ) from cause
            if not told:
                log.warning("cannot %s yet (%s); trying again", what, reason)
                told = True
            self.sleep(wait_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def status_of(error: Exception) -> int | None:
    """The HTTP status of a refusal, or None."""
    status = getattr(error, "status", None)
    return status if isinstance(status, int) else None


def message_of(error: Any) -> str:
    """The API server's own words."""
    try:
        return str(json.loads(error.body)["message"])
    except (ValueError, KeyError, TypeError):
        return str(error.reason)


def _understood(error: Any, what: str) -> Exception:
    if error.status == 403 and "exceeded quota" in message_of(error):
        return EgoReactError(
            f"has no room to {what} ({message_of(error)})",
            where="the namespace's quota",
            remedy="ask for fewer workers or smaller ones, or have the quota raised",
        )
    if error.status == 401:
        return EgoReactError(
            f"knows no such credentials ({message_of(error)})",
            where="the Kubernetes API",
            remedy="renew the token, or name another kubeconfig in KUBECONFIG",
        )
    if error.status == 403:
        return EgoReactError(
            f"does not let this account {what} ({message_of(error)})",
            where="the Kubernetes API",
            remedy="apply infra/kubernetes: its Role gives the pipeline's service account this right",
        )
    if error.status in (400, 422):
        return EgoReactError(
            f"refused to {what} ({message_of(error)})",
            where="the Kubernetes API",
            remedy="correct the manifest in infra/kubernetes/base, or what was set on the task",
        )
    return error


def _retry_after_s(error: Any) -> float:
    text = (error.headers or {}).get("Retry-After", "")
    return min(float(text), 60.0) if text.isdigit() else 0.0
