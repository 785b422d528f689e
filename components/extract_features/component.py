from kfp import dsl

from components.images import STEP_IMAGE


@dsl.component(base_image=STEP_IMAGE, packages_to_install=[], install_kfp_package=False)
def extract_features(config: str, data_revision: str, encoder: dsl.Input[dsl.Model]) -> str:
    """Encodes the shards whose features are not in the cache yet; returns the features' digest."""
    from pathlib import Path

    from components.extract_features.step import run

    return run(data_revision, Path(encoder.path))
