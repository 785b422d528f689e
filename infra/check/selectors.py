"""What selects what: a selector that differs from the labels, or a port that nobody opens, fails silently or at apply."""

from collections.abc import Iterator
from typing import Any

from infra.check.findings import Finding
from infra.check.manifests import Manifest, Pod, Rendered

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")
FOREIGN = ({"workflows.argoproj.io/workflow": "a run"},)
"""Labels of pods that no manifest here makes: Argo's, one a step."""


def matches(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a label selector, or a plain map of labels, takes these labels. An empty one takes all."""
    if not {"matchLabels", "matchExpressions"} & set(selector):
        return selector.items() <= labels.items()
    if not (selector.get("matchLabels") or {}).items() <= labels.items():
        return False
    for rule in selector.get("matchExpressions") or ():
        here = labels.get(rule["key"])
        right = {
            "Exists": here is not None,
            "DoesNotExist": here is None,
            "In": here in (rule.get("values") or ()),
            "NotIn": here not in (rule.get("values") or ()),
        }[rule["operator"]]
        if not right:
            return False
    return True


def check_selectors(cluster: Rendered) -> Iterator[Finding]:
    pods = list(cluster.pods())
    for manifest in cluster.objects:
        where, spec, kind = cluster.where(manifest), manifest.get("spec") or {}, manifest.get("kind")
        if kind in WORKLOADS:
            yield from _workload(cluster, where, spec)
        elif kind == "Service":
            yield from _service(where, spec, pods)
        elif kind == "PodDisruptionBudget":
            yield from _selects_pods(where, spec.get("selector") or {}, pods)
        elif kind == "NetworkPolicy":
            yield from _selects_pods(where, spec.get("podSelector") or {}, pods, foreign=True)
            for direction, ends in (("ingress", "from"), ("egress", "to")):
                for rule in spec.get(direction) or ():
                    for peer in rule.get(ends) or ():
                        if "podSelector" in peer and "namespaceSelector" not in peer:
                            yield from _selects_pods(f"{where} {direction}", peer["podSelector"], pods, foreign=True)
        elif kind == "HorizontalPodAutoscaler":
            target = spec.get("scaleTargetRef") or {}
            if cluster.get(target.get("kind", ""), target.get("name", "")) is None:
                what = f"scales {target.get('kind')}/{target.get('name')}, which is not there"
                yield Finding(where, what, "name a workload of this overlay")
        elif kind == "ServiceMonitor":
            yield from _monitor(cluster, where, spec)
        elif kind == "Ingress":
            yield from _ingress(cluster, where, spec)


def _workload(cluster: Rendered, where: str, spec: Manifest) -> Iterator[Finding]:
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    if not spec.get("selector") or not matches(spec["selector"], labels):
        yield Finding(where, f"its selector does not take its own pods, labelled {labels}", "make both the same")
    name = spec.get("serviceName")
    if name and cluster.get("Service", name) is None:
        yield Finding(where, f"serviceName {name} names no Service", "name one of this overlay")


def _service(where: str, spec: Manifest, pods: list[Pod]) -> Iterator[Finding]:
    taken = [pod for pod in pods if matches(spec.get("selector") or {}, pod.labels)]
    if not taken:
        yield Finding(where, f"its selector {spec.get('selector')} takes no pod", "use labels of a pod template")
        return
    for port in spec.get("ports") or ():
        target = port.get("targetPort", port.get("port"))
        for pod in taken:
            if not _opens(pod, target):
                yield Finding(where, f"targetPort {target} is no port of {pod.where}", "name a containerPort")


def _opens(pod: Pod, target: Any) -> bool:
    ports = [port for _, container in pod.containers() for port in container.get("ports") or ()]
    return any(target in (port.get("name"), port.get("containerPort")) for port in ports)


def _selects_pods(where: str, selector: Manifest, pods: list[Pod], *, foreign: bool = False) -> Iterator[Finding]:
    known = [pod.labels for pod in pods] + (list(FOREIGN) if foreign else [])
    if not any(matches(selector, labels) for labels in known):
        yield Finding(where, f"its selector {selector} takes no pod", "use labels of a pod template")


def _monitor(cluster: Rendered, where: str, spec: Manifest) -> Iterator[Finding]:
    services = [
        service
        for service in cluster.of_kind("Service")
        if matches(spec.get("selector") or {}, service["metadata"].get("labels") or {})
    ]
    if not services:
        yield Finding(where, f"its selector {spec.get('selector')} takes no Service", "use labels of a Service")
    named = {port.get("name") for service in services for port in service["spec"].get("ports") or ()}
    for endpoint in spec.get("endpoints") or ():
        if services and endpoint.get("port") not in named:
            yield Finding(
                where, f"port {endpoint.get('port')} is no port of the Service", f"use one of {sorted(named)}"
            )


def _ingress(cluster: Rendered, where: str, spec: Manifest) -> Iterator[Finding]:
    hosts = {rule.get("host") for rule in spec.get("rules") or ()}
    for rule in spec.get("rules") or ():
        for path in (rule.get("http") or {}).get("paths") or ():
            backend = (path.get("backend") or {}).get("service") or {}
            service, port = cluster.get("Service", backend.get("name", "")), backend.get("port") or {}
            if service is None:
                yield Finding(
                    where, f"path {path.get('path')} leads to Service {backend.get('name')}", "name one that is there"
                )
                continue
            if not any(port.get("name") == each.get("name") or port.get("number") == each.get("port") for each in service["spec"]["ports"]):  # fmt: skip
                yield Finding(where, f"path {path.get('path')} leads to port {port}", "use a port of the Service")
    for entry in spec.get("tls") or ():
        for host in set(entry.get("hosts") or ()) - hosts:
            yield Finding(where, f"the certificate is for {host}, which no rule serves", "use the rules' host")
