"""The ring gives each row what recomputing its own history gives, whatever the others' ages, for ever, in fixed memory."""

import pytest
import torch

from egoreact.models.reaction_gpt import GPTInputs, ReactionGPT, ReactionGPTConfig
from egoreact.weights import seeded

CONFIG = ReactionGPTConfig(
    semantic_dim=24, codebook_size=40, width=32, layers=2, heads=4, feedforward=64, window=6, depth_channels=(8, 8, 8)
)
BATCH, TOKENS = 3, 27


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


def token_of(inputs: GPTInputs, rows: list[int], times: list[int]) -> GPTInputs:
    """One token of each of some rows, each at its own time."""
    return GPTInputs(
        *(value[rows] if value.ndim == 1 else value[rows, times][:, None] for value in vars(inputs).values())
    )


def test_rows_of_different_ages_each_equal_their_own_recomputation(gpt, inputs):
    """Row 1 begins five tokens late and row 2 pauses: over four windows each is as if it were alone."""
    ring, whole = gpt.new_ring(BATCH + 2), gpt(inputs)
    ages = [0] * BATCH
    for t in range(TOKENS):
        stepping = [row for row in range(BATCH) if not (row == 1 and t < 5) and not (row == 2 and t % 3 == 1)]
        ring.place(torch.tensor([row + 2 for row in stepping]))
        logits = gpt(token_of(inputs, stepping, [ages[row] for row in stepping]), cache=ring)
        for place, row in enumerate(stepping):
            torch.testing.assert_close(logits[place, 0], whole[row, ages[row]], atol=1e-5, rtol=0)
            ages[row] += 1
    assert ages == [TOKENS, TOKENS - 5, TOKENS - TOKENS // 3]


def test_all_rows_read_in_place_equal_rows_gathered(gpt, inputs):
    gathered, in_place = gpt.new_ring(BATCH), gpt.new_ring(BATCH)
    rows = list(range(BATCH))
    for t in range(2 * CONFIG.window):
        token = token_of(inputs, rows, [t] * BATCH)
        gathered.place(torch.tensor(rows))
        in_place.place(slice(None))
        assert torch.equal(gpt(token, cache=gathered), gpt(token, cache=in_place))


def test_a_stream_of_months_is_as_exact_as_a_new_one(gpt, inputs):
    """Attention knows distances alone, so logits depend on no stream's age; angles in single precision would."""
    logits = []
    for age in (CONFIG.window, CONFIG.window * 10_000_000):
        ring = gpt.new_ring(1)
        ring.ages.fill_(age)
        for t in range(2 * CONFIG.window):
            ring.place(slice(None))
            last = gpt(token_of(inputs, [0], [t]), cache=ring)
        logits.append(last)
    torch.testing.assert_close(logits[1], logits[0], atol=1e-5, rtol=0)


def test_memory_is_laid_out_once(gpt, inputs):
    ring = gpt.new_ring(BATCH)
    before = [(tensor.data_ptr(), tensor.nbytes) for tensor in ring.tensors]
    for t in range(TOKENS):
        ring.place(slice(None))
        gpt(token_of(inputs, list(range(BATCH)), [t] * BATCH), cache=ring)
    assert [(tensor.data_ptr(), tensor.nbytes) for tensor in ring.tensors] == before
    assert sum(size for _, size in before) == BATCH * (8 + 2 * CONFIG.layers * CONFIG.window * CONFIG.width * 4)


def test_what_guidance_hides_may_be_left_out(gpt, inputs):
    """Rows that see nothing need no pictures: the same logits as with pictures that are hidden."""
    token = token_of(inputs, [0, 1, 2], [4, 4, 4])
    without = GPTInputs(**{**vars(token), "semantic": token.semantic[:2], "depth_m": token.depth_m[:2]})
    torch.testing.assert_close(gpt(without), gpt(token), atol=1e-6, rtol=0)
