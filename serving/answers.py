"""The forms an answer to an upload may have: how a client asks for one, and what its bytes are."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, assert_never

import numpy as np

from egoreact.motion.skeleton import JOINTS, PARENTS
from serving.protocol import FPS, FRAMES_PER_TOKEN, Refused

if TYPE_CHECKING:
    from egoreact.streaming.session import MotionChunk, Reaction

Whole = Literal["json", "npz", "bvh", "glb"]
Format = Literal["json", "npz", "bvh", "glb", "ndjson"]
MEDIA_TYPES: dict[Format, str] = {
    "json": "application/json",
    "npz": "application/x-npz",
    "bvh": "application/x-bvh",
    "glb": "model/gltf-binary",
    "ndjson": "application/x-ndjson",
}


def accepted(accept: str | None) -> Format:
    """The format that an Accept header likes best; JSON where it takes anything or is absent.

    Raises:
        Refused: it takes none of ours.
    """
    if accept is None or not accept.strip():
        return "json"
    best: tuple[float, Format | None] = (0.0, None)
    for part in accept.split(","):
        media, *parameters = (word.strip().lower() for word in part.split(";"))
        liked = _quality(parameters)
        form = next((f for f, ours in MEDIA_TYPES.items() if media in (ours, f"{ours.split('/')[0]}/*", "*/*")), None)
        if form is not None and liked > best[0]:
            best = (liked, form)
    if best[1] is None:
        line = f"no such form of answer; accept one of {', '.join(MEDIA_TYPES.values())}"
        raise Refused(line, status=406, close_code=1008)
    return best[1]


def _quality(parameters: list[str]) -> float:
    value = next((word.removeprefix("q=") for word in parameters if word.startswith("q=")), "1")
    try:
        return float(value)
    except ValueError:
        return 1.0


def render(reaction: "Reaction", form: Whole, stamp: dict[str, str], seed: int) -> bytes:
    """The answer's body. JSON rounds positions to micrometres; npz and bvh are those of `egoreact react`."""
    from egoreact.motion.export import write_bvh, write_npz
    from egoreact.motion.gltf import write_glb

    if form == "json":
        return _as_json(reaction, stamp, seed)
    with tempfile.TemporaryDirectory(prefix="egoreact-") as folder:
        path = Path(folder) / f"reaction.{form}"
        if form == "bvh":
            write_bvh(path, reaction.joints_m, fps=reaction.fps)
        elif form == "glb":
            write_glb(path, reaction.joints_m, fps=reaction.fps, extras=stamp | {"seed": seed})
        elif form == "npz":
            write_npz(
                path, joints_m=reaction.joints_m, features=reaction.features, tokens=reaction.tokens, fps=reaction.fps,
                bundle_digest=np.array(reaction.bundle_digest),
                model_version=np.array(stamp["version"]),
            )  # fmt: skip
        else:
            assert_never(form)
        return path.read_bytes()


def _as_json(reaction: "Reaction", stamp: dict[str, str], seed: int) -> bytes:
    head = stamp | {
        "fps": reaction.fps,
        "frames": len(reaction.joints_m),
        "seed": seed,
        "joints": list(JOINTS),
        "parents": list(PARENTS),
        "tokens": reaction.tokens.tolist(),
    }
    # A frame at a time: one long dump would keep every other thread, and with it the live sessions, from running.
    frames = ",".join(_compact(frame) for frame in _micrometres(reaction.joints_m))
    return f'{_compact(head)[:-1]},"joints_m":[{frames}]}}'.encode()


def metadata_line(stamp: dict[str, str], seed: int) -> bytes:
    """The first line of NDJSON."""
    head = {"type": "metadata"} | stamp
    more = {"fps": FPS, "frames_per_token": FRAMES_PER_TOKEN, "seed": seed}
    return _line(head | more | {"joints": list(JOINTS), "parents": list(PARENTS)})


def chunk_line(chunk: "MotionChunk") -> bytes:
    """A chunk's line of NDJSON: its frames, four but at the video's end."""
    return _line(
        {
            "type": "chunk",
            "index": chunk.index,
            "first_frame": chunk.first_frame,
            "token": chunk.token,
            "joints_m": list(_micrometres(chunk.joints_m)),
            "timings_ms": {name: round(spent_ms, 3) for name, spent_ms in chunk.timings_ms.items()},
        }
    )


def summary_line(stamp: dict[str, str], *, frames: int, chunks: int, seconds: float) -> bytes:
    """The last line of NDJSON: the client has it all. `seconds` is what the answer took."""
    return _line({"type": "summary", "frames": frames, "chunks": chunks, "seconds": round(seconds, 3)} | stamp)


def error_line(line: str, stamp: dict[str, str]) -> bytes:
    """The last line of NDJSON that broke off."""
    return _line({"error": line} | stamp)


def _micrometres(joints_m: np.ndarray) -> Iterator[list[list[float]]]:
    return (frame.astype(np.float64).round(6).tolist() for frame in joints_m)


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _line(value: Any) -> bytes:
    return _compact(value).encode() + b"\n"
