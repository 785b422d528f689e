from kfp import dsl

from components.images import STEP_IMAGE


@dsl.component(base_image=STEP_IMAGE, packages_to_install=[], install_kfp_package=False)
def evaluate(
    config: str,
    data_revision: str,
    code_digest: str,
    features_digest: str,
    quarantine: dsl.Input[dsl.Artifact],
    bundle: dsl.Input[dsl.Model],
    evaluator: dsl.Input[dsl.Model],
    record: dsl.Output[dsl.Artifact],
    figures: dsl.Output[dsl.Metrics],
) -> None:
    """Scores the bundle's closed loop on the test split beside the baselines."""
    from pathlib import Path

    from components.evaluate.step import run

    result = run(
        config, data_revision, Path(quarantine.path), Path(bundle.path), Path(evaluator.path), Path(record.path)
    )
    for name, value in result.items():
        figures.log_metric(name, value)
