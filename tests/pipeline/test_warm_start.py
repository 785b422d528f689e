"""Trainings that start from a registered bundle's weights."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from components.promote.registry import Registry
from components.train.initial import check_it_fits, initial_bundle, initial_statistics, initial_weights
from egoreact.errors import EgoReactError
from egoreact.models.bundle import Bundle
from egoreact.motion.representation import Normaliser
from egoreact.presets import tiny
from egoreact.training.vqvae import make_tokenizer_learner, write_tokenizer_data
from egoreact.weights import WeightsMismatchError
from egoreact.workspace import Workspace


@pytest.fixture
def registered(home: Workspace, make_bundle: Callable[[int], Path]) -> Bundle:
    bundle = Bundle.load(make_bundle(5))
    Registry(home).register(make_bundle(5), bundle.digest, data_revision="aa.dir", mlflow_run="unknown", tags={})
    return bundle


def test_a_bundle_is_fetched_once_and_again_where_it_is_damaged(home: Workspace, registered: Bundle) -> None:
    folder = initial_bundle(registered.digest)
    assert Bundle.load(folder).digest == registered.digest
    (folder / "gpt.safetensors").write_bytes(b"damaged")
    assert Bundle.load(initial_bundle(registered.digest)).digest == registered.digest
    with pytest.raises(EgoReactError, match=r"no bundle ffffffffffff; start from scratch"):
        initial_bundle("f" * 64)
    assert initial_weights("", "gpt") == ""
    assert torch.equal(initial_statistics(registered.digest).mean, registered.normaliser.mean)


def test_another_architecture_is_refused_by_name(registered: Bundle) -> None:
    config = tiny().reaction
    check_it_fits(registered.digest, config)
    check_it_fits(registered.digest, replace(config, gpt=replace(config.gpt, dropout=0.5)))
    with pytest.raises(EgoReactError, match=r"is of another architecture .*--from-scratch"):
        check_it_fits(registered.digest, replace(config, gpt=replace(config.gpt, width=64)))


def test_a_learner_starts_from_the_weights_or_refuses_them(registered: Bundle, tmp_path: Path) -> None:
    motion = {"a": torch.randn(64, 263)}
    config = tiny().tokenizer
    write_tokenizer_data(tmp_path / "motion.safetensors", motion, {}, Normaliser.from_features(list(motion.values())))
    arguments = {"data": str(tmp_path / "motion.safetensors"), "config": asdict(config)}
    weights = initial_weights(registered.digest, "tokenizer")
    warm = make_tokenizer_learner(**arguments, initial=weights).module.state_dict()
    for name, value in registered.tokenizer.state_dict().items():
        assert torch.equal(warm[name], value), name
    assert not torch.equal(make_tokenizer_learner(**arguments).module.codebook, registered.tokenizer.codebook)
    with pytest.raises(WeightsMismatchError, match="does not fit the network"):
        make_tokenizer_learner(**arguments, initial=initial_weights(registered.digest, "gpt"))
