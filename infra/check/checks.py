"""All checks by name, and what they were run on."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from infra.check.compiled import check_compiled
from infra.check.duplicates import check_duplicates
from infra.check.findings import Finding
from infra.check.images import check_images
from infra.check.manifests import Rendered
from infra.check.monitoring import check_monitoring
from infra.check.names import check_names
from infra.check.quantities import check_quantities
from infra.check.ray_job import check_ray_job
from infra.check.references import check_references
from infra.check.schemas import check_schemas
from infra.check.security import check_pod_security, check_policies
from infra.check.selectors import check_selectors
from infra.check.serving import check_serving
from infra.check.workflows import check_workflows

OF_CLUSTERS: dict[str, Callable[[Rendered], Iterable[Finding]]] = {
    "schemas": check_schemas,
    "quantities": check_quantities,
    "selectors": check_selectors,
    "duplicates": check_duplicates,
    "pod security": check_pod_security,
    "policies": check_policies,
    "references": check_references,
    "names": check_names,
    "serving": check_serving,
    "monitoring": check_monitoring,
    "ray job": check_ray_job,
}
"""What each overlay's objects are put through."""

OF_FILES: dict[str, Callable[[], Iterable[Finding]]] = {
    "images": check_images,
    "workflows": check_workflows,
}


@dataclass(frozen=True)
class Outcome:
    check: str
    target: str
    findings: tuple[Finding, ...]


def run_all(clusters: Iterable[Rendered]) -> list[Outcome]:
    """Every check on everything."""
    clusters = list(clusters)
    outcomes = [
        Outcome(name, cluster.name, tuple(dict.fromkeys(check(cluster))))
        for name, check in OF_CLUSTERS.items()
        for cluster in clusters
    ]
    outcomes += [Outcome("compiled", each.name, tuple(check_compiled(cluster=each))) for each in clusters]
    return outcomes + [Outcome(name, "", tuple(check())) for name, check in OF_FILES.items()]
