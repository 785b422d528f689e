"""The reaction learner: what it shows the transformer is what inference would have shown it."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from egoreact.errors import EgoReactError
from egoreact.models.reaction_gpt import GPTInputs, ReactionGPT
from egoreact.models.vqvae import VQVAE
from egoreact.motion.representation import Normaliser, decode
from egoreact.motion.skeleton import HEAD
from egoreact.presets import tiny
from egoreact.training.checkpoint import MODULE, FolderStore
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


def given(learner: ReactionLearner, step: int) -> tuple[dict[str, torch.Tensor], GPTInputs]:
    """A step's batch, and what its loss gave the transformer."""
    batch, seen = learner.batch(torch.arange(64), draws(step)), []
    hook = learner.module.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    torch.manual_seed(step)
    learner.loss(batch, draws(step))
    hook.remove()
    return batch, seen[-1]


def share_replaced(learner: ReactionLearner, step: int) -> float:
    batch, inputs = given(learner, step)
    return float((inputs.previous_token[:, 1:] != batch["tokens"][:, :-1]).float().mean())


def test_replaced_tokens_grow_on_schedule(learner):
    shares = [share_replaced(learner, step) for step in (0, 5, 10, 200)]
    assert shares[0] == 0 < shares[1] < shares[2]
    assert shares[3] == pytest.approx(CONFIG.replaced_tokens, abs=0.06)


@pytest.mark.parametrize("own_tokens", [0.0, 0.5])
def test_velocity_is_of_what_the_shown_tokens_decode_to(learner, own_tokens):
    """`ReactionStream` takes it from the same motion: what was drawn, not what was right."""
    learner.config = replace(learner.config, own_tokens=own_tokens)
    batch, inputs = given(learner, 200)
    shown = torch.cat([inputs.previous_token[:, 1:], batch["tokens"][:, -1:]], dim=1)
    assert torch.equal(inputs.head_velocity_m, head_velocity_of(shown, learner.tokenizer, learner.normaliser))
    assert not torch.equal(shown, batch["tokens"])


def test_true_velocity_is_of_the_true_tokens(learner):
    learner.config = replace(learner.config, velocity="true")
    batch, inputs = given(learner, 200)
    assert torch.equal(inputs.head_velocity_m, head_velocity_of(batch["tokens"], learner.tokenizer, learner.normaliser))
    assert share_replaced(learner, 200) > 0


def test_own_tokens_are_the_transformers_and_grow_on_schedule(learner):
    learner.config = replace(learner.config, replaced_tokens=0.0, own_tokens=0.5)
    with torch.no_grad():
        learner.module.head.weight.zero_()
        learner.module.head.bias.copy_(torch.eye(CODES)[7] * 100)  # it would say nothing but 7
    shares = [share_replaced(learner, step) for step in (0, 5, 200)]
    assert shares[0] == 0 < shares[1] < shares[2]
    assert shares[2] == pytest.approx(0.5, abs=0.06)
    batch, inputs = given(learner, 200)
    changed = inputs.previous_token[:, 1:] != batch["tokens"][:, :-1]
    assert set(inputs.previous_token[:, 1:][changed].tolist()) == {7}


def test_no_gradient_goes_through_its_own_tokens(learner):
    learner.config = replace(learner.config, own_tokens=0.5)
    batch, inputs = given(learner, 200)
    assert not inputs.head_velocity_m.requires_grad
    assert learner.loss(batch, draws(200))["loss"].requires_grad


