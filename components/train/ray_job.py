"""One RayJob from creation to its end: made or adopted, watched, and deleted with the step that wanted it.

The name is a function of what is trained and of the pipeline's run, so a retried step, or one whose request was
answered by a broken connection, finds its job by name and adopts it. The job's status is the truth; its log is shown
where it can be read. The job belongs to the step's pod: it is deleted with the pod, and on SIGTERM.
"""

import contextlib
import logging
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from components.cluster_api import REQUEST_TIMEOUT_S, Cluster, status_of
from components.train.pod_log import showing_log
from components.train.ray_manifest import GROUP, PLURAL, RESULT_LABEL, TEMPLATE_KEY, TEMPLATE_MAP, VERSION, Object
from components.train.ray_status import Limits, failure, owner_uid, succeeded
from egoreact.errors import EgoReactError
from egoreact.termination import sigterm_exit, terminated_by

log = logging.getLogger(__name__)
KIND = {"group": GROUP, "version": VERSION, "plural": PLURAL}
CREATE_LIMIT_S, DELETE_LIMIT_S = 600.0, 20.0
WATCH_S = 30
"""The status is read anew this often, whatever the watch says."""


class JobEndedError(Exception):
    """The job will not succeed any more. The message is for a person."""


@dataclass(frozen=True)
class Pod:
    """The step's own pod."""

    name: str
    uid: str

    @staticmethod
    def from_environment() -> "Pod | None":
        """The names that KFP gives every step, or None elsewhere."""
        name, uid = os.environ.get("KFP_POD_NAME"), os.environ.get("KFP_POD_UID")
        return Pod(name, uid) if name and uid else None

    @property
    def owner_reference(self) -> Object:
        return {"apiVersion": "v1", "kind": "Pod", "name": self.name, "uid": self.uid}


def read_template(cluster: Cluster) -> str:
    """The RayJob's template as this cluster's owner keeps it."""
    try:
        found = cluster.call(
            lambda: cluster.core.read_namespaced_config_map(
                TEMPLATE_MAP, cluster.namespace, _request_timeout=REQUEST_TIMEOUT_S
            ),
            f"read ConfigMap {TEMPLATE_MAP}",
            limit_s=CREATE_LIMIT_S,
        )
        return str(found.data[TEMPLATE_KEY])
    except Exception as error:
        if status_of(error) != 404 and not isinstance(error, KeyError | TypeError):
            raise
        raise EgoReactError(
            f"no ConfigMap {TEMPLATE_MAP} with {TEMPLATE_KEY}",
            where=f"namespace {cluster.namespace}",
            remedy="apply infra/kubernetes/base",
        ) from error


