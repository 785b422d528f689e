"""The data set that a run configuration asks for, on this machine's disk."""

from egoreact.hrd.dataset import build_dataset, data_folder, manifest_digest
from egoreact.presets import RunConfig


def run(config: str) -> str:
    """Args:
        config: `RunConfig` as JSON.

    Returns:
        The manifest's digest, which names every shard by its own.
    """
    folder = data_folder() / "hrd"
    print(build_dataset(RunConfig.from_json(config).dataset, folder).shards)
    return manifest_digest(folder)
