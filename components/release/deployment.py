"""The service's Deployment on a cluster: a patch names the release, and the rollout and a first reaction decide.

Pods never resolve an alias: version and digest are written into the Deployment, as annotations for people and as environment
of the container `service`, which starts with that bundle or not at all. The status of the Deployment is the truth; what its
pods say only explains it.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from components.cluster_api import Cluster, T, status_of
from components.release.place import DEPLOYMENT_VARIABLE
from components.release.warm_up import warm_up
from egoreact.errors import EgoReactError
from egoreact.models.release import DIGEST_VARIABLE, VERSION_VARIABLE, Release

VERSION_ANNOTATION, DIGEST_ANNOTATION = "egoreact.io/version", "egoreact.io/digest"
CONTAINER = "service"
URL_VARIABLE = "EGOREACT_SERVICE_URL"
PROGRESS_DEADLINE_S = 600
"""Kubernetes' default."""
MARGIN_S = 60
REQUEST_S = 10
MAY_PASS = (0, 408, 409, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Named:
    """The release that a Deployment names; empty strings where it names none."""

    version: str
    digest: str


@dataclass
class Deployment:
    """A `Place`.

    Args:
        url: of the Service in front of the pods.
        poll_s: between two looks at the rollout.
        patience_s: for an API server that is away or overloaded, and for the first reaction.
    """

    cluster: Cluster
    name: str
    url: str
    poll_s: float = 1.0
    patience_s: float = 60.0
    _before: Named | None = field(default=None, init=False)
    _release: Named | None = field(default=None, init=False)

    @staticmethod
    def from_environment(name: str) -> "Deployment":
        """With the pod's service account inside a cluster, else with the kubeconfig that `KUBECONFIG` names.

        `EGOREACT_NAMESPACE` and `EGOREACT_SERVICE_URL` are the pod's own namespace and `http://NAME.NAMESPACE.svc` where they
        are not set.

        Raises:
            EgoReactError: no cluster is configured.
        """
        cluster = Cluster.of_this_pod(f"{DEPLOYMENT_VARIABLE}={name}")
        return Deployment(cluster, name, os.environ.get(URL_VARIABLE) or f"http://{name}.{cluster.namespace}.svc")

    @property
    def where(self) -> str:
        return f"Deployment {self.cluster.namespace}/{self.name}"

    def before(self) -> str | None:
        found = self._read()
        if all(container.name != CONTAINER for container in found.spec.template.spec.containers):
            remedy = "apply the project's manifests: kubectl apply -k infra/kubernetes/base"
            raise EgoReactError(f"it has no container '{CONTAINER}'", where=self.where, remedy=remedy)
        self._before = self._named(found)
        return self._before.digest or None

    def serve(self, release: Release) -> None:
        if self._before is None:
            self.before()
        self._release = Named(release.version, release.digest)
        self._name(self._release)
        found = self._rolled_out(self._release)
        if not found.spec.replicas:
            print(f"{self.where} has no replicas: version {release.version} is served once it is scaled up", flush=True)
            return
        slowest_s = warm_up(self.url, release.digest, patience_s=self.patience_s)
        print(f"{self.url} serves version {release.version}, {1000 * slowest_s:.0f} ms a reaction", flush=True)

    def go_back(self, *, wait: bool = True) -> str:
        if self._release is None or self._before is None or self._before == self._release:
            return ""
        if self._named(self._read()) != self._release:
            return f"another release has taken {self.where}"
        self._name(self._before)
        if not self._before.digest:
            return "nothing was released before"
        if wait:
            self._rolled_out(self._before)
        return f"version {self._before.version} serves again"

    def _read(self) -> Any:
        return self._patiently(
            "get",
            lambda: self.cluster.apps.read_namespaced_deployment(
                self.name, self.cluster.namespace, _request_timeout=REQUEST_S
            ),
        )

    def _name(self, release: Named) -> None:
        """Writes the release into the Deployment, both or neither; empty strings take it out."""
        annotations = {VERSION_ANNOTATION: release.version or None, DIGEST_ANNOTATION: release.digest or None}
        variables: list[dict[str, str]] = [
            {"name": VERSION_VARIABLE, "value": release.version},
            {"name": DIGEST_VARIABLE, "value": release.digest},
        ]
        if not release.digest:
            variables = [{"name": variable["name"], "$patch": "delete"} for variable in variables]
        pods = {
            "metadata": {"annotations": annotations},
            "spec": {"containers": [{"name": CONTAINER, "env": variables}]},
        }
        body = {"metadata": {"annotations": annotations}, "spec": {"template": pods}}
        self._patiently(
            "patch",
            lambda: self.cluster.apps.patch_namespaced_deployment(
                self.name, self.cluster.namespace, body, field_manager="egoreact-release", _request_timeout=REQUEST_S
            ),
        )

    @staticmethod
    def _named(found: Any) -> Named:
        """By the environment of its pods: that is what they serve by."""
        containers = found.spec.template.spec.containers
        variables = {
            variable.name: variable.value or ""
            for container in containers
            if container.name == CONTAINER
            for variable in container.env or []
        }
        return Named(variables.get(VERSION_VARIABLE, ""), variables.get(DIGEST_VARIABLE, ""))

    def _rolled_out(self, release: Named) -> Any:
        """The Deployment once all its pods are new ones and available."""
        give_up_s = None
        while True:
            found = self._read()
            if self._named(found) != release:
                remedy = "let one release end before the next begins"
                raise EgoReactError("another release has taken it meanwhile", where=self.where, remedy=remedy)
            deadline_s = found.spec.progress_deadline_seconds or PROGRESS_DEADLINE_S
            give_up_s = give_up_s or time.monotonic() + deadline_s + MARGIN_S
            if _is_complete(found):
                return found
            failure = _failure(found)
            if failure or time.monotonic() > give_up_s:
                why = self._why(found) or failure or f"not complete after {deadline_s + MARGIN_S} s"
                remedy = f"see: kubectl -n {self.cluster.namespace} describe deployment {self.name}"
                raise EgoReactError(
                    f"version {release.version} does not come up ({why})", where=self.where, remedy=remedy
                )
            time.sleep(self.poll_s)

    def _why(self, found: Any) -> str:
        """What a pod of the newest template says; empty where that cannot be read."""
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        labels = ",".join(f"{name}={value}" for name, value in (found.spec.selector.match_labels or {}).items())
        try:
            pods = self.cluster.core.list_namespaced_pod(
                self.cluster.namespace, label_selector=labels, _request_timeout=REQUEST_S
            )
        except (ApiException, HTTPError):  # the reason is more than can be asked for
            return ""
        newest = [
            pod for pod in pods.items if (pod.metadata.annotations or {}).get(DIGEST_ANNOTATION) == self._digest()
        ]
        return next((why for pod in newest if (why := _complaint(pod))), "")

    def _digest(self) -> str:
        return self._release.digest if self._release else ""

    def _patiently(self, verb: str, do: Callable[[], T]) -> T:
        """Asks again while the API server is away or overloaded, or others write at the same time."""
        try:
            return self.cluster.call(do, f"{verb} {self.where}", limit_s=self.patience_s, passing=MAY_PASS)
        except Exception as error:
            if status_of(error) != 404:
                raise
            remedy = "apply the project's manifests: kubectl apply -k infra/kubernetes/overlays/…"
            raise EgoReactError("is not there", where=self.where, remedy=remedy) from error


def _is_complete(found: Any) -> bool:
    """As `kubectl rollout status` sees it."""
    status, wanted = found.status, 1 if found.spec.replicas is None else found.spec.replicas
    if (status.observed_generation or 0) < found.metadata.generation:
        return False
    updated, available = status.updated_replicas or 0, status.available_replicas or 0
    return updated >= wanted and (status.replicas or 0) <= updated and available >= updated


def _failure(found: Any) -> str:
    """Why Kubernetes gave the present generation up; empty while it has not."""
    if (found.status.observed_generation or 0) < found.metadata.generation:
        return ""
    for condition in found.status.conditions or []:
        if condition.type == "Progressing" and condition.reason == "ProgressDeadlineExceeded":
            return condition.message or condition.reason
        if condition.type == "ReplicaFailure" and condition.status == "True":
            return condition.message or condition.reason
    return ""


def _complaint(pod: Any) -> str:
    """Of its containers: why it waits or ended, with the last line of what it said."""
    for status in (pod.status and pod.status.container_statuses) or []:
        ended = (status.last_state and status.last_state.terminated) or (status.state and status.state.terminated)
        waiting = status.state and status.state.waiting
        said = (ended.message or "").strip().splitlines()[-1:] if ended else []
        if said:
            return said[0]
        if waiting and waiting.reason not in ("ContainerCreating", "PodInitializing"):
            return f"{waiting.reason}: {waiting.message}" if waiting.message else waiting.reason
        if ended:
            return f"its container ended with code {ended.exit_code}"
    return ""
