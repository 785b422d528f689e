"""What the simulator knows of an encounter, and longer ones than any clip of the data set."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from egoreact.experiments.lab import Lab
from egoreact.files import sha256_json
from egoreact.hrd.clip import SEGMENTATION_CLASSES, Clip
from egoreact.hrd.shards import read_shard, write_shard
from egoreact.hrd.simulate import ENCOUNTERS, SimulatorConfig, simulate_clip
from egoreact.processes import map_in_processes
from egoreact.progress import Progress
from egoreact.provenance import code_digest

FIRST_SEED = 1 << 30
"""Of the long encounters: far from any seed that a data set draws."""


def distance_m(clip: Clip) -> Float[np.ndarray, "frames"]:
    """How near what comes is in each frame: infinite where it is not seen, or where nothing says what comes."""
    comes = clip.record.details.get("comes")
    if comes not in SEGMENTATION_CLASSES or clip.depth_m is None or clip.segmentation is None:
        return np.full(clip.num_frames, np.inf)
    depth_m = np.where(clip.segmentation == SEGMENTATION_CLASSES.index(comes), clip.depth_m, np.inf)
    return depth_m.reshape(len(depth_m), -1).min(axis=1)


def long_encounters(lab: Lab, *, times: int, clips_per_kind: int) -> Iterator[Clip]:
    """Encounters of the kinds that the evaluator knows, so many times as long as the data set's clips; made once."""
    simulator = lab.config.dataset.simulator
    config = replace(simulator, frames=times * (simulator.frames - 1) + 1)
    kinds = sorted(set(lab.evaluator.categories) & set(ENCOUNTERS))
    wanted = [(kind, FIRST_SEED + number) for kind in kinds for number in range(clips_per_kind)]
    digest = sha256_json([repr(config), wanted, code_digest("egoreact/hrd/simulate")])
    path = lab.folder / "encounters" / f"{digest[:16]}.tar"
    if not path.is_file():
        write_shard(path, _simulated(config, wanted))
    yield from read_shard(Path(path))


def _simulated(config: SimulatorConfig, wanted: list[tuple[str, int]]) -> Iterator[Clip]:
    progress = Progress("long encounters", len(wanted), "clips")
    for clip in map_in_processes(partial(_simulate, config), wanted):
        yield clip
        progress.advance()


def _simulate(config: SimulatorConfig, wanted: tuple[str, int]) -> Clip:
    kind, seed = wanted
    return simulate_clip(config, kind, seed, f"long-{kind}-{seed - FIRST_SEED}", "test")
