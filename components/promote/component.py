from typing import NamedTuple

from kfp import dsl
from kfp.dsl import Artifact, Input, Model, Output

from components.images import STEP_IMAGE


@dsl.component(base_image=STEP_IMAGE, packages_to_install=[], install_kfp_package=False)
def promote(
    config: str,
    data_revision: str,
    quarantine: Input[Artifact],
    record: Input[Artifact],
    bundle: Input[Model],
    evaluator: Input[Model],
    decision: Output[Artifact],
) -> NamedTuple("Promoted", [("Output", bool), ("version", str), ("digest", str)]):  # type: ignore[valid-type]
    # KFP's local runner finds a condition's value only where the output is called Output.
    """Makes the bundle champion where it beats the baselines and the champion, evaluated again on the same clips."""
    from dataclasses import astuple
    from pathlib import Path

    from components.promote.step import run
    from components.train.step import group_name
    from egoreact.presets import RunConfig
    from egoreact.workspace import Workspace

    def examine(champion: Path):
        from components.evaluate.step import evaluate_bundle

        return evaluate_bundle(config, data_revision, Path(quarantine.path), champion, Path(evaluator.path))

    settings = RunConfig.from_json(config)
    result = run(
        Workspace.from_environment(),
        Path(record.path),
        Path(bundle.path),
        Path(decision.path),
        examine=examine,
        policy=settings.promotion,
        group=group_name(settings, data_revision),
    )
    return astuple(result)
