"""DINOv2 through transformers: published weights at other image sizes, frames as it wants them, the paper's choice."""

import torch
from eyes import TINY_VIT, save_dinov2

from egoreact.presets import by_name
from egoreact.training.encoder import EncoderTrainingConfig
from egoreact.vision.backbones import BackbonesConfig
from egoreact.vision.dinov2 import build_vit, load_dinov2, preprocess


def test_published_weights_see_as_they_did(tmp_path):
    expected = save_dinov2(tmp_path)
    vit = load_dinov2(TINY_VIT, tmp_path)
    images = torch.randn(2, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(
            vit(pixel_values=images).last_hidden_state, expected(pixel_values=images).last_hidden_state
        )


def test_the_paper_preset_is_the_published_backbones():
    encoder = by_name("paper").encoder
    assert encoder == EncoderTrainingConfig(model=BackbonesConfig())
    assert isinstance(encoder.model, BackbonesConfig)
    shapes = {name: tuple(value.shape) for name, value in build_vit(encoder.model.vit).state_dict().items()}
    assert shapes["embeddings.position_embeddings"] == (1, 1370, 384)
    assert shapes["encoder.layer.11.mlp.fc1.weight"] == (1536, 384)
    assert (encoder.model.semantics, encoder.model.depth.kind) == ("dinov2", "video_depth_anything")
    assert (encoder.model.vit.image_size_px, encoder.model.depth.network.short_side_px) == (224, 252)


def test_a_frame_becomes_its_centre_square():
    frames = torch.zeros(1, 40, 80, 3, dtype=torch.uint8)
    frames[:, :, 20:60] = 255
    images = preprocess(frames, 56)
    assert images.shape == (1, 3, 56, 56)
    assert torch.allclose(images[0, 0], images[0, 0, 0, 0].expand(56, 56))
