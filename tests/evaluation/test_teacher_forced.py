from dataclasses import replace

import numpy as np
import pytest
import torch
from plain_motion import make_features

from egoreact.evaluation import teacher_forced
from egoreact.evaluation.teacher_forced import TeacherForced, teacher_force
from egoreact.models.bundle import Bundle
from egoreact.models.reaction_gpt import GPTInputs
from egoreact.motion.representation import Normaliser, decode
from egoreact.motion.skeleton import HEAD
from egoreact.presets import tiny
from egoreact.vision.frame_features import FrameFeatures

LENGTHS = (6, 4, 6)


@pytest.fixture(scope="module", params=[1.0, 3.0], ids=["unguided", "guided"])
def bundle(request: pytest.FixtureRequest) -> Bundle:
    config = tiny().reaction
    made = Bundle.untrained(replace(config, gpt=replace(config.gpt, guidance=request.param)), seed=3)
    motion = [torch.from_numpy(make_features("duck", seed)) for seed in range(8)]
    return replace(made, normaliser=Normaliser.from_features(motion))


def clips(bundle: Bundle) -> tuple[list[FrameFeatures], list[np.ndarray]]:
    generator = torch.Generator().manual_seed(1)
    side = bundle.config.encoder.depth_side
    seen = [
        FrameFeatures(torch.randn(n, 32, generator=generator), 5 * torch.rand(n, side, side, generator=generator))
        for n in LENGTHS
    ]
    return seen, [make_features("step_left", place, 4 * n) for place, n in enumerate(LENGTHS)]


@torch.inference_mode()
def step_by_step(bundle: Bundle, seen: FrameFeatures, features: np.ndarray, told: bool) -> torch.Tensor:
    """Logits of each token, told the true tokens before it and how the head moved in their decoded motion, one by one."""
    tokens = bundle.tokenizer.encode(bundle.normaliser.normalise(torch.from_numpy(features))[None])[0]
    ring, previous, velocity = bundle.gpt.new_ring(1), bundle.gpt.no_token, torch.zeros(3)
    logits = []
    for t, token in enumerate(tokens):
        inputs = GPTInputs(
            torch.tensor([[previous]]), seen.semantic[None, t : t + 1], seen.depth_m[None, t : t + 1],
            velocity[None, None], torch.tensor([told]),
        )  # fmt: skip
        ring.place(slice(None))
        logits.append(bundle.gpt(inputs, cache=ring)[0, 0])
        joints = decode(bundle.normaliser.denormalise(bundle.tokenizer.decode(tokens[None, : t + 1])))[0]
        previous, velocity = int(token), joints[-1, HEAD] - joints[-2, HEAD]
    return torch.stack(logits)


def test_it_is_told_the_true_past_and_nothing_later(bundle: Bundle) -> None:
    seen, motion = clips(bundle)
    forced = teacher_force(bundle, seen, motion)
    guidance = bundle.config.gpt.guidance
    for place, length in enumerate(LENGTHS):
        conditional = step_by_step(bundle, seen[place], motion[place], True)
        blind = step_by_step(bundle, seen[place], motion[place], False)
        expected = blind + guidance * (conditional - blind)
        assert torch.allclose(forced.logits[place, :length], expected, atol=1e-4)
        tokens = bundle.tokenizer.encode(bundle.normaliser.normalise(torch.from_numpy(motion[place]))[None])[0]
        likelihood = conditional.log_softmax(-1)[torch.arange(length), tokens]
        assert forced.nll_nats[place] == pytest.approx(-likelihood.numpy(), abs=1e-4)
        assert np.array_equal(forced.right[place], (conditional.argmax(-1) == tokens).numpy())


def test_company_and_padding_change_nothing(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, motion = clips(bundle)
    together = teacher_force(bundle, seen, motion)
    alone = teacher_force(bundle, seen[1:2], motion[1:2])
    assert alone.nll_nats[0] == pytest.approx(together.nll_nats[1], abs=1e-5)
    monkeypatch.setattr(teacher_forced, "BATCH", 2)
    in_parts = teacher_force(bundle, seen, motion)
    assert np.concatenate(in_parts.nll_nats) == pytest.approx(np.concatenate(together.nll_nats), abs=1e-5)
    drawn = [np.concatenate(forced.draw(5)) for forced in (together, in_parts)]
    assert np.abs(drawn[0] - drawn[1]).max() < 1e-4


def test_draws_are_motion_of_the_clips_lengths(bundle: Bundle) -> None:
    forced = teacher_force(bundle, *clips(bundle))
    motion = forced.draw(0)
    assert [len(features) for features in motion] == [4 * length for length in LENGTHS]
    assert all(np.array_equal(a, b) for a, b in zip(motion, forced.draw(0), strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(motion, forced.draw(1), strict=True))


def test_a_model_that_is_sure_of_the_truth_draws_its_reconstruction(bundle: Bundle) -> None:
    _, motion = clips(bundle)
    tokens = [bundle.tokenizer.encode(bundle.normaliser.normalise(torch.from_numpy(m))[None])[0] for m in motion]
    logits = torch.full((3, 6, 32), -50.0)
    for place, row in enumerate(tokens):
        logits[place, torch.arange(len(row)), row] = 50.0
    forced = TeacherForced(bundle, logits, [np.zeros(n) for n in LENGTHS], [np.ones(n, bool) for n in LENGTHS])
    for drawn, row in zip(forced.draw(0), tokens, strict=True):
        expected = bundle.normaliser.denormalise(bundle.tokenizer.decode(row[None]))[0]
        assert np.abs(drawn - expected.numpy()).max() < 1e-5
