import copy
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from learners import waves

from egoreact.errors import EgoReactError
from egoreact.models.vqvae import VQVAE, VQVAEConfig
from egoreact.motion.representation import Normaliser
from egoreact.training.checkpoint import MODULE, OPTIMIZER, FolderStore, load_module
from egoreact.training.loop import LoopConfig, fit, sample_indices
from egoreact.training.vqvae import (
    TokenizerLearner,
    TokenizerTrainingConfig,
    make_tokenizer_learner,
    warn_of_empty_codes,
)
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


def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path, tokenizer_arguments, monkeypatch):
    """Codes that die and are replaced before and after the stop, and the codebook's averages, included."""
    replaced = []
    draw = TokenizerLearner._replacements
    monkeypatch.setattr(
        TokenizerLearner, "_replacements", lambda self, *what: replaced.append(self._draws.step) or draw(self, *what)
    )
    whole, _ = run(tmp_path / "whole", tokenizer_arguments)
    assert min(replaced) < 7 <= max(replaced)
    run(tmp_path / "parts", tokenizer_arguments, replace(CONFIG, steps=7))
    parts, _ = run(tmp_path / "parts", tokenizer_arguments)
    assert parts.resumed_from == 7
    for name in (MODULE, OPTIMIZER):
        assert (parts.checkpoint / name).read_bytes() == (whole.checkpoint / name).read_bytes()
    saved = safetensors.torch.load_file(parts.checkpoint / MODULE)
    assert {name.rsplit(".", 1)[-1] for name in saved} >= {"embed", "embed_avg", "cluster_size"}


def test_motion_that_is_not_finite_is_refused_by_its_name():
    plain = Normaliser(torch.zeros(263), torch.ones(263))
    for broken in ("training", "held_out"):
        clips = {"training": waves(3, 40), "held_out": {"kept-out": torch.zeros(40, 263)}}
        name = sorted(clips[broken])[-1]
        clips[broken][name][17, 5] = float("nan")
        with pytest.raises(EgoReactError, match=f"clip {name} is not finite in frame 17"):
            TokenizerLearner(VQVAE(TINY), plain, **clips, config=TokenizerTrainingConfig(TINY, window_frames=32))


class Poisoned(TokenizerLearner):
    """A clip turns into NaN after it was looked at."""

    def batch(self, indices, draws):
        batch = super().batch(indices, draws)
        batch["features"][indices == 5] = float("nan")
        return batch


def test_a_nan_in_the_loss_stops_and_the_last_checkpoint_goes_on(tmp_path):
    clips = waves(12, 40)
    normaliser = Normaliser.from_features(list(clips.values()))
    config = TokenizerTrainingConfig(TINY, window_frames=32)
    loop = replace(CONFIG, batch_size=4, checkpoint_every=1)
    step = next(s for s in range(20) if 5 in sample_indices(12, loop, s))
    assert step > 0, "choose another sample"
    torch.manual_seed(0)
    with pytest.raises(EgoReactError, match=rf"loss is nan at step {step}, samples (\d+, )*5"):
        fit(Poisoned(VQVAE(TINY), normaliser, clips, {}, config), loop, store=FolderStore(tmp_path, "x"))
    kept = sorted(tmp_path.glob("checkpoint-*"))[-1]
    assert kept.name == f"checkpoint-{step:09d}"
    again = VQVAE(TINY)
    load_module(kept, again)
    assert all(tensor.isfinite().all() for tensor in again.state_dict().values())
    mended = TokenizerLearner(VQVAE(TINY), normaliser, clips, {}, config)
    assert fit(mended, loop, store=FolderStore(tmp_path, "x")).resumed_from == step


def test_a_codebook_that_the_data_cannot_fill_is_told_of_with_its_usage(tmp_path, caplog):
    clips = {name: clip[:32] for name, clip in waves(2, 40).items()}
    normaliser = Normaliser.from_features(list(clips.values()))
    large = replace(TINY, codebook_size=256)  # two windows of eight tokens
    torch.manual_seed(0)
    learner = TokenizerLearner(VQVAE(large), normaliser, clips, {}, TokenizerTrainingConfig(large, window_frames=32))
    result = fit(learner, replace(CONFIG, steps=6, batch_size=2), store=FolderStore(tmp_path, "x"))
    filled = result.metrics["val/codes_filled"]
    assert 0 < filled <= 16 / 256
    warn_of_empty_codes(result.metrics, large)
    (message,) = caplog.messages
    used = round(256 * filled)
    assert f"{used} of 256 codes ({100 * filled:.0f} %)" in message
    suggested = int(message.split("codebook_size of ")[1].split()[0])
    assert used <= suggested < 2 * max(used, 2)
    caplog.clear()
    warn_of_empty_codes({"val/codes_filled": 0.95}, large)
    assert not caplog.messages


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
    assert figures.keys() == {"mpjpe_cm", "drift_cm", "perplexity", "codes_used", "codes_filled"}
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
