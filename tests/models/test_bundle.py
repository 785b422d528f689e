"""A bundle is loaded whole or refused, in one line that names the file."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from egoreact.errors import EgoReactError
from egoreact.files import sha256_file
from egoreact.models.bundle import Bundle
from egoreact.presets import tiny
from egoreact.vision.backbones import BackbonesConfig
from egoreact.vision.dinov2 import ViTConfig
from egoreact.vision.video_depth import DepthModelConfig, VideoDepthConfig


@pytest.fixture
def folder(untrained_bundle: Bundle, tmp_path: Path) -> Path:
    untrained_bundle.save(tmp_path / "my bundle")
    return tmp_path / "my bundle"


def test_comes_back_as_it_was(folder, untrained_bundle):
    loaded = Bundle.load(folder)
    assert loaded.digest == sha256_file(folder / "bundle.json")
    assert loaded.config == untrained_bundle.config
    for name, value in untrained_bundle.gpt.state_dict().items():
        assert torch.equal(value, loaded.gpt.state_dict()[name])
    assert "egocentric" in (folder / "card.md").read_text().lower()


def test_comes_back_with_the_published_eyes(tmp_path):
    depth = VideoDepthConfig(
        width=16, layers=4, heads=2, table_side=4, taps=(0, 1, 2, 3), channels=(8, 8, 8, 16), features=8,
        temporal_heads=2, groups=4, short_side_px=28,
    )  # fmt: skip
    vit = ViTConfig(width=32, layers=1, heads=2, image_size_px=28, position_table_px=56)
    eyes = BackbonesConfig(vit=vit, depth=DepthModelConfig(network=depth), depth_side=16)
    made = Bundle.untrained(replace(tiny().reaction, encoder=eyes))
    loaded = made.save(tmp_path / "bundle")
    assert loaded.config.encoder == eyes
    state = loaded.encoder.state_dict()
    assert {name.split(".")[0] for name in state} == {"vit", "depth"}
    for name, value in made.encoder.state_dict().items():
        assert torch.equal(value, state[name]), name
    card = (tmp_path / "bundle" / "card.md").read_text()
    for part in ("facebook/dinov2-small (Apache-2.0)", "Metric-Video-Depth-Anything-Small (Apache-2.0)", "frozen"):
        assert part in card


def test_a_config_from_before_there_were_two_kinds_of_eyes_is_read(folder, untrained_bundle):
    manifest = json.loads((folder / "bundle.json").read_text())
    del manifest["config"]["encoder"]["kind"]
    (folder / "bundle.json").write_text(json.dumps(manifest))
    assert Bundle.load(folder).config == untrained_bundle.config


@pytest.mark.parametrize("eyes", [{"kind": "none"}, {"kind": "backbones", "semantics": "guess"}, 3])
def test_eyes_that_are_not_known_are_refused(folder, eyes):
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["config"]["encoder"] = eyes
    (folder / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(EgoReactError, match="is no bundle manifest"):
        Bundle.load(folder)


def test_the_same_weights_give_the_same_digest(untrained_bundle, tmp_path):
    assert untrained_bundle.save(tmp_path / "a").digest == untrained_bundle.save(tmp_path / "b").digest
    assert (
        Bundle.untrained(tiny().reaction, seed=2).save(tmp_path / "c").digest
        != untrained_bundle.save(tmp_path / "d").digest
    )


@pytest.mark.parametrize(
    "name", ["encoder.safetensors", "tokenizer.safetensors", "gpt.safetensors", "statistics.safetensors", "card.md"]
)
def test_a_changed_byte_is_refused_and_named(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(EgoReactError, match=rf"{name}: differs from the SHA-256"):
        Bundle.load(folder)


def test_a_missing_file_is_named(folder):
    (folder / "gpt.safetensors").unlink()
    with pytest.raises(EgoReactError, match=r"gpt\.safetensors: a file of the bundle is missing"):
        Bundle.load(folder)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"\xff\xfe", b'{"schema_version": 1}', b'{"schema_version": 99}']
)
def test_another_manifest_is_refused(folder, content):
    (folder / "bundle.json").write_bytes(content)
    with pytest.raises(EgoReactError) as caught:
        Bundle.load(folder)
    assert "\n" not in str(caught.value)


def test_weights_of_another_config_are_refused_by_key(folder):
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["config"]["gpt"]["layers"] = 2
    (folder / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(EgoReactError, match=r"trunk\.layers\.1\.\S+ is missing"):
        Bundle.load(folder)


def test_no_bundle_says_how_to_get_one(tmp_path):
    with pytest.raises(EgoReactError, match="no bundle here; train one"):
        Bundle.load(tmp_path)
