"""What a cluster's controllers do with objects, for tests: KubeRay's operator by script, the Deployment controller.

Each runs in a thread of its own while its `with` block lasts, and reads the server's events as a controller does.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from kubernetes_objects import Kind, Object, RefusalError
from kubernetes_server import KubernetesServer

GONE = "gone"
"""In a script: the object is deleted, as if someone else did it."""


class Controller:
    """Calls `handle(type, object)` for every event of one kind, those of objects that are there already included."""

    def __init__(self, server: KubernetesServer, group: str, plural: str):
        self.server, self.kind = server, Kind(group, plural)
        self.stopped = threading.Event()
        self.errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        with self.server.store.changed:
            self.server.store.changed.notify_all()
        self._thread.join(5)
        if self.errors:
            raise self.errors[0]

    def handle(self, type_: str, value: Object) -> None:
        raise NotImplementedError

    def _run(self) -> None:
        store, seen = self.server.store, 0
        with store.changed:
            seen = store.version
            present = store.list(self.kind, None, lambda _: True)[1]
        news: list[tuple[str, Object]] = [("ADDED", value) for value in present]
        while not self.stopped.is_set():
            for type_, value in news:
                try:
                    self.handle(type_, value)
                except RefusalError:
                    pass  # the object went meanwhile
                except BaseException as error:
                    self.errors.append(error)
                    return
            with store.changed:
                events = [event for event in store.events if event.version > seen]
                if not events:
                    store.changed.wait(0.1)
                seen = max([seen, *(event.version for event in events)])
            news = [(event.type, event.object) for event in events if event.kind == self.kind]


@dataclass(frozen=True)
class Step:
    """One change of a RayJob's status, so long after the one before; `GONE` deletes it; a callable gets the object."""

    status: Object | str | Callable[[Object], None]
    after_s: float = 0.05


def status(job: str, deployment: str, **more: Any) -> Object:
    return {
        "jobStatus": job,
        "jobDeploymentStatus": deployment,
        "jobId": "job-1",
        "rayClusterName": "cluster-1",
        **more,
    }


STARTS = [Step({"jobDeploymentStatus": "Initializing"}), Step(status("PENDING", "Running")), Step(status("RUNNING", "Running"))]  # fmt: skip
SUCCEEDS = [*STARTS, Step(status("SUCCEEDED", "Complete"))]
FAILS = [*STARTS, Step(status("FAILED", "Failed", reason="AppFailed", message="the entrypoint exited with 1"))]


class RayOperator(Controller):
    """Plays KubeRay: walks each new RayJob through `script`, and makes its head's pod, whose log it writes.

    Args:
        script: for all jobs, or a list of scripts, one for each job in the order in which they are created.
        on_running: called with each job when its status first says RUNNING, before the next step.
    """

    def __init__(
        self,
        server: KubernetesServer,
        script: Sequence[Step] | Sequence[Sequence[Step]] = SUCCEEDS,
        *,
        log: Sequence[str] = (),
        on_running: Callable[[Object], None] | None = None,
    ):
        super().__init__(server, "ray.io", "rayjobs")
        first = script[0] if script else None
        one = first is None or isinstance(first, Step)
        self._scripts: Iterator[Any] | None = None if one else iter(script)
        self._script, self.log, self.on_running = script, list(log), on_running
        self.jobs: list[Object] = []
        self._threads: list[threading.Thread] = []

    def handle(self, type_: str, value: Object) -> None:
        known = {job["metadata"]["uid"] for job in self.jobs}
        if type_ != "ADDED" or value["metadata"]["uid"] in known or value["spec"].get("suspend"):
            return
        self.jobs.append(value)
        script = self._script if self._scripts is None else next(self._scripts, SUCCEEDS)
        thread = threading.Thread(target=self._walk, args=(value, list(script)), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _walk(self, value: Object, script: list[Step]) -> None:
        metadata = value["metadata"]
        at = (self.kind.group, self.kind.plural, metadata["namespace"], metadata["name"])
        pod = self._head(metadata)
        try:
            for step in script:
                if self.stopped.wait(step.after_s):
                    return
                if self.server.get(*at)["metadata"]["uid"] != metadata["uid"]:
                    return  # deleted, and another of its name is there
                if step.status == GONE:
                    self.server.delete(*at)
                    return
                if callable(step.status):
                    step.status(value)
                    continue
                assert isinstance(step.status, dict)
                self.server.set_status(*at, step.status)
                if step.status.get("jobStatus") == "RUNNING":
                    self.server.write_log(metadata["namespace"], pod, *self.log)
                    if self.on_running:
                        self.on_running(value)
        except RefusalError:
            return  # deleted by its owner
        except BaseException as error:
            self.errors.append(error)
        finally:
            self.server.write_log(metadata["namespace"], pod, end=True)

    def _head(self, metadata: Object) -> str:
        name = f"cluster-1-head-{metadata['uid'][:5]}"
        labels = {"ray.io/cluster": "cluster-1", "ray.io/node-type": "head"}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": labels},
            "status": {"phase": "Running"},
        }
        self.server.create("", "pods", metadata["namespace"], pod)
        return name


@dataclass
class DeploymentController(Controller):
    """Plays the Deployment controller: a pod template becomes ready, or never, and its status says so.

    Args:
        ready: whether pods of a Deployment become ready; a template that does not is reported after `deadline_s` as
            `Progressing` False with reason ProgressDeadlineExceeded, while the older pods keep serving.
        on_rollout: called with the Deployment before its new pods become ready (say, to start a server).
    """

    server: KubernetesServer
    ready: Callable[[Object], bool] = lambda _: True
    ready_after_s: float = 0.05
    deadline_s: float = 0.3
    on_rollout: Callable[[Object], None] | None = None
    rollouts: list[Object] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self.server, "apps", "deployments")

    def handle(self, type_: str, value: Object) -> None:
        metadata, wanted = value["metadata"], value["spec"].get("replicas", 1)
        old = value.get("status", {})
        if type_ == "DELETED" or old.get("observedGeneration") == metadata["generation"]:
            return
        self.rollouts.append(value)
        at = (self.kind.group, self.kind.plural, metadata["namespace"], metadata["name"])
        serving = old.get("availableReplicas", 0)
        seen = {"observedGeneration": metadata["generation"], "replicas": wanted + serving}
        self.server.set_status(*at, _rollout(seen, updated=wanted, available=serving, unavailable=wanted))
        good = self.ready(value)
        time.sleep(self.ready_after_s if good else self.deadline_s)
        if self.server.get(*at)["metadata"]["generation"] != metadata["generation"]:
            return  # a newer template is there: the next event is about it
        if good:
            if self.on_rollout:
                self.on_rollout(value)
            done = seen | {"replicas": wanted}
            self.server.set_status(*at, _rollout(done, wanted, wanted, 0, "True", "NewReplicaSetAvailable"))
        else:
            status_ = _rollout(seen, wanted, serving, wanted, "False", "ProgressDeadlineExceeded")
            self.server.set_status(*at, status_)


def _rollout(
    seen: Object, updated: int, available: int, unavailable: int, progressing: str = "True", reason: str = "ReplicaSetUpdated"
) -> Object:  # fmt: skip
    conditions = [
        {"type": "Available", "status": "True" if available else "False", "reason": "MinimumReplicasAvailable"},
        {"type": "Progressing", "status": progressing, "reason": reason, "message": f"the new pods: {reason}"},
    ]
    counts = {"updatedReplicas": updated, "availableReplicas": available, "readyReplicas": available}
    return seen | counts | {"unavailableReplicas": unavailable, "conditions": conditions}
