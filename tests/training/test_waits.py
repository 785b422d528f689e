"""Versions of clips with a longer or shorter calm beginning: the picture and the body stay together, and nothing else changes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from egoreact.hrd.simulate import SimulatorConfig
from egoreact.hrd.simulate.simulate import stage
from egoreact.models.reaction_gpt import ReactionGPT
from egoreact.models.vqvae import VQVAE
from egoreact.motion.representation import VELOCITIES, Normaliser, encode, retarget
from egoreact.presets import tiny
from egoreact.training.data import Motion
from egoreact.training.gpt import (
    ReactionLearner,
    ReactionSamples,
    head_velocity_of,
    make_reaction_learner,
    write_reaction_data,
)
from egoreact.training.waits import MOST_HELD, Waits, calm_tokens, waits_of
from egoreact.training.world import Draws
from egoreact.weights import save_network, seeded

CONFIG = tiny().gpt


def motion(category: str, seed: int = 3) -> Motion:
    joints_m = stage(SimulatorConfig(own_body=False), category, seed).performance.joints_m.astype(np.float32)
    features = encode(retarget(torch.from_numpy(joints_m)))[:80]
    return Motion(f"{category}-{seed}", category, joints_m[:80], features)


@pytest.fixture(scope="module")
def tokenizer() -> VQVAE:
    return seeded(0, lambda: VQVAE(tiny().tokenizer.model)).eval()


@pytest.fixture(scope="module")
def normaliser() -> Normaliser:
    return Normaliser.from_features([motion("ball_left").features, motion("head_bar").features])


@pytest.fixture(scope="module")
def waits(tokenizer, normaliser) -> Waits:
    return waits_of([motion("ball_left"), motion("ball_high")], tokenizer, normaliser, versions=12, seed=0)


def test_the_calm_ends_where_the_reaction_begins() -> None:
    for seed in range(6):
        staged = stage(SimulatorConfig(own_body=False), "ball_high", seed)
        onset_s = staged.begins_s + staged.notes["onset_s"]
        assert calm_tokens(motion("ball_high", seed).features) == pytest.approx(onset_s / 0.2, abs=1.5)


def test_who_walks_at_once_has_no_other_versions(tokenizer, normaliser) -> None:
    moving = motion("low_obstacle")
    moving = replace(moving, features=moving.features[12:])
    waits = waits_of([moving], tokenizer, normaliser, versions=3, seed=0)
    assert (waits.places == torch.arange(17)).all() and (waits.lengths == 17).all()


def test_each_version_holds_or_leaves_out_some_of_the_calm_and_nothing_else(waits) -> None:
    for clip, name in enumerate(("ball_left", "ball_high")):
        calm = calm_tokens(motion(name).features)
        kinds = set()
        for places, length in zip(waits.places[clip], waits.lengths[clip], strict=True):
            steps = places[:length].diff()
            if places[0] > 0:
                assert (steps == 1).all() and places[0] <= calm and length == 20 - places[0]
                kinds.add("cut")
            else:
                (held,) = places[:length][:-1][steps == 0].unique().tolist()
                assert ((steps == 0) | (steps == 1)).all() and held < calm and 1 <= (steps == 0).sum() <= MOST_HELD
                assert length == 20
                kinds.add("held")
        assert kinds == {"cut", "held"}
        assert len(waits.places[clip].unique(dim=0)) == 12


def test_tokens_are_of_the_motion_that_is_seen(waits, tokenizer, normaliser) -> None:
    """A version cut by whole tokens is the encoding of the motion cut as much; one held is calm for as long."""
    features = motion("ball_left").features
    for tokens, places, length in zip(waits.tokens[0], waits.places[0], waits.lengths[0], strict=True):
        if places[0] > 0:
            cut = tokenizer.encode(normaliser.normalise(features[4 * places[0] :])[None])[0]
            assert torch.equal(tokens[:length], cut)
        else:
            first = int((places[1:] == places[:-1]).nonzero()[0])
            plain = tokenizer.encode(normaliser.normalise(features)[None])[0]
            assert torch.equal(tokens[:first], plain[:first])


def test_a_held_moment_is_at_rest(tokenizer, normaliser) -> None:
    seen = []

    class Watched:
        def encode(self, features):
            seen.append(normaliser.denormalise(features))
            return tokenizer.encode(features)

    waits = waits_of([motion("ball_left")], Watched(), normaliser, versions=12, seed=0)
    (versions,) = seen
    for features, places in zip(versions, waits.places[0], strict=True):
        if places[0] == 0:
            held = (places[1:] == places[:-1]).nonzero()[:, 0]
            frames = (4 * held[:, None] + torch.arange(4)).flatten()
            assert features[frames][:, VELOCITIES].abs().max() < 1e-5


def test_drawn_by_the_seed(waits, tokenizer, normaliser) -> None:
    clips = [motion("ball_left"), motion("ball_high")]
    again = waits_of(clips, tokenizer, normaliser, versions=12, seed=0)
    other = waits_of(clips, tokenizer, normaliser, versions=12, seed=1)
    assert torch.equal(again.places, waits.places) and torch.equal(again.tokens, waits.tokens)
    assert not torch.equal(other.places, waits.places)


def samples() -> ReactionSamples:
    generator = torch.Generator().manual_seed(0)
    return ReactionSamples(
        tokens=torch.randint(32, (2, 20), generator=generator),
        semantic=torch.randn(2, 20, 32, generator=generator),
        depth_m=torch.rand(2, 20, 16, 16, generator=generator).half(),
        lengths=torch.tensor([20, 20]),
    )


def test_half_of_what_is_learnt_from_is_as_it_was_and_half_a_version(waits, tokenizer, normaliser) -> None:
    config = replace(CONFIG, feature_noise=0.0)
    gpt = ReactionGPT(config.model)
    learner = ReactionLearner(gpt, tokenizer, normaliser, samples(), held_out=None, config=config, waits=waits)
    indices = torch.arange(2).repeat(100)
    batch = learner.batch(indices, Draws(seed=0, step=0, batch_size=200))
    plain = 0
    for row, clip in enumerate(indices.tolist()):
        depth_m, tokens = batch["depth_m"][row], batch["tokens"][row]
        if torch.equal(tokens, samples().tokens[clip]):
            plain += 1
            assert torch.equal(depth_m, samples().depth_m[clip].float()) and batch["valid"][row].all()
            continue
        seen = samples().depth_m[clip].float()[waits.places[clip]]
        same = (tokens == waits.tokens[clip]).all(-1) & (depth_m == seen).flatten(1).all(-1)
        assert (batch["valid"][row].sum() == waits.lengths[clip])[same].any()
    assert 75 <= plain <= 125
    velocity = head_velocity_of(batch["tokens"], tokenizer, normaliser)
    torch.testing.assert_close(batch["true_velocity"], velocity, atol=1e-6, rtol=0)


def test_versions_come_back_from_the_file(tmp_path, waits, tokenizer, normaliser) -> None:
    save_network(tmp_path / "tokenizer", tokenizer, tiny().tokenizer.model)
    for given in (waits, None):
        path = tmp_path / f"{given is None}.safetensors"
        write_reaction_data(path, samples(), samples(), normaliser, given)
        learner = make_reaction_learner(data=str(path), tokenizer=str(tmp_path / "tokenizer"), config=vars(CONFIG))
        if given is None:
            assert learner.waits is None
        else:
            assert all(
                torch.equal(a, b) for a, b in zip(vars(learner.waits).values(), vars(waits).values(), strict=True)
            )
