"""What the service counts is there from its first moment; the dashboard shows all of it, and alerts name nothing else."""

import io
import json
import re
import urllib.error
from itertools import combinations
from pathlib import Path

import promql_parser
import pytest
import yaml
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from running import get, make_frames, running
from websockets.sync.client import connect

from egoreact.client.wire import Chunk, Frame, unpack_message
from serving.metrics import REASONS, STAGES, STATES

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "infra" / "monitoring"
TOKENS = 3
Series = dict[tuple[str, frozenset], float]


def scrape(url: str) -> Series:
    """/metrics by a series' name and labels."""
    families = text_string_to_metric_families(get(f"{url}/metrics").decode())
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def value(series: Series, name: str, **labels: str) -> float:
    return series[name, frozenset(labels.items())]


@pytest.fixture(scope="module")
def scraped(bundle_folder, tmp_path_factory) -> dict[str, Series]:
    """A service before its first client, while a session lives, and after it."""
    home = tmp_path_factory.mktemp("metrics")
    with running(home, EGOREACT_BUNDLE=bundle_folder) as service:
        found = {"before": scrape(service.url)}
        with connect(f"{service.url.replace('http', 'ws')}/v1/stream") as socket:
            socket.recv()
            for index, rgb in enumerate(make_frames(TOKENS)):
                image = io.BytesIO()
                Image.fromarray(rgb).save(image, "jpeg")
                socket.send(Frame(4 * index, 0.2 * index, image.getvalue()).pack())
                Chunk.from_message(unpack_message(socket.recv()))
            found["during"] = scrape(service.url)
        for number in range(20):  # of each kind
            for path in (
                f"/nothing{number}",
                f"/v1/samples/{number}.mp4",
                f"/assets/{number}.js",
                f"/v1/{number}/deep",
            ):
                with pytest.raises(urllib.error.HTTPError, match="404"):
                    get(f"{service.url}{path}")
        found["after"] = scrape(service.url)
        return found


def test_every_series_is_there_before_the_first_client(scraped):
    before = scraped["before"]
    names = {name for name, _ in before}
    assert {"egoreact_uploads", "egoreact_tokens_total", "egoreact_dropped_tokens_total", "egoreact_draining"} <= names
    assert all(value(before, "egoreact_sessions", state=state) == 0 for state in STATES)
    assert all(value(before, "egoreact_refused_total", reason=reason) == 0 for reason in REASONS)
    assert all(value(before, "egoreact_stage_seconds_count", stage=stage) == 0 for stage in STAGES)
    assert value(before, "egoreact_batch_size_count") == 0
    (model,) = [dict(labels) for name, labels in before if name == "egoreact_model"]
    assert set(model) == {"version", "digest"} and re.fullmatch("[0-9a-f]{64}", model["digest"])
    assert 5e7 < value(before, "egoreact_resident_memory_bytes") < 8e9


def test_a_session_and_its_tokens_are_counted(scraped):
    during = scraped["during"]
    assert value(during, "egoreact_sessions", state="live") == 1
    assert value(during, "egoreact_tokens_total") == TOKENS
    assert value(during, "egoreact_dropped_tokens_total") == 0
    assert all(value(during, "egoreact_stage_seconds_count", stage=stage) == TOKENS for stage in STAGES)
    parts = sum(value(during, "egoreact_stage_seconds_sum", stage=stage) for stage in STAGES if stage != "total")
    assert 0 < parts <= value(during, "egoreact_stage_seconds_sum", stage="total") * 1.001
    assert value(during, "egoreact_batch_size_sum") == value(during, "egoreact_batch_size_count") == TOKENS


def test_whoever_asks_for_what_is_not_there_makes_no_series(scraped):
    asked = {dict(labels)["endpoint"] for name, labels in scraped["after"] if name.endswith("request_total")}
    assert {"/-", "/v1/samples/-", "/assets/-"} <= asked and len(asked) < 10


@pytest.fixture(scope="module")
def rules() -> list[dict]:
    (group,) = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]
    return group["rules"]


