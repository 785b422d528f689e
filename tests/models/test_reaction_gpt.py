"""The transformer is causal, its ring gives what recomputing gives, what it sees is its own, and so is its sampling."""

from dataclasses import replace

import pytest
import torch

from egoreact.errors import EgoReactError
from egoreact.models.bundle import Bundle
from egoreact.models.reaction_gpt import (
    SENSES,
    DepthBranch,
    GPTInputs,
    ReactionGPT,
    ReactionGPTConfig,
    sample_tokens,
)
from egoreact.presets import tiny
from egoreact.streaming.reaction_stream import ReactionStream
from egoreact.vision.frame_features import FrameFeatures
from egoreact.weights import seeded

CONFIG = ReactionGPTConfig(
    semantic_dim=24, codebook_size=40, width=32, layers=2, heads=4, feedforward=64, window=6, depth_channels=(8, 8, 8)
)
BATCH, TOKENS = 3, 17


@pytest.fixture(scope="module")
def gpt() -> ReactionGPT:
    return seeded(0, lambda: ReactionGPT(CONFIG)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def inputs() -> GPTInputs:
    generator = torch.Generator().manual_seed(1)
    return GPTInputs(
        previous_token=torch.randint(CONFIG.codebook_size, (BATCH, TOKENS), generator=generator),
        semantic=torch.randn(BATCH, TOKENS, 24, generator=generator),
        depth_m=torch.rand(BATCH, TOKENS, 16, 16, generator=generator) * 6,
        head_velocity_m=torch.randn(BATCH, TOKENS, 3, generator=generator) * 0.02,
        seen=torch.tensor([True, True, False]),
    )


def at(inputs: GPTInputs, place: slice) -> GPTInputs:
    return GPTInputs(*(value if value.ndim == 1 else value[:, place] for value in vars(inputs).values()))


@pytest.mark.parametrize("name", ["previous_token", "semantic", "depth_m", "head_velocity_m"])
def test_no_later_input_changes_an_earlier_logit(gpt, inputs, name):
    changed = {key: value.clone() for key, value in vars(inputs).items()}
    changed[name][:, 9:] = changed[name][:, 9:].flip(1) + 1 if name != "previous_token" else 0
    before, after = gpt(inputs), gpt(GPTInputs(**changed))
    assert torch.equal(before[:, :9], after[:, :9])
    assert not torch.equal(before[0, 9:], after[0, 9:])


def test_an_unseen_frame_changes_nothing(gpt, inputs):
    blind = GPTInputs(**{**vars(inputs), "semantic": inputs.semantic + 1, "depth_m": inputs.depth_m + 1})
    before, after = gpt(inputs), gpt(blind)
    assert torch.equal(before[2], after[2])
    assert not torch.equal(before[0], after[0])


def test_where_a_thing_is_in_the_depth_map_matters(gpt, inputs):
    left = {key: value.clone() for key, value in vars(inputs).items()}
    left["depth_m"][:] = 5.0
    right = {key: value.clone() for key, value in left.items()}
    left["depth_m"][..., :4] = 0.5
    right["depth_m"][..., -4:] = 0.5
    difference = (gpt(GPTInputs(**left)) - gpt(GPTInputs(**right)))[0].abs().max()
    assert difference > 1e-4


def test_a_depth_map_is_told_as_nearness_and_its_pixels_places():
    branch = seeded(0, lambda: DepthBranch((8, 16), 24))
    depth_m = torch.rand(5, 12, 12, generator=torch.Generator().manual_seed(6)) * 6
    axis = torch.linspace(-1, 1, 12)
    rows, columns = axis[:, None].expand(5, 12, 12), axis.expand(5, 12, 12)
    maps = torch.stack([1 / (0.5 + depth_m), rows, columns], dim=1)
    expected = branch.project(branch.convolutions(maps).mean((-2, -1)))
    torch.testing.assert_close(branch(depth_m), expected, atol=1e-6, rtol=1e-5)


def test_what_is_seen_can_be_given_instead_of_seen_again(gpt, inputs):
    sight = gpt.see(inputs)
    assert torch.equal(gpt(inputs, sight=sight), gpt(inputs))
    other = replace(inputs, semantic=inputs.semantic + 1, depth_m=inputs.depth_m + 1)
    assert torch.equal(gpt(other, sight=sight), gpt(inputs))
    past = replace(inputs, previous_token=inputs.previous_token.flip(1), head_velocity_m=-inputs.head_velocity_m)
    assert torch.equal(gpt.see(past), sight)


def test_sampling_draws_from_the_likeliest_with_their_odds():
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05] + [1e-9] * 6])).expand(4000, -1)
    generators = [torch.Generator().manual_seed(seed) for seed in range(4000)]
    tokens = sample_tokens(logits, temperature=1.0, top_fraction=0.3, generators=generators)
    shares = torch.bincount(tokens, minlength=10) / 4000
    torch.testing.assert_close(shares[:3], torch.tensor([0.5, 0.3, 0.15]) / 0.95, atol=0.03, rtol=0)
    assert shares[3:].sum() == 0


