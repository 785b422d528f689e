"""Rendered manifests, and how one walks them: objects, pods, containers, references."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from egoreact.errors import EgoReactError

INFRA = Path(__file__).parents[1]
KUBERNETES = INFRA / "kubernetes"
OVERLAYS = KUBERNETES / "overlays"
SECRETS = KUBERNETES / "secrets.example.yaml"
RAY_JOB = KUBERNETES / "base" / "ray-job.yaml"
PLACEHOLDER = "REPLACE-ME"

Manifest = dict[str, Any]
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")


@dataclass(frozen=True)
class Rendered:
    """What one overlay gives, and what a person brings to it."""

    name: str
    objects: tuple[Manifest, ...]
    templates: tuple[Manifest, ...] = ()
    """Objects that the code makes while it runs, from a file here: the RayJob."""
    brought: dict[str, frozenset[str]] = field(default_factory=dict)
    """Keys of the secrets that a person makes, by name."""

    def of_kind(self, *kinds: str) -> list[Manifest]:
        return [each for each in self.objects if each.get("kind") in kinds]

    def get(self, kind: str, name: str) -> Manifest | None:
        found = (each for each in self.of_kind(kind) if each.get("metadata", {}).get("name") == name)
        return next(found, None)

    def where(self, manifest: Manifest, *path: str) -> str:
        return " ".join([f"{self.name} {label(manifest)}", *path])

    def pods(self) -> Iterator["Pod"]:
        """All pod templates, the RayJob's too."""
        for manifest in (*self.objects, *self.templates):
            for path, template in pod_templates(manifest):
                yield Pod(self.where(manifest, *path), manifest, template)


@dataclass(frozen=True)
class Pod:
    where: str
    owner: Manifest
    template: Manifest

    @property
    def labels(self) -> dict[str, str]:
        return self.template.get("metadata", {}).get("labels") or {}

    @property
    def spec(self) -> Manifest:
        return self.template.get("spec") or {}

    def containers(self) -> Iterator[tuple[str, Manifest]]:
        """Where, and the container; init containers too."""
        for kind in _CONTAINERS:
            for container in self.spec.get(kind) or ():
                yield f"{self.where} container {container.get('name', '?')}", container


def label(manifest: Manifest) -> str:
    """`Deployment/egoreact`."""
    return f"{manifest.get('kind', '?')}/{manifest.get('metadata', {}).get('name', '?')}"


def pod_templates(manifest: Manifest) -> Iterator[tuple[list[str], Manifest]]:
    """The path and the PodTemplateSpec of each pod that an object makes."""
    kind, spec = manifest.get("kind"), manifest.get("spec") or {}
    if kind == "Pod":
        yield [], manifest
    elif kind == "CronJob":
        yield [], spec.get("jobTemplate", {}).get("spec", {}).get("template", {})
    elif kind == "RayJob":
        cluster = spec.get("rayClusterSpec") or {}
        if "headGroupSpec" in cluster:
            yield ["head"], cluster["headGroupSpec"].get("template", {})
        for group in cluster.get("workerGroupSpecs") or ():
            yield [f"workers {group.get('groupName', '?')}"], group.get("template", {})
        if "submitterPodTemplate" in spec:
            yield ["submitter"], spec["submitterPodTemplate"]
    elif "template" in spec:
        yield [], spec["template"]


def overlays() -> list[Path]:
    return sorted(path.parent for path in OVERLAYS.glob("*/kustomization.yaml"))


def render(folder: Path) -> Rendered:
    """What `kubectl kustomize` makes of a folder; it needs no cluster.

    Raises:
        EgoReactError: there is no kubectl, or it refuses the folder.
    """
    try:
        done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True)
    except OSError as error:
        remedy = "install kubectl 1.30 or newer; no cluster is needed"
        raise EgoReactError("cannot be run", where="kubectl", remedy=remedy) from error
    if done.returncode:
        last = (done.stderr.strip() or "it said nothing").splitlines()[-1]
        raise EgoReactError(f"kubectl kustomize refuses it ({last})", where=folder, remedy="mend the kustomization")
    return Rendered(folder.name, tuple(read_all(done.stdout)), ray_job_templates(), brought_secrets())


def read_all(text: str) -> list[Manifest]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's reads ten times as fast
    return [document for document in yaml.load_all(text, Loader=loader) if document]


def ray_job_templates() -> tuple[Manifest, ...]:
    return tuple(read_all(RAY_JOB.read_text())) if RAY_JOB.is_file() else ()


def brought_secrets() -> dict[str, frozenset[str]]:
    """Keys by name of the secrets that the example file documents."""
    return {each["metadata"]["name"]: frozenset(each["stringData"]) for each in read_all(SECRETS.read_text())}
