"""What flows between the parts of the model: the shapes of one real step of one stream."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from egoreact.models.bundle import Bundle
from egoreact.models.reaction_gpt import SENSES
from egoreact.streaming.reaction_stream import ReactionStream

FRAME_SHAPE = (480, 640, 3)
"""Of the frame that is looked at; a camera's, any other would do."""


@dataclass(frozen=True)
class Seam:
    """One place where data passes from a part to the next."""

    name: str
    shape: tuple[int, ...]
    """Of one stream; the batch is left out."""
    meaning: str


MEANINGS = {
    "frame": "camera frame 4t, 8-bit RGB",
    "semantic": "what is there: the encoder's class token",
    "depth": "how far it is, metres a pixel",
    "token": "token t − 1, embedded",
    "semantic part": "semantics, to the transformer's width",
    "depth part": "depth, through stride-2 convolutions and an average",
    "velocity": "V of t − 1: the head's step in the motion decoded so far, metres a frame",
    "velocity part": "V, to the transformer's width",
    "f_token": "all of these in one vector, Linear",
    "hidden": "after the blocks, which also see the past through the cache",
    "logits": "a score a code",
    "code": "the drawn token's entry in the codebook",
    "features": "4 frames of the 263-d representation",
    "joints": "4 frames of 22 joints, metres in the world",
}
"""In the order in which data passes. An ablated sense has no part."""


def trace(bundle: Bundle) -> dict[str, Seam]:
    """Shapes by name, in order, read off one step on a frame of noise."""
    rgb = np.random.default_rng(0).integers(0, 256, (1, *FRAME_SHAPE), dtype=np.uint8)
    gpt = bundle.gpt
    watched: dict[str, nn.Module] = {"token": gpt.token, "f_token": gpt.fuse, "hidden": gpt.head}
    watched |= {f"{sense} part": gpt.get_submodule(sense) for sense in SENSES if sense in gpt.config.senses}
    watched["logits"] = gpt.head
    seen = bundle.encoder.encode(torch.from_numpy(rgb))
    with _outputs_of(watched) as shapes:
        step = ReactionStream(bundle, [0]).step(seen)
    shapes |= {
        "frame": rgb.shape[1:],
        "semantic": tuple(seen.semantic.shape[1:]),
        "depth": tuple(seen.depth_m.shape[1:]),
        "velocity": tuple(step.head_velocity_m.shape[1:]),
        "hidden": (gpt.config.width,),
        "code": tuple(bundle.tokenizer.codebook.shape[1:]),
        "features": tuple(step.features.shape[1:]),
        "joints": tuple(step.joints_m.shape[1:]),
    }
    return {name: Seam(name, shapes[name], meaning) for name, meaning in MEANINGS.items() if name in shapes}


@contextmanager
def _outputs_of(modules: dict[str, nn.Module]) -> Iterator[dict[str, tuple[int, ...]]]:
    """Shapes of what the modules give while the block runs, less batch and time."""
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str) -> object:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            shapes[name] = (output.shape[-1],)

        return hook

    handles = [module.register_forward_hook(note(name)) for name, module in modules.items()]  # type: ignore[arg-type]
    try:
        yield shapes
    finally:
        for handle in handles:
            handle.remove()


def as_markdown(columns: dict[str, dict[str, Seam]]) -> str:
    """A table of the seams of several bundles, one a column by its name."""
    names = list(dict.fromkeys(name for seams in columns.values() for name in seams))
    lines = [f"| seam | {' | '.join(columns)} | |", f"|---|{'---|' * len(columns)}---|"]
    for name in names:
        cells = ["–" if name not in seams else shape_text(seams[name].shape) for seams in columns.values()]
        lines.append(f"| {name} | {' | '.join(cells)} | {MEANINGS[name]} |")
    return "\n".join(lines)


def shape_text(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
