"""Untimed: the rivals of `bench model` do the same work, and one that does not is found out before it is timed."""

import pytest
import torch

from egoreact.bench import model, model_training
from egoreact.bench.model_rivals import PlainVQVAE
from egoreact.bench.model_sampling import LanguageModel
from egoreact.errors import EgoReactError
from egoreact.models.vqvae import VQVAE, VQVAEConfig
from egoreact.presets import tiny
from egoreact.weights import parameter_count, seeded

CONFIG = VQVAEConfig(width=24, code_dim=16, codebook_size=32, residual_blocks=3)


@pytest.fixture
def both() -> tuple[VQVAE, PlainVQVAE]:
    own = seeded(0, lambda: VQVAE(CONFIG))
    return own, PlainVQVAE(own)


def test_the_plain_tokenizer_is_the_same_network(both):
    own, plain = both
    assert parameter_count(plain) == parameter_count(own)
    features = torch.randn(3, 64, 263, generator=torch.Generator().manual_seed(1))
    told, (made, commitment) = own(features), plain(features)
    torch.testing.assert_close(made, told.reconstruction, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(commitment, told.commitment_loss, rtol=1e-5, atol=1e-6)


def test_both_codebooks_follow_the_average_of_their_vectors(both):
    own, plain = both
    own.quantizer._codebook.threshold_ema_dead_code = 0
    before = own.codebook.clone()
    features = torch.randn(3, 64, 263, generator=torch.Generator().manual_seed(1))
    used = own.encode(features).unique()
    own(features), plain(features)
    # T2M-GPT draws anew whatever was met less than once; what was met more often moves the same way.
    alive = used[plain.code_count[used] >= 1]
    assert len(alive) > 3 and not torch.equal(own.codebook[alive], before[alive])
    torch.testing.assert_close(plain.codebook[alive], own.codebook[alive], rtol=1e-3, atol=1e-4)


def test_generate_draws_what_the_ring_draws():
    both = LanguageModel(tiny().gpt.model, 14)  # beyond the window of 8
    tokens = both.own_tokens()
    assert torch.equal(both.generated(), tokens)
    assert tokens.shape == (1, 14) and len(tokens.unique()) > 1


def test_rivals_that_disagree_are_not_timed(monkeypatch):
    config = tiny()
    monkeypatch.setattr(model, "fid", lambda real, made: 1.0)
    with pytest.raises(EgoReactError, match="bench model, fid"):
        model._fid(8, 20, 1)
    monkeypatch.setattr(PlainVQVAE, "decode", lambda self, tokens: torch.ones(1, 4 * tokens.shape[1], 263))
    with pytest.raises(EgoReactError, match=r"bench model, vq decoding, own: apart by"):
        model._vq_decode(config, 4, 1)
    monkeypatch.setattr(model, "drawn_by", lambda stream, frames: torch.tensor([[0, 1, 2]]))
    with pytest.raises(EgoReactError, match=r"bench model, sampling: the tokens differ from token \d"):
        model._sampling(config, "sampling", 16, 3, 1)


@pytest.mark.parametrize("kind", ["vqvae", "gpt"])
def test_both_loops_start_from_the_same_loss_and_gradient_and_learn(kind):
    own, plain = (model_training._LOOPS[side, kind](tiny(), 4) for side in ("own", "plain"))
    assert own.first == pytest.approx(plain.first, rel=model_training.AGREEMENT)
    assert own.samples_per_s(1) > 0 and plain.samples_per_s(1) > 0
