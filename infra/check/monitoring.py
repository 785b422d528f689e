"""Alerts and dashboard on the cluster are those of infra/monitoring. `--write` makes prometheus-rule.yaml of alerts.yaml."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal

import yaml

from egoreact.files import whole_file
from infra.check.findings import Finding
from infra.check.manifests import INFRA, Manifest, Rendered
from infra.check.quantities import quantity

MONITORING = INFRA / "monitoring"
ALERTS, RULE, DASHBOARD = MONITORING / "alerts.yaml", MONITORING / "prometheus-rule.yaml", MONITORING / "dashboard.json"
MEMORY_ALERT, DRAIN_ALERT = "EgoReactMemory", "EgoReactDrainsTooLong"
"""One has the container's memory limit in its expression, the other waits for the longest drain."""
REMEDY = "run: python -m infra.check --write"
_LIMIT = re.compile(r"0\.85 \* (\d+) \* 1024 \* 1024 \* 1024")


def check_monitoring(cluster: Rendered) -> Iterator[Finding]:
    rule = cluster.get("PrometheusRule", "egoreact")
    if rule is None:
        yield Finding(cluster.name, "there is no PrometheusRule egoreact", "add infra/monitoring to the base")
        return
    where, groups = cluster.where(rule), rule["spec"].get("groups") or []
    if _without_limit(groups) != _without_limit(_alerts()):
        yield Finding(where, f"its rules are not those of {ALERTS.name}", REMEDY)
    yield from _memory(cluster, where, groups)
    yield from _drain(cluster, where, groups)
    config = cluster.get("ConfigMap", "egoreact-dashboard") or {}
    texts = list((config.get("data") or {}).values())
    if [json.loads(text) for text in texts] != [json.loads(DASHBOARD.read_text())]:
        yield Finding(
            cluster.name, f"ConfigMap egoreact-dashboard is not {DASHBOARD.name}", "generate it from that file"
        )


def write_rule() -> None:
    """Makes prometheus-rule.yaml anew."""
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "egoreact"},
        "spec": {"groups": _alerts()},
    }
    text = f"# Made from {ALERTS.name} by `python -m infra.check --write`.\n"
    with whole_file(RULE) as beside:
        beside.write_text(text + yaml.safe_dump(rule, sort_keys=False, width=1000))


def _alerts() -> list[Manifest]:
    return yaml.safe_load(ALERTS.read_text())["groups"]


def _without_limit(groups: list[Manifest]) -> list[Manifest]:
    return [
        {
            **group,
            "rules": [{**rule, "expr": _LIMIT.sub("", rule.get("expr", ""))} for rule in group.get("rules") or ()],
        }
        for group in groups
    ]


def _memory(cluster: Rendered, where: str, groups: list[Manifest]) -> Iterator[Finding]:
    """The alert's limit is the container's."""
    rules = [rule for group in groups for rule in group.get("rules") or () if rule.get("alert") == MEMORY_ALERT]
    found = [Decimal(each) * 1024**3 for rule in rules for each in _LIMIT.findall(rule["expr"])]
    deployment = cluster.get("Deployment", "egoreact") or {"spec": {"template": {"spec": {"containers": []}}}}
    for container in deployment["spec"]["template"]["spec"]["containers"]:
        limit = quantity(((container.get("resources") or {}).get("limits") or {}).get("memory"))
        if limit is not None and found != [limit]:
            what = f"{MEMORY_ALERT} is about another limit than the container's {limit / 1024**3:f} GiB"
            yield Finding(where, what, "patch the alert's expression in the overlay")


def _drain(cluster: Rendered, where: str, groups: list[Manifest]) -> Iterator[Finding]:
    deployment = cluster.get("Deployment", "egoreact") or {"spec": {"template": {"spec": {"containers": []}}}}
    given = [
        int(variable["value"])
        for container in deployment["spec"]["template"]["spec"]["containers"]
        for variable in container.get("env") or ()
        if variable["name"] == "EGOREACT_DRAIN_SECONDS"
    ]
    for rule in (rule for group in groups for rule in group.get("rules") or () if rule.get("alert") == DRAIN_ALERT):
        minutes = int(str(rule.get("for", "0m")).removesuffix("m"))
        if any(60 * minutes <= drain_s for drain_s in given):
            what = f"{DRAIN_ALERT} fires after {minutes} min, and a drain may take {max(given)} s"
            yield Finding(where, what, "let it wait longer in alerts.yaml")
