import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from egoreact.errors import EgoReactError
from egoreact.models.motion_evaluator import MotionEvaluator
from egoreact.models.t2m_checkpoint import load_t2m_evaluator

MOVEMENT = {
    "main.0.weight": (512, 259, 4), "main.0.bias": (512,), "main.3.weight": (512, 512, 4), "main.3.bias": (512,),
    "out_net.weight": (512, 512), "out_net.bias": (512,),
}  # fmt: skip
MOTION = {
    "hidden": (2, 1, 1024), "input_emb.weight": (1024, 512), "input_emb.bias": (1024,),
    "output_net.0.weight": (1024, 2048), "output_net.0.bias": (1024,), "output_net.1.weight": (1024,),
    "output_net.1.bias": (1024,), "output_net.3.weight": (512, 1024), "output_net.3.bias": (512,),
} | {
    f"gru.{kind}_l0{direction}": (3072, 1024) if kind.startswith("weight") else (3072,)
    for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    for direction in ("", "_reverse")
}  # fmt: skip
"""Names and shapes as the published file has them, written down apart from the code under test."""
LENGTHS = (40, 64, 96, 196)


def published(seed: int = 0) -> dict:
    generator = torch.Generator().manual_seed(seed)

    def weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
        return {
            name: torch.randn(shape, generator=generator) / max(shape[-1], 30) ** 0.5 for name, shape in shapes.items()
        }

    return {
        "text_encoder": weights({"pos_emb.weight": (300, 15), "hidden": (2, 1, 512)}),
        "motion_encoder": weights(MOTION),
        "movement_encoder": weights(MOVEMENT),
        "opt_text_encoder": {"state": {}, "param_groups": [{"lr": 1e-4, "params": [0, 1]}]},
        "opt_motion_encoder": {"state": {0: {"step": 3}}, "param_groups": []},
        "epoch": 61,
        "iter": 12345,
    }


def clips() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(length, 263)).astype(np.float32) for length in LENGTHS]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    folder = tmp_path_factory.mktemp("t2m")
    torch.save(published(), folder / "finest.tar")
    rng = np.random.default_rng(1)
    np.save(folder / "mean.npy", rng.normal(size=263))
    np.save(folder / "std.npy", rng.uniform(0.5, 2, size=263))
    return folder / "finest.tar", folder / "mean.npy", folder / "std.npy"


@pytest.fixture(scope="module")
def evaluator(files: tuple[Path, Path, Path]) -> MotionEvaluator:
    return load_t2m_evaluator(*files)


