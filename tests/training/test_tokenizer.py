import copy
from dataclasses import replace

import pytest
import torch
from learners import waves

from egoreact.errors import EgoReactError
from egoreact.models.vqvae import VQVAE, VQVAEConfig
from egoreact.motion.representation import Normaliser
from egoreact.training.checkpoint import MODULE, FolderStore, load_module
from egoreact.training.loop import LoopConfig, fit
from egoreact.training.vqvae import TokenizerLearner, TokenizerTrainingConfig, make_tokenizer_learner
from egoreact.training.world import Draws

CONFIG = LoopConfig(
    steps=20, batch_size=8, learning_rate=2e-3, warmup_steps=5, log_every=5, checkpoint_every=10, seed=1
)
TINY = VQVAEConfig(width=16, code_dim=8, codebook_size=32, residual_blocks=1)


def learner_of(arguments):
    torch.manual_seed(0)
    return make_tokenizer_learner(**arguments)


def run(folder, arguments, config=CONFIG):
    reports = {}
    result = fit(learner_of(arguments), config, store=FolderStore(folder, "x"), on_metrics=reports.__setitem__)
    return result, reports


GOLDEN_LOSSES = [0.714931, 0.715277, 0.714593, 0.714035]


def test_golden_curve(tmp_path, tokenizer_arguments):
    _, reports = run(tmp_path, tokenizer_arguments)
    assert [reports[step]["train/loss"] for step in (5, 10, 15, 20)] == pytest.approx(GOLDEN_LOSSES, rel=1e-3)
    assert reports[20]["val/perplexity"] > 1 and 0 < reports[20]["val/codes_used"] <= 1


def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path, tokenizer_arguments):
    whole, _ = run(tmp_path / "whole", tokenizer_arguments)
    run(tmp_path / "parts", tokenizer_arguments, replace(CONFIG, steps=7))
    parts, _ = run(tmp_path / "parts", tokenizer_arguments)
    assert parts.resumed_from == 7
    assert (parts.checkpoint / MODULE).read_bytes() == (whole.checkpoint / MODULE).read_bytes()


def test_the_codebook_s_average_is_saved(tmp_path, tokenizer_arguments):
    result, _ = run(tmp_path, tokenizer_arguments)
    again = VQVAE(TINY)
    before = copy.deepcopy(again.quantizer._codebook.embed_avg)
    load_module(result.checkpoint, again)
    assert not torch.equal(again.quantizer._codebook.embed_avg, before)
    assert again.quantizer._codebook.cluster_size.sum() > 1


def test_learns_to_reconstruct(tmp_path):
    clips = waves(4, 64)
    normaliser = Normaliser.from_features(list(clips.values()))
    torch.manual_seed(0)
    model = VQVAEConfig(width=48, code_dim=16, codebook_size=64, residual_blocks=1)
    learner = TokenizerLearner(VQVAE(model), normaliser, clips, clips, TokenizerTrainingConfig(model, window_frames=32))
    reports = {}
    config = LoopConfig(steps=150, batch_size=8, learning_rate=2e-3, log_every=10, seed=1)
    fit(learner, config, store=FolderStore(tmp_path, "x"), on_metrics=reports.__setitem__)
    assert reports[150]["train/reconstruction"] < 0.5 * reports[10]["train/reconstruction"]
    assert reports[150]["val/perplexity"] > 8


def test_windows_lie_within_their_clip_and_reach_both_ends():
    clips = {"a": torch.full((40, 263), 1.0), "b": torch.full((67, 263), 2.0), "short": torch.full((20, 263), 9.0)}
    for number, clip in enumerate(clips.values()):
        clip[:, 0] = torch.arange(len(clip)) + 1000 * number
    plain = Normaliser(torch.zeros(263), torch.ones(263))
    learner = TokenizerLearner(VQVAE(TINY), plain, clips, {}, TokenizerTrainingConfig(TINY, window_frames=32))
    assert learner.num_samples == 1 + 2  # a long clip is seen more often, a short one never
    firsts = set()
    for step in range(200):
        rows = learner.batch(torch.arange(3), Draws(0, step, 3))["features"]
        assert torch.equal(rows[:, 1:, 0] - rows[:, :-1, 0], torch.ones(3, 31))
        assert torch.equal(rows[:, 0, 1], rows[:, -1, 1]) and rows[:, :, 1].max() < 9
        firsts |= set(rows[:, 0, 0].tolist())
    assert firsts == set(range(9)) | set(range(1000, 1036))


@torch.no_grad()
def test_validation_measures_the_reconstruction(tokenizer_arguments):
    learner = learner_of(tokenizer_arguments)
    learner.module.eval()
    figures = learner.validate()
    assert figures.keys() == {"mpjpe_cm", "drift_cm", "perplexity", "codes_used"}
    assert figures["mpjpe_cm"] > 1
    truth = learner.normaliser.normalise(learner.held_out[0][:48])
    learner.held_out = learner.held_out[:1]
    learner.module.decode = lambda tokens: truth[None]  # a tokenizer without error
    assert learner.validate()["mpjpe_cm"] == pytest.approx(0, abs=1e-2)


def test_clips_too_short_and_windows_that_are_no_tokens_are_refused():
    with pytest.raises(EgoReactError, match="none of 1 clips has 64 frames"):
        clips = {"a": torch.zeros(40, 263)}
        TokenizerLearner(
            VQVAE(TINY), Normaliser(torch.zeros(263), torch.ones(263)), clips, {}, TokenizerTrainingConfig(TINY)
        )
    with pytest.raises(EgoReactError, match="window_frames is 30"):
        TokenizerTrainingConfig(window_frames=30)
