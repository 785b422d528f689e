from kfp import dsl

from components.images import STEP_IMAGE


@dsl.component(base_image=STEP_IMAGE, packages_to_install=[], install_kfp_package=False)
def version_dataset(manifest_digest: str) -> str:
    """Adds the data set to DVC and pushes it; returns the data revision."""
    from components.version_dataset.step import run
    from egoreact.hrd.dataset import data_folder

    return run(data_folder(), manifest_digest)
