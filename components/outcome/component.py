from kfp import dsl

from components.images import STEP_IMAGE


@dsl.component(base_image=STEP_IMAGE, packages_to_install=[], install_kfp_package=False)
def retrained(promoted: bool, version: str, digest: str, decision: dsl.Input[dsl.Artifact]) -> str:
    """The outcome of a run that trained a model, as JSON."""
    from pathlib import Path

    from components.outcome.step import outcome

    return outcome(promoted, version, digest, Path(decision.path))


@dsl.component(base_image=STEP_IMAGE, packages_to_install=[], install_kfp_package=False)
def unchanged(why: str) -> str:
    """The outcome of a run that had no reason to train: nothing to tell but why."""
    print(why)
    return ""
