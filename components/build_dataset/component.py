from kfp import dsl

from components.images import STEP_IMAGE


@dsl.component(base_image=STEP_IMAGE, packages_to_install=[], install_kfp_package=False)
def build_dataset(config: str, code_digest: str) -> str:
    """Renders what is missing of the simulated shards; returns the manifest's digest."""
    from components.build_dataset.step import run

    return run(config)
