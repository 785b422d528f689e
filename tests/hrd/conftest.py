"""Clips made by hand: no simulator, so that what a test sees is what it says."""

from collections.abc import Callable

import numpy as np
import pytest

from egoreact.hrd.clip import Clip, ClipRecord
from egoreact.vision.video import encode_depth, encode_segmentation, encode_video

MakeClip = Callable[..., Clip]


@pytest.fixture
def make_clip() -> MakeClip:
    def make(clip_id: str = "clip-0", *, frames: int = 9, split: str = "train", category: str = "ball_left") -> Clip:
        rng = np.random.default_rng(abs(hash(clip_id)) % 2**32)
        record = ClipRecord(clip_id, category, "A ball comes.", "hand", "CC0-1.0", split, seed=3, details={"a": 1})  # type: ignore[arg-type]
        return Clip(
            record=record,
            video_mp4=encode_video(rng.integers(0, 255, (frames, 32, 32, 3), dtype=np.uint8)),
            joints_m=rng.normal(size=(frames, 22, 3)).astype(np.float32),
            K=np.eye(3, dtype=np.float32),
            T_world_camera=np.tile(np.eye(4, dtype=np.float32), (frames, 1, 1)),
            head_rotation=np.tile(np.eye(3, dtype=np.float32), (frames, 1, 1)),
            depth_mkv=encode_depth(rng.random((frames, 32, 32)).astype(np.float32)),
            segmentation_mkv=encode_segmentation(rng.integers(0, 8, (frames, 32, 32), dtype=np.uint8)),
            smplx={"transl": rng.normal(size=(frames, 3)).astype(np.float32)},
        )

    return make
