"""The service on a cluster: who it waits for, who may see it, when there are more of it."""

import re
from collections.abc import Iterator
from functools import cache

import yaml

from infra.check.findings import Finding
from infra.check.manifests import KUBERNETES, Manifest, Rendered
from infra.check.quantities import quantity
from infra.check.sources import ROOT, constant

ADAPTER = KUBERNETES / "prometheus-adapter-values.yaml"
TIMEOUTS = ("haproxy.org/timeout-tunnel", "haproxy.org/timeout-server")
NAME = "egoreact"


def check_serving(cluster: Rendered) -> Iterator[Finding]:
    deployment = cluster.get("Deployment", NAME)
    if deployment is None:
        yield Finding(cluster.name, f"there is no Deployment {NAME}", "add the service")
        return
    pod = deployment["spec"]["template"]["spec"]
    container: Manifest = next((c for c in pod["containers"] if c.get("name") == "service"), {})
    environment = {each["name"]: each.get("value", "") for each in container.get("env") or ()}
    where = cluster.where(deployment)
    yield from _drain(where, pod, container, environment)
    yield from _tokens(where, container, environment)
    yield from _probes(where, container)
    yield from _scaling(cluster, environment)
    yield from _ingress(cluster, environment)


def session_seconds(environment: dict[str, str]) -> int:
    """The longest session."""
    return int(environment.get("EGOREACT_SESSION_SECONDS", _limits().session_seconds))


def _drain(where: str, pod: Manifest, container: Manifest, environment: dict[str, str]) -> Iterator[Finding]:
    drain_s = int(environment.get("EGOREACT_DRAIN_SECONDS", _limits().drain_seconds))
    pause_s = (((container.get("lifecycle") or {}).get("preStop") or {}).get("sleep") or {}).get("seconds", 0)
    needed_s = pause_s + drain_s + constant("serving/process.py", "STOP_S")
    grace_s = pod.get("terminationGracePeriodSeconds", 30)
    if not pause_s:
        yield Finding(where, "has no preStop pause", "sleep a few seconds: proxies hear late that a pod leaves")
    if grace_s < needed_s:
        what = f"terminationGracePeriodSeconds is {grace_s}, and its stop takes {needed_s:.0f} s"
        yield Finding(where, what, "raise it, or lower EGOREACT_DRAIN_SECONDS")
    if drain_s < session_seconds(environment):
        what = f"EGOREACT_DRAIN_SECONDS is {drain_s}, and a session lasts up to {session_seconds(environment)} s"
        yield Finding(where, what, "raise it: a rollout would cut sessions off")


def _tokens(where: str, container: Manifest, environment: dict[str, str]) -> Iterator[Finding]:
    path = environment.get("EGOREACT_TOKENS", "")
    mounts = [mount["mountPath"] for mount in container.get("volumeMounts") or ()]
    if not any(path.startswith(f"{mount}/") for mount in mounts):
        yield Finding(
            where, f"EGOREACT_TOKENS is '{path}', which no volume holds", "mount the Secret with tokens.jsonl"
        )


def _probes(where: str, container: Manifest) -> Iterator[Finding]:
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        path = ((container.get(name) or {}).get("httpGet") or {}).get("path")
        if path not in _system_paths():
            yield Finding(where, f"{name} asks for {path}", f"ask for one of {', '.join(_system_paths())}")


def _scaling(cluster: Rendered, environment: dict[str, str]) -> Iterator[Finding]:
    most = int(environment.get("EGOREACT_MAX_SESSIONS", _limits().max_sessions))
    scalers = [
        each for each in cluster.of_kind("HorizontalPodAutoscaler") if each["spec"]["scaleTargetRef"]["name"] == NAME
    ]
    if not scalers:
        yield Finding(cluster.name, f"nothing scales Deployment/{NAME}", "add the HorizontalPodAutoscaler")
    adapted = {str(rule.get("seriesQuery", "")).partition("{")[0] for rule in _adapter_rules()}
    series = _series()
    for scaler in scalers:
        where = cluster.where(scaler)
        window_s = scaler["spec"].get("behavior", {}).get("scaleDown", {}).get("stabilizationWindowSeconds", 300)
        if window_s < session_seconds(environment):
            what = f"scales down after {window_s} s, sooner than a session ends"
            yield Finding(where, what, f"wait {session_seconds(environment)} s or more")
        for metric in scaler["spec"].get("metrics") or ():
            name = ((metric.get("pods") or {}).get("metric") or {}).get("name")
            if name not in series:
                yield Finding(where, f"the service has no series {name}", "use one of serving/metrics.py")
            elif name not in adapted:
                yield Finding(where, f"{ADAPTER.name} does not hand on {name}", "add a rule for it")
            at = quantity(((metric.get("pods") or {}).get("target") or {}).get("averageValue"))
            if at is not None and at >= most:
                yield Finding(where, f"scales at {at} sessions a pod of {most}", "scale before pods are full")


def _ingress(cluster: Rendered, environment: dict[str, str]) -> Iterator[Finding]:
    for ingress in cluster.of_kind("Ingress"):
        where, annotations = cluster.where(ingress), ingress["metadata"].get("annotations") or {}
        for name in TIMEOUTS:
            text = annotations.get(name, "")
            seconds = int(text.removesuffix("s")) if text.removesuffix("s").isdecimal() else 0
            if seconds < session_seconds(environment):
                what = f"{name} is '{text}', and a session lasts up to {session_seconds(environment)} s"
                yield Finding(where, what, "give it more, in seconds: 660s")
        for rule in ingress["spec"].get("rules") or ():
            for path in rule["http"]["paths"]:
                hidden = [each for each in _system_paths() if _leads(path, each)]
                if hidden:
                    yield Finding(
                        where, f"path {path['path']} shows {', '.join(hidden)}", "route what clients use alone"
                    )


def _system_paths() -> tuple[str, ...]:
    paths: tuple[str, ...] = constant("serving/openapi.py", "SYSTEM_PATHS")
    return paths


def _leads(route: Manifest, path: str) -> bool:
    if route.get("pathType") == "Exact":
        return bool(route["path"] == path)
    prefix = route["path"].rstrip("/")
    return path == prefix or path.startswith(f"{prefix}/")


def _adapter_rules() -> list[Manifest]:
    return yaml.safe_load(ADAPTER.read_text())["rules"]["custom"]


@cache
def _series() -> frozenset[str]:
    """Names of the service's own series, from its source: a Counter's has the suffix `_total` on the wire."""
    return frozenset(re.findall(r'Gauge\(\s*"(\w+)"', (ROOT / "serving" / "metrics.py").read_text()))


@cache
def _limits():  # type: ignore[no-untyped-def]
    from serving.admission import Limits

    return Limits()
