"""A whole video in, its reaction out: the limits of an upload, the inference, and the three formats of the answer."""

import io
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from egoreact.errors import EgoReactError
from egoreact.motion.skeleton import JOINTS, PARENTS
from egoreact.vision.video import iterate_video
from serving.admission import RETRY_AFTER_S, Limits
from serving.protocol import FPS, Refused
from serving.runtime import Runtime

if TYPE_CHECKING:
    from egoreact.streaming.session import Reaction

Format = Literal["json", "npz", "bvh"]
MEDIA_TYPES: dict[Format, str] = {"json": "application/json", "npz": "application/x-npz", "bvh": "application/x-bvh"}


def react_to_upload(runtime: Runtime, video: bytes, seed: int, gone: Callable[[], bool]) -> "Reaction":
    """Runs in a thread of its own. Gives up between two frames once `gone` says that nobody waits any more.

    Raises:
        Refused: not a video, or one beyond the limits.
    """
    from egoreact.streaming.session import react_to_frames

    _check_header(video, runtime.limits)
    try:
        return react_to_frames(runtime.bundle, _frames(video, runtime, gone), seed=seed)
    except EgoReactError as error:
        raise Refused(f"the video {error.what}", status=422, close_code=1007) from error


def _frames(video: bytes, runtime: Runtime, gone: Callable[[], bool]) -> Iterator[np.ndarray]:
    for index, rgb in enumerate(iterate_video(video, fps=FPS, name="video")):
        if index >= runtime.limits.max_upload_seconds * FPS:  # whatever its header said
            raise _too_long(runtime.limits)
        if runtime.stopping:
            line = "the service stops; send the video again in a while"
            raise Refused(line, status=503, close_code=1012, retry_after_s=RETRY_AFTER_S)
        if gone():
            raise Refused("the client went away", status=499, close_code=1001)
        yield rgb


def _check_header(video: bytes, limits: Limits) -> None:
    """Length and size as the container states them, before a frame is decoded. The decoder says what is no video."""
    import av

    try:
        with av.open(io.BytesIO(video)) as container:
            seconds = (getattr(container, "duration", None) or 0) / av.time_base
            side_px = max((max(s.width, s.height) for s in container.streams.video), default=0)
    except (av.FFmpegError, OSError, ValueError):
        return
    if seconds > limits.max_upload_seconds + 0.5:
        raise _too_long(limits)
    if side_px > limits.max_upload_side_px:
        line = f"the video's frames are {side_px} px long; at most {limits.max_upload_side_px} px"
        raise Refused(line, status=422, close_code=1008)


def _too_long(limits: Limits) -> Refused:
    line = f"the video is longer than {limits.max_upload_seconds} s; cut it, or stream it live"
    return Refused(line, status=413, close_code=1009)


def render(reaction: "Reaction", form: Format, stamp: dict[str, str], seed: int) -> bytes:
    """The answer's body. JSON rounds positions to micrometres; npz and bvh are those of `egoreact react`."""
    from egoreact.motion.export import write_bvh, write_npz

    if form == "json":
        return json.dumps(_as_json(reaction, stamp, seed), separators=(",", ":")).encode()
    with tempfile.TemporaryDirectory(prefix="egoreact-") as folder:
        path = Path(folder) / f"reaction.{form}"
        if form == "bvh":
            write_bvh(path, reaction.joints_m, fps=reaction.fps)
        else:
            write_npz(
                path, joints_m=reaction.joints_m, features=reaction.features, tokens=reaction.tokens, fps=reaction.fps,
                bundle_digest=np.array(reaction.bundle_digest),
                model_version=np.array(stamp["version"]),
            )  # fmt: skip
        return path.read_bytes()


def _as_json(reaction: "Reaction", stamp: dict[str, str], seed: int) -> dict[str, Any]:
    return stamp | {
        "fps": reaction.fps,
        "frames": len(reaction.joints_m),
        "seed": seed,
        "joints": list(JOINTS),
        "parents": list(PARENTS),
        "tokens": reaction.tokens.tolist(),
        "joints_m": reaction.joints_m.astype(np.float64).round(6).tolist(),
    }
