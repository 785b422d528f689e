"""The routes of the service as one FastAPI application; `service` mounts it in BentoML, which adds its own.

    POST /v1/reactions       a video, as the body or as a form's `video`; answers JSON, npz, BVH, GLB or NDJSON
    WS   /v1/stream          frames in, motion out: see `protocol`
    GET  /v1/model           what is served, where it comes from, its limits
    GET  /v1/samples[/NAME]  videos to try it with
    GET  /v1/openapi.json    all of this for programs: see `openapi`
    GET  /  /assets/NAME     the page

Every answer names the model's version and the bundle's digest, in headers and, where it is JSON, in the body. An error
is `{"error": one line, …}`: never a trace, never a path.
"""

import mimetypes
import re
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Response, Security, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.answers import Format, accepted
from serving.live import serve_live
from serving.metrics import gauges
from serving.openapi import (
    DIGEST_HEADER,
    REACTIONS,
    SYSTEM_PATHS,
    VERSION_HEADER,
    ModelAnswer,
    Responses,
    SamplesAnswer,
    answer,
    complete,
    content,
    refusals,
)
from serving.protocol import PROTOCOL, Refused
from serving.runtime import Runtime
from serving.uploads import FAILED, answer_upload

DIST = Path(__file__).parent / "web" / "dist"
SAMPLE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.mp4")
ASSET_NAME = re.compile(r"[A-Za-z0-9._-]+")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
PAGE_POLICY = (
    "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data: blob:; media-src 'self' blob:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
NO_PAGE = (
    "<!doctype html><meta charset=utf-8><title>EgoReAct</title><p>The service runs; its page was not built. "
    "Build it with <code>make web</code> and load this again. The API is at <a href=/v1/model>/v1/model</a>."
)

Seed = Annotated[
    int, Query(ge=0, lt=2**31, description="of sampling; the same seed, video and bundle give the same motion")
]
Form = Annotated[Format | None, Query(description="of the answer; wins over `Accept`")]
Bearer = Annotated[
    HTTPAuthorizationCredentials | None,
    Security(HTTPBearer(scheme_name="bearer", description="not needed where no token was made", auto_error=False)),
]


def create_app(dist: Path = DIST) -> FastAPI:
    """The application. Whoever runs it sets `app.state.runtime` before the first request."""
    app = FastAPI(
        title="EgoReAct", version=str(PROTOCOL), docs_url=None, redoc_url=None, openapi_url="/v1/openapi.json",
        generate_unique_id_function=lambda route: route.name,
    )  # fmt: skip
    app.add_middleware(_Cors, state=app.state)
    app.add_middleware(_Stamp, state=app.state)
    complete(app)
    _add_refusals(app)

    def runtime() -> Runtime:
        return app.state.runtime

    async def caller_name(request: Request, _: Bearer) -> str:
        """Of the token; "" where none is needed."""
        origin = request.headers.get("origin")
        if not runtime().access.allows_origin(origin, request.headers.get("host")):
            raise Refused(f"pages of {str(origin)[:100]} may not call this service", status=403, close_code=1008)
        return runtime().access.check(request.headers.get("authorization"))

    Name = Annotated[str, Depends(caller_name)]

    @app.post("/v1/reactions", tags=["reactions"], **REACTIONS)
    async def reactions(request: Request, name: Name, seed: Seed = 0, format: Form = None) -> Response:
        """The reaction to a whole video: joints (T, 22, 3) in metres, y up, 20 frames a second."""
        runtime().access.spend(name)
        form = format or accepted(request.headers.get("accept"))
        return await answer_upload(request, runtime(), form, seed)

    @app.websocket("/v1/stream")
    async def stream(websocket: WebSocket, seed: Seed = 0) -> None:
        headers = websocket.headers
        if not runtime().access.allows_origin(headers.get("origin"), headers.get("host")):
            await websocket.close(1008)
            return
        await serve_live(websocket, runtime(), seed)

    @app.get("/v1/stream", include_in_schema=False)
    async def no_stream() -> Response:
        line = "this is a WebSocket; connect with the scheme ws or wss"
        return JSONResponse({"error": line} | runtime().stamp(), 426, {"Upgrade": "websocket"})

    model_answers = answer(ModelAnswer, "The model") | refusals(401, 403)

    @app.get("/v1/model", tags=["model"], responses=model_answers)
    async def model(_: Name) -> JSONResponse:
        """What is served, where it comes from, its limits."""
        return JSONResponse(runtime().model())

    @app.get("/v1/samples", tags=["samples"], responses=answer(SamplesAnswer, "The samples"))
    async def samples() -> JSONResponse:
        """Videos to try the service with."""
        found = [p for p in _files(runtime().served.samples) if SAMPLE_NAME.fullmatch(p.name)]
        rows = [
            {"name": p.name, "title": _title(p), "url": f"/v1/samples/{p.name}", "bytes": p.stat().st_size}
            for p in found
        ]
        return JSONResponse({"samples": rows} | runtime().stamp())

    videos: Responses = {
        200: content("video/mp4", "The video"),
        206: content("video/mp4", "The asked range of its bytes"),
    }

    @app.get("/v1/samples/{name}", tags=["samples"], response_class=FileResponse, responses=videos | refusals(404))
    async def sample(name: str) -> Response:
        """One sample, whole or by ranges of bytes."""
        return _file(runtime().served.samples, name, SAMPLE_NAME)

    files: Responses = {200: content("*/*", "The file")}

    @app.get("/assets/{name}", tags=["page"], response_class=FileResponse, responses=files | refusals(404))
    async def asset(name: str) -> Response:
        """A file of the page."""
        found = _file(dist / "assets", name, ASSET_NAME)
        found.headers["Cache-Control"] = "public, max-age=31536000, immutable"  # names carry a hash
        return found

    pages: Responses = {
        200: content("text/html", "The page", {"type": "string"}),
        503: content("text/html", "The page was not built", {"type": "string"}),
    }

    @app.get("/", tags=["page"], response_class=HTMLResponse, responses=pages)
    async def page() -> Response:
        """The page."""
        index = dist / "index.html"
        if not index.is_file():
            return HTMLResponse(NO_PAGE, 503)
        headers = {"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-cache"}
        return HTMLResponse(index.read_text(), headers=headers)

    @app.api_route("/{path:path}", methods=list(METHODS), include_in_schema=False)
    async def nothing(request: Request) -> Response:
        allowed = _methods_of(app, request.scope)
        if allowed:
            line = f"{request.method} is not understood here; use {', '.join(allowed)}"
            raise HTTPException(405, line, {"Allow": ", ".join(allowed)})
        raise HTTPException(404, "there is no such page; see /v1/openapi.json")

    return app


def _add_refusals(app: FastAPI) -> None:
    def refuse(line: str, status: int, headers: Any = None) -> Response:
        return JSONResponse({"error": line} | app.state.runtime.stamp(), status, headers)

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
        if error.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if error.status == 408:
            headers["Connection"] = "close"  # else the server goes on reading what comes so slowly
        return refuse(error.line, error.status, headers)

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return refuse(str(error.detail), error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        return refuse(f"{'.'.join(str(part) for part in first['loc'][1:])}: {first['msg']}", 422)

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:
        gauges().refused.labels(reason="failed").inc()
        return refuse(FAILED, 500)


class _Stamp:
    """Puts version and digest into the headers of every HTTP answer."""

    def __init__(self, app: ASGIApp, state: Any):
        self.app, self.state = app, state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers[VERSION_HEADER] = self.state.runtime.version
                headers[DIGEST_HEADER] = self.state.runtime.digest
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        await self.app(scope, receive, stamped if scope["type"] == "http" else send)


class _Cors:
    """Lets the pages of listed origins read answers; of none where none is listed. Which, the runtime knows."""

    def __init__(self, app: ASGIApp, state: Any):
        self.app, self.state = app, state
        self.opened: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origins = self.state.runtime.access.origins
        if origins and self.opened is None:
            self.opened = CORSMiddleware(
                self.app, allow_origins=origins, allow_methods=["GET", "POST"],
                allow_headers=["Authorization", "Content-Type", "Accept"],
                expose_headers=[VERSION_HEADER, DIGEST_HEADER, "Retry-After"],
            )  # fmt: skip
        await (self.opened or self.app)(scope, receive, send)


def _methods_of(app: FastAPI, scope: Scope) -> list[str]:
    """What the other routes of this path understand."""
    if scope["path"] in SYSTEM_PATHS:
        return ["GET", "HEAD"]
    fitting = [route for route in app.routes if route.matches(scope)[0] is Match.PARTIAL]
    return sorted({method for route in fitting for method in getattr(route, "methods", None) or ()})


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_file()) if folder.is_dir() else []


def _file(folder: Path, name: str, allowed: re.Pattern[str]) -> FileResponse:
    path = folder / name
    if not allowed.fullmatch(name) or not path.is_file():
        raise HTTPException(404, "there is no such file")
    return FileResponse(path, media_type=mimetypes.guess_type(name)[0] or "application/octet-stream")


def _title(path: Path) -> str:
    return path.stem.replace("_", " ").replace("-", " ").strip().capitalize()
