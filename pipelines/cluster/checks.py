"""What is looked up on the cluster before anything is created: quota, settings, secrets.

Where the cluster's own API cannot be reached or does not let this account look, a check is passed over and said so: a
CI runner often may submit runs and nothing else. A limit that is given always holds.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from egoreact.errors import EgoReactError

MAX_GPUS = "EGOREACT_MAX_GPUS"
RAY_IMAGE, RAY_QUEUE = "EGOREACT_RAY_IMAGE", "EGOREACT_RAY_QUEUE"
TIMEOUT_S = (5, 10)
QUOTA_KEYS = ("requests.nvidia.com/gpu", "limits.nvidia.com/gpu", "nvidia.com/gpu")


def check_gpus_limit(needed: int, limit: int | None) -> None:
    """Raises:
    EgoReactError: one step needs more GPUs than the limit, `EGOREACT_MAX_GPUS` where it is not given.
    """
    text = os.environ.get(MAX_GPUS, "")
    if limit is None and text:
        if not text.isdecimal():
            raise EgoReactError(f"'{text}' is no number of GPUs", where=MAX_GPUS, remedy="give a whole number")
        limit = int(text)
    if limit is not None and needed > limit:
        raise _too_many(needed, limit, f"limit --max-gpus or {MAX_GPUS}")


def check_cluster(namespace: str, *, gpus: int, side_by_side: int, secret: bool) -> list[str]:
    """Looks at the namespace's quotas, and at the ConfigMap and Secret that every step's pod takes its settings from.

    Args:
        gpus: that one step needs at once.
        side_by_side: that steps need so that none waits for another.
        secret: whether the pods take credentials from the Secret; not so where they have an identity of their own.

    Returns:
        A line each for what could not be looked at, and why, and for a quota in which trainings may wait for each other.

    Raises:
        EgoReactError: more GPUs than a quota allows, or settings or secrets that are missing.
    """
    from pipelines.training import SECRET_NAMES, SETTING_NAMES, SETTINGS

    core = _core()
    if core is None:
        return ["no kubeconfig: quota, settings and secrets were not looked at"]
    notes: list[str] = []
    quotas = _look(lambda: core.list_namespaced_resource_quota(namespace, _request_timeout=TIMEOUT_S), "quotas", notes)
    allowed = _gpus_allowed(quotas.items if quotas is not None else [])
    if allowed is not None and gpus > allowed.gpus:
        raise _too_many(gpus, allowed.gpus, f"quota {allowed.quota} of namespace {namespace}")
    settings = _look(lambda: core.read_namespaced_config_map(SETTINGS, namespace, _request_timeout=TIMEOUT_S), f"ConfigMap {SETTINGS}", notes)  # fmt: skip
    if settings is not None:
        _complete(f"ConfigMap {SETTINGS} of namespace {namespace}", settings.data, SETTING_NAMES, "kubectl apply -k infra/kubernetes/overlays/…")  # fmt: skip
        _check_ray_image(namespace, settings.data)
        on_ray = settings.data.get(RAY_IMAGE) and not settings.data.get(RAY_QUEUE)
        if on_ray and allowed is not None and side_by_side > allowed.gpus:
            notes.append(
                f"trainings side by side want {side_by_side} GPUs and quota {allowed.quota} allows {allowed.gpus}: each "
                f"may hold some and wait for the rest until its deadline; a queue of Kueue ({RAY_QUEUE}) lets one in first"
            )
    if secret:
        found = _look(lambda: core.read_namespaced_secret(SETTINGS, namespace, _request_timeout=TIMEOUT_S), f"Secret {SETTINGS}", notes)  # fmt: skip
        if found is not None:
            literals = " ".join(f"--from-literal={name}=…" for name in SECRET_NAMES)
            remedy = f"kubectl create secret generic {SETTINGS} -n {namespace} {literals}, or --without-secret where pods have an identity of their own"  # fmt: skip
            _complete(f"Secret {SETTINGS} of namespace {namespace}", found.data, SECRET_NAMES, remedy)
    return notes


@dataclass(frozen=True)
class _Allowed:
    """The narrowest quota of GPUs."""

    gpus: int
    quota: str


def _gpus_allowed(quotas: Iterable[Any]) -> _Allowed | None:
    found = []
    for quota in quotas:
        hard = (quota.status.hard if quota.status and quota.status.hard else quota.spec.hard) or {}
        found += [_Allowed(int(Decimal(hard[key])), quota.metadata.name) for key in QUOTA_KEYS if key in hard]
    return min(found, key=lambda each: each.gpus, default=None)


def _check_ray_image(namespace: str, settings: dict[str, str]) -> None:
    """What the training steps keep of their resources was decided when they were compiled, here; where they train, there."""
    here, there = bool(os.environ.get(RAY_IMAGE)), settings.get(RAY_IMAGE, "")
    if here == bool(there):
        return
    what = f"names {RAY_IMAGE}, which is not set here" if there else f"does not name {RAY_IMAGE}, which is set here"
    remedy = f"set it here to the same: export {RAY_IMAGE}={there}" if there else f"unset it here, or set it there: {RAY_IMAGE}"  # fmt: skip
    raise EgoReactError(what, where=f"ConfigMap egoreact of namespace {namespace}", remedy=remedy)


class _Absent:
    """Stands for an object that is not there."""

    data = None
    items: tuple[Any, ...] = ()


def _complete(where: str, data: dict[str, str] | None, names: tuple[str, ...], remedy: str) -> None:
    missing = [name for name in names if name not in (data or {})]
    if missing:
        what = "is missing" if data is None else f"lacks {', '.join(missing)}"
        raise EgoReactError(what, where=where, remedy=remedy)


def _core() -> Any:
    """The cluster's API, by kubeconfig or by a pod's own account; None where there is neither."""
    from kubernetes import client, config
    from kubernetes.config import ConfigException

    settings = client.Configuration()
    settings.retries = 1
    try:
        config.load_kube_config(os.environ.get("KUBECONFIG"), client_configuration=settings)
    except (ConfigException, OSError):
        try:
            config.load_incluster_config(client_configuration=settings)
        except ConfigException:
            return None
    return client.CoreV1Api(client.ApiClient(settings))


def _look(call: Any, what: str, notes: list[str]) -> Any:
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    try:
        return call()
    except ApiException as error:
        if error.status == 404:
            return _Absent()
        notes.append(f"{what} could not be looked at: the cluster answers {error.status}")
    except HTTPError as error:
        notes.append(f"{what} could not be looked at: the cluster does not answer ({type(error).__name__})")
    return None


def _too_many(needed: int, limit: object, of: str) -> EgoReactError:
    return EgoReactError(
        f"one step needs {needed} GPUs at once, more than the {limit} allowed",
        where=of,
        remedy="take a smaller --preset, a --config with fewer workers, or ask for a larger quota",
    )
