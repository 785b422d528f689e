"""The reaction learner: what it shows the transformer is what inference would have shown it."""

import pytest
import torch

from egoreact.models.vqvae import VQVAE
from egoreact.motion.representation import Normaliser, decode
from egoreact.motion.skeleton import HEAD
from egoreact.presets import tiny
from egoreact.training.checkpoint import FolderStore
from egoreact.training.gpt import (
    ReactionLearner,
    ReactionSamples,
    head_velocity_of,
    make_reaction_learner,
    pad_samples,
    shift,
    write_reaction_data,
)
from egoreact.training.loop import LoopConfig, fit
from egoreact.training.world import Draws
from egoreact.weights import save_network, seeded

CONFIG = tiny().gpt
CODES = CONFIG.model.codebook_size


def make_samples(clips: int, tokens: int) -> ReactionSamples:
    """Each token follows from what is seen at its own moment: the place of the largest semantic number."""
    generator = torch.Generator().manual_seed(0)
    semantic = torch.randn(clips, tokens, 32, generator=generator)
    return ReactionSamples(
        tokens=semantic.argmax(-1) % CODES,
        semantic=semantic,
        depth_m=torch.rand(clips, tokens, 16, 16, generator=generator).half(),
        lengths=torch.full((clips,), tokens),
    )


@pytest.fixture(scope="module")
def tokenizer() -> VQVAE:
    return seeded(0, lambda: VQVAE(tiny().tokenizer.model)).eval()


@pytest.fixture(scope="module")
def normaliser() -> Normaliser:
    return Normaliser(torch.zeros(263), torch.full((263,), 0.1))


@pytest.fixture
def learner(tokenizer, normaliser) -> ReactionLearner:
    samples = make_samples(64, 10)
    from egoreact.models.reaction_gpt import ReactionGPT

    gpt = seeded(0, lambda: ReactionGPT(CONFIG.model))
    return ReactionLearner(gpt, tokenizer, normaliser, samples, held_out=samples, config=CONFIG)


def draws(step: int) -> Draws:
    return Draws(seed=0, step=step, batch_size=64)


def test_velocity_is_of_the_motion_decoded_from_the_shown_tokens(tokenizer, normaliser):
    tokens = torch.randint(CODES, (2, 6), generator=torch.Generator().manual_seed(1))
    velocity = head_velocity_of(tokens, tokenizer, normaliser)
    joints_m = decode(normaliser.denormalise(tokenizer.decode(tokens)))
    assert torch.equal(velocity[:, 0], torch.zeros(2, 3))
    for t in range(1, 6):
        assert torch.equal(velocity[:, t], joints_m[:, 4 * t - 1, HEAD] - joints_m[:, 4 * t - 2, HEAD])


def test_velocity_never_depends_on_the_token_it_helps_to_predict(tokenizer, normaliser):
    tokens = torch.randint(CODES, (2, 6), generator=torch.Generator().manual_seed(1))
    other = tokens.clone()
    other[:, 3:] = (other[:, 3:] + 1) % CODES
    before, after = (head_velocity_of(t, tokenizer, normaliser) for t in (tokens, other))
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.equal(before[:, 4:], after[:, 4:])


def test_the_previous_token_is_shifted():
    assert shift(torch.tensor([[5, 6, 7]]), 99).tolist() == [[99, 5, 6]]


def test_replaced_tokens_grow_on_schedule_and_carry_their_own_velocity(learner):
    everyone = torch.arange(64)
    shares = []
    for step in (0, 5, 10, 200):
        batch = learner.batch(everyone, draws(step))
        shares.append(float((batch["shown"] != batch["tokens"]).float().mean()))
        expected = head_velocity_of(batch["shown"], learner.tokenizer, learner.normaliser)
        assert torch.equal(batch["velocity"], expected)
    assert shares[0] == 0 < shares[1] < shares[2]
    assert shares[3] == pytest.approx(CONFIG.replaced_tokens / 2, abs=0.06)


def test_padding_is_not_learnt(learner):
    batch = learner.batch(torch.arange(64), draws(0))
    batch["valid"][:, 6:] = False
    before = learner.loss(batch, draws(0))["loss"]
    batch["tokens"][:, 6:] = 0
    assert torch.equal(before, learner.loss(batch, draws(0))["loss"])


def test_clips_of_different_lengths_are_padded():
    clips = [(torch.arange(n), torch.randn(n, 32), torch.rand(n, 8, 8)) for n in (3, 5)]
    samples = pad_samples(clips)
    assert samples.tokens.shape == (2, 5)
    assert samples.valid.tolist() == [[True] * 3 + [False] * 2, [True] * 5]


def test_it_learns_to_answer_what_it_sees(tokenizer, normaliser, tmp_path):
    """Through the file that workers read, as in a real job."""
    save_network(tmp_path / "tokenizer", tokenizer, tiny().tokenizer.model)
    write_reaction_data(tmp_path / "data.safetensors", make_samples(128, 10), make_samples(16, 10), normaliser)
    from dataclasses import asdict

    torch.manual_seed(0)
    learner = make_reaction_learner(
        data=str(tmp_path / "data.safetensors"), tokenizer=str(tmp_path / "tokenizer"), config=asdict(CONFIG)
    )
    config = LoopConfig(steps=150, batch_size=64, learning_rate=5e-3)
    result = fit(learner, config, store=FolderStore(tmp_path / "run", "x"))
    assert result.metrics["val/teacher_forced_accuracy"] > 0.5  # chance is 1 in 32
