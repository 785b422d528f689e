"""Fields and types, strictly: Kubernetes' own schemas for every version that is served, and for what they do not know
(RayJob, ServiceMonitor, PrometheusRule) lists of the fields that we may use."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.check.findings import Finding
from infra.check.manifests import Manifest, Rendered, label, pod_templates

VERSIONS = ("1.30", "1.34")
"""Of Kubernetes: the oldest and the newest that the project runs on."""
RAY_JOB_FIELDS = Path(__file__).with_name("rayjob_fields.json")

_MONITORING = {
    "ServiceMonitor": {
        "spec.selector": "object", "spec.selector.matchLabels": "object", "spec.selector.matchLabels.*": "string",
        "spec.namespaceSelector": "object", "spec.namespaceSelector.matchNames": "array",
        "spec.namespaceSelector.matchNames[]": "string", "spec.endpoints": "array", "spec.endpoints[]": "object",
        "spec.endpoints[].port": "string", "spec.endpoints[].path": "string", "spec.endpoints[].scheme": "string",
        "spec.endpoints[].interval": "string", "spec.endpoints[].scrapeTimeout": "string",
        "spec.endpoints[].honorLabels": "boolean", "spec.jobLabel": "string", "spec.targetLabels": "array",
        "spec.targetLabels[]": "string",
    },
    "PrometheusRule": {
        "spec.groups": "array", "spec.groups[]": "object", "spec.groups[].name": "string",
        "spec.groups[].interval": "string", "spec.groups[].rules": "array", "spec.groups[].rules[]": "object",
        "spec.groups[].rules[].alert": "string", "spec.groups[].rules[].record": "string",
        "spec.groups[].rules[].expr": "string", "spec.groups[].rules[].for": "string",
        "spec.groups[].rules[].labels": "object", "spec.groups[].rules[].labels.*": "string",
        "spec.groups[].rules[].annotations": "object", "spec.groups[].rules[].annotations.*": "string",
    },
}  # fmt: skip
API_VERSIONS = {
    "RayJob": "ray.io/v1",
    "ServiceMonitor": "monitoring.coreos.com/v1",
    "PrometheusRule": "monitoring.coreos.com/v1",
}
_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float),
}  # fmt: skip
_POD_TEMPLATE_FIELDS = ("template", "submitterPodTemplate")


def check_schemas(cluster: Rendered) -> Iterator[Finding]:
    for manifest in (*cluster.objects, *cluster.templates):
        where, kind = cluster.where(manifest), manifest.get("kind", "")
        if kind not in API_VERSIONS:
            yield from _by_kubernetes(where, manifest)
            continue
        if manifest.get("apiVersion") != API_VERSIONS[kind]:
            yield Finding(where, f"apiVersion is {manifest.get('apiVersion')}", f"write {API_VERSIONS[kind]}")
        spec = {"spec": manifest.get("spec")}
        yield from field_findings(where, spec, ray_job_fields() if kind == "RayJob" else _MONITORING[kind])
        for path, template in pod_templates(manifest):
            name = {"metadata": {"name": "pod"}, "template": template}
            yield from _by_kubernetes(" ".join([where, *path]), {"apiVersion": "v1", "kind": "PodTemplate", **name})


def ray_job_fields() -> dict[str, str]:
    """Path to type, with the allowed values after it, of every field of the RayJob's definition."""
    return json.loads(RAY_JOB_FIELDS.read_text())["fields"]


def _by_kubernetes(where: str, manifest: Manifest) -> Iterator[Finding]:
    import kubernetes_validate

    said: dict[str, list[str]] = {}
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            at = ".".join(map(str, error.path)) or label(manifest)
            said.setdefault(f"{at}: {error.message.splitlines()[0][:200]}", []).append(version)
        except kubernetes_validate.SchemaNotFoundError:
            what = f"{manifest.get('apiVersion')} {manifest.get('kind')} is unknown"
            said.setdefault(what, []).append(version)
    for what, versions in said.items():
        yield Finding(where, f"{what} (Kubernetes {', '.join(versions)})", "correct the field's name, place or type")


def field_findings(where: str, value: Any, fields: dict[str, str], path: str = "") -> Iterator[Finding]:
    """Fields of `value` that the list does not have, or whose type or value differs from it.

    Args:
        fields: `spec.a[].b` to `string`, `integer`, …, or `string one|other`. `a.*` is any key of a map.
    """
    if isinstance(value, dict):
        for key, inner in value.items():
            below = f"{path}.{key}" if path else key
            if f"{path}.*" in fields:
                yield from _judged(where, inner, fields, f"{path}.*", below)
            elif below in fields or not path:
                yield from _judged(where, inner, fields, below, below)
            elif not _free(path, fields):
                yield Finding(where, f"there is no field {below}", "correct its name or place")
    elif isinstance(value, list):
        for inner in value:
            yield from _judged(where, inner, fields, f"{path}[]", f"{path}[]")


def _judged(where: str, value: Any, fields: dict[str, str], path: str, shown: str) -> Iterator[Finding]:
    wanted, _, choices = fields.get(path, "any").partition(" ")
    right = _TYPES.get(wanted)
    wrong_bool = isinstance(value, bool) and wanted in ("integer", "number")
    if right is not None and (not isinstance(value, right) or wrong_bool):
        yield Finding(where, f"{shown} is {value!r}, no {wanted}", f"give a value of type {wanted}")
    elif choices and value not in choices.split("|"):
        yield Finding(where, f"{shown} is {value!r}", f"choose one of {', '.join(choices.split('|'))}")
    elif path.rpartition(".")[2] not in _POD_TEMPLATE_FIELDS:  # Kubernetes' own schema has those
        yield from field_findings(where, value, fields, path)


def _free(path: str, fields: dict[str, str]) -> bool:
    """Whether the list says nothing of what is below: a map whose keys are anybody's."""
    return not any(name.startswith((f"{path}.", f"{path}[]")) for name in fields)
