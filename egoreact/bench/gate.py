"""The alignment gate: faults put into simulated clips that it has never seen, and how many of each kind it catches."""

import time
import zlib
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import get_args

import numpy as np

from egoreact.hrd.alignment import failures, measure
from egoreact.hrd.alignment.faults import FaultKind, random_fault, shortened
from egoreact.hrd.clip import Clip
from egoreact.hrd.simulate import ENCOUNTERS, SimulatorConfig, simulate_clip
from egoreact.processes import map_in_processes
from egoreact.progress import Progress

FIRST_SEED = 700_000
"""No data set and no test draws its clips from here on; the gate's bounds were chosen on others."""
KINDS: tuple[FaultKind, ...] = get_args(FaultKind)


@dataclass(frozen=True)
class Found:
    """What the gate said of one clip and of its faulty twins."""

    clip_id: str
    failed: dict[str, tuple[str, ...]]
    """`good`, `handled` (no fault, but cut and encoded again like the faulty ones) or kind of fault → measures out of bounds."""
    seconds: float
    """Of measuring the good clip, decoding included."""


def measure_gate(
    config: SimulatorConfig, *, clips: int = 32, kinds: tuple[FaultKind, ...] = KINDS, workers: int | None = None
) -> dict[str, object]:
    """How often each kind of fault is caught, and good clips are refused.

    Args:
        config: of the clips; their categories take turns.
        clips: each gets every kind of fault once, its size drawn.
        workers: processes; one a core where not given, none besides this one where 1.

    Returns:
        `caught`: kind → share of the clips; `false_alarms`: share of good clips refused, and
        `false_alarms_handled` of good clips that were cut and encoded again as the faulty ones are; `clips`; `caught_by`: kind → measure →
        share; `missed`: kind → clip ids; `refused`: ids of good clips; `gate_ms_per_clip`: median, one core.
    """
    task, found = partial(examine, config, kinds), []
    progress = Progress("bench gate", clips, "clips")
    for result in map(task, range(clips)) if workers == 1 else map_in_processes(task, range(clips), workers=workers):
        found.append(result)
        progress.advance()
    by_measure = {kind: Counter(name for clip in found for name in clip.failed[kind]) for kind in kinds}
    refused = [clip.clip_id for clip in found if clip.failed["good"]]
    handled = [clip.clip_id for clip in found if clip.failed["handled"]]
    missed = {kind: [clip.clip_id for clip in found if not clip.failed[kind]] for kind in kinds}
    return {
        "caught": {kind: 1 - len(missed[kind]) / clips for kind in kinds},
        "false_alarms": len(refused) / clips,
        "false_alarms_handled": len(handled) / clips,
        "clips": clips,
        "caught_by": {
            kind: {name: count / clips for name, count in counts.most_common()} for kind, counts in by_measure.items()
        },
        "missed": {kind: ids for kind, ids in missed.items() if ids},
        "refused": [*refused, *(f"{clip_id} handled" for clip_id in handled)],
        "gate_ms_per_clip": 1000 * float(np.median([clip.seconds for clip in found])),
    }


def examine(config: SimulatorConfig, kinds: tuple[FaultKind, ...], index: int) -> Found:
    """The index-th clip of the sample: measured as it is, and with each kind of fault."""
    categories = tuple(config.categories or ENCOUNTERS)
    category, seed = categories[index % len(categories)], FIRST_SEED + 10 * index
    clip = simulate_clip(config, category, seed, f"{category}-{index}", "test")
    started = time.process_time()
    failed = {"good": _failed(clip)}
    seconds = time.process_time() - started
    failed["handled"] = _failed(shortened(clip, 4, clip.num_frames - 12))
    another = categories[(index + 1 + index // len(categories)) % len(categories)]
    others = {
        "motion_swapped_same": lambda: simulate_clip(config, category, seed + 1, "same", "test"),
        "motion_swapped_other": lambda: simulate_clip(config, another, seed + 2, "other", "test"),
    }
    for kind in kinds:
        rng = np.random.default_rng([seed, zlib.crc32(kind.encode())])
        failed[kind] = _failed(random_fault(kind, clip, others[kind]() if kind in others else clip, rng))
    return Found(clip.id, failed, seconds)


def _failed(clip: Clip) -> tuple[str, ...]:
    return tuple(failure.measure for failure in failures(measure(clip)))
