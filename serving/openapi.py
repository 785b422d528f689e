"""What `/v1/openapi.json` says beyond the routes' own signatures: bodies, answers, refusals, examples.

BentoML's own endpoints are described here too, and the WebSocket, which OpenAPI cannot express, by its handshake.
"""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field

from egoreact.motion.skeleton import JOINTS, PARENTS
from serving.answers import MEDIA_TYPES

VERSION_HEADER, DIGEST_HEADER = "X-EgoReact-Version", "X-EgoReact-Digest"
SYSTEM_PATHS = ("/livez", "/healthz", "/readyz", "/metrics")
"""BentoML's: open to all, not stamped."""
_VERSION, _DIGEST = "4", "9f3b6c1e" * 8
_Json = dict[str, Any]

DESCRIPTION = """Egocentric video in, the wearer's motion out. Positions are metres, y up, the body's start at the origin
facing +z, 20 frames a second. Every answer under `/v1` names the model's version and the bundle's digest. Where tokens
are set, routes with a lock need `Authorization: Bearer TOKEN`; where none is, the service listens on loopback only.

The live stream is the WebSocket `/v1/stream`: see docs/stream-protocol.md."""


class _Stamped(BaseModel):
    version: str = Field(description="of the model, as registered", examples=[_VERSION])
    digest: str = Field(description="SHA-256 of the bundle's manifest, hex", examples=[_DIGEST])


class ErrorAnswer(_Stamped):
    """Why the service did not do it."""

    error: str = Field(description="one line", examples=["the upload holds no video"])


class ReactionAnswer(_Stamped):
    """The reaction to a whole video."""

    fps: int = Field(examples=[20])
    frames: int = Field(description="T", examples=[1])
    seed: int = Field(examples=[0])
    joints: list[str] = Field(description="names of the 22 joints", examples=[list(JOINTS)])
    parents: list[int] = Field(description="of each joint, -1 for the pelvis", examples=[list(PARENTS)])
    tokens: list[int] = Field(description="one for four frames", examples=[[17]])
    joints_m: list[list[list[float]]] = Field(
        description="(T, 22, 3) world positions in metres, y up", examples=[[[[0.0, 0.95, 0.0]] * len(JOINTS)]]
    )


class ModelAnswer(_Stamped):
    """What is served, where it comes from, its limits."""

    protocol: int = Field(description="version of the WebSocket protocol", examples=[2])
    fps: int = Field(examples=[20])
    frames_per_token: int = Field(examples=[4])
    joints: list[str] = Field(examples=[list(JOINTS)])
    parents: list[int] = Field(examples=[list(PARENTS)])
    limits: dict[str, int] = Field(examples=[{"max_sessions": 16, "max_uploads": 2, "max_upload_seconds": 60}])
    image_side_px: int = Field(description="frames are scaled to this square", examples=[112])
    origin: dict[str, Any] = Field(
        description="data revision, commit, run and seed of its training",
        examples=[{"data_revision": "5f0c…", "commit": "a1b2…", "mlflow_run": "c3d4…", "seed": 0}],
    )
    release: dict[str, Any] = Field(description="who promoted it; empty where it was not", examples=[{"version": "4"}])


class Sample(BaseModel):
    """A video to try the service with."""

    name: str = Field(examples=["ball.mp4"])
    title: str = Field(examples=["Ball"])
    url: str = Field(examples=["/v1/samples/ball.mp4"])
    bytes: int = Field(examples=[48213])


class SamplesAnswer(_Stamped):
    samples: list[Sample]


_LINES = {
    400: ("There is nothing in it", "the upload holds no video"),
    401: ("No token, or a wrong one", "a bearer token is needed; send the header Authorization: Bearer TOKEN"),
    403: ("A web page of another site", "pages of https://elsewhere.example may not call this service"),
    404: ("Not here", "there is no such file"),
    406: ("No such form of answer", "no such form of answer; accept one of application/json, application/x-npz"),
    408: ("Too slow", "the upload stood still for 20 s, or came too slowly"),
    413: ("Too large or too long", "the video is longer than 60 s; cut it, or stream it live"),
    415: ("Not a video's type", "cannot take text/plain; send video/mp4, video/webm or a form with `video`"),
    422: ("Not a video, or a parameter outside its limits", "seed: Input should be less than 2147483648"),
    426: ("Not a WebSocket", "this is a WebSocket; connect with the scheme ws or wss"),
    429: ("The token's rate is used up", "the token's 60 a minute are used up; try again in 1 s"),
    500: ("The service failed", "the service failed; its log says why"),
    503: ("Full, or stopping", "all 2 upload slots are taken; try again in 5 s"),
}
_STAMPS: _Json = {
    VERSION_HEADER: {"description": "of the model", "schema": {"type": "string"}},
    DIGEST_HEADER: {"description": "of the bundle", "schema": {"type": "string"}},
}
_RETRY: _Json = {"Retry-After": {"description": "seconds", "required": True, "schema": {"type": "string"}}}
_UNAUTHORISED: _Json = {"WWW-Authenticate": {"required": True, "schema": {"type": "string", "const": "Bearer"}}}
_BINARY: _Json = {"type": "string", "format": "binary"}

Responses = dict[int | str, _Json]


def answer(model: type[BaseModel], description: str, **more: Any) -> Responses:
    """The documented 200 of a route."""
    return {200: {"model": model, "description": description, "headers": _STAMPS, **more}}


