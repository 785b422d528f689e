"""Frame features of the whole data set, from the cache where they are there."""

from pathlib import Path

from components.version_dataset.dvc_data import ensure_revision
from egoreact.hrd.dataset import data_folder
from egoreact.hrd.shards import read_manifest
from egoreact.training.features import extract_features
from egoreact.workspace import Workspace


def run(data_revision: str, encoder: Path) -> str:
    """Returns the digest that names the features: of the encoder and every shard."""
    ensure_revision(data_folder(), data_revision)
    folder = data_folder() / "hrd"
    digest, counts = extract_features(folder, read_manifest(folder), encoder, Workspace.from_environment().features)
    print(counts)
    return digest
