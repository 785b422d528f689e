"""Two processes that train together against one that trains alone."""

from dataclasses import replace
from functools import partial

import pytest
import safetensors.torch
import torch
from learners import RegressionLearner, UnevenLearner, on_two_processes

from egoreact.errors import EgoReactError
from egoreact.training.checkpoint import MODULE, FolderStore
from egoreact.training.loop import LoopConfig, fit
from egoreact.training.vqvae import make_tokenizer_learner

CONFIG = LoopConfig(steps=12, batch_size=12, learning_rate=2e-3, log_every=3, checkpoint_every=6, seed=5)


def make(kind: str, arguments: dict):
    torch.manual_seed(2)
    if kind == "tokenizer":
        return make_tokenizer_learner(**arguments)
    return UnevenLearner() if kind == "uneven" else RegressionLearner(local_mean=kind == "local mean")


def train(kind, arguments, folder, world=None, config=CONFIG):
    reports = {}
    fit(make(kind, arguments), config, store=FolderStore(folder, "x"), world=world, on_metrics=reports.__setitem__)
    return reports


def train_all(folder, arguments, world, answers) -> None:
    for kind in ("regression", "uneven", "tokenizer"):
        # Stopped half way: the second half starts from the checkpoint.
        train(kind, arguments, folder / kind, world, replace(CONFIG, steps=6))
        answers.put((world.rank, kind, train(kind, arguments, folder / kind, world)))
    for kind in ("local mean", "poisoned"):
        learner = RegressionLearner(local_mean=True) if kind == "local mean" else RegressionLearner(poisoned=30)
        try:
            fit(learner, CONFIG, store=FolderStore(folder / kind, "x"), world=world)
        except EgoReactError as error:
            answers.put((world.rank, kind, str(error)))


@pytest.fixture(scope="module")
def pair(tmp_path_factory, tokenizer_arguments):
    """What two ranks report, {(rank, kind): reports or error}, and the folder of their checkpoints."""
    folder = tmp_path_factory.mktemp("pair")
    answers = on_two_processes(partial(train_all, folder, tokenizer_arguments))
    return {(index, kind): answer for index, kind, answer in answers}, folder


@pytest.mark.parametrize("kind", ["regression", "uneven", "tokenizer"])
def test_two_ranks_equal_one(pair, tmp_path, tokenizer_arguments, kind):
    answers, folder = pair
    alone = train(kind, tokenizer_arguments, tmp_path)
    assert answers[1, kind] == {}  # the first rank alone reports
    assert list(answers[0, kind]) == [9, 12]  # the second half
    for step, report in answers[0, kind].items():
        for name, value in report.items():
            if name != "train/samples_per_second":
                assert value == pytest.approx(alone[step][name], rel=1e-5, abs=1e-5), (step, name)
    one, two = (safetensors.torch.load_file(f / "checkpoint-000000012" / MODULE) for f in (tmp_path, folder / kind))
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        assert torch.allclose(tensor.float(), two[name].float(), rtol=1e-5, atol=1e-5), name


def test_codes_died_and_were_replaced_in_that_comparison(tmp_path, tokenizer_arguments):
    learner = make("tokenizer", tokenizer_arguments)
    drawn = []
    codebook = learner.module.quantizer._codebook
    replacements = codebook.replace_sample_fn
    codebook.replace_sample_fn = lambda vectors, count: drawn.append(count) or replacements(vectors, count)
    fit(learner, CONFIG, store=FolderStore(tmp_path, "x"))
    assert sum(drawn) >= 10


def test_ranks_that_drift_apart_are_seen(pair):
    answers, _ = pair
    assert all("the ranks' weights differ at step 6" in answers[index, "local mean"] for index in range(2))


def test_a_nan_on_one_rank_stops_both_and_names_its_part_of_the_batch(pair):
    answers, _ = pair
    assert answers[0, "poisoned"] == answers[1, "poisoned"]
    samples = answers[0, "poisoned"].split("samples ")[1].split(";")[0].split(", ")
    assert "30" in samples and len(samples) == CONFIG.batch_size // 2
