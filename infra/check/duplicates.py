"""Names that may be there once: the API server refuses the second, or takes the last without a word."""

from collections import Counter
from collections.abc import Iterable, Iterator

from infra.check.findings import Finding
from infra.check.manifests import Rendered, label


def check_duplicates(cluster: Rendered) -> Iterator[Finding]:
    for name in _twice(
        (each.get("apiVersion"), label(each), each["metadata"].get("namespace")) for each in cluster.objects
    ):
        yield Finding(f"{cluster.name} {name[1]}", "is there twice", "remove one, or give it another name")
    for pod in cluster.pods():
        yield from _report(pod.where, "container", (c.get("name") for _, c in pod.containers()))
        yield from _report(pod.where, "volume", (v.get("name") for v in pod.spec.get("volumes") or ()))
        ports = (port.get("name") for _, c in pod.containers() for port in c.get("ports") or () if port.get("name"))
        yield from _report(pod.where, "port", ports)
        for where, container in pod.containers():
            yield from _report(where, "variable", (e.get("name") for e in container.get("env") or ()))
            yield from _report(where, "mountPath", (m.get("mountPath") for m in container.get("volumeMounts") or ()))
    for service in cluster.of_kind("Service"):
        yield from _report(cluster.where(service), "port", (p.get("name") for p in service["spec"].get("ports") or ()))


def _report(where: str, kind: str, names: Iterable[object]) -> Iterator[Finding]:
    for name in _twice(names):
        yield Finding(where, f"{kind} {name} is there twice", "remove one, or give it another name")


def _twice(names: Iterable) -> list:
    return [name for name, count in Counter(names).items() if count > 1]
