"""The transformer takes published weights from a folder, at other image sizes too, or says in one line why not."""

import pytest
import torch
from transformers import Dinov2Config, Dinov2Model

from egoreact.errors import EgoReactError
from egoreact.presets import by_name
from egoreact.vision.dinov2 import ViTConfig, build_vit, load_pretrained, preprocess
from egoreact.weights import seeded

CONFIG = ViTConfig(width=32, layers=2, heads=2, image_size_px=56, position_table_px=112)


@pytest.fixture
def published(tmp_path):
    """A folder as transformers saves it, of the same architecture."""
    config = Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=112, patch_size=14)
    seeded(7, lambda: Dinov2Model(config)).save_pretrained(tmp_path / "dinov2")
    return tmp_path / "dinov2"


def test_weights_come_in_whole(published):
    vit = build_vit(CONFIG)
    load_pretrained(vit, str(published))
    expected = Dinov2Model.from_pretrained(published).eval()
    images = torch.randn(2, 3, 56, 56)
    with torch.no_grad():
        torch.testing.assert_close(
            vit.eval()(pixel_values=images).last_hidden_state, expected(pixel_values=images).last_hidden_state
        )


def test_weights_of_another_size_are_refused_by_key(published):
    wider = build_vit(ViTConfig(width=48, layers=2, heads=2, image_size_px=56, position_table_px=112))
    with pytest.raises(EgoReactError, match=r"do not fit the configured transformer at \S+ \("):
        load_pretrained(wider, str(published))


def test_absent_weights_say_which_and_how(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(EgoReactError, match="EGOREACT_DINOV2") as caught:
        load_pretrained(build_vit(CONFIG), str(tmp_path / "none"))
    assert "\n" not in str(caught.value)


def test_the_paper_preset_is_dinov2_smalls_architecture(monkeypatch):
    monkeypatch.setenv("EGOREACT_DINOV2", "/a/folder")
    config = by_name("paper").encoder
    assert config.backbone == "/a/folder"
    shapes = {name: tuple(value.shape) for name, value in build_vit(config.model.vit).state_dict().items()}
    assert shapes["embeddings.position_embeddings"] == (1, 1370, 384)
    assert shapes["encoder.layer.11.mlp.fc1.weight"] == (1536, 384)


def test_a_frame_becomes_its_centre_square():
    frames = torch.zeros(1, 40, 80, 3, dtype=torch.uint8)
    frames[:, :, 20:60] = 255
    images = preprocess(frames, 56)
    assert images.shape == (1, 3, 56, 56)
    assert torch.allclose(images[0, 0], images[0, 0, 0, 0].expand(56, 56))
