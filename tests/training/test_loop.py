import json
import logging
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from learners import RegressionLearner

from egoreact.errors import EgoReactError
from egoreact.training.checkpoint import MODULE, OPTIMIZER, FolderStore, load_module
from egoreact.training.loop import LoopConfig, fit, sample_indices
from egoreact.training.world import Draws, World

CONFIG = LoopConfig(
    steps=20, batch_size=12, learning_rate=1e-2, warmup_steps=4, decay_at=15, decay_factor=0.1, grad_clip=1.0,
    log_every=4, checkpoint_every=5, seed=7,
)  # fmt: skip


def run(folder, learner=None, config=CONFIG, identity="a", **kwargs):
    reports = {}
    result = fit(
        learner or RegressionLearner(),
        config,
        store=FolderStore(folder, identity),
        on_metrics=reports.__setitem__,
        **kwargs,
    )
    return result, reports


def figures(reports):
    return {step: {k: v for k, v in r.items() if k != "train/samples_per_second"} for step, r in reports.items()}


class KilledError(Exception):
    pass


class Interrupted(RegressionLearner):
    """Dies in the middle of step `at`."""

    def __init__(self, at, **kwargs):
        super().__init__(**kwargs)
        self.at = at

    def loss(self, batch, draws):
        if draws.step == self.at:
            raise KilledError
        return super().loss(batch, draws)


GOLDEN_LOSSES = [2.242637, 2.318326, 2.597241, 2.066807, 1.825305]


def test_golden_curve(tmp_path):
    _, reports = run(tmp_path)
    losses = [reports[step]["train/loss"] for step in (4, 8, 12, 16, 20)]
    assert losses == pytest.approx(GOLDEN_LOSSES, rel=1e-4)
    assert reports[4]["train/learning_rate"] == pytest.approx(1e-2)
    assert reports[16]["train/learning_rate"] == pytest.approx(1e-3)


def test_warm_up_is_linear_and_the_cut_comes_once():
    rates = [CONFIG.learning_rate_at(step) / CONFIG.learning_rate for step in range(20)]
    assert rates == pytest.approx([0.25, 0.5, 0.75] + [1.0] * 12 + [0.1] * 5)


@pytest.mark.parametrize("died_at", [3, 5, 13])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path, died_at, dropout):
    whole, whole_reports = run(tmp_path / "whole", RegressionLearner(dropout=dropout))
    with pytest.raises(KilledError):
        run(tmp_path / "killed", Interrupted(died_at, dropout=dropout))
    resumed, resumed_reports = run(tmp_path / "killed", RegressionLearner(dropout=dropout))
    assert resumed.resumed_from == died_at // 5 * 5
    for name in (MODULE, OPTIMIZER):
        assert (resumed.checkpoint / name).read_bytes() == (whole.checkpoint / name).read_bytes(), name
    # A report's window may span the kill: its sums are in the checkpoint.
    later = {step: report for step, report in figures(whole_reports).items() if step > resumed.resumed_from}
    assert figures(resumed_reports) == later


def test_a_longer_run_goes_on_from_a_shorter_one(tmp_path):
    run(tmp_path / "a", config=replace(CONFIG, steps=10))
    longer, _ = run(tmp_path / "a")
    whole, _ = run(tmp_path / "b")
    assert longer.resumed_from == 10
    assert (longer.checkpoint / MODULE).read_bytes() == (whole.checkpoint / MODULE).read_bytes()


def test_a_finished_run_is_not_run_again(tmp_path):
    first, _ = run(tmp_path)
    again, reports = run(tmp_path, Interrupted(0))
    assert (again.resumed_from, again.checkpoint, again.metrics, reports) == (20, first.checkpoint, first.metrics, {})