@pytest.fixture(scope="module")
def dashboard() -> dict:
    return json.loads((MONITORING / "dashboard.json").read_text())


def selectors(expression: str) -> list[promql_parser.VectorSelector]:
    """The series that a PromQL expression selects; ValueError where it is none."""
    found: list[promql_parser.VectorSelector] = []

    def visit(node: object) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


def expressions(dashboard: dict) -> list[str]:
    """As Prometheus gets them, Grafana's variables put in."""
    found = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return [expression.replace("$__rate_interval", "1m").replace("$instance", ".*") for expression in found]


def assert_served(expression: str, series: Series) -> None:
    """Each series that is selected is one the service has, by name, label and value."""
    for selector in selectors(expression):
        labels = [dict(labels) for name, labels in series if name == selector.name]
        assert labels, f"{selector.name} in {expression}"
        for matcher in selector.matchers.matchers:
            if matcher.name in ("instance", "http_response_code"):  # Prometheus adds the one, traffic makes the other
                continue
            known = {each[matcher.name] for each in labels}
            wanted = matcher.value.split("|") if matcher.op in (promql_parser.MatchOp.Re,) else [matcher.value]
            assert set(wanted) <= known, f"{matcher.name}={matcher.value} in {expression}"


def test_alerts_are_rules_that_prometheus_takes_over_series_that_exist(rules, scraped):
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 7
    for rule in rules:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        promql_parser.parse_duration(rule["for"])
        assert rule["labels"]["severity"] in ("warning", "critical") and rule["annotations"]["summary"]
        assert selectors(rule["expr"])
        assert_served(rule["expr"], scraped["before"])


def test_the_page_on_operations_says_what_to_do_about_each_alert(rules):
    page = (ROOT / "docs" / "operations.md").read_text()
    for rule in rules:
        assert re.search(rf"^\| `{rule['alert']}` \|[^|]+\|[^|]+\|$", page, re.MULTILINE), rule["alert"]


def test_the_memory_alert_comes_before_the_container_is_killed(rules):
    service = (ROOT / "infra" / "kubernetes" / "base" / "service.yaml").read_text()
    (deployment,) = [each for each in yaml.safe_load_all(service) if each["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    limit = container["resources"]["limits"]["memory"]
    (rule,) = [rule for rule in rules if rule["alert"] == "EgoReactMemory"]
    share, gibibytes = re.search(r"> ([\d.]+) \* (\d+) \* 1024 \* 1024 \* 1024$", rule["expr"]).groups()
    assert f"{gibibytes}Gi" == limit and 0.5 < float(share) < 0.95


def test_the_dashboard_asks_for_series_that_exist_and_shows_all_of_the_services_own(dashboard, scraped):
    asked = set()
    for expression in expressions(dashboard):
        asked |= {selector.name for selector in selectors(expression)}
        assert_served(expression, scraped["before"])
    own = {name for name, _ in scraped["before"] if name.startswith("egoreact_")}
    counted = {re.sub("_(bucket|sum|count|created)$", "", name) for name in own}
    assert counted == {re.sub("_(bucket|sum|count)$", "", name) for name in asked if name.startswith("egoreact_")}


def test_the_dashboard_is_one_that_grafana_imports(dashboard):
    assert dashboard["schemaVersion"] >= 36 and dashboard["title"] and len(dashboard["uid"]) <= 40
    assert "id" not in dashboard, "Grafana gives the number"
    variables = {each["name"]: each for each in dashboard["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource" and variables["datasource"]["query"] == "prometheus"
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    for panel in dashboard["panels"]:
        assert panel["title"] and panel["description"]
        assert panel["type"] in ("timeseries", "stat", "heatmap", "table")
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        for holder in (panel, *panel["targets"]):
            assert holder["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_no_panel_of_the_dashboard_covers_another(dashboard):
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    for place in places:
        assert place["x"] >= 0 and place["w"] > 0 and place["h"] > 0 and place["x"] + place["w"] <= 24
    for a, b in combinations(places, 2):
        apart = (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )
        assert apart, (a, b)
