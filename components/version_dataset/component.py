from kfp import dsl

from components.images import STEP_IMAGE


@dsl.component(base_image=STEP_IMAGE, packages_to_install=[], install_kfp_package=False)
def version_dataset(manifest_digest: str) -> str:
    """Adds the data set to DVC and pushes it; returns the data revision."""
    from components.version_dataset.step import run
    from egoreact.hrd.dataset import data_folder

    return run(data_folder(), manifest_digest)


@dsl.component(base_image=STEP_IMAGE, packages_to_install=[], install_kfp_package=False)
def commit_dataset(data_revision: str) -> str:
    """Commits the revision's data.dvc on a branch, or prints how; returns the branch, empty where there is no commit."""
    from components.version_dataset.step import run_commit
    from egoreact.hrd.dataset import data_folder

    return run_commit(data_folder(), data_revision)
