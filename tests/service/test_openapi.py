"""The description of the API and the running service say the same: generated requests, good and bad, find no answer that
is not in it."""

import json

import httpx
import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running import make_bundle, make_video, running
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import positive_data_acceptance

from serving.openapi import SYSTEM_PATHS
from serving.tokens import create_token

load_all_checks()
VIDEO = make_video(9, 32)
for kind in ("video/mp4", "video/webm", "video/quicktime", "application/octet-stream"):
    schemathesis.openapi.media_type(kind, st.one_of(st.just(VIDEO), st.binary(max_size=200)))
PATHS = {
    "/": {"get"},
    "/assets/{name}": {"get"},
    "/v1/model": {"get"},
    "/v1/openapi.json": {"get"},
    "/v1/reactions": {"post"},
    "/v1/samples": {"get"},
    "/v1/samples/{name}": {"get"},
    "/v1/stream": {"get"},
    **{path: {"get"} for path in SYSTEM_PATHS},
}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    make_bundle(home / "releases" / "b")
    (home / "releases" / "samples").mkdir()
    (home / "releases" / "samples" / "ball.mp4").write_bytes(VIDEO)
    path = home / "tokens.jsonl"
    secret = create_token(path, "anna", rate_per_minute=100_000, sessions=1)
    with running(home, EGOREACT_BUNDLE=home / "releases" / "b", EGOREACT_TOKENS=path) as service:
        service.headers = {"Authorization": f"Bearer {secret}"}
        yield service


@pytest.fixture(scope="module")
def document(service):
    return httpx.get(f"{service.url}/v1/openapi.json").json()


@pytest.fixture(scope="module")
def api(service):
    return schemathesis.openapi.from_url(f"{service.url}/v1/openapi.json")


@pytest.mark.parametrize(
    ("path", "mode"),
    [*((path, GenerationMode.POSITIVE) for path in PATHS), ("/v1/reactions", GenerationMode.NEGATIVE)],
)
def test_no_answer_is_undocumented(api, service, path, mode):
    """Nor of 5xx, of another type, without its headers, or against its schema. Bytes that are no video may be refused."""
    operation = api[path][next(iter(PATHS[path]))]

    @settings(max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def sends(case):
        case.call_and_validate(headers=service.headers, excluded_checks=[positive_data_acceptance])

    sends()


def test_every_route_is_there(document):
    assert {path: set(operations) for path, operations in document["paths"].items()} == PATHS


def test_every_route_parameter_and_answer_is_described(document):
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["summary"] and operation["operationId"] and operation["tags"], path
            for parameter in operation.get("parameters", []):
                assert parameter["schema"], parameter
                assert parameter["in"] == "path" or parameter["description"], parameter
            for status, answer in operation["responses"].items():
                assert answer["description"] not in ("", "Successful Response"), (path, status)


def test_what_needs_a_token_says_so(document):
    locked = {path for path, operations in document["paths"].items() if "security" in next(iter(operations.values()))}
    assert locked == {"/v1/reactions", "/v1/model"}
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_the_examples_fit_their_schemas(document):
    schemas = document["components"]["schemas"]
    shown = 0
    for operations in document["paths"].values():
        for operation in operations.values():
            for answer in operation["responses"].values():
                body = answer.get("content", {}).get("application/json", {})
                if "$ref" in body.get("schema", {}):
                    name = body["schema"]["$ref"].rsplit("/", 1)[1]
                    example = body.get("example") or _example(schemas, schemas[name])
                    jsonschema_rs.validate({**schemas[name], "components": document["components"]}, example)
                    shown += 1
    assert shown > 15


def test_real_answers_fit_their_schemas(document, service):
    def check(name: str, answer: httpx.Response) -> None:
        assert answer.status_code == 200, answer.text
        jsonschema_rs.validate(
            {**document["components"]["schemas"][name], "components": document["components"]}, answer.json()
        )

    headers = service.headers | {"Content-Type": "video/mp4"}
    check("ReactionAnswer", httpx.post(f"{service.url}/v1/reactions", content=VIDEO, headers=headers, timeout=30))
    check("ModelAnswer", httpx.get(f"{service.url}/v1/model", headers=headers))
    check("SamplesAnswer", httpx.get(f"{service.url}/v1/samples"))
    streamed = httpx.post(f"{service.url}/v1/reactions?format=ndjson", content=VIDEO, headers=headers, timeout=30)
    example = document["paths"]["/v1/reactions"]["post"]["responses"]["200"]["content"]["application/x-ndjson"][
        "example"
    ]
    assert [set(json.loads(line)) for line in example.splitlines()] == [
        set(json.loads(line)) for line in (*streamed.text.splitlines()[:2], streamed.text.splitlines()[-1])
    ]


def _example(schemas: dict, schema: dict) -> object:
    """Put together from the examples of its properties."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rsplit("/", 1)[1]]
    if "examples" in schema:
        return schema["examples"][0]
    if schema.get("type") == "array":
        return [_example(schemas, schema["items"])]
    return {name: _example(schemas, part) for name, part in schema["properties"].items()}