def test_a_step_looks_once_and_decodes_once_and_learns_what_two_looks_would_teach(learner, monkeypatch):
    """Both passes of a step see the same frames: the one that draws its own tokens, and the one that learns."""
    learner.config = replace(learner.config, own_tokens=0.5)
    learner.module = seeded(0, lambda: ReactionGPT(replace(CONFIG.model, dropout=0.2))).train()
    learner.batch(torch.arange(64), draws(0))  # the true velocity is decoded here, for good
    looks, decoded, decode_tokens = [], [], learner.tokenizer.decode
    learner.module.depth.register_forward_hook(lambda *_: looks.append(1))
    monkeypatch.setattr(learner.tokenizer, "decode", lambda tokens: decoded.append(1) or decode_tokens(tokens))

    def step() -> tuple[torch.Tensor, list[torch.Tensor]]:
        torch.manual_seed(0)
        loss = learner.loss(learner.batch(torch.arange(64), draws(200)), draws(200))["loss"]
        return loss, list(torch.autograd.grad(loss, list(learner.module.parameters()), allow_unused=True))

    once = step()
    assert (len(looks), len(decoded)) == (1, 1)
    forward = learner.module.forward
    monkeypatch.setattr(learner.module, "forward", lambda inputs, sight: forward(inputs))
    twice = step()
    assert len(looks) == 1 + 3
    torch.testing.assert_close(once[0], twice[0])
    for one, two in zip(once[1], twice[1], strict=True):
        torch.testing.assert_close(one, two)


def test_a_hidden_condition_is_hidden(learner):
    """Some clips of a batch are learnt unseen: what they show makes no difference."""
    batch = learner.batch(torch.arange(64), draws(0))
    hidden = ~batch["seen"]
    assert 0 < hidden.sum() < 32
    learner.module.eval()
    before = learner.module(learner._inputs(batch, batch["tokens"], batch["true_velocity"]))
    batch["semantic"], batch["depth_m"] = batch["semantic"] + 1, batch["depth_m"] + 1
    after = learner.module(learner._inputs(batch, batch["tokens"], batch["true_velocity"]))
    assert torch.equal(before[hidden], after[hidden])
    assert not torch.equal(before[~hidden], after[~hidden])


@pytest.mark.parametrize("name", ["semantic", "depth_m"])
def test_a_broken_feature_is_refused_naming_the_clip(tokenizer, normaliser, name):
    samples = make_samples(8, 10)
    getattr(samples, name)[5, 3].view(-1)[2] = float("nan")
    gpt = seeded(0, lambda: ReactionGPT(CONFIG.model))
    with pytest.raises(EgoReactError, match=f"{name} of clip 5 of 8 is not finite at token 3"):
        ReactionLearner(gpt, tokenizer, normaliser, samples, held_out=None, config=CONFIG)
    samples.lengths[5] = 3  # behind the clip's end nothing is looked at
    ReactionLearner(gpt, tokenizer, normaliser, samples, held_out=None, config=CONFIG)


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


def test_resumed_equals_uninterrupted_bit_for_bit(tokenizer, normaliser, tmp_path):
    config = replace(CONFIG, model=replace(CONFIG.model, dropout=0.2), own_tokens=0.5, ramp_steps=2)

    def run(folder: Path, *lengths: int) -> bytes:
        for steps in lengths:
            gpt = seeded(0, lambda: ReactionGPT(config.model))
            learner = ReactionLearner(gpt, tokenizer, normaliser, make_samples(32, 10), held_out=None, config=config)
            done = fit(learner, LoopConfig(steps, batch_size=8), store=FolderStore(folder, "x"))
        return (done.checkpoint / MODULE).read_bytes()

    whole = run(tmp_path / "whole", 6)
    assert run(tmp_path / "parts", 4, 6) == whole
    assert run(tmp_path / "short", 4) != whole


def test_it_learns_to_answer_what_it_sees(tokenizer, normaliser, tmp_path):
    """Through the file that workers read, as in a real job."""
    save_network(tmp_path / "tokenizer", tokenizer, tiny().tokenizer.model)
    write_reaction_data(tmp_path / "data.safetensors", make_samples(128, 10), make_samples(16, 10), normaliser)
    torch.manual_seed(0)
    learner = make_reaction_learner(
        data=str(tmp_path / "data.safetensors"), tokenizer=str(tmp_path / "tokenizer"), config=asdict(CONFIG)
    )
    config = LoopConfig(steps=150, batch_size=64, learning_rate=5e-3)
    result = fit(learner, config, store=FolderStore(tmp_path / "run", "x"))
    assert result.metrics["val/teacher_forced_accuracy"] > 0.5  # chance is 1 in 32
