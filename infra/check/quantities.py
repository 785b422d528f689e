"""Quantities that the API server reads, requests that every container makes, and none beyond its limit."""

import re
from collections.abc import Iterator
from decimal import Decimal

from infra.check.findings import Finding
from infra.check.manifests import Manifest, Rendered

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|[eE][+-]?\d+)?")
_BINARY = {unit: Decimal(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)}
_DECIMAL = {unit: Decimal(10) ** (3 * power) for power, unit in enumerate(("k", "M", "G", "T", "P", "E"), 1)}
_SMALL = {"n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1)}
_UNITS = _BINARY | _DECIMAL | _SMALL
_ALWAYS = (("requests", "cpu"), ("requests", "memory"), ("limits", "memory"))


def quantity(text: object) -> Decimal | None:
    """The number that Kubernetes reads, or None where it reads none (`16Mib`)."""
    match = _QUANTITY.fullmatch(str(text))
    if match is None:
        return None
    number, unit = match[1], match[2] or ""
    return Decimal(f"{number}{unit}") if unit[:1] in "eE" and len(unit) > 1 else Decimal(number) * _UNITS[unit]


def check_quantities(cluster: Rendered) -> Iterator[Finding]:
    for pod in cluster.pods():
        for where, container in pod.containers():
            yield from _resources(where, container.get("resources") or {})
        for volume in pod.spec.get("volumes") or ():
            size = (volume.get("emptyDir") or {}).get("sizeLimit")
            if size is not None:
                yield from _readable(f"{pod.where} volume {volume.get('name')}", "sizeLimit", size)
    for manifest in cluster.objects:
        where = cluster.where(manifest)
        for claim in _claims(manifest):
            for name, value in ((claim.get("resources") or {}).get("requests") or {}).items():
                yield from _readable(where, f"requests.{name}", value)
        if manifest.get("kind") == "ResourceQuota":
            for name, value in (manifest["spec"].get("hard") or {}).items():
                yield from _readable(where, f"hard.{name}", value)
        if manifest.get("kind") == "HorizontalPodAutoscaler":
            for metric in manifest["spec"].get("metrics") or ():
                for source in (
                    metric.get("pods"),
                    metric.get("resource"),
                    metric.get("external"),
                    metric.get("object"),
                ):
                    for name, value in ((source or {}).get("target") or {}).items():
                        if name in ("averageValue", "value"):
                            yield from _readable(where, f"target.{name}", value)


def _claims(manifest: Manifest) -> list[Manifest]:
    if manifest.get("kind") == "PersistentVolumeClaim":
        return [manifest.get("spec") or {}]
    return [claim.get("spec") or {} for claim in (manifest.get("spec") or {}).get("volumeClaimTemplates") or ()]


def _resources(where: str, resources: Manifest) -> Iterator[Finding]:
    for kind, name in _ALWAYS:
        if name not in (resources.get(kind) or {}):
            yield Finding(where, f"no resources.{kind}.{name}", "say what it needs: a scheduler guesses nothing")
    for kind in ("requests", "limits"):
        for name, value in (resources.get(kind) or {}).items():
            yield from _readable(where, f"{kind}.{name}", value)
    for name, value in (resources.get("requests") or {}).items():
        asked, most = quantity(value), quantity((resources.get("limits") or {}).get(name, value))
        if asked is not None and most is not None and asked > most:
            yield Finding(where, f"requests.{name} {value} is over its limit", "raise the limit or ask for less")


def _readable(where: str, name: str, value: object) -> Iterator[Finding]:
    read = quantity(value)
    if read is None:
        yield Finding(where, f"{name} is {value!r}, no quantity", "write for example 500m, 2, 16Mi or 4Gi")
    elif read < 0:
        yield Finding(where, f"{name} is {value!r}, below zero", "write 0 or more")
