"""A bundle is loaded whole or refused, in one line that names the file."""

import json
from pathlib import Path

import pytest
import torch

from egoreact.errors import EgoReactError
from egoreact.files import sha256_file
from egoreact.models.bundle import Bundle
from egoreact.presets import tiny


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
