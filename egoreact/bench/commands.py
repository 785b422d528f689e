"""The commands `egoreact bench …`. Progress goes to stderr; stdout is one JSON line."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

Preset = Literal["tiny", "demo", "paper"]


def bench_all(*, preset: Preset = "demo", bundle: Path | None = None) -> None:
    """Measure everything: rendering, training, streaming latency, memory, and the last pipeline run.

    Args:
        preset: whose models, batches and clips.
        bundle: folder of the bundle that is streamed; the promoted one where not given, an untrained one of the preset
            where there is none.
    """
    from egoreact.bench.everything import measure_all

    _print(measure_all(preset, bundle))


def bench_render(*, preset: Preset = "demo", clips: int = 4) -> None:
    """Measure how many frames a second the simulator renders at 112 and 224 px, beside pyrender, and in two processes.

    Args:
        preset: whose clips.
        clips: rendered at each size.
    """
    from egoreact.bench.machine import describe
    from egoreact.bench.render import measure_render
    from egoreact.presets import by_name

    _print(measure_render(by_name(preset).dataset.simulator, clips=clips) | describe())


def bench_dataset(*, preset: Preset = "paper", clips: int = 100, workers: int | None = None) -> None:
    """Measure how fast a data set is built and what memory a worker takes, and extrapolate to 3,500 clips.

    Args:
        preset: whose clips: paper has 149 frames at 224 px.
        clips: built and counted, 1 or more.
        workers: processes; one a core where not given.
    """
    from egoreact.bench.dataset import measure_dataset
    from egoreact.bench.machine import describe
    from egoreact.presets import by_name

    _print(measure_dataset(by_name(preset).dataset, clips=clips, workers=workers) | describe())


def bench_training(*, preset: Preset = "demo", steps: int = 10) -> None:
    """Measure how many windows and tokens a second the tokenizer and the transformer are trained on.

    Args:
        preset: whose models and batches.
        steps: timed of each, after as many that are not.
    """
    from egoreact.bench.machine import describe
    from egoreact.bench.training import measure_training
    from egoreact.presets import by_name

    _print(measure_training(by_name(preset), steps=steps) | describe())


def bench_latency(*, preset: Preset = "demo", bundle: Path | None = None, tokens: int = 25, sessions: int = 5) -> None:
    """Measure first-frame and per-token latency of a streaming session.

    Args:
        preset: of the untrained bundle, where no bundle is given and none promoted.
        bundle: folder of the bundle that is streamed.
        tokens: of each session, 0.2 s each; 2 or more.
        sessions: that are counted.
    """
    from egoreact.bench.everything import bundle_to_stream
    from egoreact.bench.latency import measure_stream
    from egoreact.bench.machine import describe

    _print(measure_stream(bundle_to_stream(preset, bundle), tokens=tokens, sessions=sessions) | describe())


def bench_gate(*, preset: Preset = "demo", clips: int = 32, workers: int | None = None) -> None:
    """Put faults of every kind into simulated clips and count how many of each the alignment gate catches.

    Args:
        preset: whose clips.
        clips: each gets every kind of fault; about seven seconds of one core each.
        workers: processes; one a core where not given.
    """
    from egoreact.bench.gate import measure_gate
    from egoreact.bench.machine import describe
    from egoreact.presets import by_name

    _print(measure_gate(by_name(preset).dataset.simulator, clips=clips, workers=workers) | describe())


def _print(figures: dict[str, object]) -> None:
    import json

    print(json.dumps(_rounded(figures), allow_nan=False), flush=True)


def _rounded(figures: dict[str, object]) -> dict[str, object]:
    """Four significant digits are more than a benchmark repeats."""
    return {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in figures.items()}


COMMANDS: dict[str, Callable[..., None]] = {
    "bench all": bench_all,
    "bench render": bench_render,
    "bench dataset": bench_dataset,
    "bench training": bench_training,
    "bench latency": bench_latency,
    "bench gate": bench_gate,
}