def test_a_rows_draw_does_not_depend_on_its_neighbours():
    logits = torch.randn(5, 40, generator=torch.Generator().manual_seed(3))
    together = sample_tokens(
        logits, temperature=1.0, top_fraction=0.5, generators=[torch.Generator().manual_seed(s) for s in range(5)]
    )
    alone = sample_tokens(logits[3:4], temperature=1.0, top_fraction=0.5, generators=[torch.Generator().manual_seed(3)])
    assert together[3] == alone[0]


def test_temperature_zero_takes_the_likeliest():
    logits = torch.randn(5, 40, generator=torch.Generator().manual_seed(3))
    generators = [torch.Generator().manual_seed(s) for s in range(5)]
    tokens = sample_tokens(logits, temperature=0, top_fraction=0.1, generators=generators)
    assert torch.equal(tokens, logits.argmax(-1))


def test_attention_reaches_back_a_window_a_layer_and_no_further(gpt, inputs):
    reach = CONFIG.layers * (CONFIG.window - 1)
    for first_change, is_felt in ((TOKENS - reach - 1, True), (TOKENS - reach - 2, False)):
        changed = replace(inputs, semantic=inputs.semantic.clone())
        changed.semantic[:, first_change] += 1
        felt = not torch.equal(gpt(inputs)[0, -1], gpt(changed)[0, -1])
        assert felt == is_felt


def test_positions_are_relative(gpt, inputs):
    """Past the reach of attention, how long a stream has been running makes no difference; the order of tokens does."""
    reach = CONFIG.layers * (CONFIG.window - 1)
    whole, later = gpt(inputs), gpt(at(inputs, slice(TOKENS - reach - 1, None)))
    torch.testing.assert_close(whole[:, -1], later[:, -1], atol=1e-5, rtol=0)
    order = torch.arange(TOKENS)
    order[[-3, -4]] = order[[-4, -3]]
    swapped = gpt(at(inputs, order))
    assert (whole[:, -1] - swapped[:, -1]).abs().max() > 1e-4


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_cached_tokens_equal_recomputed_ones_over_several_windows(gpt, temperature):
    """Each token feeds the next, so one that differs changes all after it."""
    steps = 5 * CONFIG.window
    generator = torch.Generator().manual_seed(4)
    semantic = torch.randn(BATCH, steps, 24, generator=generator)
    depth_m = torch.rand(BATCH, steps, 16, 16, generator=generator) * 6
    velocity_m = torch.randn(BATCH, steps, 3, generator=generator) * 0.02
    seen = torch.tensor([True, True, False])

    def run(*, cached: bool) -> torch.Tensor:
        generators = [torch.Generator().manual_seed(seed) for seed in range(BATCH)]
        ring = gpt.new_ring(BATCH) if cached else None
        tokens = torch.full((BATCH, 1), gpt.no_token)
        for t in range(steps):
            now = slice(t if cached else 0, t + 1)
            given = GPTInputs(tokens[:, now], semantic[:, now], depth_m[:, now], velocity_m[:, now], seen)
            if ring is not None:
                ring.place(slice(None))
            logits = 4 * gpt(given, cache=ring)[:, -1]
            drawn = sample_tokens(logits, temperature=temperature, top_fraction=0.5, generators=generators)
            tokens = torch.cat([tokens, drawn[:, None]], dim=1)
        return tokens

    tokens = run(cached=True)
    assert torch.equal(tokens, run(cached=False))
    assert len(tokens.unique()) > 5


