"""Both figures and the table, from a bundle and clips that are simulated for the purpose."""

from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch

from egoreact.explain.flow import draw_flow
from egoreact.explain.influence import draw_influence, influence_cm
from egoreact.explain.seams import as_markdown, trace
from egoreact.files import whole_file
from egoreact.hrd.simulate import SimulatorConfig, simulate_clip
from egoreact.models.bundle import Bundle
from egoreact.models.release import released_bundle
from egoreact.presets import EIGHT_KINDS
from egoreact.progress import Progress
from egoreact.training.data import token_frames
from egoreact.vision.frame_features import FrameFeatures


def draw_model(out: Path, *, bundle: Path | None, clips: int, seed: int) -> str:
    """Writes `model-flow.png` and `model-influence.png` into the folder; returns the seams as a Markdown table."""
    loaded = Bundle.load(bundle or released_bundle())
    seams = trace(loaded)
    rows = influence_cm(loaded, _perceived(loaded, clips, seed))
    with whole_file(out / "model-flow.png") as beside:
        draw_flow(loaded, seams, beside)
    with whole_file(out / "model-influence.png") as beside:
        draw_influence(rows, clips, beside)
    return as_markdown({"shape": seams})


def _perceived(bundle: Bundle, count: int, seed: int) -> list[FrameFeatures]:
    progress = Progress("simulating", count, "clips")
    seen: list[FrameFeatures] = []
    for number, kind in enumerate(islice(cycle(EIGHT_KINDS), count)):
        clip = simulate_clip(SimulatorConfig(), kind, seed + number, f"explain-{number}", "test")
        seen.append(bundle.encoder.encode(torch.from_numpy(np.stack(list(token_frames(clip))))))
        progress.advance()
    return seen
