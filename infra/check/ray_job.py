"""The RayJob template: what its schema does not ask for, and what has gone wrong without it."""

from collections.abc import Iterator

from infra.check.findings import Finding
from infra.check.manifests import Rendered
from infra.check.sources import ROOT

REQUIRED = {
    "shutdownAfterJobFinishes": "a finished job would keep its nodes",
    "ttlSecondsAfterFinished": "a finished job would never be cleared away",
    "backoffLimit": "a lost head would end the training",
    "activeDeadlineSeconds": "a job that hangs would hold its nodes for ever",
    "preRunningDeadlineSeconds": "pods that never find a node would be waited for, for ever",
    "submissionMode": "the operator's default follows a log stream, and a cut one has ended running jobs",
}
GANG = ("replicas", "minReplicas", "maxReplicas")


def check_ray_job(cluster: Rendered) -> Iterator[Finding]:
    if not cluster.templates:
        yield Finding(
            "infra/kubernetes/base/ray-job.yaml", "is not there", "add the RayJob that trainings are made from"
        )
    for job in cluster.templates:
        where, spec = cluster.where(job), job.get("spec") or {}
        for field, why in REQUIRED.items():
            if field not in spec:
                yield Finding(where, f"spec.{field} is not set: {why}", "set it")
        for name, part in (("spec", spec), ("spec.rayClusterSpec", spec.get("rayClusterSpec") or {})):
            if "suspend" in part:
                yield Finding(where, f"{name}.suspend is set, which is Kueue's alone to set", "remove it")
        cluster_spec = spec.get("rayClusterSpec") or {}
        if cluster_spec.get("enableInTreeAutoscaling"):
            yield Finding(where, "scales by itself", "keep the gang's size fixed: enableInTreeAutoscaling: false")
        for group in cluster_spec.get("workerGroupSpecs") or ():
            sizes = {group.get(name) for name in GANG}
            if len(sizes) != 1 or None in sizes:
                what = f"workers {group.get('groupName')} may be {', '.join(map(str, sizes))}"
                yield Finding(where, what, f"give {', '.join(GANG)} one size: training needs its whole gang")
        yield from _version(where, str(cluster_spec.get("rayVersion", "")))


def _version(where: str, version: str) -> Iterator[Finding]:
    """As in the image."""
    pinned = [line.partition("==")[2] for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("ray==")]  # fmt: skip
    if [version] != pinned:
        yield Finding(where, f"rayVersion is {version}, and the image has {', '.join(pinned)}", "write the image's")
