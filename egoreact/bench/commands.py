"""The commands `egoreact bench …`. Progress goes to stderr; stdout is one JSON line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

Preset = Literal["tiny", "demo", "paper"]


def bench_all(*, preset: Preset = "demo", bundle: Path | None = None) -> None:
    """Measure everything: rendering, training, models against rivals, streaming latency, memory, the last pipeline run.

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


def bench_model(
    *,
    preset: Preset = "paper",
    tokens: int = 50,
    vqvae_batch: int = 256,
    gpt_batch: int = 8,
    steps: int = 1,
    rounds: int = 6,
) -> None:
    """Measure sampling, decoding, FID and both trainings against named rivals, which must agree before they are timed.

    Args:
        preset: whose tokenizer and transformer.
        tokens: drawn and decoded.
        vqvae_batch: of the tokenizer's training loops, 256 in T2M-GPT.
        gpt_batch: of the transformer's training loops; maps of 224 x 224 take some 3 GB for 8 clips.
        steps: of a training loop in each turn, after as many that are not timed.
        rounds: turns that each side takes; its best counts.
    """
    from egoreact.bench.machine import describe
    from egoreact.bench.model import ModelBench, measure_model
    from egoreact.presets import by_name

    bench = ModelBench(tokens=tokens, vqvae_batch=vqvae_batch, gpt_batch=gpt_batch, steps=steps, rounds=rounds)
    _print(measure_model(by_name(preset), bench) | describe())


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


def bench_gpu(
    *,
    device: str = "cuda",
    precision: Literal["float32", "bfloat16", "float16"] = "bfloat16",
    compile: bool = False,
    sessions: tuple[int, ...] = (1, 8, 64),
    repeats: int = 200,
    training_steps: int = 20,
    quick: bool = False,
) -> None:
    """Measure the live path on a GPU: first frame by stage, sessions at once, training, and the machine's floor.

    Args:
        device: cuda, cuda:1, cpu.
        precision: of eyes and transformer in the live path; training is in bfloat16.
        compile: also compile the two vision transformers with torch.compile.
        sessions: numbers of sessions that step together.
        repeats: measured of each.
        training_steps: timed of each training, after as many that are not.
        quick: toy networks, three repeats and at most two sessions: the same path in seconds.
    """
    from egoreact.bench.gpu import GpuBench, measure_gpu
    from egoreact.bench.gpu_table import print_table

    if quick:
        sessions, repeats, training_steps = tuple(min(count, 2) for count in sessions), 3, 1
    figures = measure_gpu(GpuBench(device, precision, compile, sessions, repeats, training_steps, quick))
    print_table(figures)
    _print(figures)


def bench_stream(
    *, preset: Preset = "demo", bundle: Path | None = None, minutes: float = 60, int8: bool = False
) -> None:
    """Stream for an hour of its own time, as fast as it goes: latency and memory at the start and at the end.

    Args:
        preset: of the untrained bundle, where no bundle is given and none promoted.
        bundle: folder of the bundle that is streamed.
        minutes: of the stream's own time, 300 tokens each; 0.04 or more.
        int8: the transformer in 8 bits, which pays on a CPU where it is wide.
    """
    from egoreact.bench.everything import bundle_to_stream
    from egoreact.bench.machine import describe
    from egoreact.bench.stream import measure_long_stream

    _print(measure_long_stream(bundle_to_stream(preset, bundle), minutes=minutes, int8=int8) | describe())


def bench_service(
    *,
    bundle: Path | None = None,
    seconds: float = 6,
    most: int = 512,
    port: int = 0,
    faults: bool = False,
    soak_minutes: float = 0,
    out: Path | None = None,
) -> None:
    """Find how many live sessions the running service carries, p99 within 200 ms, with shared steps and without.

    It starts the service itself, on loopback, and drives it from a process of its own at 20 frames a second a session.

    Args:
        bundle: folder of the bundle that is served; the released one where not given.
        seconds: that count at each number of sessions, after 2 s that do not; 1 or more.
        most: sessions that are tried at the most.
        port: to serve on; a free one where 0.
        faults: then also try what bad clients do, and a kill, beside a session that must not notice.
        soak_minutes: then also run half of what it carries for so long, with its memory at start and end.
        out: folder that gets a report, a plot and all points.
    """
    from egoreact.bench.service import ServiceBench, measure_service
    from egoreact.bench.service_report import write_report

    bench = ServiceBench(seconds=seconds, most=most, port=port, faults=faults, soak_minutes=soak_minutes)
    measured = measure_service(bundle, bench)
    figures = _rounded(measured.figures())
    if out is not None:
        write_report(out, measured, figures)
    _print(figures)


def _print(figures: dict[str, object]) -> None:
    import json

    print(json.dumps(_rounded(figures), allow_nan=False), flush=True)


def _rounded(value: Any) -> Any:
    """Four significant digits are more than a benchmark repeats."""
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


COMMANDS: dict[str, Callable[..., None]] = {
    "bench all": bench_all,
    "bench render": bench_render,
    "bench dataset": bench_dataset,
    "bench training": bench_training,
    "bench model": bench_model,
    "bench latency": bench_latency,
    "bench stream": bench_stream,
    "bench gpu": bench_gpu,
    "bench gate": bench_gate,
    "bench service": bench_service,
}