def embed_as_published(state: dict, motion: Tensor, lengths: list[int]) -> Tensor:
    """What T2M computes of normalised motion (batch, 196, 263), zeros behind each clip, in plain functions."""
    movement, encoder = state["movement_encoder"], state["motion_encoder"]
    x = motion[..., :-4].mT
    for layer in ("main.0", "main.3"):
        x = functional.conv1d(x, movement[f"{layer}.weight"], movement[f"{layer}.bias"], stride=2, padding=1)
        x = functional.leaky_relu(x, 0.2)
    x = functional.linear(x.mT, movement["out_net.weight"], movement["out_net.bias"])
    x = functional.linear(x, encoder["input_emb.weight"], encoder["input_emb.bias"])
    gru = nn.GRU(1024, 1024, batch_first=True, bidirectional=True)
    gru.load_state_dict(
        {name.removeprefix("gru."): value for name, value in encoder.items() if name.startswith("gru.")}
    )
    last = torch.cat([gru(x[row, None, : n // 4], encoder["hidden"])[1] for row, n in enumerate(lengths)], dim=1)
    x = functional.linear(
        torch.cat([last[0], last[1]], -1), encoder["output_net.0.weight"], encoder["output_net.0.bias"]
    )
    x = functional.layer_norm(x, (1024,), encoder["output_net.1.weight"], encoder["output_net.1.bias"])
    x = functional.leaky_relu(x, 0.2)
    return functional.linear(x, encoder["output_net.3.weight"], encoder["output_net.3.bias"])


def normalised(mean: Path, std: Path) -> Tensor:
    batch = torch.zeros(len(LENGTHS), 200, 263)
    for row, clip in enumerate(clips()):
        batch[row, : len(clip)] = torch.from_numpy((clip - np.load(mean)) / np.load(std))
    return batch


def test_the_published_layout_gives_the_published_embedding(files, evaluator: MotionEvaluator) -> None:
    with torch.inference_mode():
        expected = embed_as_published(published(), normalised(*files[1:]), list(LENGTHS)).numpy()
    judged = evaluator.judge(clips())
    assert judged.embeddings.shape == (4, 512) and set(judged.classes) == {-1}
    assert np.abs(judged.embeddings - expected).max() < 1e-4 * np.abs(expected).max()
    assert np.abs(evaluator.judge(clips()[:1]).embeddings - expected[:1]).max() < 1e-4 * np.abs(expected).max()


def test_a_clip_of_196_frames_is_embedded_as_any_other(files, evaluator: MotionEvaluator) -> None:
    """T2M lets its longest clips end at the batch's edge, so that their embedding depends on it; here it does not."""
    with torch.inference_mode():
        at_the_edge = embed_as_published(published(), normalised(*files[1:])[:, :196], list(LENGTHS)).numpy()
    ours = evaluator.judge(clips()).embeddings
    assert np.abs(ours[:3] - at_the_edge[:3]).max() < 1e-4 * np.abs(ours).max()
    assert np.abs(ours[3] - at_the_edge[3]).max() > 1e-3 * np.abs(ours).max()


def test_it_is_kept_as_any_evaluator(evaluator: MotionEvaluator, tmp_path: Path) -> None:
    evaluator.save(tmp_path / "evaluator", trained_on={"source": "T2M"})
    loaded = MotionEvaluator.load(tmp_path / "evaluator")
    assert loaded.categories == () and loaded.digest == evaluator.digest
    assert np.array_equal(loaded.judge(clips()).embeddings, evaluator.judge(clips()).embeddings)


def test_the_real_statistics_fit(files, shared_data: Path) -> None:
    folder = shared_data / "humanml3d"
    evaluator = load_t2m_evaluator(files[0], folder / "evaluator_mean.npy", folder / "evaluator_std.npy")
    features = np.load(folder / "012314_features.npy").astype(np.float32)
    assert np.isfinite(evaluator.judge([features]).embeddings).all()
    spread = ((torch.from_numpy(features)[:, :259] - evaluator.mean) / evaluator.std).std()
    assert 0.3 < float(spread) < 30  # in their own units; the data set's statistics differ 25-fold in places


class Bomb:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def without(name: str):
    def change(state: dict) -> None:
        del state["motion_encoder"][name]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("hidden"), "motion_encoder: does not fit the network: hidden is missing"),
        (lambda s: s["movement_encoder"].update(extra=torch.zeros(1)), "movement_encoder: does not fit the network: extra"),
        (lambda s: s["movement_encoder"].update({"main.0.weight": torch.zeros(512, 247, 4)}), "main.0.weight is (512, 247, 4)"),
        (lambda s: s.pop("movement_encoder"), "holds no weights of a movement_encoder"),
        (lambda s: s.update(motion_encoder=[1, 2]), "holds no weights of a motion_encoder"),
    ],
)  # fmt: skip
def test_another_layout_is_refused_by_name(change, message: str, files, tmp_path: Path) -> None:
    state = published()
    change(state)
    torch.save(state, tmp_path / "finest.tar")
    with pytest.raises(EgoReactError, match=re.escape(message)) as caught:
        load_t2m_evaluator(tmp_path / "finest.tar", *files[1:])
    assert "\n" not in str(caught.value) and "finest.tar" in str(caught.value)


def test_code_in_a_checkpoint_never_runs(files, tmp_path: Path) -> None:
    torch.save(published() | {"epoch": Bomb(tmp_path / "made")}, tmp_path / "finest.tar")
    with pytest.raises(EgoReactError, match="cannot be read as plain weights"):
        load_t2m_evaluator(tmp_path / "finest.tar", *files[1:])
    assert not (tmp_path / "made").exists()


def test_a_checkpoint_that_was_cut_short_is_refused(files, tmp_path: Path) -> None:
    content = files[0].read_bytes()
    for length in (0, 100, len(content) // 2):
        (tmp_path / "finest.tar").write_bytes(content[:length])
        with pytest.raises(EgoReactError, match="cannot be read as plain weights"):
            load_t2m_evaluator(tmp_path / "finest.tar", *files[1:])
    with pytest.raises(EgoReactError, match="no such file"):
        load_t2m_evaluator(tmp_path / "absent.tar", *files[1:])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones(251), "is not 263 finite numbers"),
        (np.full(263, np.nan), "is not 263 finite numbers"),
        (np.zeros(263), "not positive"),
        (np.array([None] * 263, dtype=object), "is no array of numbers"),
    ],
)
def test_wrong_statistics_are_refused(values: np.ndarray, message: str, files, tmp_path: Path) -> None:
    np.save(tmp_path / "std.npy", values)
    with pytest.raises(EgoReactError, match=message):
        load_t2m_evaluator(files[0], files[1], tmp_path / "std.npy")
