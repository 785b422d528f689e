"""The commands that serve the released model and stream to it."""

from collections.abc import Callable
from pathlib import Path

from serving.replay_commands import COMMANDS as REPLAY_COMMANDS
from serving.token_commands import COMMANDS as TOKEN_COMMANDS


def serve(*, port: int = 3000, host: str = "127.0.0.1") -> None:
    """Serve the promoted model: page, REST and live stream.

    Ctrl+C or SIGTERM stops it. Limits are settable by environment, for example EGOREACT_MAX_SESSIONS=4.

    Args:
        port: to listen on.
        host: address to listen on; 0.0.0.0 opens it to the network.
    """
    from serving.process import run_service

    run_service(host=host, port=port)


def stream(
    file: Path | None = None,
    /,
    *,
    video: Path | None = None,
    camera: str | None = None,
    url: str = "http://127.0.0.1:3000",
    seed: int = 0,
    realtime: bool = True,
    keep_place: bool = False,
    consent_to_record: bool = False,
    token: str | None = None,
    out: Path | None = None,
) -> None:
    """Stream a video file or a camera to a running service and show the motion as it comes.

    In a terminal a live display, elsewhere a line a chunk. Ctrl+C ends it with a summary, and the file is written.

    Args:
        file: the video, as with --video.
        video: any file that FFmpeg reads; resampled to 20 frames a second by wall clock.
        camera: number of a camera, from 0, or a network camera's address, for example rtsp://….
        url: of the service.
        seed: of sampling.
        realtime: a video at its own pace, as a camera would; without, as fast as the service answers.
        keep_place: where the service restarted and the body begins anew, it stands and faces as before.
        consent_to_record: lets the service keep frames and motion of this session, where it is set to record.
        token: bearer token; better in EGOREACT_TOKEN, which no list of processes shows.
        out: file to write the motion to, .npz (`joints` (T, 22, 3) in metres) or .bvh.
    """
    from egoreact.client.show import show_stream
    from egoreact.client.sources import Camera
    from egoreact.errors import EgoReactError

    given = [source for source in (file, video, camera) if source is not None]
    if len(given) != 1:
        raise EgoReactError(
            f"{len(given)} sources given", where="egoreact stream", remedy="give one: VIDEO, --video FILE or --camera N"
        )
    show_stream(
        url, given[0] if isinstance(given[0], Path) else Camera(given[0]), seed=seed, token=token, realtime=realtime,
        keep_place=keep_place, consent_to_record=consent_to_record, out=out,
    )  # fmt: skip


COMMANDS: dict[str, Callable[..., None]] = {"serve": serve, "stream": stream, **REPLAY_COMMANDS, **TOKEN_COMMANDS}
