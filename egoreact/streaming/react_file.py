"""A video file in, files of motion out: what `egoreact react` does."""

from pathlib import Path

import numpy as np

from egoreact.errors import EgoReactError
from egoreact.models.bundle import Bundle
from egoreact.models.release import released_bundle
from egoreact.motion.export import write_bvh, write_npz, write_side_by_side
from egoreact.motion.skeleton import FPS
from egoreact.progress import Progress
from egoreact.streaming.session import react_to_frames
from egoreact.vision.video import read_video


def react_to_file(
    video: Path, out: Path, *, bundle: Path | None, seed: int, temperature: float | None, max_seconds: float
) -> list[Path]:
    """Writes `<name>.npz`, `<name>.bvh` and `<name>.mp4` into `out`; returns their paths."""
    max_frames = int(max_seconds * FPS)
    if max_frames < 1:
        raise EgoReactError(f"{max_seconds} s hold no frame", where="--max-seconds", remedy="give at least 0.05")
    loaded = Bundle.load(bundle or released_bundle())
    frames = read_video(video, fps=FPS, max_frames=max_frames)
    progress = Progress("react", len(frames), "frames")
    reaction = react_to_frames(
        loaded, frames, seed=seed, temperature=temperature, on_frame=lambda _: progress.advance()
    )
    paths = [out / f"{video.stem}{ending}" for ending in (".npz", ".bvh", ".mp4")]
    write_npz(
        paths[0],
        reaction.joints_m,
        features=reaction.features,
        tokens=reaction.tokens,
        bundle_digest=np.array(reaction.bundle_digest),
    )
    write_bvh(paths[1], reaction.joints_m)
    write_side_by_side(paths[2], frames, reaction.joints_m, caption=f"{video.stem} · bundle {loaded.digest[:12]}")
    return paths
