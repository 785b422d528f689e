"""The manifests say what the code says: settings, claims, the Deployment that a release patches, paths, times, rights."""

import itertools
import re
from collections.abc import Iterator
from functools import cache
from urllib.parse import urlsplit

from infra.check.findings import Finding
from infra.check.manifests import Manifest, Rendered
from infra.check.sources import ROOT, constant

TRAINING = "pipelines/training.py"
PIPELINE_ACCOUNT = "egoreact-pipeline"
CALLS = {
    "create_namespaced_custom_object": ("ray.io", "rayjobs", "", "create"),
    "get_namespaced_custom_object": ("ray.io", "rayjobs", "", "get"),
    "list_namespaced_custom_object": ("ray.io", "rayjobs", "", "list"),
    "patch_namespaced_custom_object": ("ray.io", "rayjobs", "", "patch"),
    "delete_namespaced_custom_object": ("ray.io", "rayjobs", "", "delete"),
    "Watch().stream": ("ray.io", "rayjobs", "", "watch"),
    "read_namespaced_config_map": ("", "configmaps", "egoreact-ray-job", "get"),
    "list_namespaced_pod": ("", "pods", "", "list"),
    "read_namespaced_pod": ("", "pods", "", "get"),
    "read_namespaced_pod_log": ("", "pods/log", "", "get"),
    "read_namespaced_deployment": ("apps", "deployments", "egoreact", "get"),
    "patch_namespaced_deployment": ("apps", "deployments", "egoreact", "patch"),
}
"""Calls of Kubernetes' client to (API group, resource, name or "" for any, verb)."""
BESIDES = {
    # The namespace's quota, told beforehand.
    ("", "resourcequotas", "", "get"), ("", "resourcequotas", "", "list"),
    # What Kubeflow Pipelines' driver and launcher and Argo's executor do as the same account.
    ("argoproj.io", "workflowtaskresults", "", "create"), ("argoproj.io", "workflowtaskresults", "", "patch"),
    ("", "pods", "", "get"), ("", "pods", "", "list"), ("", "pods", "", "watch"),
    ("", "configmaps", "kfp-launcher", "get"), ("", "secrets", "mlpipeline-minio-artifact", "get"),
}  # fmt: skip
"""Rights of the pipeline's account that no source here tells."""
_CALL = re.compile(r"Watch\(\)\.stream|\b[a-z]+_namespaced_[a-z_]+")
_SETTING = re.compile(r"\bEGOREACT_[A-Z0-9_]+")


def check_names(cluster: Rendered) -> Iterator[Finding]:
    yield from _settings(cluster)
    yield from _workspace(cluster)
    yield from _deployment(cluster)
    yield from _ray_template(cluster)
    yield from _rights(cluster)


def _settings(cluster: Rendered) -> Iterator[Finding]:
    settings, mount = constant(TRAINING, "SETTINGS"), constant(TRAINING, "MOUNT")
    required, optional = constant(TRAINING, "SETTING_NAMES"), constant(TRAINING, "OPTIONAL_SETTING_NAMES")
    secrets = {*constant(TRAINING, "SECRET_NAMES"), *constant(TRAINING, "OPTIONAL_SECRET_NAMES")}
    config = cluster.get("ConfigMap", settings)
    if config is None:
        yield Finding(cluster.name, f"there is no ConfigMap {settings}", "add it: all steps take their settings there")
        return
    where, data = cluster.where(config), config.get("data") or {}
    for name in sorted(set(required) - data.keys()):
        yield Finding(where, f"{name} is missing", "add it: no step starts without")
    for name in sorted(data.keys() - {*required, *optional}):
        what = f"{name} reaches no step"
        yield Finding(where, what, "name it in pipelines.training's OPTIONAL_SETTING_NAMES, or remove it")
    for name in ("EGOREACT_HOME", "EGOREACT_DATA"):
        if not str(data.get(name, "")).startswith(f"{mount}/"):
            yield Finding(where, f"{name} is {data.get(name)}", f"put it below {mount}, where the volume is")
    keys = cluster.brought.get(settings, frozenset())
    for name in sorted(secrets - keys):
        yield Finding("secrets.example.yaml", f"Secret {settings} has no {name}", "describe it there")
    for name in sorted(keys - secrets):
        what = f"Secret {settings}'s {name} reaches no step"
        yield Finding(
            "secrets.example.yaml", what, "name it in pipelines.training's OPTIONAL_SECRET_NAMES, or remove it"
        )
    yield from _tracking(cluster, where, str(data.get("MLFLOW_TRACKING_URI", "")))


