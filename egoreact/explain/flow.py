"""The picture of how a frame becomes motion, with the shapes of a real step."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from egoreact.explain.seams import Seam, shape_text
from egoreact.models.bundle import Bundle

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 15.0, 6.9
BOX_HEIGHT = 0.86


@dataclass(frozen=True)
class Box:
    """A part of the model, at the centre (x, y) in inches."""

    x: float
    y: float
    width: float
    title: str
    below: str = ""
    learnt: bool = True


def draw_flow(bundle: Bundle, seams: dict[str, Seam], path: Path) -> None:
    """Raises nothing but what the disk raises; a sense that was left out of the model is drawn as absent."""
    import matplotlib.pyplot as plt

    from egoreact.explain.style import STYLE

    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(WIDTH, HEIGHT))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
        axes.axis("off")
        _draw(axes, bundle, {name: shape_text(seam.shape) for name, seam in seams.items()})
        figure.savefig(path, dpi=130)
        plt.close(figure)


def _draw(axes: Axes, bundle: Bundle, shape: dict[str, str]) -> None:
    from egoreact.explain.style import ACCENT, WARM

    gpt, tokenizer = bundle.config.gpt, bundle.config.tokenizer
    seconds = gpt.window * 0.2
    frame = Box(0.95, 4.55, 1.3, "frame 4t", shape["frame"], learnt=False)
    encoder = Box(2.95, 4.55, 1.5, "frame encoder", "every 0.2 s")
    semantic = Box(5.35, 5.35, 1.6, "Linear", shape.get("semantic part", "left out"))
    depth = Box(5.35, 4.1, 1.6, "convolutions", shape.get("depth part", "left out"))
    token = Box(5.35, 2.85, 1.6, "embedding", shape["token"])
    velocity = Box(5.35, 1.6, 1.6, "MLP", shape.get("velocity part", "left out"))
    fuse = Box(7.5, 3.45, 1.25, "Linear", f"f_token {shape['f_token']}")
    trunk = Box(9.35, 3.45, 1.7, f"{gpt.layers} causal blocks", f"cache: {gpt.window} tokens, {seconds:g} s")
    draw = Box(11.4, 3.45, 1.6, "guide, draw", f"among {shape['logits']} codes", learnt=False)
    decoder = Box(13.6, 3.45, 1.75, "causal decoder", f"code {shape['code']} → {shape['features']}")
    joints = Box(13.6, 1.6, 1.75, "joints", f"{shape['joints']} m", learnt=False)
    boxes = [frame, encoder, semantic, depth, token, velocity, fuse, trunk, draw, decoder, joints]
    for box in boxes:
        _box(axes, box)
    _arrow(axes, (frame.x + 0.65, 4.55), (encoder.x - 0.75, 4.55))
    _arrow(axes, (encoder.x + 0.75, 4.7), (semantic.x - 0.8, 5.35), f"semantic\n{shape['semantic']}", (4.05, 5.42))
    _arrow(axes, (encoder.x + 0.75, 4.4), (depth.x - 0.8, 4.1), f"depth, m\n{shape['depth']}", (4.05, 3.78))
    for part in (semantic, depth, token, velocity):
        _arrow(axes, (part.x + 0.8, part.y), (fuse.x - 0.63, fuse.y + (part.y - fuse.y) * 0.16))
    for one, other in ((fuse, trunk), (trunk, draw), (draw, decoder)):
        _arrow(axes, (one.x + one.width / 2, one.y), (other.x - other.width / 2, other.y))
    axes.text(12.45, 3.62, "token t", ha="center", fontsize=8.5)
    _arrow(axes, (13.6, decoder.y - 0.43), (13.6, joints.y + 0.43))
    # What comes back for the next token, in a lane of its own below all.
    for start, target, lane, text, colour in (
        ((draw.x, draw.y - 0.43), token, 2.2, "token t, 0.2 s later", ACCENT),
        ((joints.x, joints.y - 0.43), velocity, 0.62, f"head's step in the decoded motion, {shape['velocity']}: the next V", WARM),
    ):  # fmt: skip
        _way_back(axes, start, target, lane, text, colour)
    axes.text(0.3, 6.56, "How a frame becomes motion", fontsize=15, weight="bold", va="center")
    axes.text(
        0.3,
        6.17,
        "one step of one stream: 4 motion frames every 0.2 s; nothing ever looks at a later frame",
        va="center",
    )
    axes.text(
        0.3, 0.28, f"{gpt.width} wide, {gpt.heads} heads, rotary positions · codebook {tokenizer.codebook_size} × "
        f"{tokenizer.code_dim} · shapes as one step on a camera frame has them · filled: learnt", fontsize=9, va="center",
    )  # fmt: skip


def _box(axes: Axes, box: Box) -> None:
    from matplotlib.patches import FancyBboxPatch

    from egoreact.explain.style import ACCENT, FAINT, INK

    corner = (box.x - box.width / 2, box.y - BOX_HEIGHT / 2)
    axes.add_patch(
        FancyBboxPatch(
            corner, box.width, BOX_HEIGHT, boxstyle="round,pad=0,rounding_size=0.09", lw=1.3,
            ec=ACCENT if box.learnt else INK, fc=FAINT if box.learnt else "white",
        )
    )  # fmt: skip
    axes.text(box.x, box.y + 0.15, box.title, ha="center", va="center", fontsize=11, weight="bold")
    axes.text(box.x, box.y - 0.17, box.below, ha="center", va="center", fontsize=9)


def _arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], text: str = "", at: tuple[float, float] = (0, 0)
) -> None:
    from egoreact.explain.style import INK

    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1.2, "shrinkA": 0, "shrinkB": 0})
    if text:
        axes.text(*at, text, ha="center", va="center", fontsize=8.5, linespacing=1.3)


def _way_back(axes: Axes, start: tuple[float, float], target: Box, lane: float, text: str, colour: str) -> None:
    """Down (or along) from the start into a lane, left under the target, and up or down into it."""
    left = target.x - target.width / 2 - 0.45
    xs, ys = [start[0], start[0], left, left], [start[1], lane, lane, target.y]
    axes.plot(xs, ys, color=colour, lw=1.3, ls=(0, (4, 2.5)))
    axes.annotate(
        "", (target.x - target.width / 2, target.y), (left, target.y),
        arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.3, "shrinkA": 0, "shrinkB": 0},
    )  # fmt: skip
    axes.text((start[0] + left) / 2, lane + 0.13, text, ha="center", va="center", fontsize=8.5, color=colour)