def test_keeps_the_newest_two_and_no_pickle(tmp_path):
    result, _ = run(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-000000015", "checkpoint-000000020"]
    assert sorted(path.suffix for path in result.checkpoint.iterdir()) == [".json", ".safetensors", ".safetensors"]
    assert json.loads((result.checkpoint / "checkpoint.json").read_text())["step"] == 20
    assert "mean_input" in safetensors.torch.load_file(result.checkpoint / MODULE)


def test_leftovers_of_a_kill_while_writing_are_passed_over_and_removed(tmp_path, caplog):
    with pytest.raises(KilledError):
        run(tmp_path, Interrupted(12))
    (tmp_path / ".checkpoint-000000015-x1").mkdir()
    torn = tmp_path / "checkpoint-000000010" / OPTIMIZER
    torn.write_bytes(torn.read_bytes()[:-100])
    result, _ = run(tmp_path)
    assert result.resumed_from == 5 and "not a complete checkpoint" in caplog.text
    assert len(list(tmp_path.iterdir())) == 2


def test_another_configuration_starts_anew_or_is_refused(tmp_path, caplog):
    run(tmp_path, identity="a")
    with pytest.raises(EgoReactError, match="another configuration"):
        run(tmp_path, identity="b", strict_resume=True)
    with caplog.at_level(logging.WARNING):
        result, _ = run(tmp_path, identity="b")
    assert result.resumed_from == 0 and "starting anew" in caplog.text
    assert len(list(tmp_path.iterdir())) == 2


def test_identity_ignores_how_long_and_what_is_reported():
    same = replace(CONFIG, steps=99, log_every=1, checkpoint_every=2, validate_every=3)
    assert same.identity({"x": 1}) == CONFIG.identity({"x": 1})
    assert replace(CONFIG, learning_rate=1e-3).identity({"x": 1}) != CONFIG.identity({"x": 1})
    assert CONFIG.identity({"x": 2}) != CONFIG.identity({"x": 1})


def test_a_nan_names_step_and_samples_and_keeps_the_last_checkpoint(tmp_path):
    config = replace(CONFIG, checkpoint_every=1)
    step = next(s for s in range(20) if 42 in sample_indices(60, config, s))
    assert step > 0, "choose another sample"
    with pytest.raises(EgoReactError, match=f"loss is nan at step {step}, samples .*42") as error:
        run(tmp_path, RegressionLearner(poisoned=42), config)
    assert str(tmp_path) in str(error.value)
    kept = sorted(tmp_path.glob("checkpoint-*"))[-1]
    assert kept.name == f"checkpoint-{step:09d}"
    learner = RegressionLearner()
    load_module(kept, learner.module)
    assert all(tensor.isfinite().all() for tensor in learner.module.state_dict().values())


def test_an_infinite_gradient_of_a_finite_loss_is_refused(tmp_path):
    class Steep(RegressionLearner):
        def loss(self, batch, draws):
            value = super().loss(batch, draws)["loss"]
            return {"loss": value + torch.sqrt(value - value.detach())}

    with pytest.raises(EgoReactError, match=r"gradient's norm is (inf|nan) at step 0"):
        run(tmp_path, Steep())


def test_every_epoch_sees_each_sample_once_in_another_order():
    config = replace(CONFIG, batch_size=7)
    stream = torch.cat([sample_indices(60, config, step) for step in range(20)])
    epochs = stream[:60], stream[60:120]
    assert all(sorted(epoch.tolist()) == list(range(60)) for epoch in epochs)
    assert not torch.equal(*epochs)


def test_draws_depend_on_seed_step_and_name_and_ranks_cut_them():
    whole = Draws(1, 2, 12)
    assert torch.equal(whole.uniform("a", 3), Draws(1, 2, 12).uniform("a", 3))
    for other in (Draws(2, 2, 12).uniform("a", 3), Draws(1, 3, 12).uniform("a", 3), whole.uniform("b", 3)):
        assert not torch.equal(whole.uniform("a", 3), other)
    parts = [Draws(1, 2, 12, World(rank, 3)).integers("a", 100) for rank in range(3)]
    assert torch.equal(torch.cat(parts), whole.integers("a", 100))


def test_validates_and_shows_when_due(tmp_path):
    shown = {}
    config = replace(CONFIG, validate_every=10, preview_every=10)
    result, reports = run(
        tmp_path,
        config=config,
        on_preview=lambda step, folder: shown.update({step: (folder / "weights.txt").read_text()}),
    )
    assert [step for step, report in reports.items() if "val/error" in report] == [10, 20]
    assert reports[20]["val/error"] < reports[10]["val/error"]
    assert result.metrics["val/error"] == reports[20]["val/error"]
    assert shown.keys() == {10, 20} and shown[10] != shown[20]


def test_a_batch_that_ranks_cannot_share_and_no_samples_are_refused(tmp_path):
    with pytest.raises(EgoReactError, match="12 cannot be split over 5"):
        fit(RegressionLearner(), CONFIG, store=FolderStore(tmp_path, "a"), world=World(0, 5))
    learner = RegressionLearner()
    learner.num_samples = 0
    with pytest.raises(EgoReactError, match="no samples"):
        run(tmp_path, learner)


def test_weights_of_another_architecture_are_refused_by_name(tmp_path):
    result, _ = run(tmp_path)
    with pytest.raises(EgoReactError, match="does not fit the module"):
        load_module(result.checkpoint, torch.nn.Linear(2, 2))
