"""Streams that join, wait and leave: each is as if it were alone, and nothing grows."""

from dataclasses import replace

import pytest
import torch

from egoreact.errors import EgoReactError
from egoreact.models.bundle import Bundle
from egoreact.presets import tiny
from egoreact.streaming.reaction_stream import ReactionStream
from egoreact.streaming.slots import MotionStep, ReactionSlots
from egoreact.vision.frame_features import FrameFeatures

TOKENS = 22  # nearly three windows


@pytest.fixture(scope="module", params=[1.0, 3.0], ids=["unguided", "guided"])
def bundle(request) -> Bundle:
    config = tiny().reaction
    return Bundle.untrained(replace(config, gpt=replace(config.gpt, guidance=request.param)), seed=1)


def seen_by(bundle: Bundle, seed: int) -> list[FrameFeatures]:
    """What a stream sees, token by token."""
    config, generator = bundle.config.encoder, torch.Generator().manual_seed(seed)
    return [
        FrameFeatures(
            torch.randn(1, config.semantic_dim, generator=generator),
            torch.rand(1, config.depth_side, config.depth_side, generator=generator) * 5,
        )
        for _ in range(TOKENS)
    ]


def alone(bundle: Bundle, seed: int) -> list[MotionStep]:
    stream = ReactionStream(bundle, [seed])
    return [stream.step(frame) for frame in seen_by(bundle, seed)]


def agree(step: MotionStep, expected: MotionStep) -> None:
    assert torch.equal(step.tokens, expected.tokens)
    torch.testing.assert_close(step.joints_m, expected.joints_m, atol=1e-5, rtol=0)
    torch.testing.assert_close(step.features, expected.features, atol=1e-5, rtol=0)
    torch.testing.assert_close(step.head_velocity_m, expected.head_velocity_m, atol=1e-5, rtol=0)


def test_each_stream_is_as_if_it_were_alone(bundle):
    """Four streams in three slots: one comes late, one waits now and then, one leaves and another takes its place."""
    slots = ReactionSlots(bundle, 3)
    sights, expected = ({seed: make(bundle, seed) for seed in range(4)} for make in (seen_by, alone))
    slot_of, age = {0: slots.join(0), 1: slots.join(1)}, dict.fromkeys(range(4), 0)
    for t in range(TOKENS + 6):
        if t == 3:
            slot_of[2] = slots.join(2)
        if t == 9:
            slots.leave(slot_of.pop(0))
            slot_of[3] = slots.join(3)
        going = [seed for seed in slot_of if age[seed] < TOKENS and not (seed == 1 and t % 4 == 2)]
        order = going if t % 2 else going[::-1]
        steps = slots.step({slot_of[seed]: sights[seed][age[seed]] for seed in order})
        assert set(steps) == {slot_of[seed] for seed in going}
        for seed in going:
            agree(steps[slot_of[seed]], expected[seed][age[seed]])
            age[seed] += 1
    assert age[0] == 9 and min(age[1], age[2], age[3]) >= TOKENS - 4


def test_who_leaves_and_joins_changes_no_bit_of_the_others(bundle):
    """Two streams beside one that stays, or beside one that leaves and is followed by another: the same bits."""
    motions = []
    for changing in (False, True):
        slots = ReactionSlots(bundle, 3)
        mine, other, third = (slots.join(seed) for seed in (5, 6, 7))
        steps = []
        for t, (a, b, c) in enumerate(zip(*(seen_by(bundle, seed) for seed in (5, 6, 7)), strict=True)):
            if changing and t == 10:
                slots.leave(third)
                assert slots.join(8) == third
            steps.append(slots.step({mine: a, other: b, third: c}))
        motions.append([(step[mine], step[other]) for step in steps])
    for before, after in zip(*motions, strict=True):
        for one, same in zip(before, after, strict=True):
            assert torch.equal(one.joints_m, same.joints_m) and torch.equal(one.tokens, same.tokens)


def test_a_slot_remembers_nothing_of_who_left(bundle):
    slots = ReactionSlots(bundle, 1)
    motions = []
    for _ in range(2):
        slot = slots.join(5)
        motions.append([slots.step({slot: frame})[slot] for frame in seen_by(bundle, 5)])
        slots.leave(slot)
    for first, again in zip(*motions, strict=True):
        assert torch.equal(first.joints_m, again.joints_m)


def test_memory_is_laid_out_once(bundle):
    slots = ReactionSlots(bundle, 2)
    rows = slots.rows
    held = [rows.tokens, rows.head_velocity_m, rows.heading.half_yaw, rows.heading.root_xz_m, rows.decoder]
    places, size = [tensor.data_ptr() for tensor in held], rows.byte_count
    slot = slots.join(0)
    for frame in seen_by(bundle, 0):
        slots.step({slot: frame})
    assert [tensor.data_ptr() for tensor in held] == places
    assert rows.byte_count == size


def test_room_is_limited_and_strangers_are_refused(untrained_bundle):
    slots = ReactionSlots(untrained_bundle, 2)
    first, second = slots.join(0), slots.join(1)
    with pytest.raises(EgoReactError, match="all 2 slots are taken"):
        slots.join(2)
    slots.leave(first)
    frame = seen_by(untrained_bundle, 0)[0]
    with pytest.raises(EgoReactError, match=f"nobody is in slot {first}"):
        slots.step({first: frame, second: frame})
    with pytest.raises(EgoReactError, match=f"nobody is in slot {first}"):
        slots.leave(first)
    assert slots.step({}) == {}
    assert slots.join(2) == first


def test_velocity_given_from_outside_is_used(untrained_bundle):
    stream, given = ReactionStream(untrained_bundle, [0]), torch.tensor([[0.1, 0.2, 0.3]])
    frames = seen_by(untrained_bundle, 0)
    assert torch.equal(stream.step(frames[0]).head_velocity_m, torch.zeros(1, 3))
    assert torch.equal(stream.step(frames[1], given).head_velocity_m, given)
    assert not torch.equal(stream.step(frames[2]).head_velocity_m, given)