def refusals(*statuses: int) -> Responses:
    """The documented answers of other statuses, each with an example."""
    documented: Responses = {}
    for status in statuses:
        description, line = _LINES[status]
        example = {"error": line, "version": _VERSION, "digest": _DIGEST}
        headers = _STAMPS | (_RETRY if status in (429, 503) else _UNAUTHORISED if status == 401 else {})
        documented[status] = {
            "model": ErrorAnswer,
            "description": description,
            "headers": headers,
            "content": {"application/json": {"example": example}},
        }
    return documented


def content(media_type: str, description: str, schema: _Json = _BINARY, **more: Any) -> _Json:
    """A documented answer of a type that is not JSON."""
    return {"description": description, "content": {media_type: {"schema": schema, **more}}}


_NDJSON = "\n".join(
    (
        '{"type":"metadata","version":"4","digest":"9f3b…","fps":20,"frames_per_token":4,"seed":0,"joints":["pelvis"],"parents":[-1]}',
        '{"type":"chunk","index":0,"first_frame":0,"token":17,"joints_m":[[[0.0,0.95,0.0]]],"timings_ms":{"perception":9.1}}',
        '{"type":"summary","frames":4,"chunks":1,"seconds":0.1,"version":"4","digest":"9f3b…"}',
    )
)
REACTIONS: _Json = {
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "description": "The video, as FFmpeg reads it; resampled to 20 frames a second by wall clock.",
            "content": {
                **{
                    kind: {"schema": _BINARY}
                    for kind in ("video/mp4", "video/webm", "video/quicktime", "application/octet-stream")
                },
                "multipart/form-data": {
                    "schema": {"type": "object", "required": ["video"], "properties": {"video": _BINARY}}
                },
            },
        }
    },
    "responses": {
        **answer(
            ReactionAnswer,
            "The motion, in the form of `format` or else of `Accept`. NDJSON comes while it is made: a line of "
            "metadata, one a chunk of four frames, a summary; where it breaks off, the last line is `{\"error\": …}`.",
            content={
                MEDIA_TYPES["npz"]: {"schema": _BINARY},
                MEDIA_TYPES["bvh"]: {"schema": {"type": "string"}, "example": "HIERARCHY\nROOT pelvis\n{\n…"},
                MEDIA_TYPES["glb"]: {"schema": _BINARY},
                MEDIA_TYPES["ndjson"]: {"schema": {"type": "string"}, "example": _NDJSON},
            },
        ),
        **refusals(400, 401, 403, 406, 408, 413, 415, 422, 429, 500, 503),
    },
}  # fmt: skip


def _system_paths() -> _Json:
    def get(summary: str, responses: _Json) -> _Json:
        return {
            "get": {
                "tags": ["operation"],
                "summary": summary,
                "operationId": summary.partition(":")[0],
                "responses": responses,
            }
        }

    fine = content("text/plain", "Yes", {"type": "string"}, example="\n")
    no = content("text/plain", "No: it starts, or it drains and takes no new sessions", {"type": "string"})
    text = content("text/plain", "Prometheus text", {"type": "string"}, example='egoreact_sessions{state="live"} 2.0\n')
    specification = content("application/json", "This document", {"type": "object"})
    handshake = {
        "tags": ["stream"],
        "summary": "live frames in, motion out, by WebSocket",
        "operationId": "stream",
        "description": "Messages are msgpack, protocol version 2: see docs/stream-protocol.md. Without a WebSocket "
        "handshake the answer is 426.",
        "parameters": [
            _query("seed", {"type": "integer", "minimum": 0, "maximum": 2**31 - 1, "default": 0}, "of sampling"),
            _query("resume", {"type": "string"}, "`session` of an earlier hello, to go on with it"),
            _query("consent", {"type": "string", "enum": ["record"]}, "lets the service record this session"),
        ],
        "responses": {
            "101": {"description": "The stream is open; the service says hello first"},
            "426": {
                "description": _LINES[426][0],
                "headers": _STAMPS | {"Upgrade": {"required": True, "schema": {"type": "string"}}},
                "content": {
                    "application/json": {
                        "schema": {"$ref": "#/components/schemas/ErrorAnswer"},
                        "example": {"error": _LINES[426][1], "version": _VERSION, "digest": _DIGEST},
                    }
                },
            },
        },
    }
    return {
        "/v1/stream": {"get": handshake},
        "/v1/openapi.json": get("openapi: this document", {"200": specification}),
        "/livez": get("livez: whether the process lives", {"200": fine}),
        "/healthz": get("healthz: the same as livez", {"200": fine}),
        "/readyz": get("readyz: whether new work is taken", {"200": fine, "500": no, "503": no}),
        "/metrics": get("metrics: for Prometheus", {"200": text}),
    }


def _query(name: str, schema: _Json, description: str) -> _Json:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


def complete(app: FastAPI) -> None:
    """Makes the application's document whole; built on its first request, kept from then on."""

    def document() -> _Json:
        if app.openapi_schema is None:
            built = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
            for operation in (operation for path in built["paths"].values() for operation in path.values()):
                if "HTTPValidationError" in str(operation["responses"].get("422")):  # FastAPI's own, of any text
                    del operation["responses"]["422"]
            for unused in ("HTTPValidationError", "ValidationError"):
                built["components"]["schemas"].pop(unused, None)
            built["paths"] |= _system_paths()
            app.openapi_schema = built
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
