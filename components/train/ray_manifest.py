"""The RayJob of one training: the cluster's template, with what this training and its task say filled in.

A task's settings (resources, selectors, tolerations, affinity, environment, volumes) are set once, on the task; KFP
hands them over as a `dsl.TaskConfig`, and here they reach Ray's pods. Its resources are those of one worker.
"""

import copy
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import yaml

from egoreact.errors import EgoReactError
from egoreact.presets import WorkersConfig

GROUP, VERSION, PLURAL = "ray.io", "v1", "rayjobs"
TEMPLATE_MAP, TEMPLATE_KEY = "egoreact-ray-job", "ray-job.yaml"
"""The ConfigMap that holds the template."""
GPU = "nvidia.com/gpu"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
RESULT_LABEL, RUN_LABEL = "egoreact.io/result", "egoreact.io/run"
BY_DIGEST = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")

Object = dict[str, Any]


@dataclass(frozen=True)
class JobRequest:
    """What is particular to one RayJob."""

    name: str
    """At most 47 characters: KubeRay names clusters and services after it."""
    image: str
    """Of Ray's pods, by digest."""
    entrypoint: tuple[str, ...]
    workers: WorkersConfig
    labels: Mapping[str, str]
    environment: Mapping[str, str]
    """Of Ray's pods, before anything else that says so."""
    queue: str | None = None
    """Kueue's LocalQueue."""
    owner: Object | None = None
    """An ownerReference: the RayJob is deleted with that object."""


def ray_job(template: str, request: JobRequest, task: Mapping[str, Any]) -> Object:
    """The RayJob to create.

    Args:
        template: YAML of a RayJob with a worker group named `cpu` and one named `gpu`; the one that is not used goes.
        task: fields of a `dsl.TaskConfig`, each None where nothing was set.

    Raises:
        EgoReactError: a template that is no such RayJob, an image without a digest, or workers that the task's
            resources cannot hold.
    """
    if not BY_DIGEST.fullmatch(request.image):
        raise EgoReactError(
            f"'{request.image}' names no digest",
            where="EGOREACT_RAY_IMAGE",
            remedy="name the image by digest: REGISTRY/egoreact-train@sha256:…",
        )
    job = _parsed(template)
    metadata, spec = job.setdefault("metadata", {}), job["spec"]
    metadata["name"] = request.name
    metadata.setdefault("labels", {}).update(request.labels)
    if request.queue:
        metadata["labels"][QUEUE_LABEL] = request.queue
    if request.owner:
        metadata["ownerReferences"] = [request.owner]
    spec["entrypoint"] = shlex.join(request.entrypoint)
    cluster = spec["rayClusterSpec"]
    head = cluster["headGroupSpec"]["template"]["spec"]
    worker = _worker_group(cluster, request.workers, task)
    cluster["workerGroupSpecs"] = [worker]
    for pod in (head, worker["template"]["spec"]):
        pod["containers"][0]["image"] = request.image
        _place(pod, task, is_worker=pod is not head)
        own = [{"name": name, "value": value} for name, value in request.environment.items()]
        pod["containers"][0]["env"] = _joined(pod["containers"][0].get("env", []), own, "name")
    return job


def _parsed(template: str) -> Object:
    where, remedy = f"ConfigMap {TEMPLATE_MAP}, {TEMPLATE_KEY}", "apply infra/kubernetes/base again"
    try:
        job = yaml.safe_load(template)
        spec = job["spec"]
        names = {group["groupName"] for group in spec["rayClusterSpec"]["workerGroupSpecs"]}
        spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    except (yaml.YAMLError, KeyError, IndexError, TypeError) as error:
        raise EgoReactError(f"is no RayJob ({error})", where=where, remedy=remedy) from error
    if job.get("kind") != "RayJob" or not {"cpu", "gpu"} <= names:
        raise EgoReactError("has no worker groups named cpu and gpu", where=where, remedy=remedy)
    if "suspend" in spec:
        raise EgoReactError(
            "sets suspend, which belongs to Kueue",
            where=where,
            remedy="remove it; a queue is named by EGOREACT_RAY_QUEUE",
        )
    own: Object = _unshared(job)
    return own


def _unshared(value: Any) -> Any:
    """A copy; YAML's anchors share parts, of which each is to be changed by itself."""
    if isinstance(value, dict):
        return {name: _unshared(part) for name, part in value.items()}
    return [_unshared(part) for part in value] if isinstance(value, list) else value


def _worker_group(cluster: Object, workers: WorkersConfig, task: Mapping[str, Any]) -> Object:
    """The group that the task's resources ask for, its gang of a fixed size."""
    resources = task.get("resources") or {}
    limits = {**(resources.get("requests") or {}), **(resources.get("limits") or {})}
    wanted = "gpu" if GPU in limits or (not limits and workers.gpus) else "cpu"
    group: Object = next(group for group in cluster["workerGroupSpecs"] if group["groupName"] == wanted)
    group |= dict.fromkeys(("replicas", "minReplicas", "maxReplicas"), workers.count)
    container = group["template"]["spec"]["containers"][0]
    if limits:
        # Requests equal limits: Ray takes a pod's limits for what it has.
        container["resources"] = {"requests": dict(limits), "limits": dict(limits)}
    has = container["resources"]["limits"]
    for needed, name in ((workers.gpus, GPU), (workers.threads, "cpu")):
        given = quantity(has.get(name, "0"))
        if given < needed:
            raise EgoReactError(
                f"a training worker needs {needed} {name}, and its pod gets {given.normalize():f}",
                where="the task's resources",
                remedy="compile for GPU nodes, or lower the configuration's workers.gpus and workers.threads",
            )
    return group


def _place(pod: Object, task: Mapping[str, Any], *, is_worker: bool) -> None:
    """Adds what was set on the task; by name, the task's wins."""
    container = pod["containers"][0]
    for key, into, name in (
        ("env", container, "name"),
        ("volume_mounts", container, "mountPath"),
        ("volumes", pod, "name"),
    ):
        given = task.get(key) or []
        if given:
            field = "volumeMounts" if key == "volume_mounts" else key
            into[field] = _joined(into.get(field) or [], given, name)
    _drop_unmounted(pod)
    if is_worker:  # the head needs no accelerator, and must not hold a place on such a node
        for key, field in (("node_selector", "nodeSelector"), ("affinity", "affinity")):
            if task.get(key):
                pod[field] = {**pod.get(field, {}), **task[key]}
        if task.get("tolerations"):
            pod["tolerations"] = [*pod.get("tolerations", []), *task["tolerations"]]


def _joined(present: list[Object], given: list[Object], key: str) -> list[Object]:
    return list({item[key]: item for item in [*present, *copy.deepcopy(given)]}.values())


def _drop_unmounted(pod: Object) -> None:
    """A mount of the task at the template's path replaces the template's, whose volume is then not needed."""
    mounted = {mount["name"] for each in pod["containers"] for mount in each.get("volumeMounts", [])}
    if "volumes" in pod:
        pod["volumes"] = [volume for volume in pod["volumes"] if volume["name"] in mounted]


_SUFFIXES = {"m": Decimal("0.001"), "": Decimal(1), "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9)}


def quantity(text: object) -> Decimal:
    """A count of CPUs or devices in Kubernetes' notation: ``2``, ``"500m"``.

    Raises:
        EgoReactError: it is none.
    """
    match = re.fullmatch(r"([0-9.]+)([mkMG]?)", str(text))
    if match is None:
        raise EgoReactError(f"'{text}' is no quantity", where="the task's resources", remedy="write 2 or 500m")
    return Decimal(match[1]) * _SUFFIXES[match[2]]
