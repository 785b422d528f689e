"""The transformer is causal, its cache gives what recomputing gives, its memory stays bounded, its sampling is its own."""

import pytest
import torch

from egoreact.models.reaction_gpt import GPTInputs, ReactionGPT, ReactionGPTConfig, sample_tokens
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


def test_cached_equals_recomputed_beyond_the_window(gpt, inputs):
    cache = gpt.new_cache()
    streamed = [gpt(at(inputs, slice(t, t + 1)), cache=cache) for t in range(TOKENS)]
    torch.testing.assert_close(torch.cat(streamed, dim=1), gpt(inputs), atol=1e-5, rtol=0)


def test_the_cache_stays_the_same_size_for_ever(gpt, inputs):
    cache = gpt.new_cache()
    sizes = set()
    for t in range(60):
        gpt(at(inputs, slice(t % TOKENS, t % TOKENS + 1)), cache=cache)
        if t >= CONFIG.window:
            sizes.add(sum(layer.keys.numel() + layer.values.numel() for layer in cache.layers))
    assert len(sizes) == 1


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
