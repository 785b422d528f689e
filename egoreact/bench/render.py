"""The simulator: whole clips, from choreography to encoded video, in one process."""

import time
from collections.abc import Sequence
from dataclasses import replace

from egoreact.hrd.simulate import ENCOUNTERS, SimulatorConfig, simulate_clip
from egoreact.motion.skeleton import FPS
from egoreact.progress import Progress


def measure_render(
    config: SimulatorConfig, *, sizes_px: Sequence[int] = (112, 224), clips: int = 4
) -> dict[str, float]:
    """Frames a second of one process.

    Args:
        config: of the clips, less the image size.
        sizes_px: sides of the images; the first gives `render_fps`, others `render_fps_<side>`.
        clips: rendered at each size, of one category after the other. One small one goes first, uncounted.

    Returns:
        The figures, and `render_of_real_time`: how many times faster than the clip's own 20 frames a second it is.
    """
    categories = tuple(config.categories or ENCOUNTERS)
    simulate_clip(replace(config, frames=5), categories[0], 0, "warm", "train")
    figures: dict[str, float] = {}
    for size_px in sizes_px:
        sized, progress = replace(config, image_size_px=size_px), Progress(f"bench render {size_px} px", clips, "clips")
        started = time.perf_counter()
        for clip in range(clips):
            simulate_clip(sized, categories[clip % len(categories)], clip, f"bench-{clip}", "train")
            progress.advance()
        name = "render_fps" if size_px == sizes_px[0] else f"render_fps_{size_px}"
        figures[name] = clips * config.frames / (time.perf_counter() - started)
    return figures | {"render_of_real_time": figures["render_fps"] / FPS}
