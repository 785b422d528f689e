"""Pod Security `restricted`, and the project's own rules: numeric users, read-only root file systems, images that do not
move, accounts that may do no more than they must, no secret in the repository."""

import re
from collections.abc import Iterator

from infra.check.findings import Finding
from infra.check.manifests import PLACEHOLDER, Manifest, Pod, Rendered

VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret", "image",
}  # fmt: skip
SECCOMP = ("RuntimeDefault", "Localhost")
_TAG = re.compile(r":([\w][\w.-]{0,127})$")
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


def check_pod_security(cluster: Rendered) -> Iterator[Finding]:
    """The Pod Security Standard `restricted`."""
    for pod in cluster.pods():
        yield from _pod(pod)
        for where, container in pod.containers():
            yield from _container(where, container, pod.spec.get("securityContext") or {})


def _pod(pod: Pod) -> Iterator[Finding]:
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.spec.get(name):
            yield Finding(pod.where, f"{name} is set", "remove it: `restricted` forbids it")
    for volume in pod.spec.get("volumes") or ():
        for kind in set(volume) - {"name"} - VOLUMES:
            yield Finding(
                f"{pod.where} volume {volume.get('name')}", f"is a {kind}", "use a volume that `restricted` allows"
            )


def _container(where: str, container: Manifest, pod: Manifest) -> Iterator[Finding]:
    own = container.get("securityContext") or {}
    merged = {**{name: pod[name] for name in ("runAsNonRoot", "runAsUser", "seccompProfile") if name in pod}, **own}
    capabilities = own.get("capabilities") or {}
    user = merged.get("runAsUser")
    if own.get("allowPrivilegeEscalation") is not False:
        yield Finding(where, "allowPrivilegeEscalation is not false", "set it to false")
    if own.get("privileged"):
        yield Finding(where, "is privileged", "remove privileged")
    if "ALL" not in (capabilities.get("drop") or ()) or set(capabilities.get("add") or ()) - {"NET_BIND_SERVICE"}:
        yield Finding(where, "keeps capabilities", "drop ALL and add none")
    if merged.get("runAsNonRoot") is not True:
        yield Finding(where, "runAsNonRoot is not true", "set it, on the pod or the container")
    if isinstance(user, bool) or not isinstance(user, int) or user == 0:
        yield Finding(
            where, f"runAsUser is {user}", "give a number above 0: a kubelet cannot judge an image's user name"
        )
    if (merged.get("seccompProfile") or {}).get("type") not in SECCOMP:
        yield Finding(where, "has no seccompProfile", "set RuntimeDefault on the pod")
    for port in container.get("ports") or ():
        if port.get("hostPort"):
            yield Finding(where, f"opens hostPort {port['hostPort']}", "remove it and use a Service")


def check_policies(cluster: Rendered) -> Iterator[Finding]:
    """The project's own rules."""
    for pod in cluster.pods():
        named = pod.spec.get("serviceAccountName")
        if pod.spec.get("automountServiceAccountToken") is not False and not named:
            yield Finding(pod.where, "gets the default account's token", "set automountServiceAccountToken: false")
        for where, container in pod.containers():
            if (container.get("securityContext") or {}).get("readOnlyRootFilesystem") is not True:
                yield Finding(where, "its root file system can be written", "set readOnlyRootFilesystem: true")
            if pod.owner not in cluster.templates:  # the code puts those images in, by digest
                yield from image_findings(where, str(container.get("image", "")))
    for secret in cluster.of_kind("Secret"):
        yield Finding(cluster.where(secret), _secret(secret), "make it with kubectl, and refer to it: docs/cluster.md")
    for role in cluster.of_kind("Role", "ClusterRole"):
        yield from _role(cluster.where(role), role)
    for binding in cluster.of_kind("ClusterRoleBinding"):
        yield Finding(cluster.where(binding), "reaches beyond the namespace", "bind a Role by a RoleBinding")


def image_findings(where: str, image: str) -> Iterator[Finding]:
    """An image must have a digest, or a tag that is not `latest`."""
    tag = _TAG.search(image.partition("@")[0])
    if _DIGEST.search(image):
        return
    if tag is None:
        yield Finding(where, f"image {image} has no tag", "name a version in the overlay's images, best by digest")
    elif tag[1] == "latest":
        yield Finding(where, f"image {image} may be another tomorrow", "name a version, best by digest")


def _secret(secret: Manifest) -> str:
    texts = [*(secret.get("stringData") or {}).values(), *(secret.get("data") or {}).values()]
    filled = not any(PLACEHOLDER in str(text) for text in texts)
    return "is a secret in the repository" if filled else f"is the example, with {PLACEHOLDER} in it"


def _role(where: str, role: Manifest) -> Iterator[Finding]:
    if role["kind"] == "ClusterRole":
        yield Finding(where, "reaches beyond the namespace", "write a Role")
    for rule in role.get("rules") or ():
        for field in ("apiGroups", "resources", "verbs"):
            if "*" in (rule.get(field) or ()):
                yield Finding(where, f"{field} has *", "list what is used")
        if "secrets" in (rule.get("resources") or ()) and not rule.get("resourceNames"):
            yield Finding(where, "may read every secret of the namespace", "name them in resourceNames")
