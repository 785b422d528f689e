"""The BentoML service: one worker, one bundle, the application of `app` mounted at the root.

Run it with `egoreact serve`, or as `bentoml serve serving.service:ReactionService`. BentoML adds /livez, /readyz and
/metrics; limits are the service's own (see `admission`).
"""

import asyncio
import logging
import os
import signal
import socket
from pathlib import Path
from types import FrameType
from typing import NoReturn

import bentoml
import uvicorn
from starlette.types import ASGIApp

from egoreact.errors import EgoReactError
from serving.access import Access, require_tokens
from serving.admission import Limits
from serving.app import DIST, create_app
from serving.known_paths import KnownPaths
from serving.logs import configure_logs
from serving.recording import Recorder
from serving.runtime import Runtime, Served
from serving.tracing import send_rest

REFUSED_MARK = "egoreact cannot serve: "
"""Begins the one line that says why a worker did not start."""
STOP_S = 1

log = logging.getLogger("bentoml.egoreact")
configure_logs()  # here too: the supervisor has lines of its own
app = create_app()


def _own_the_socket() -> None:
    """BentoML builds uvicorn's config and lets none of these through: a message over the limit dies in the transport,
    pictures are not compressed a second time (0.4 ms a message instead of 1.3), a stop waits for no long upload, and
    what is asked for is bounded before it is counted."""
    config = uvicorn.Config

    def build(app: ASGIApp, **options: object) -> uvicorn.Config:
        try:
            limits = Limits.from_environment()
        except EgoReactError as error:
            _refuse(error)
        own = {
            "ws_max_size": limits.max_message_bytes + 1024,  # the map around the image
            "ws_per_message_deflate": False,
            "timeout_graceful_shutdown": STOP_S,
        }
        return config(KnownPaths(app, _folders), **options | own)  # type: ignore[arg-type]

    uvicorn.Config = build  # type: ignore[assignment,misc]
    run = uvicorn.Server.run

    def guarded(server: uvicorn.Server, sockets: list[socket.socket] | None = None) -> None:
        """However it was started: not open to others without a token."""
        try:
            for listening in sockets or ():
                require_tokens(listening.getsockname()[0])
        except EgoReactError as error:
            _refuse(error)
        run(server, sockets)

    uvicorn.Server.run = guarded  # type: ignore[assignment,method-assign]


def _folders() -> dict[str, Path]:
    return {"/v1/samples": app.state.runtime.served.samples, "/assets": DIST / "assets"}


def _refuse(error: EgoReactError) -> NoReturn:
    """Says why in one line and stops the supervisor too, which would restart this worker for ever."""
    print(f"{REFUSED_MARK}{error}", flush=True)
    os.kill(os.getppid(), signal.SIGTERM)
    os._exit(2)


@bentoml.asgi_app(app, path="/")
@bentoml.service(name="egoreact", workers=1, traffic={"timeout": 300})
class ReactionService:
    """Egocentric video in, the wearer's motion out."""

    def __init__(self) -> None:
        try:
            served = Served.find()
            configure_logs(served.digest)
            settings = Limits.from_environment(), Access.from_environment(), Recorder.from_environment()
            runtime = Runtime.load(served, *settings)
        except EgoReactError as error:
            _refuse(error)
        app.state.runtime = runtime
        _drain_first(runtime)
        log.info("serving model %s, bundle %s", runtime.version, runtime.digest[:12])

    def __is_ready__(self) -> bool:
        """Behind /readyz."""
        return not app.state.runtime.admission.draining

    @bentoml.on_shutdown
    def close(self) -> None:
        app.state.runtime.close()
        send_rest()


def _drain_first(runtime: Runtime) -> None:
    """On SIGTERM the server itself would close all sockets at once; live sessions and uploads get their time before."""
    loop = asyncio.get_running_loop()
    stop_server = signal.getsignal(signal.SIGTERM)
    draining: list[asyncio.Task[None]] = []

    async def drain(number: int) -> None:
        try:
            await runtime.drain()
        finally:
            assert callable(stop_server)
            stop_server(number, None)

    def begin(number: int) -> None:
        if not draining:  # the supervisor passes on what the process group has got already
            draining.append(loop.create_task(drain(number)))

    def heard(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(begin, number)

    signal.signal(signal.SIGTERM, heard)


_own_the_socket()
