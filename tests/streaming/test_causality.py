"""The promises of a stream: no future, the same as the whole clip, and head velocity from decoded motion."""

import numpy as np
import pytest
import torch

from egoreact.models.reaction_gpt import GPTInputs
from egoreact.motion.representation import decode
from egoreact.motion.skeleton import HEAD
from egoreact.streaming.reaction_stream import ReactionStream
from egoreact.streaming.session import ReactionEngine, react_to_frames
from egoreact.training.gpt import head_velocity_of, shift
from egoreact.vision.frame_features import FrameFeatures
from egoreact.vision.video import encode_video

FRAMES = 45


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (FRAMES, 60, 80, 3), dtype=np.uint8)


@pytest.mark.parametrize("changed", [1, 20, 41])
def test_later_frames_change_no_earlier_motion(untrained_bundle, frames, changed):
    other = frames.copy()
    other[changed:] = 255 - other[changed:]
    motion = react_to_frames(untrained_bundle, frames, seed=3)
    changed_motion = react_to_frames(untrained_bundle, other, seed=3)
    before = -(-changed // 4) * 4  # the next frame that is perceived
    assert np.array_equal(motion.joints_m[:before], changed_motion.joints_m[:before])


def test_what_is_seen_decides_what_is_done(untrained_bundle, frames):
    dark = frames // 8
    motion, other = (react_to_frames(untrained_bundle, seen, seed=3) for seen in (dark, 255 - dark))
    assert not np.array_equal(motion.tokens, other.tokens)


def test_a_stream_equals_the_whole_clip(untrained_bundle, frames):
    """The tokens a stream drew, put through the networks in one piece: the same logits, the same motion."""
    bundle = untrained_bundle
    streamed = react_to_frames(bundle, frames, seed=3, temperature=0)
    tokens = torch.from_numpy(streamed.tokens)[None]
    seen = bundle.encoder.encode(torch.from_numpy(frames[::4].copy()))
    whole = GPTInputs(
        previous_token=shift(tokens, bundle.gpt.no_token),
        semantic=seen.semantic[None],
        depth_m=seen.depth_m[None],
        head_velocity_m=head_velocity_of(tokens, bundle.tokenizer, bundle.normaliser),
        seen=torch.ones(1, dtype=torch.bool),
    )
    with torch.inference_mode():
        assert torch.equal(bundle.gpt(whole).argmax(-1), tokens)
        joints_m = decode(bundle.normaliser.denormalise(bundle.tokenizer.decode(tokens)))[0]
    np.testing.assert_allclose(streamed.joints_m, joints_m[:FRAMES], atol=1e-5)


def test_head_velocity_is_of_decoded_motion(untrained_bundle):
    """Every V that the transformer was given, against the head of the motion that the stream itself gave before."""
    stream = ReactionStream(untrained_bundle, [0, 1])
    generator = torch.Generator().manual_seed(0)
    side = untrained_bundle.config.encoder.depth_side
    heads: list[torch.Tensor] = []
    for t in range(6):
        step = stream.step(
            FrameFeatures(torch.randn(2, 32, generator=generator), torch.rand(2, side, side, generator=generator))
        )
        expected = heads[-1] - heads[-2] if t else torch.zeros(2, 3)
        assert torch.equal(step.head_velocity_m, expected)
        assert t == 0 or bool((step.head_velocity_m.abs() > 0).any())
        heads += list(step.joints_m[:, :, HEAD].unbind(1))


def test_a_streams_motion_does_not_depend_on_its_batch(untrained_bundle):
    generator = torch.Generator().manual_seed(0)
    side = untrained_bundle.config.encoder.depth_side
    together, alone = ReactionStream(untrained_bundle, [5, 6, 7]), ReactionStream(untrained_bundle, [6])
    for _ in range(8):
        frame = FrameFeatures(torch.randn(3, 32, generator=generator), torch.rand(3, side, side, generator=generator))
        both = together.step(frame)
        own = alone.step(FrameFeatures(frame.semantic[1:2], frame.depth_m[1:2]))
        assert torch.equal(both.tokens[1:2], own.tokens)
        torch.testing.assert_close(both.joints_m[1:2], own.joints_m, atol=1e-5, rtol=0)


def test_a_session_answers_every_fourth_frame(untrained_bundle, frames):
    session = ReactionEngine(untrained_bundle).open()
    chunks = [session.push(frame) for frame in frames]
    assert [index for index, chunk in enumerate(chunks) if chunk] == list(range(0, FRAMES, 4))
    answered = [chunk for chunk in chunks if chunk]
    assert [(chunk.index, chunk.first_frame) for chunk in answered] == [(t, 4 * t) for t in range(len(answered))]
    assert all(set(chunk.timings_ms) == {"perception", "gpt", "decode"} for chunk in answered)


def test_same_seed_same_motion_other_seed_other_motion(untrained_bundle, frames):
    first, again, other = (react_to_frames(untrained_bundle, frames, seed=seed).tokens for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_video_file_and_its_frames_give_the_same_motion(untrained_bundle, frames, tmp_path):
    from egoreact.streaming.session import react
    from egoreact.vision.video import read_video

    path = tmp_path / "a b.mp4"
    path.write_bytes(encode_video(frames))
    reaction = react(untrained_bundle, path, seed=1)
    assert np.array_equal(reaction.tokens, react_to_frames(untrained_bundle, read_video(path, fps=20), seed=1).tokens)
    assert reaction.joints_m.shape == (FRAMES, 22, 3)
