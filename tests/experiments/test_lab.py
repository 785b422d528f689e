"""What experiments start from, and the trainings they do: found, resumed, refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from egoreact.errors import EgoReactError
from egoreact.experiments import trials, variants
from egoreact.experiments.lab import Lab, open_lab
from egoreact.experiments.probes import explained
from egoreact.experiments.variants import FULL, NO_DEPTH, TRUE_VELOCITY, true_velocity
from egoreact.streaming.batch import react_to_features


def test_the_lab_finds_what_was_trained_here(lab: Lab) -> None:
    assert len(lab.quarantined) == 1
    assert len(lab.training.motion) == 7 and len(lab.test.motion) == 6
    assert not lab.quarantined & {motion.clip_id for motion in lab.training.motion}
    assert lab.config.gpt_loop.steps == lab.config.tokenizer_loop.steps == 4
    assert [len(seen.semantic) for seen in lab.test.perceptions] == [10] * 6
    assert lab.training_samples.tokens.shape == (7, 10)


def test_nothing_trained_yet_is_one_line(workspace: Path, place: Path) -> None:
    with pytest.raises(EgoReactError, match="no promoted model yet"):
        open_lab("tiny")
    with pytest.raises(EgoReactError, match="no data set here"):
        open_lab("tiny", bundle=place / "bundle")


def test_a_trial_is_trained_once_and_goes_on_where_it_stopped(lab: Lab) -> None:
    steps: list[int] = []
    whole = NO_DEPTH.train(lab, 7, lambda step, _: steps.append(step))
    assert steps == [4]
    assert whole.config.gpt.senses == ("semantic", "velocity") and not hasattr(whole.gpt, "depth")
    again = NO_DEPTH.train(lab, 7, lambda step, _: steps.append(step))
    assert steps == [4]  # nothing was left to do
    for name, value in whole.gpt.state_dict().items():
        assert torch.equal(value, again.gpt.state_dict()[name])
    other = NO_DEPTH.train(lab, 8)
    assert not torch.equal(other.gpt.head.weight, whole.gpt.head.weight)


def test_a_stopped_trial_resumes_to_the_same_weights(lab: Lab, tmp_path: Path) -> None:
    class StoppedError(Exception):
        pass

    def stop_at_two(step: int, _: dict[str, float]) -> None:
        if step == 3:
            raise StoppedError

    every = replace(lab.config.gpt_loop, log_every=1, checkpoint_every=2, validate_every=None)
    here = replace(lab, config=replace(lab.config, gpt_loop=every))
    there = replace(here, workspace=type(lab.workspace)(tmp_path))
    whole = FULL.train(there, 0)
    with pytest.raises(StoppedError):
        FULL.train(here, 0, stop_at_two)
    steps: list[int] = []
    resumed = FULL.train(here, 0, lambda step, _: steps.append(step))
    assert steps == [3, 4]
    assert torch.equal(whole.gpt.head.weight, resumed.gpt.head.weight)


def test_other_data_or_settings_are_another_trial(lab: Lab) -> None:
    FULL.train(lab, 0)
    folder = lab.folder / "trials"
    before = set(folder.iterdir())
    longer = replace(lab, config=replace(lab.config, gpt=replace(lab.config.gpt, feature_noise=0.5)))
    FULL.train(longer, 0)
    assert len(set(folder.iterdir()) - before) == 1


def test_the_upper_bound_alone_hears_the_true_velocity(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    motion, seen = lab.test.motion[:2], lab.test.perceptions[:2]
    given = true_velocity(lab, motion[0])
    assert given.shape == (10, 3) and not given[0].any() and given[1:].any()
    bundle = TRUE_VELOCITY.train(lab, 0)
    bundle.gpt.velocity[0].weight.mul_(100)  # so little taught, it hears no velocity that is not shouted
    own = [made.features for made in react_to_features(bundle, seen, seed=1)]
    monkeypatch.setattr(variants, "true_velocity", lambda lab, motion: torch.full((10, 3), 0.3))
    assert not np.array_equal(TRUE_VELOCITY.react(lab, bundle, motion, seen, seed=1), own)
    np.testing.assert_array_equal(FULL.react(lab, bundle, motion, seen, seed=1), own)


def test_trials_are_known_by_the_code_that_teaches(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    FULL.train(lab, 0)
    monkeypatch.setattr(trials, "code_digest", lambda *sources: "changed")
    before = set((lab.folder / "trials").iterdir())
    FULL.train(lab, 0)
    assert len(set((lab.folder / "trials").iterdir()) - before) == 1


def test_a_probe_finds_what_is_there_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    x, test_x = rng.normal(size=(400, 5)), rng.normal(size=(200, 5))
    mix = rng.normal(size=(5, 2))
    assert explained(x, x @ mix, test_x, test_x @ mix) > 0.99
    assert abs(explained(x, rng.normal(size=(400, 2)), test_x, rng.normal(size=(200, 2)))) < 0.1
