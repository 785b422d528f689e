"""The figures tell the truth about the bundle they are drawn from."""

import cv2
import numpy as np
import pytest
import torch

from egoreact.errors import EgoReactError
from egoreact.explain.flow import draw_flow
from egoreact.explain.influence import draw_influence, influence_cm
from egoreact.explain.seams import as_markdown, trace
from egoreact.models.bundle import Bundle
from egoreact.presets import tiny
from egoreact.vision.frame_features import FrameFeatures

TOKENS = 8


@pytest.fixture(scope="module")
def clips(untrained_bundle) -> list[FrameFeatures]:
    rgb = torch.randint(0, 256, (3, TOKENS, 56, 56, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return [untrained_bundle.encoder.encode(frames) for frames in rgb]


def test_seams_are_the_bundles_own(untrained_bundle):
    seams = trace(untrained_bundle)
    config = untrained_bundle.config
    assert seams["semantic"].shape == (config.gpt.semantic_dim,)
    assert seams["f_token"].shape == seams["hidden"].shape == (config.gpt.width,)
    assert seams["logits"].shape == (config.tokenizer.codebook_size,)
    assert seams["code"].shape == (config.tokenizer.code_dim,)
    assert (seams["features"].shape, seams["joints"].shape) == ((4, 263), (4, 22, 3))


def test_a_sense_that_was_left_out_has_no_part():
    config = tiny().reaction
    blind = type(config.gpt)(**{**vars(config.gpt), "senses": ("semantic", "velocity")})
    bundle = Bundle.untrained(type(config)(config.encoder, config.tokenizer, blind))
    seams = trace(bundle)
    assert "depth part" not in seams
    assert "semantic part" in seams
    table = as_markdown({"full": trace(Bundle.untrained(config)), "no depth": seams})
    row = next(line for line in table.splitlines() if line.startswith("| depth part"))
    assert row.split("|")[2:4] == [" 32 ", " – "]


def test_no_frame_reaches_back_and_each_reaches_on(untrained_bundle, clips):
    rows = influence_cm(untrained_bundle, clips)
    assert rows.shape == (TOKENS, 4 * TOKENS)
    for t, row in enumerate(rows):
        assert (row[: 4 * t] == 0).all()
    assert (rows[:, -1] > 0).any()


def test_pictures_are_drawn(untrained_bundle, clips, tmp_path):
    draw_flow(untrained_bundle, trace(untrained_bundle), tmp_path / "flow.png")
    draw_influence(influence_cm(untrained_bundle, clips), len(clips), tmp_path / "influence.png")
    for name in ("flow.png", "influence.png"):
        picture = cv2.imread(str(tmp_path / name))
        assert picture.shape[1] > 1000
        assert picture.std() > 10


def test_what_cannot_be_shown_is_refused(untrained_bundle, clips, tmp_path):
    with pytest.raises(EgoReactError, match="1 clips of 1 lengths"):
        influence_cm(untrained_bundle, clips[:1])
    shorter = FrameFeatures(clips[0].semantic[:4], clips[0].depth_m[:4])
    with pytest.raises(EgoReactError, match="2 lengths"):
        influence_cm(untrained_bundle, [clips[1], shorter])
    with pytest.raises(EgoReactError, match="0 changes"):
        draw_influence(np.zeros((TOKENS, 4 * TOKENS)), 2, tmp_path / "nothing.png")
    assert not list(tmp_path.iterdir())
