"""Frames that are none are refused in one line; large ones are seen, a bounded part of them in memory at a time."""

import numpy as np
import pytest
import torch
from eyes import close, refusal, tiny_eyes, video
from torch.utils._python_dispatch import TorchDispatchMode

from egoreact.presets import tiny
from egoreact.vision.frame_encoder import FrameEncoder
from egoreact.vision.frames import check_frame
from egoreact.weights import seeded


@pytest.mark.parametrize(
    ("shape", "dtype", "said"),
    [
        ((1, 1, 3), np.uint8, "is 1 x 1 px"),
        ((0, 64, 3), np.uint8, "is 64 x 0 px"),
        ((15, 64, 3), np.uint8, "is 64 x 15 px"),
        ((64, 8193, 3), np.uint8, "is 8193 x 64 px"),
        ((64, 64), np.uint8, "is uint8 of shape (64, 64)"),
        ((64, 64, 1), np.uint8, "is uint8 of shape (64, 64, 1)"),
        ((64, 64, 4), np.uint8, "is uint8 of shape (64, 64, 4)"),
        ((1, 64, 64, 3), np.uint8, "is uint8 of shape (1, 64, 64, 3)"),
        ((64, 64, 3), np.float32, "is float32 of shape (64, 64, 3)"),
        ((64, 64, 3), np.uint16, "is uint16 of shape (64, 64, 3)"),
    ],
)
def test_what_is_no_frame_is_refused(shape, dtype, said):
    assert said in refusal(check_frame, np.zeros(shape, dtype))


@pytest.mark.parametrize("rgb", [np.zeros((16, 16, 3), np.uint8), torch.zeros(4320, 7680, 3, dtype=torch.uint8)])
def test_frames_of_16_px_and_of_8k_are_taken(rgb):
    check_frame(rgb)


class Largest(TorchDispatchMode):
    """Bytes of the largest tensor that is made."""

    bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            self.bytes = max(self.bytes, made.untyped_storage().nbytes())
        return made


@pytest.mark.parametrize("kind", ["embedded", "backbones"])
def test_an_8k_clip_takes_no_more_at_a_time_than_one_frame_and_shows_what_it_shows(kind):
    eyes = tiny_eyes() if kind == "backbones" else seeded(0, lambda: FrameEncoder(tiny().encoder.model)).eval()
    small = video(2, height=36, width=64)
    large = small.repeat_interleave(120, 1).repeat_interleave(120, 2)
    assert large.shape == (2, 4320, 7680, 3)
    with Largest() as largest:
        seen = eyes.encode(large)
    # The centre square of one frame in float32; the clip itself lies there before.
    assert largest.bytes <= max(4320 * 4320 * 3 * 4, large.nbytes)
    close(seen.semantic, eyes.encode(small).semantic, 0.2)
    assert bool(seen.depth_m.isfinite().all())
