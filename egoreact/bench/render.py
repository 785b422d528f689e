"""The simulator: whole clips, from choreography to encoded video; its renderer beside pyrender; and what a second process adds."""

import multiprocessing
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.synchronize import Barrier

import numpy as np

from egoreact.bench.rival import Rival
from egoreact.errors import EgoReactError
from egoreact.hrd.simulate import ENCOUNTERS, SimulatorConfig, simulate_clip
from egoreact.hrd.simulate.picture.render import Artist
from egoreact.hrd.simulate.simulate import Staged, stage
from egoreact.motion.skeleton import FPS
from egoreact.progress import Progress

_AGREE_M, _NEARER_M, _AGREEING = 0.01, 40.0, 0.995
"""Depths of both renderers differ by less than the first, nearer than the second, in this share of the pixels off outlines."""


def measure_render(
    config: SimulatorConfig,
    *,
    sizes_px: Sequence[int] = (112, 224),
    clips: int = 4,
    rival_frames: int = 81,
    parallel_s: float = 6.0,
) -> dict[str, float]:
    """Frames a second of one process, of pyrender, and of two processes.

    Args:
        config: of the clips, less the image size.
        sizes_px: sides of the images; the first gives `render_fps`, others `render_fps_<side>`; the last is what the
            renderers are compared at.
        clips: rendered at each size, of one category after the other. One small one goes first, uncounted.
        rival_frames: of each of three scenes, drawn by both renderers.
        parallel_s: how long one process works alone, and two side by side.

    Returns:
        `render_fps`…: whole clips. `render_of_real_time`: how many times faster than the clip's own 20 frames a second that
        is. `ours_fps`, `pyrender_fps`, `ratio`: pictures alone. `parallel_efficiency`: of two processes against twice
        one, and `reference_efficiency`: the same of a loop that needs no memory, on `cores`.

    Raises:
        EgoReactError: pyrender is not installed, or sees other depths.
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
        if size_px == sizes_px[0]:
            figures["render_of_real_time"] = figures[name] / FPS
    frames = min(rival_frames, config.frames)
    compared = compare_renderers(replace(config, image_size_px=sizes_px[-1]), categories[:3], frames)
    return figures | compared | measure_parallel(config, parallel_s)


def compare_renderers(config: SimulatorConfig, categories: Sequence[str], frames: int) -> dict[str, float]:
    """Both draw the same frames of the same scenes, in turns; what they prepare once a scene is not counted.

    Ours with shadows of all that moves, smoothed edges, depth and classes, through a perfect camera; pyrender's with colour
    and depth alone. Depths are compared before anything is timed.

    Raises:
        EgoReactError: pyrender is not installed, or the depths differ.
    """
    ours_s = theirs_s = 0.0
    size_px = config.image_size_px
    progress = Progress(f"bench pyrender {size_px} px", len(categories), "scenes")
    for category in categories:
        staged = stage(replace(config, camera=None), category, 0)
        rival, artist = Rival(staged, size_px), artist_of(staged, size_px)
        rgb, depth_m = np.empty((size_px, size_px, 3), np.uint8), np.empty((size_px, size_px), np.float32)
        for frame in (0, frames // 2, frames - 1):
            artist.draw(frame, 1.0, rgb, depth_m)
            share = agreement(depth_m, rival.render(frame)[1])
            if share < _AGREEING:
                raise EgoReactError(
                    f"only {share:.1%} of {category}'s depths in frame {frame} are pyrender's",
                    where="bench render",
                    remedy="run the tests of the renderer: pytest tests/hrd/simulate/test_render.py",
                )
        started = time.perf_counter()
        for frame in range(frames):
            artist.draw(frame, 1.0, rgb, depth_m)
        between = time.perf_counter()
        for frame in range(frames):
            rival.render(frame)
        ours_s, theirs_s = ours_s + between - started, theirs_s + time.perf_counter() - between
        rival.close()
        progress.advance()
    drawn = len(categories) * frames
    return {"ours_fps": drawn / ours_s, "pyrender_fps": drawn / theirs_s, "ratio": theirs_s / ours_s}


def artist_of(staged: Staged, size_px: int) -> Artist:
    """The simulator's renderer of a staged clip."""
    return Artist(staged.place, staged.arrival.solids, staged.T_world_camera, staged.K, size_px, staged.camera)


def agreement(ours_m: np.ndarray, theirs_m: np.ndarray) -> float:
    """Share of pixels that show something near, off its outlines, at which two depth images agree to the centimetre."""
    steps = [np.abs(np.diff(ours_m, axis=axis, append=ours_m.take([-1], axis=axis))) for axis in (0, 1)]
    outline = np.maximum(*steps) > 0.1 * np.maximum(ours_m, 0.1)
    outline[1:] |= outline[:-1].copy()
    outline[:, 1:] |= outline[:, :-1].copy()
    counted = (ours_m > 0) & (ours_m < _NEARER_M) & ~outline
    return float((np.abs(ours_m - theirs_m)[counted] < _AGREE_M).mean())


def measure_parallel(config: SimulatorConfig, seconds: float) -> dict[str, float]:
    """How much of twice one process's work two do, rendering and in a loop that needs no memory."""
    alone, together = (_rates(config, seconds, processes) for processes in (1, 2))
    render, reference = together / (2 * alone)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"parallel_efficiency": float(render), "reference_efficiency": float(reference), "cores": cores}


def _rates(config: SimulatorConfig, seconds: float, processes: int) -> np.ndarray:
    """What so many processes do in a second, all at the same time: clips, and rounds of the loop."""
    context = multiprocessing.get_context("spawn")
    barrier, rates = context.Barrier(processes), context.SimpleQueue()
    workers = [context.Process(target=_work, args=(config, seconds, barrier, rates)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        if worker.exitcode:
            raise EgoReactError("a process of the benchmark failed", where="bench render", remedy="see its traceback")
    return np.sum([rates.get() for _ in workers], axis=0)


def _work(config: SimulatorConfig, seconds: float, barrier: Barrier, rates) -> None:
    _render_for(config, 0.0)
    barrier.wait(timeout=120)
    clips = _render_for(config, seconds)
    barrier.wait(timeout=120)
    rates.put((clips, _count_for(seconds / 2)))


def _render_for(config: SimulatorConfig, seconds: float) -> float:
    """Clips a second."""
    categories, clips, started = tuple(config.categories or ENCOUNTERS), 0, time.perf_counter()
    while not clips or time.perf_counter() - started < seconds:
        simulate_clip(config, categories[clips % len(categories)], clips, "bench", "train")
        clips += 1
    return clips / (time.perf_counter() - started)


def _count_for(seconds: float) -> float:
    """Rounds a second of a loop over a few numbers."""
    rounds, value, started = 0, 1.0, time.perf_counter()
    while not rounds or time.perf_counter() - started < seconds:
        for _ in range(100_000):
            value = value * 0.999 + 1.0
        rounds += 1
    return rounds / (time.perf_counter() - started)