@dataclass(frozen=True)
class RayJob:
    """A RayJob by its manifest, wanted by a step.

    Args:
        manifest: what `ray_manifest.ray_job` gives.
        pod: the step's own; only its job is deleted on SIGTERM.
        before_start: called before the job is made (and not where one is adopted).
        watch_s: how often the status is read at least.
        handed_back: whether the result of a job that is found done is there to be taken.
        failed_for_good: called when an attempt failed and another cluster is to come; what it says ends the job now.
    """

    cluster: Cluster
    manifest: Object
    pod: Pod | None = None
    before_start: Callable[[], None] = lambda: None
    handed_back: Callable[[], bool] = lambda: True
    watch_s: float = WATCH_S
    failed_for_good: Callable[[], str | None] = lambda: None

    @property
    def name(self) -> str:
        return str(self.manifest["metadata"]["name"])

    def run(self) -> None:
        """Returns when the job has succeeded.

        Raises:
            JobEndedError: it failed, passed a deadline, was refused by the operator, or is gone.
            EgoReactError: the API server is away, or refuses.
            SystemExit: SIGTERM or an interrupt; the job is deleted.
        """
        with self._deleted_when_told_to_stop():
            job = self._created_or_adopted()
            with showing_log(self.cluster, self.name):
                self._wait(job)

    def _created_or_adopted(self) -> Object:
        """The job of this name: found at work or done, or made. One that ended badly is replaced."""
        while True:
            found = self._get()
            if found is not None and self._is_of_use(found):
                if adopted := self._adopted(found):
                    return adopted
                continue  # it went meanwhile
            if found is not None:
                log.info("RayJob %s is there and of no use (%s): making it anew", self.name, failure(found))
                self._delete(found["metadata"]["uid"])
                self._wait_until_gone(found["metadata"]["uid"])
            self._wait_for_others()
            self.before_start()
            try:
                job: Object = self._call("create", "create_namespaced_custom_object", body=self.manifest)
            except Exception as error:
                if status_of(error) == 404:
                    raise EgoReactError(
                        "knows no RayJobs", where="the cluster", remedy="install KubeRay's operator, 1.5 or newer"
                    ) from error
                if status_of(error) != 409:
                    raise
                continue  # made meanwhile, perhaps by a request of ours whose answer was lost
            log.info("RayJob %s created", self.name)
            if not self._others():
                return job
            # Two runs made one at once: both step back, and one of them comes first.
            self._delete(job["metadata"]["uid"])
            self.cluster.sleep(random.uniform(1, 5))

    def _is_of_use(self, job: Object) -> bool:
        if failure(job) or job["metadata"].get("deletionTimestamp"):
            return False
        return not succeeded(job) or self.handed_back()

    def _adopted(self, job: Object) -> Object | None:
        """Adoption makes this pod the owner: the job must not go with the pod of the step's last attempt."""
        log.info("RayJob %s is there already: adopting it", self.name)
        if self.pod is None or owner_uid(job) == self.pod.uid:
            return job
        change = {"metadata": {"ownerReferences": [self.pod.owner_reference]}}
        try:
            adopted: Object = self._call("adopt", "patch_namespaced_custom_object", name=self.name, body=change)
            return adopted
        except Exception as error:
            if status_of(error) == 404:
                return None
            raise

    def _others(self) -> list[str]:
        """Jobs of other runs at work on the same result: they write the same checkpoints."""
        result = self.manifest["metadata"].get("labels", {}).get(RESULT_LABEL)
        if result is None:
            return []
        listed = self._call("list", "list_namespaced_custom_object", label_selector=f"{RESULT_LABEL}={result}")
        return [
            job["metadata"]["name"]
            for job in listed["items"]
            if job["metadata"]["name"] != self.name and not failure(job) and not succeeded(job)
        ]

    def _wait_for_others(self) -> None:
        told = False
        while others := self._others():
            if not told:
                log.warning("another run trains the same thing (RayJob %s): waiting for it", ", ".join(others))
                told = True
            self.cluster.sleep(self.watch_s)

    def _wait(self, job: Object | None) -> None:
        limits = Limits(self.manifest["spec"])
        shown = ""
        while True:
            if job is None:
                raise JobEndedError(f"RayJob {self.name} was deleted while it ran")
            status = job.get("status") or {}
            state = " ".join(filter(None, (status.get("jobDeploymentStatus"), status.get("jobStatus"))))
            if state != shown:
                log.info("RayJob %s: %s", self.name, ", ".join(filter(None, (state, status.get("message")))))
                shown = state
            if succeeded(job):
                return
            if why := failure(job):
                raise JobEndedError(f"RayJob {self.name} {why}")
            retried = status.get("jobDeploymentStatus") == "Retrying" or status.get("jobStatus") == "FAILED"
            if retried and (reason := self.failed_for_good()):
                self._delete(job["metadata"]["uid"])
                raise JobEndedError(reason)
            if late := limits.passed(status):
                self._delete(job["metadata"]["uid"])
                raise JobEndedError(f"RayJob {self.name} {late}")
            job = self._next(job, limits.left_s)

    def _next(self, job: Object, limit_s: float) -> Object | None:
        """The job after its next change, or after `watch_s`; None where it is gone."""
        import urllib3
        from kubernetes.client.exceptions import ApiException
        from kubernetes.watch import Watch

        started = time.monotonic()
        events = Watch().stream(
            self.cluster.objects.list_namespaced_custom_object,
            **KIND,
            namespace=self.cluster.namespace,
            field_selector=f"metadata.name={self.name}",
            resource_version=job["metadata"]["resourceVersion"],
            timeout_seconds=max(1, round(self.watch_s)),
            _request_timeout=(REQUEST_TIMEOUT_S[0], self.watch_s + REQUEST_TIMEOUT_S[1]),
        )
        try:
            with contextlib.closing(events):
                next((event for event in events if event["type"] in ("MODIFIED", "DELETED")), None)
        except (ApiException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            # Expired, refused, cut, or half a line: the read below tells what is so.
            log.debug("watch of RayJob %s: %s", self.name, error)
            if time.monotonic() - started < 1.0:
                self.cluster.sleep(min(1.0, self.watch_s))
        found = self._get(limit_s=limit_s)
        if found is not None and found["metadata"]["uid"] != job["metadata"]["uid"]:
            return None  # deleted, and made anew by someone else
        return found

    def _get(self, *, limit_s: float = CREATE_LIMIT_S) -> Object | None:
        try:
            job: Object = self._call("read", "get_namespaced_custom_object", name=self.name, limit_s=limit_s)
            return job
        except Exception as error:
            if status_of(error) == 404:
                return None
            raise

    def _delete(self, uid: str, *, limit_s: float = CREATE_LIMIT_S) -> None:
        """Deletes the very object of that uid; another of its name stays."""
        from kubernetes.client import V1DeleteOptions, V1Preconditions

        options = V1DeleteOptions(propagation_policy="Background", preconditions=V1Preconditions(uid=uid))
        try:
            self._call("delete", "delete_namespaced_custom_object", name=self.name, body=options, limit_s=limit_s)
        except Exception as error:
            if status_of(error) not in (404, 409):
                raise

    def _wait_until_gone(self, uid: str) -> None:
        while (found := self._get()) is not None and found["metadata"]["uid"] == uid:
            self.cluster.sleep(1.0)

    def _call(self, verb: str, method: str, *, limit_s: float = CREATE_LIMIT_S, **arguments: Any) -> Any:
        do = getattr(self.cluster.objects, method)
        return self.cluster.call(
            lambda: do(**KIND, namespace=self.cluster.namespace, _request_timeout=REQUEST_TIMEOUT_S, **arguments),
            f"{verb} RayJob {self.name}",
            limit_s=limit_s,
        )

    @contextlib.contextmanager
    def _deleted_when_told_to_stop(self) -> Iterator[None]:
        """On SIGTERM (the run is cancelled, the pod evicted) and on an interrupt the job goes, if it is this step's."""
        with terminated_by(sigterm_exit):
            try:
                yield
            except (SystemExit, KeyboardInterrupt):
                self._delete_own()
                raise

    def _delete_own(self) -> None:
        try:
            job = self._get(limit_s=DELETE_LIMIT_S)
            if job is None or (self.pod is not None and owner_uid(job) not in (None, self.pod.uid)):
                return  # a later attempt of the step has adopted it
            self._delete(job["metadata"]["uid"], limit_s=DELETE_LIMIT_S)
            log.warning("told to stop: RayJob %s is deleted", self.name)
        except EgoReactError as error:
            log.error("told to stop, and could not delete RayJob %s: %s", self.name, error)
