"""A session with the published eyes: it carries what they remember, and bad frames do not end it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from egoreact.errors import EgoReactError
from egoreact.models.bundle import Bundle
from egoreact.presets import tiny
from egoreact.streaming.batch import react_to_features
from egoreact.streaming.session import ReactionEngine, Session, react_to_frames
from egoreact.vision.backbones import BackbonesConfig
from egoreact.vision.dinov2 import ViTConfig
from egoreact.vision.video_depth import DepthModelConfig, VideoDepthConfig

DEPTH = VideoDepthConfig(
    width=16, layers=4, heads=2, table_side=4, taps=(0, 1, 2, 3), channels=(8, 8, 8, 16), features=8,
    temporal_heads=2, groups=4, short_side_px=28,
)  # fmt: skip
VIT = ViTConfig(width=32, layers=1, heads=2, image_size_px=28, position_table_px=56)
EYES = BackbonesConfig(vit=VIT, depth=DepthModelConfig(network=DEPTH), depth_side=16)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    made = Bundle.untrained(replace(tiny().reaction, encoder=EYES), seed=1)
    noise = torch.Generator().manual_seed(0)
    for name, parameter in made.encoder.named_parameters():
        if "proj_out" in name:  # untrained, the modules over time change nothing
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=noise))
    made.encoder.depth.head.scratch.output_conv2[2].bias.fill_(2.0)  # and everything is at 0 m
    return made


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (45, 60, 80, 3), dtype=np.uint8)


def test_a_stream_does_what_the_clips_features_say(bundle, frames):
    streamed = react_to_frames(bundle, frames, temperature=0)
    seen = bundle.encoder.encode(torch.from_numpy(frames[::4].copy()))
    (whole,) = react_to_features(bundle, [seen], seed=0, temperature=0)
    assert np.array_equal(streamed.tokens, whole.tokens)
    np.testing.assert_allclose(streamed.features, whole.features[:45], atol=1e-4)


def test_what_the_eyes_remember_is_carried(bundle, frames):
    other = frames.copy()
    other[0] = 255 - other[0]
    sessions = [ReactionEngine(bundle).open() for _ in range(2)]
    for one, two in zip(frames[:9], other[:9], strict=True):
        for session, frame in zip(sessions, (one, two), strict=True):
            session.push(frame)
    depths = [session.bundle.encoder.perceive(torch.from_numpy(frames[12:13]), session.perception)[0].depth_m
              for session in sessions]  # fmt: skip
    assert not torch.equal(*depths)
    assert [session.perception.ages.tolist() for session in sessions] == [[4], [4]]


def tokens_of(session: Session, frames: np.ndarray) -> list[int]:
    return [chunk.token for frame in frames if (chunk := session.push(frame))]


def test_frames_of_another_size_or_kind_do_not_count(bundle, frames):
    session = ReactionEngine(bundle, temperature=0).open()
    tokens = tokens_of(session, frames[:8])
    for bad, said in (
        (np.zeros((120, 160, 3), np.uint8), "from 80 x 60 to 160 x 120 px"),
        (np.zeros((1, 1, 3), np.uint8), "is 1 x 1 px"),
        (np.zeros((60, 80), np.uint8), "give RGB"),
    ):
        with pytest.raises(EgoReactError, match=said):
            session.push(bad)
    tokens += tokens_of(session, frames[8:])
    assert tokens == react_to_frames(bundle, frames, temperature=0).tokens.tolist()


def test_the_embedded_eyes_take_any_size(untrained_bundle, frames):
    session = ReactionEngine(untrained_bundle).open()
    for frame in (*frames[:4], *frames[4:8, :40, :40], np.zeros((4320, 7680, 3), np.uint8)):
        session.push(frame)
    assert session.frames == 9


def test_the_state_stays_as_large_as_it_was(bundle, frames):
    session = ReactionEngine(bundle).open()
    session.push(frames[0])
    held = session.perception.byte_count
    for frame in np.concatenate([frames] * 5):
        session.push(frame)
    assert session.perception.byte_count == held
    assert int(session.perception.ages) == 57
