import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from egoreact.errors import EgoReactError
from egoreact.files import sha256_file
from egoreact.models.motion_evaluator import MotionEvaluator, MotionEvaluatorConfig, pad

CONFIG = MotionEvaluatorConfig(channels=16, hidden=12, embedding_dim=8, dropout=0.3)


def make_clips(*lengths: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(2.0, 3.0, size=(length, 263)).astype(np.float32) for length in lengths]


@pytest.fixture
def evaluator() -> MotionEvaluator:
    torch.manual_seed(0)
    made = MotionEvaluator(CONFIG, ["car", "person", "animal"])
    made.set_statistics(make_clips(50, 60))
    return made.eval()


@pytest.mark.parametrize("length", [4, 5, 6, 7, 8, 17, 31, 80])
def test_padding_and_batch_change_nothing(evaluator: MotionEvaluator, length: int) -> None:
    clips = make_clips(length, 80, 4, 33)
    alone = evaluator.judge(clips[:1]).embeddings
    together = evaluator.judge(clips).embeddings
    assert np.abs(alone[0] - together[0]).max() < 1e-5
    # Whatever lies behind a clip's end is not read.
    features, lengths = pad(clips)
    features[0, length:] = 1e3
    with torch.inference_mode():
        assert np.abs(evaluator(features, lengths)[0].numpy() - alone[0]).max() < 1e-5


def test_every_frame_counts_but_contacts_do_not(evaluator: MotionEvaluator) -> None:
    (clip,) = make_clips(20)
    before = evaluator.judge([clip]).embeddings
    for frame in (0, 10, 19):
        changed = clip.copy()
        changed[frame, :259] += 5
        assert np.abs(evaluator.judge([changed]).embeddings - before).max() > 1e-4
    changed = clip.copy()
    changed[:, 259:] = 1 - changed[:, 259:]
    assert np.array_equal(evaluator.judge([changed]).embeddings, before)


def test_frames_that_fill_no_step_do_not_count(evaluator: MotionEvaluator) -> None:
    (clip,) = make_clips(23)
    assert np.array_equal(evaluator.judge([clip]).embeddings, evaluator.judge([clip[:20]]).embeddings)


def test_without_categories_it_embeds_alone(evaluator: MotionEvaluator, tmp_path: Path) -> None:
    plain = MotionEvaluator(CONFIG, [])
    assert not [name for name in plain.state_dict() if name.startswith("classify")]
    judged = plain.judge(make_clips(8, 12))
    assert judged.embeddings.shape == (2, 8) and judged.classes.tolist() == [-1, -1]
    plain.save(tmp_path / "plain")
    assert MotionEvaluator.load(tmp_path / "plain").digest == plain.digest


def test_statistics_are_its_own(evaluator: MotionEvaluator) -> None:
    clips = make_clips(50, 60)
    rows = np.concatenate(clips)[:, :259]
    assert np.abs(evaluator.mean.numpy() - rows.mean(0)).max() < 1e-4
    assert np.abs(evaluator.std.numpy() - rows.std(0, ddof=1)).max() < 1e-4
    other = MotionEvaluator(CONFIG, evaluator.categories)
    other.load_state_dict(evaluator.state_dict())
    other.set_statistics([clip * 2 + 1 for clip in clips])
    shifted = [clip * 2 + 1 for clip in clips]
    assert np.abs(other.eval().judge(shifted).embeddings - evaluator.judge(clips).embeddings).max() < 1e-3


def test_paper_size() -> None:
    evaluator = MotionEvaluator(MotionEvaluatorConfig(), ["a", "b"])
    assert evaluator.movement_encoder.main[0].weight.shape == (512, 259, 4)
    assert evaluator.motion_encoder.gru.hidden_size == 1024 and evaluator.motion_encoder.gru.bidirectional
    assert evaluator.judge(make_clips(8)).embeddings.shape == (1, 512)


def test_judging_is_without_dropout_and_in_order(evaluator: MotionEvaluator) -> None:
    clips = make_clips(*range(4, 24))
    evaluator.train()
    whole, pieces = evaluator.judge(clips), evaluator.judge(clips, batch_size=3)
    assert np.abs(whole.embeddings - pieces.embeddings).max() < 1e-5
    assert np.array_equal(whole.classes, pieces.classes)
    assert evaluator.judge([]).embeddings.shape == (0, 8)


def test_comes_back_as_it_was(evaluator: MotionEvaluator, tmp_path: Path) -> None:
    evaluator.save(tmp_path / "evaluator", trained_on={"data_revision": "abc"})
    loaded = MotionEvaluator.load(tmp_path / "evaluator")
    assert loaded.config == CONFIG and loaded.categories == ("car", "person", "animal")
    assert loaded.digest == evaluator.digest and loaded.trained_on == {"data_revision": "abc"}
    clips = make_clips(30, 40)
    assert np.array_equal(loaded.judge(clips).embeddings, evaluator.judge(clips).embeddings)
    description = json.loads((tmp_path / "evaluator" / "motion_evaluator.json").read_text())
    assert description["trained_on"] == {"data_revision": "abc"}
    assert sorted(path.name for path in (tmp_path / "evaluator").iterdir()) == [
        "motion_evaluator.json",
        "motion_evaluator.safetensors",
    ]


def test_the_digest_tells_evaluators_apart(evaluator: MotionEvaluator) -> None:
    before = evaluator.digest
    evaluator.std[0] += 1e-3
    assert evaluator.digest != before


def flip_a_byte(folder: Path) -> None:
    path = folder / "motion_evaluator.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def edit(change):
    def apply(folder: Path) -> None:
        path = folder / "motion_evaluator.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip_a_byte, "motion_evaluator.safetensors: its bytes differ from the SHA-256"),
        (
            lambda folder: (folder / "motion_evaluator.safetensors").unlink(),
            "motion_evaluator.safetensors: no such file",
        ),
        (lambda folder: (folder / "motion_evaluator.json").write_text("{}"), "is no evaluator's description"),
        (edit(lambda content: content.update(schema_version=9)), "schema version 9"),
        (edit(lambda content: content["config"].update(hidden=13)), "does not fit"),
        (edit(lambda content: content["config"].update(hidden="wide")), "config.hidden"),
        (edit(lambda content: content.update(categories=["car"])), "does not fit"),
    ],
)
def test_what_is_not_whole_is_refused(evaluator: MotionEvaluator, tmp_path: Path, damage, message: str) -> None:
    evaluator.save(tmp_path / "evaluator")
    digest = sha256_file(tmp_path / "evaluator" / "motion_evaluator.safetensors")
    damage(tmp_path / "evaluator")
    with pytest.raises(EgoReactError, match=re.escape(message)):
        MotionEvaluator.load(tmp_path / "evaluator")
    evaluator.save(tmp_path / "evaluator")  # and can be replaced
    assert sha256_file(tmp_path / "evaluator" / "motion_evaluator.safetensors") == digest


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (np.zeros((3, 263)), r"clip 1 .* has shape \(3, 263\)"),
        (np.zeros((8, 259)), r"has shape \(8, 259\)"),
        (np.full((8, 263), np.nan), "NaN"),
    ],
)
def test_bad_clips_are_named(evaluator: MotionEvaluator, clip: np.ndarray, message: str) -> None:
    with pytest.raises(EgoReactError, match=message):
        evaluator.judge([*make_clips(8), clip])
