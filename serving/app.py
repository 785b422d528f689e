"""The routes of the service as one FastAPI application; `service` mounts it in BentoML, which adds its own.

    POST /v1/reactions       a video, as the body or as a form's `video`; answers JSON, npz or bvh
    WS   /v1/stream          frames in, motion out: see `protocol`
    GET  /v1/model           what is served, where it comes from, its limits
    GET  /v1/samples[/NAME]  videos to try it with
    GET  /  /assets/NAME     the page

Every answer names the model's version and the bundle's digest, in headers and, where it is JSON, in the body. An error
is `{"error": one line, …}`: never a trace, never a path.
"""

import asyncio
import logging
import mimetypes
import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Query, Request, Response, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from starlette.datastructures import Headers, MutableHeaders, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.admission import Limits
from serving.live import serve_live
from serving.protocol import Refused
from serving.runtime import Runtime
from serving.uploads import MEDIA_TYPES, Format, react_to_upload, render

log = logging.getLogger("bentoml.egoreact")
DIST = Path(__file__).parent / "web" / "dist"
SAMPLE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.mp4")
VERSION_HEADER, DIGEST_HEADER = "X-EgoReact-Version", "X-EgoReact-Digest"
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


def create_app(dist: Path = DIST) -> FastAPI:
    """The application. Whoever runs it sets `app.state.runtime` before the first request."""
    app = FastAPI(title="EgoReAct", docs_url=None, redoc_url=None, openapi_url="/v1/openapi.json")
    app.add_middleware(_Stamp, state=app.state)

    def runtime() -> Runtime:
        return app.state.runtime

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
        return JSONResponse({"error": error.line} | runtime().stamp(), error.status, headers)

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return JSONResponse({"error": str(error.detail)} | runtime().stamp(), error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        line = f"{'.'.join(str(part) for part in first['loc'][1:])}: {first['msg']}"
        return JSONResponse({"error": line} | runtime().stamp(), 422)

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:
        return JSONResponse({"error": "the service failed; its log says why"} | runtime().stamp(), 500)

    @app.post("/v1/reactions")
    async def reactions(request: Request, seed: Seed = 0, format: Format | None = None) -> Response:
        """The reaction to a whole video: joints (T, 22, 3) in metres, y up, 20 frames a second."""
        form = format or _accepted(request.headers.get("accept", ""))
        with runtime().admission.slot("upload"):
            video = await _read_video(request, runtime())
            reaction = await _react(request, runtime(), video, seed)
            body = await asyncio.to_thread(render, reaction, form, runtime().stamp(), seed)
        return Response(body, media_type=MEDIA_TYPES[form])

    @app.websocket("/v1/stream")
    async def stream(websocket: WebSocket, seed: Seed = 0) -> None:
        if _foreign(websocket.headers):
            await websocket.close(1008)
            return
        await serve_live(websocket, runtime(), seed)

    @app.get("/v1/model")
    async def model() -> dict[str, Any]:
        return runtime().model()

    @app.get("/v1/samples")
    async def samples() -> dict[str, Any]:
        found = [p for p in _files(runtime().served.samples) if SAMPLE_NAME.fullmatch(p.name)]
        rows = [
            {"name": p.name, "title": _title(p), "url": f"/v1/samples/{p.name}", "bytes": p.stat().st_size}
            for p in found
        ]
        return {"samples": rows} | runtime().stamp()

    @app.get("/v1/samples/{name}")
    async def sample(name: str) -> Response:
        return _file(runtime().served.samples, name, SAMPLE_NAME)

    @app.get("/assets/{name}")
    async def asset(name: str) -> Response:
        found = _file(dist / "assets", name, re.compile(r"[A-Za-z0-9._-]+"))
        found.headers["Cache-Control"] = "public, max-age=31536000, immutable"  # names carry a hash
        return found

    @app.get("/")
    async def page() -> Response:
        index = dist / "index.html"
        if not index.is_file():
            return HTMLResponse(NO_PAGE, 503)
        headers = {"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-cache"}
        return HTMLResponse(index.read_text(), headers=headers)

    @app.get("/{path:path}", include_in_schema=False)
    async def nothing(path: str) -> Response:
        raise HTTPException(404, "there is no such page; see /v1/openapi.json")

    return app


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


def _accepted(accept: str) -> Format:
    """The first of our formats that an Accept header names; JSON where it names none."""
    named = [part.split(";")[0].strip() for part in accept.split(",")]
    return next((form for part in named for form, media in MEDIA_TYPES.items() if part == media), "json")


async def _read_video(request: Request, runtime: Runtime) -> bytes:
    """The uploaded bytes, refused as soon as they are too many, of another type, or too slow."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if not (kind == "multipart/form-data" or kind == "application/octet-stream" or kind.startswith("video/")):
        line = (
            f"cannot take {kind or 'a body without a content type'}; send video/mp4, video/webm or a form with `video`"
        )
        raise Refused(line, status=415, close_code=1003)
    limited = Request(request.scope, _limit(request.receive, runtime.limits))
    try:
        if kind != "multipart/form-data":
            video = await limited.body()
        else:
            async with limited.form(max_files=1, max_fields=4) as form:
                field = form.get("video")
                video = await field.read() if isinstance(field, UploadFile) else b""
    except ClientDisconnect:
        raise Refused("the client went away", status=499, close_code=1001) from None
    if not video:
        raise Refused("the upload holds no video", status=400, close_code=1008)
    return video


def _limit(receive: Receive, limits: Limits) -> Receive:
    taken = 0

    async def limited() -> Message:
        nonlocal taken
        try:
            async with asyncio.timeout(limits.idle_seconds):
                message = await receive()
        except TimeoutError:
            line = f"the upload stood still for {limits.idle_seconds} s"
            raise Refused(line, status=408, close_code=1008) from None
        taken += len(message.get("body", b""))
        if taken > limits.max_upload_bytes + 4096:  # a form's own lines
            line = f"the upload is larger than {limits.max_upload_bytes} bytes"
            raise Refused(line, status=413, close_code=1009)
        return message

    return limited


async def _react(request: Request, runtime: Runtime, video: bytes, seed: int) -> Any:
    """Runs the inference in an upload thread; gives it up where the client leaves."""
    left = asyncio.Event()

    async def watch() -> None:
        while not await request.is_disconnected():
            await asyncio.sleep(0.25)
        left.set()

    watcher = asyncio.create_task(watch())
    try:
        return await asyncio.get_running_loop().run_in_executor(
            runtime.upload_threads, react_to_upload, runtime, video, seed, left.is_set
        )
    finally:
        left.set()  # also where this task was cancelled: the thread ends at its next frame
        watcher.cancel()


def _foreign(headers: Headers) -> bool:
    """Whether a browser opened the socket from a page of another site."""
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_file()) if folder.is_dir() else []


def _file(folder: Path, name: str, allowed: re.Pattern[str]) -> FileResponse:
    path = folder / name
    if not allowed.fullmatch(name) or not path.is_file():
        raise HTTPException(404, "there is no such file")
    return FileResponse(path, media_type=mimetypes.guess_type(name)[0] or "application/octet-stream")


def _title(path: Path) -> str:
    return path.stem.replace("_", " ").replace("-", " ").strip().capitalize()
