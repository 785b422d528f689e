from kfp import dsl

from components.images import STEP_IMAGE


@dsl.component(base_image=STEP_IMAGE, packages_to_install=[], install_kfp_package=False)
def train_encoder(
    config: str,
    data_revision: str,
    code_digest: str,
    quarantine: dsl.Input[dsl.Artifact],
    encoder: dsl.Output[dsl.Model],
) -> None:
    """Teaches the embedded frame encoder depth, segmentation and what comes."""
    from pathlib import Path

    from components.train.step import run_encoder

    run_encoder(config, data_revision, Path(quarantine.path), Path(encoder.path))


@dsl.component(base_image=STEP_IMAGE, packages_to_install=[], install_kfp_package=False)
def train_evaluator(
    config: str,
    data_revision: str,
    code_digest: str,
    quarantine: dsl.Input[dsl.Artifact],
    evaluator: dsl.Output[dsl.Model],
) -> None:
    """Teaches the motion evaluator the kinds of encounter."""
    from pathlib import Path

    from components.train.step import run_evaluator

    run_evaluator(config, data_revision, Path(quarantine.path), Path(evaluator.path))


@dsl.component(base_image=STEP_IMAGE, packages_to_install=[], install_kfp_package=False)
def train_tokenizer(
    config: str,
    data_revision: str,
    code_digest: str,
    quarantine: dsl.Input[dsl.Artifact],
    tokenizer: dsl.Output[dsl.Model],
) -> None:
    """Teaches the VQ-VAE, through Ray Train."""
    from pathlib import Path

    from components.train.step import run_tokenizer

    run_tokenizer(config, data_revision, Path(quarantine.path), Path(tokenizer.path))


@dsl.component(base_image=STEP_IMAGE, packages_to_install=[], install_kfp_package=False)
def train_reaction(
    config: str,
    data_revision: str,
    code_digest: str,
    features_digest: str,
    quarantine: dsl.Input[dsl.Artifact],
    encoder: dsl.Input[dsl.Model],
    tokenizer: dsl.Input[dsl.Model],
    bundle: dsl.Output[dsl.Model],
) -> None:
    """Teaches the reaction transformer, through Ray Train, and puts the bundle together."""
    from pathlib import Path

    from components.train.step import run_reaction

    run_reaction(
        config, data_revision, Path(quarantine.path), Path(encoder.path), Path(tokenizer.path), Path(bundle.path)
    )
