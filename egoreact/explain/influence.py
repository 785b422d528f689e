"""What one frame changes: the closed loop run again with a single frame's perception exchanged.

Strict causality seen from outside: motion before the exchanged frame stays as it was, to the last bit.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from egoreact.errors import EgoReactError
from egoreact.models.bundle import Bundle
from egoreact.models.vqvae import FRAMES_PER_TOKEN
from egoreact.motion.representation import decode
from egoreact.motion.skeleton import FPS
from egoreact.progress import Progress
from egoreact.streaming.batch import ClipReaction, react_to_features
from egoreact.vision.frame_features import FrameFeatures

SEED = 0
LATER_TOKENS = 5
"""A second."""


def influence_cm(bundle: Bundle, clips: Sequence[FrameFeatures]) -> Float[np.ndarray, "tokens frames"]:
    """Mean distance between joints of two motions, cm: one for the clips as they are, one with frame 4t's perception taken
    from the next clip in the list.

    Args:
        clips: two or more of one length, a row a token.

    Returns:
        A row for each exchanged frame 4t, a column for each motion frame; means over clips and joints.

    Raises:
        EgoReactError: fewer than two clips, or of different lengths.
    """
    lengths = {len(clip.semantic) for clip in clips}
    if len(clips) < 2 or len(lengths) != 1:
        raise EgoReactError(
            f"{len(clips)} clips of {len(lengths)} lengths", where="influence", remedy="give two or more of one length"
        )
    (tokens,) = lengths
    before = _joints_m(react_to_features(bundle, clips, seed=SEED))
    rows = np.zeros((tokens, tokens * FRAMES_PER_TOKEN))
    progress = Progress("exchanging frames", tokens, "frames")
    for t in range(tokens):
        exchanged = [_with_row(clip, clips[(k + 1) % len(clips)], t) for k, clip in enumerate(clips)]
        after = _joints_m(react_to_features(bundle, exchanged, seed=SEED))
        rows[t] = 100 * np.linalg.norm(after - before, axis=-1).mean((0, 2))
        progress.advance()
    return rows


def _with_row(clip: FrameFeatures, other: FrameFeatures, t: int) -> FrameFeatures:
    semantic, depth_m = clip.semantic.clone(), clip.depth_m.clone()
    semantic[t], depth_m[t] = other.semantic[t], other.depth_m[t]
    return FrameFeatures(semantic, depth_m)


def _joints_m(reactions: Sequence[ClipReaction]) -> Float[np.ndarray, "clips frames 22 3"]:
    return decode(torch.from_numpy(np.stack([reaction.features for reaction in reactions]))).numpy()


def draw_influence(rows_cm: Float[np.ndarray, "tokens frames"], clips: int, path: Path) -> None:
    """A map of the whole, and for each exchanged frame what it changed a second later.

    Raises:
        EgoReactError: the clips last no longer than a second, or nothing changed at all.
    """
    import matplotlib.pyplot as plt
    from matplotlib.colors import LogNorm

    from egoreact.explain.style import ACCENT, FAINT, INK, STYLE

    tokens, frames = rows_cm.shape
    if tokens <= LATER_TOKENS or not rows_cm.any():
        raise EgoReactError(
            f"{tokens} frames exchanged, {np.count_nonzero(rows_cm)} changes", where="influence",
            remedy="give clips longer than a second, and a trained bundle",
        )  # fmt: skip
    seconds = frames / FPS
    changed = np.ma.masked_equal(rows_cm, 0)
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(12.5, 4.8), layout="constrained", width_ratios=(1.3, 1))
        left.set_facecolor(FAINT)
        largest = float(changed.max())
        image = left.imshow(
            changed, extent=(0, seconds, seconds, 0), aspect="auto", cmap="viridis", interpolation="nearest",
            norm=LogNorm(vmin=largest / 1000, vmax=largest),
        )  # fmt: skip
        figure.colorbar(image, ax=left, label="mean change of the joints, cm", pad=0.01)
        left.text(seconds * 0.06, seconds * 0.86, "exactly 0:\nno frame reaches back", color=INK, fontsize=11)
        left.set(xlabel="time of the motion, s", ylabel="time of the one frame exchanged, s")
        left.set_title("What one frame changes", loc="left", weight="bold")
        shown = np.arange(tokens - LATER_TOKENS)
        later = rows_cm[shown, FRAMES_PER_TOKEN * (shown + LATER_TOKENS)]
        right.bar(shown * FRAMES_PER_TOKEN / FPS, later, 0.85 * FRAMES_PER_TOKEN / FPS, color=ACCENT)
        right.set(xlabel="time of the one frame exchanged, s", ylabel="mean change of the joints, cm")
        right.set_title("… and how much of it is left a second later", loc="left", weight="bold")
        right.annotate(
            f"mean over {clips} clips, closed loop, the same draws",
            (1, 0.97),
            xycoords="axes fraction",
            ha="right",
            fontsize=9,
        )
        figure.savefig(path, dpi=130)
        plt.close(figure)
