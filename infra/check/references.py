"""What pods refer to is there: ConfigMaps and their keys, volumes, claims, accounts, and secrets that a person brings."""

from collections.abc import Iterator

from infra.check.findings import Finding
from infra.check.manifests import Manifest, Pod, Rendered

FOREIGN_ROLES = ("kubeflow-pipelines-edit",)
"""ClusterRoles that Kubeflow brings."""


def check_references(cluster: Rendered) -> Iterator[Finding]:
    for pod in cluster.pods():
        volumes = {volume.get("name"): volume for volume in pod.spec.get("volumes") or ()}
        claimed = {
            (c.get("metadata") or {}).get("name")
            for c in (pod.owner.get("spec") or {}).get("volumeClaimTemplates") or ()
        }
        for volume in volumes.values():
            yield from _volume(cluster, f"{pod.where} volume {volume.get('name')}", volume)
        for where, container in pod.containers():
            for mount in container.get("volumeMounts") or ():
                if mount.get("name") not in volumes.keys() | claimed:
                    yield Finding(where, f"mounts {mount.get('name')}, which is no volume", "add the volume")
            yield from _environment(cluster, where, container)
        yield from _account(cluster, pod)
    for binding in cluster.of_kind("RoleBinding"):
        role = binding.get("roleRef") or {}
        if role.get("name") not in FOREIGN_ROLES and cluster.get(role.get("kind", ""), role.get("name", "")) is None:
            yield Finding(
                cluster.where(binding), f"binds {role.get('kind')}/{role.get('name')}", "name a Role that is there"
            )
        for subject in binding.get("subjects") or ():
            if cluster.get(subject.get("kind", ""), subject.get("name", "")) is None:
                yield Finding(cluster.where(binding), f"is for {subject.get('name')}", "name an account that is there")
    for ingress in cluster.of_kind("Ingress"):
        for entry in ingress["spec"].get("tls") or ():
            yield from _secret(cluster, cluster.where(ingress), entry.get("secretName", ""), ())


def _account(cluster: Rendered, pod: Pod) -> Iterator[Finding]:
    name = pod.spec.get("serviceAccountName")
    if name and cluster.get("ServiceAccount", name) is None:
        yield Finding(pod.where, f"runs as {name}, which is not there", "add the ServiceAccount")


def _environment(cluster: Rendered, where: str, container: Manifest) -> Iterator[Finding]:
    for variable in container.get("env") or ():
        source = variable.get("valueFrom") or {}
        for kind, reference in (("ConfigMap", source.get("configMapKeyRef")), ("Secret", source.get("secretKeyRef"))):
            if reference and not (kind == "ConfigMap" and reference.get("optional")):
                yield from _named(cluster, where, kind, reference.get("name", ""), (reference.get("key", ""),))
    for source in container.get("envFrom") or ():
        for kind, reference in (("ConfigMap", source.get("configMapRef")), ("Secret", source.get("secretRef"))):
            if reference:
                yield from _named(cluster, where, kind, reference.get("name", ""), ())


def _volume(cluster: Rendered, where: str, volume: Manifest) -> Iterator[Finding]:
    sources = [volume, *((volume.get("projected") or {}).get("sources") or ())]
    for source in sources:
        for kind, reference, field in (
            ("ConfigMap", source.get("configMap"), "name"),
            ("Secret", source.get("secret"), "secretName" if source is volume else "name"),
        ):
            if reference:
                keys = tuple(item.get("key", "") for item in reference.get("items") or ())
                yield from _named(cluster, where, kind, reference.get(field, ""), keys)
    claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
    if claim and cluster.get("PersistentVolumeClaim", claim) is None:
        yield Finding(where, f"claims {claim}, which is not there", "add the PersistentVolumeClaim")


def _named(cluster: Rendered, where: str, kind: str, name: str, keys: tuple[str, ...]) -> Iterator[Finding]:
    if kind == "Secret":
        yield from _secret(cluster, where, name, keys)
        return
    found = cluster.get("ConfigMap", name)
    if found is None:
        yield Finding(where, f"refers to ConfigMap {name}, which is not there", "add it, or correct the name")
        return
    for key in set(keys) - (found.get("data") or {}).keys() - (found.get("binaryData") or {}).keys():
        yield Finding(where, f"ConfigMap {name} has no key {key}", "add it, or correct the key")


def _secret(cluster: Rendered, where: str, name: str, keys: tuple[str, ...]) -> Iterator[Finding]:
    if name not in cluster.brought:
        what = f"refers to Secret {name}, which nobody is told to bring"
        yield Finding(where, what, "describe it in infra/kubernetes/secrets.example.yaml")
        return
    for key in set(keys) - cluster.brought[name]:
        what = f"Secret {name} has no key {key}"
        yield Finding(where, what, "describe it in infra/kubernetes/secrets.example.yaml")