def test_a_guided_stream_equals_two_separate_passes():
    config = replace(tiny().reaction, gpt=replace(tiny().reaction.gpt, guidance=3.0))
    bundle = Bundle.untrained(config)
    gpt, steps, batch = bundle.gpt, 12, 2
    generator = torch.Generator().manual_seed(5)
    semantic = torch.randn(steps, batch, config.gpt.semantic_dim, generator=generator)
    depth_m = torch.rand(steps, batch, config.encoder.depth_side, config.encoder.depth_side, generator=generator) * 6
    stream = ReactionStream(bundle, [0, 1], temperature=0)
    told, velocity_m, differs = torch.full((batch, 1), gpt.no_token), torch.empty(batch, 0, 3), False
    for t in range(steps):
        step = stream.step(FrameFeatures(semantic[t], depth_m[t]))
        velocity_m = torch.cat([velocity_m, step.head_velocity_m[:, None]], dim=1)
        seen_so_far = (what[: t + 1].transpose(0, 1) for what in (semantic, depth_m))
        past = GPTInputs(told, *seen_so_far, velocity_m, seen=torch.ones(batch, dtype=torch.bool))
        with torch.inference_mode():
            a, b = (gpt(each)[:, -1] for each in (past, replace(past, seen=~past.seen)))
        tokens = (b + 3.0 * (a - b)).argmax(-1)
        differs |= not torch.equal(tokens, a.argmax(-1))
        assert torch.equal(step.tokens, tokens)
        told = torch.cat([told, tokens[:, None]], dim=1)
    assert differs  # or guidance was not tried


@pytest.mark.parametrize("left_out", SENSES)
def test_a_sense_left_out_changes_no_logit(inputs, left_out):
    senses = tuple(sense for sense in SENSES if sense != left_out)
    gpt = seeded(0, lambda: ReactionGPT(replace(CONFIG, senses=senses))).eval().requires_grad_(False)
    names = {"semantic": "semantic", "depth": "depth_m", "velocity": "head_velocity_m"}
    before = gpt(inputs)
    assert before.shape == (BATCH, TOKENS, CONFIG.codebook_size)
    for sense, name in names.items():
        changed = replace(inputs, **{name: getattr(inputs, name) + 1})
        assert torch.equal(before, gpt(changed)) == (sense == left_out)


def test_a_transformer_that_does_not_look_sees_nothing(inputs):
    gpt = seeded(0, lambda: ReactionGPT(replace(CONFIG, senses=("velocity",)))).eval().requires_grad_(False)
    assert gpt.see(inputs).shape == (BATCH, TOKENS, 0)
    changed = replace(inputs, semantic=inputs.semantic + 1, depth_m=inputs.depth_m + 1, seen=~inputs.seen)
    assert torch.equal(gpt(inputs), gpt(changed))


@pytest.mark.parametrize("senses", [(), ("semantic", "smell"), ("depth", "depth")])
def test_senses_that_do_not_exist_are_refused(senses):
    with pytest.raises(EgoReactError, match="semantic, depth, velocity"):
        replace(CONFIG, senses=senses)


def test_one_code_of_the_top_is_the_likeliest():
    logits = torch.randn(50, 40, generator=torch.Generator().manual_seed(3))
    generators = [torch.Generator().manual_seed(s) for s in range(50)]
    assert torch.equal(
        sample_tokens(logits, temperature=5.0, top_fraction=1 / 40, generators=generators), logits.argmax(-1)
    )