def _tracking(cluster: Rendered, where: str, uri: str) -> Iterator[Finding]:
    """Steps reach MLflow under a name that is there and that it answers to."""
    parts = urlsplit(uri)
    service = cluster.get("Service", (parts.hostname or "").partition(".")[0])
    if service is None or parts.port not in [port.get("port") for port in service["spec"]["ports"]]:
        yield Finding(where, f"MLFLOW_TRACKING_URI {uri} is no Service of this overlay", "name one, with its port")
        return
    for pod in cluster.pods():
        if pod.owner["metadata"]["name"] != service["metadata"]["name"]:
            continue
        arguments = [argument for _, container in pod.containers() for argument in container.get("args") or ()]
        hosts = [a.partition("=")[2].split(",") for a in arguments if a.startswith("--allowed-hosts=")]
        if not any(parts.netloc in each for each in hosts):
            yield Finding(pod.where, f"--allowed-hosts lacks {parts.netloc}", "add it: MLflow answers others with 403")


def _workspace(cluster: Rendered) -> Iterator[Finding]:
    volume = constant(TRAINING, "VOLUME")
    if cluster.get("PersistentVolumeClaim", volume) is None:
        yield Finding(cluster.name, f"there is no PersistentVolumeClaim {volume}", "add it: every step mounts it")
    if cluster.get("ServiceAccount", PIPELINE_ACCOUNT) is None:
        yield Finding(cluster.name, f"there is no ServiceAccount {PIPELINE_ACCOUNT}", "add it: steps run as it")


def _deployment(cluster: Rendered) -> Iterator[Finding]:
    settings, names_it = constant(TRAINING, "SETTINGS"), constant("components/release/place.py", "DEPLOYMENT_VARIABLE")
    written = constant("components/release/deployment.py", "CONTAINER")
    config = cluster.get("ConfigMap", settings) or {}
    name = (config.get("data") or {}).get(names_it, "")
    deployment = cluster.get("Deployment", name)
    if deployment is None:
        what = f"{names_it} is '{name}', no Deployment of this overlay"
        yield Finding(f"{cluster.name} ConfigMap/{settings}", what, "name the service's: a release is written into it")
        return
    where = cluster.where(deployment)
    if cluster.get("Service", name) is None:
        yield Finding(where, f"there is no Service {name}", "add it: the release step reacts through it")
    if all(c.get("name") != written for c in deployment["spec"]["template"]["spec"]["containers"]):
        yield Finding(
            where, f"no container is named {written}", "name it so: a release is written into its environment"
        )
    known = known_settings()
    for pod in cluster.pods():
        for place, container in pod.containers():
            for variable in container.get("env") or ():
                if variable["name"].startswith("EGOREACT_") and variable["name"] not in known:
                    yield Finding(place, f"nothing reads {variable['name']}", "correct the name, or remove it")


def _ray_template(cluster: Rendered) -> Iterator[Finding]:
    source = "components/train/ray_manifest.py"
    name, key = constant(source, "TEMPLATE_MAP"), constant(source, "TEMPLATE_KEY")
    config = cluster.get("ConfigMap", name) or {}
    if key not in (config.get("data") or {}):
        what = f"there is no ConfigMap {name} with {key}"
        yield Finding(cluster.name, what, "add it: trainings make their RayJob from it")


def _rights(cluster: Rendered) -> Iterator[Finding]:
    """No right less than the code needs, and none more."""
    granted = set()
    for binding in cluster.of_kind("RoleBinding"):
        if any(subject.get("name") == PIPELINE_ACCOUNT for subject in binding.get("subjects") or ()):
            granted |= set(_granted(cluster.get("Role", binding["roleRef"]["name"]) or {}))
    where = f"{cluster.name} ServiceAccount/{PIPELINE_ACCOUNT}"
    for call in sorted(calls() - CALLS.keys()):
        yield Finding(
            "components", f"calls {call}, of which no right is known", "add it to CALLS of infra/check/names.py"
        )
    needed = BESIDES | {CALLS[call] for call in calls() & CALLS.keys()}
    for right in sorted(needed - granted):
        yield Finding(where, f"may not {_spoken(right)}", "add it to the Role")
    for right in sorted(granted - needed):
        yield Finding(where, f"may {_spoken(right)}, which nothing needs", "take it out of the Role")


def _granted(role: Manifest) -> Iterator[tuple[str, str, str, str]]:
    for rule in role.get("rules") or ():
        names = rule.get("resourceNames") or ("",)
        parts = rule.get("apiGroups") or (), rule.get("resources") or (), names, rule.get("verbs") or ()
        yield from itertools.product(*parts)


def _spoken(right: tuple[str, str, str, str]) -> str:
    group, resource, name, verb = right
    return " ".join(part for part in (verb, f"{resource}.{group}".rstrip("."), name) if part)


@cache
def calls() -> frozenset[str]:
    """The calls of Kubernetes' client that steps make."""
    sources = (path.read_text() for path in (ROOT / "components").rglob("*.py"))
    return frozenset(call for source in sources for call in _CALL.findall(source))


@cache
def known_settings() -> frozenset[str]:
    """All variables `EGOREACT_…` that the sources read."""
    from dataclasses import fields

    from serving.admission import Limits

    found = {f"EGOREACT_{field.name.upper()}" for field in fields(Limits)}
    for package in ("egoreact", "components", "pipelines", "serving"):
        for path in (ROOT / package).rglob("*.py"):
            found |= set(_SETTING.findall(path.read_text()))
    return frozenset(found)
