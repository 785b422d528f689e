"""The tokenizer is causal, streams exactly, and has the published size."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from egoreact.models.vqvae import VQVAE, VQVAEConfig
from egoreact.presets import paper
from egoreact.weights import parameter_count, seeded

FRAMES = 80


@pytest.fixture(scope="module")
def tokenizer() -> VQVAE:
    return seeded(0, lambda: VQVAE(VQVAEConfig(width=32, code_dim=16, codebook_size=64, residual_blocks=3))).eval()


@pytest.fixture(scope="module")
def features() -> torch.Tensor:
    return torch.randn(2, FRAMES, 263, generator=torch.Generator().manual_seed(1))


def test_paper_preset_has_t2m_gpts_size():
    """19,436,807 weights, as T2M-GPT's own layers have: looking back instead of both ways moves them, it adds none. The
    codebook (262,144) follows an average and is not counted."""
    assert parameter_count(VQVAE(paper().tokenizer.model)) == 19_436_807


@pytest.mark.parametrize("changed", [1, 37, 76])
def test_the_future_never_changes_a_token(tokenizer, features, changed):
    other = features.clone()
    other[:, changed:] += 10
    before = changed // 4  # tokens whose four frames all lie before the change
    assert torch.equal(tokenizer.encode(other)[:, :before], tokenizer.encode(features)[:, :before])
    latent, other_latent = (tokenizer.encoder(clips.transpose(0, 1)) for clips in (features, other))
    assert not torch.equal(other_latent[before:], latent[before:])


@pytest.mark.parametrize("changed", [1, 9, 19])
def test_a_later_token_never_changes_decoded_motion(tokenizer, changed):
    tokens = torch.randint(64, (2, 20), generator=torch.Generator().manual_seed(2))
    other = tokens.clone()
    other[:, changed:] = (other[:, changed:] + 1) % 64
    motion, changed_motion = tokenizer.decode(tokens), tokenizer.decode(other)
    assert torch.equal(motion[:, : 4 * changed], changed_motion[:, : 4 * changed])
    assert not torch.equal(motion[:, 4 * changed :], changed_motion[:, 4 * changed :])


@settings(deadline=None, max_examples=15)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 3))
def test_streams_equal_whole_however_they_are_cut(tokenizer, lengths, batch):
    generator = torch.Generator().manual_seed(sum(lengths))
    features = torch.randn(batch, 4 * sum(lengths), 263, generator=generator)
    whole = tokenizer.encoder(features.transpose(0, 1)).transpose(0, 1)
    tokens = tokenizer.encode(features)
    state, latents, streamed = tokenizer.encoder_state(batch), [], []
    for piece in features.split([4 * length for length in lengths], dim=1):
        latents.append(tokenizer.encoder.stream(piece.transpose(0, 1), state)[0].transpose(0, 1))
        part, state = tokenizer.encode_stream(piece, state)
        streamed.append(part)
    torch.testing.assert_close(torch.cat(latents, dim=1), whole, atol=1e-5, rtol=0)
    assert torch.equal(torch.cat(streamed, dim=1), tokens)

    state, motion = tokenizer.decoder_state(batch), []
    for piece in tokens.split(lengths, dim=1):
        part, state = tokenizer.decode_stream(piece, state)
        motion.append(part)
    torch.testing.assert_close(torch.cat(motion, dim=1), tokenizer.decode(tokens), atol=1e-5, rtol=0)


def test_streams_in_one_batch_do_not_mix(tokenizer, features):
    other = features.clone()
    other[0] += 10
    assert torch.equal(tokenizer.encode(other)[1], tokenizer.encode(features)[1])


def test_the_codebooks_averages_are_saved(tokenizer):
    saved = {name.rsplit(".", 1)[-1] for name in tokenizer.state_dict() if name.startswith("quantizer")}
    assert {"embed", "embed_avg", "cluster_size"} <= saved


def test_encoding_leaves_the_codebook_alone(features):
    tokenizer = seeded(0, lambda: VQVAE(VQVAEConfig(width=16, code_dim=8, codebook_size=16, residual_blocks=1))).train()
    before = tokenizer.codebook.clone()
    tokenizer.encode(features)
    assert torch.equal(before, tokenizer.codebook)
    tokenizer(features)
    assert not torch.equal(before, tokenizer.codebook)
