"""The BentoML service: one worker, one bundle, the application of `app` mounted at the root.

Run it with `egoreact serve`, or as `bentoml serve serving.service:ReactionService`. BentoML adds /livez, /readyz and
/metrics; limits are the service's own (see `admission`).
"""

import logging
import os
import signal
from types import FrameType
from typing import NoReturn

import bentoml
import uvicorn

from egoreact.errors import EgoReactError
from serving.admission import Limits
from serving.app import create_app
from serving.runtime import Runtime, Served

REFUSED_MARK = "egoreact cannot serve: "
"""Begins the one line that says why a worker did not start."""
STOP_S = 1

log = logging.getLogger("bentoml.egoreact")
app = create_app()


def _own_the_socket() -> None:
    """BentoML builds uvicorn's config and lets none of these through: a message over the limit dies in the transport,
    pictures are not compressed a second time (0.4 ms a message instead of 1.3), and a stop waits for no long upload."""
    config = uvicorn.Config

    def build(*args: object, **options: object) -> uvicorn.Config:
        try:
            limits = Limits.from_environment()
        except EgoReactError as error:
            _refuse(error)
        own = {
            "ws_max_size": limits.max_message_bytes + 1024,  # the map around the image
            "ws_per_message_deflate": False,
            "timeout_graceful_shutdown": STOP_S,
        }
        return config(*args, **options | own)  # type: ignore[arg-type]

    uvicorn.Config = build  # type: ignore[assignment,misc]


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
            runtime = Runtime.load(Served.find(), Limits.from_environment())
        except EgoReactError as error:
            _refuse(error)
        app.state.runtime = runtime
        _stop_uploads_first(runtime)
        log.info("serving model %s, bundle %s", runtime.version, runtime.digest[:12])

    @bentoml.on_shutdown
    def close(self) -> None:
        app.state.runtime.close()


def _stop_uploads_first(runtime: Runtime) -> None:
    """The server waits for requests under way before it tells anyone that it stops; uploads must know before that."""
    others = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: FrameType | None) -> None:
        runtime.stopping = True
        if callable(others):
            others(number, frame)

    signal.signal(signal.SIGTERM, stop)


_own_the_socket()
