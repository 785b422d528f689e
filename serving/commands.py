"""The commands that serve the released model and stream to it."""

from collections.abc import Callable
from pathlib import Path


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
    video: Path, /, *, url: str = "http://127.0.0.1:3000", seed: int = 0, realtime: bool = True, out: Path | None = None
) -> None:
    """Stream a video file to a running service and print each chunk of motion as it comes.

    Args:
        video: any file that FFmpeg reads; resampled to 20 frames a second by wall clock.
        url: of the service.
        seed: of sampling.
        realtime: at the video's own pace, as a camera would; False sends as fast as the service answers.
        out: .npz file to write the motion to, `joints` (T, 22, 3) in metres.
    """
    import time

    import numpy as np

    from egoreact.files import whole_file
    from serving.client import stream_video

    chunks, latencies_ms = [], []
    for chunk in stream_video(url, video, seed=seed, realtime=realtime):
        latencies_ms.append((time.perf_counter() - chunk.captured_at) * 1e3)
        chunks.append(chunk)
        x, y, z = chunk.joints_m[-1, 15]
        spans = " ".join(f"{name} {chunk.timings_ms[name]:.1f}" for name in ("perception", "gpt", "decode"))
        print(
            f"chunk {chunk.index:4d}  frames {chunk.first_frame}-{chunk.first_frame + 3}  token {chunk.token:4d}  "
            f"head {x:+.2f} {y:+.2f} {z:+.2f} m  latency {latencies_ms[-1]:6.1f} ms  ({spans})  "
            f"dropped {chunk.dropped}",
            flush=True,
        )
    if out is not None:
        with whole_file(out) as beside:
            np.savez_compressed(beside, joints=np.concatenate([chunk.joints_m for chunk in chunks]))
    p50, p95 = np.percentile(latencies_ms, (50, 95))
    last = chunks[-1]
    print(
        f"{len(chunks)} chunks, {last.dropped} dropped, latency p50 {p50:.1f} ms, p95 {p95:.1f} ms, "
        f"model {last.version}, bundle {last.digest[:12]}"
    )


COMMANDS: dict[str, Callable[..., None]] = {"serve": serve, "stream": stream}
