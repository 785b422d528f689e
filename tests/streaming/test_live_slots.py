"""Streams from camera frames to motion in one step: whoever joins and leaves, each gives what a session of its own does."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from egoreact.errors import EgoReactError
from egoreact.models.bundle import Bundle
from egoreact.presets import tiny
from egoreact.streaming.live_slots import LiveSlots
from egoreact.streaming.session import MotionChunk, ReactionEngine
from egoreact.vision.backbones import BackbonesConfig
from egoreact.vision.dinov2 import ViTConfig
from egoreact.vision.video_depth import DepthModelConfig, VideoDepthConfig

CAPACITY, TOKENS = 6, 24
SIZES = [(56, 56), (40, 72), (72, 40), (56, 56), (90, 120)]
NETWORK = VideoDepthConfig(
    width=16, layers=4, heads=2, table_side=4, taps=(0, 1, 2, 3), channels=(8, 8, 8, 16), features=8,
    temporal_heads=2, groups=4, short_side_px=28,
)  # fmt: skip
VIT = ViTConfig(width=32, layers=1, heads=2, image_size_px=28)


def new_bundle(eyes: str) -> Bundle:
    config = tiny().reaction
    config = replace(config, gpt=replace(config.gpt, guidance=3.0))
    if eyes == "embedded":
        return Bundle.untrained(config, seed=1)
    depth = DepthModelConfig(kind="video_depth_anything" if eyes == "video" else "depth_anything_v2", network=NETWORK)
    bundle = Bundle.untrained(
        replace(config, encoder=BackbonesConfig(vit=VIT, depth=depth, depth_side=16)), seed=1
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    for parameter in bundle.encoder.depth.parameters():  # untrained, the modules over time change nothing
        parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.05)
    return bundle


@pytest.fixture(scope="module", params=["embedded", "video", "single"])
def bundle(request) -> Bundle:
    return new_bundle(request.param)


@cache
def sight(seed: int) -> np.ndarray:
    """(tokens, height, width, 3): the frames 4t of a stream; sizes differ from stream to stream."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (TOKENS, *SIZES[seed % len(SIZES)], 3), dtype=np.uint8)


def alone(bundle: Bundle, seed: int) -> list[MotionChunk]:
    session = ReactionEngine(bundle).open(seed)
    return [chunk for frame in sight(seed).repeat(4, axis=0) if (chunk := session.push(frame))]


def test_whoever_joins_leaves_and_waits_each_stream_is_a_session(bundle):
    """Thirty streams of random lengths in six slots; at each step a random part of those that are there goes on."""
    chance, slots = np.random.default_rng(5), LiveSlots(bundle, CAPACITY)
    there: dict[int, tuple[int, int, int]] = {}  # slot: seed, age, length
    waiting, compared, batches = list(range(30)), 0, set()
    expected = {}
    while there or waiting:
        while waiting and len(there) < CAPACITY and chance.random() < 0.5:
            seed = waiting.pop(0)
            there[slots.join(seed)] = (seed, 0, int(chance.integers(1, TOKENS + 1)))
            expected[seed] = alone(bundle, seed)
        going = [slot for slot in there if chance.random() < 0.7]
        chance.shuffle(going)
        step = slots.step({slot: slots.prepare(slot, sight(there[slot][0])[there[slot][1]]) for slot in going})
        assert set(step.motion) == set(going)
        batches.add(len(going))
        for slot in going:
            seed, age, length = there[slot]
            mine, same = step.motion[slot], expected[seed][age]
            assert int(mine.tokens[0]) == same.token
            np.testing.assert_allclose(mine.joints_m[0].numpy(), same.joints_m, atol=1e-5)
            np.testing.assert_allclose(mine.features[0].numpy(), same.features, atol=1e-5)
            compared += 1
            if age + 1 == length:
                slots.leave(slot)
                del there[slot]
            else:
                there[slot] = (seed, age + 1, length)
    assert compared > 200 and batches >= set(range(1, CAPACITY + 1))


def test_a_frame_that_does_not_fit_leaves_the_stream_as_it_was():
    bundle = new_bundle("video")
    slots = LiveSlots(bundle, 2)
    slot, frames = slots.join(3), sight(3)
    expected = alone(bundle, 3)
    for age in range(4):
        for bad, said in (
            (np.zeros((80, 80, 3), np.uint8), "from 56 x 56 to 80 x 80 px"),
            (np.zeros((8, 8, 3), np.uint8), "is 8 x 8 px"),
            (np.zeros((56, 56), np.uint8), "give RGB"),
        ):
            if age:
                with pytest.raises(EgoReactError, match=said):
                    slots.prepare(slot, bad)
        moved = slots.step({slot: slots.prepare(slot, frames[age])}).motion[slot]
        np.testing.assert_array_equal(moved.joints_m[0].numpy(), expected[age].joints_m)
    slots.leave(slot)
    assert slots.join(0) == slot
    slots.prepare(slot, np.zeros((80, 80, 3), np.uint8))  # whoever comes next may bring another size


def test_nothing_is_laid_out_twice(bundle):
    slots = LiveSlots(bundle, 3)

    def places() -> list[int]:
        held = (slots.eyes.state.ages, *slots.eyes.state.keys, *slots.reaction.rows.ring.tensors)
        return [tensor.data_ptr() for tensor in held]

    before = places()
    taken = [slots.join(seed) for seed in (0, 3)]
    for age in range(5):
        slots.step({slot: slots.prepare(slot, sight(0)[age]) for slot in taken})
    assert places() == before
    assert set(slots.step({}).spans_ms) == {"perception", "gpt", "decode"}
