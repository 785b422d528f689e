"""What a RayJob's status says: done, failed for good, or late."""

import time

from components.train.ray_manifest import Object

SLACK_S = 300
"""By how much the step outwaits the operator's own deadlines before it believes that no operator enforces them."""


class Limits:
    """The spec's deadlines, which the operator keeps; here for where none does."""

    def __init__(self, spec: Object):
        self.starting_s = float(spec.get("preRunningDeadlineSeconds", 3600)) + SLACK_S
        # Each attempt of `backoffLimit` has the whole of both.
        attempts = 1 + int(spec.get("backoffLimit", 0))
        self.whole_s = attempts * (float(spec.get("activeDeadlineSeconds", 7 * 86400)) + self.starting_s)
        self.started = time.monotonic()

    @property
    def left_s(self) -> float:
        return max(60.0, self.started + self.whole_s - time.monotonic())

    def passed(self, status: Object) -> str | None:
        if status.get("jobDeploymentStatus") == "Suspended":
            self.started = time.monotonic()  # queued: the clock starts when it is admitted
        waited_s = time.monotonic() - self.started
        if waited_s > self.starting_s and not status.get("jobDeploymentStatus"):
            return f"was taken up by no operator for {waited_s:.0f} s: check that KubeRay's watches this namespace"
        return f"did not end within {waited_s:.0f} s, and no operator ended it" if waited_s > self.whole_s else None


def succeeded(job: Object) -> bool:
    return (job.get("status") or {}).get("jobStatus") == "SUCCEEDED"


def failure(job: Object) -> str | None:
    """Why the job will not succeed any more, or None while it may. A failed attempt that is retried is no failure."""
    status = job.get("status") or {}
    deployment, ray = status.get("jobDeploymentStatus"), status.get("jobStatus")
    final = deployment in ("Failed", "ValidationFailed") or (deployment == "Complete" and ray in ("FAILED", "STOPPED"))
    if not final or succeeded(job):
        return None
    said = ": ".join(filter(None, (status.get("reason"), status.get("message"))))
    words = {"ValidationFailed": "was refused by KubeRay", "STOPPED": "was stopped"}
    what = words.get(deployment or "") or words.get(ray or "") or "failed"
    return f"{what} ({said})" if said else what


def owner_uid(job: Object) -> str | None:
    references = job["metadata"].get("ownerReferences") or []
    return next((each["uid"] for each in references if each["kind"] == "Pod"), None)
