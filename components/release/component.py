from kfp import dsl

from components.images import STEP_IMAGE


@dsl.component(base_image=STEP_IMAGE, packages_to_install=[], install_kfp_package=False)
def release(version: str, digest: str, code_digest: str):
    """Copies the champion's bundle to the releases, packs it as a Bento, and names it as the current release."""
    from components.release.step import run
    from egoreact.hrd.dataset import data_folder
    from egoreact.workspace import Workspace

    run(Workspace.from_environment(), version, digest, data_folder=data_folder())
