"""All benchmarks one after another, and the times of the last pipeline run."""

import json
from pathlib import Path

from egoreact.bench.dataset import measure_dataset
from egoreact.bench.latency import measure_stream
from egoreact.bench.machine import describe, peak_memory_gb
from egoreact.bench.model import ModelBench, measure_model
from egoreact.bench.render import measure_render
from egoreact.bench.training import measure_training
from egoreact.errors import EgoReactError
from egoreact.models.bundle import Bundle
from egoreact.models.release import CURRENT, released_bundle
from egoreact.presets import by_name
from egoreact.workspace import Workspace

LAST_RUN = "last_run.json"
"""In the workspace's pipeline folder: what the last local run did."""


def measure_all(
    preset: str,
    bundle: Path | None = None,
    *,
    clips: int = 4,
    sizes_px: tuple[int, ...] = (112, 224),
    steps: int = 10,
    tokens: int = 25,
    sessions: int = 5,
    rival_frames: int = 81,
    parallel_s: float = 6.0,
    dataset_preset: str = "paper",
    dataset_clips: int = 100,
    model_preset: str = "paper",
    model_bench: ModelBench | None = None,
) -> dict[str, object]:
    """Every figure of every benchmark. See the functions for the arguments."""
    config = by_name(preset)
    streamed = bundle_to_stream(preset, bundle)
    return {
        "preset": preset,
        "pipeline_seconds": pipeline_seconds(Workspace.from_environment()),
        **measure_render(
            config.dataset.simulator, sizes_px=sizes_px, clips=clips, rival_frames=rival_frames, parallel_s=parallel_s
        ),
        **measure_dataset(by_name(dataset_preset).dataset, clips=dataset_clips),
        **measure_training(config, steps=steps),
        **measure_model(by_name(model_preset), model_bench),
        **measure_stream(streamed, tokens=tokens, sessions=sessions),
        "peak_memory_gb": peak_memory_gb(),
        **describe(),
    }


def bundle_to_stream(preset: str, folder: Path | None) -> Bundle:
    """The bundle in a folder; else the promoted one; else an untrained one of the preset: speed asks for no skill."""
    if folder is not None:
        return Bundle.load(folder)
    if (Workspace.from_environment().releases / CURRENT).is_file():
        return Bundle.load(released_bundle())
    return Bundle.untrained(by_name(preset).reaction)


def pipeline_seconds(workspace: Workspace) -> dict[str, float]:
    """Seconds of each step of the last local run, and `total`; empty where there was none.

    Raises:
        EgoReactError: the run's record is damaged.
    """
    path = workspace.pipeline_root / LAST_RUN
    if not path.is_file():
        return {}
    try:
        run = json.loads(path.read_text())
        return {step["name"]: float(step["seconds"]) for step in run["steps"]} | {"total": float(run["seconds"])}
    except (ValueError, TypeError, KeyError) as error:
        raise EgoReactError(
            f"is no record of a run ({error!r})", where=path, remedy="run the pipeline again: make run"
        ) from error
