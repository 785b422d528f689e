from kfp import dsl

from components.images import STEP_IMAGE
from components.train.pass_through import TO_WORKERS


@dsl.component(
    base_image=STEP_IMAGE, packages_to_install=[], install_kfp_package=False, task_config_passthroughs=TO_WORKERS
)
def train_encoder(
    config: str,
    data_revision: str,
    code_digest: str,
    quarantine: dsl.Input[dsl.Artifact],
    encoder: dsl.Output[dsl.Model],
    task_config: dsl.TaskConfig,
) -> None:
    """Teaches the embedded frame encoder depth, segmentation and what comes."""
    from pathlib import Path

    from components.train.place import train

    train("encoder", config, data_revision, Path(quarantine.path), Path(encoder.path), task=task_config)


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


@dsl.component(
    base_image=STEP_IMAGE, packages_to_install=[], install_kfp_package=False, task_config_passthroughs=TO_WORKERS
)
def train_tokenizer(
    config: str,
    data_revision: str,
    code_digest: str,
    quarantine: dsl.Input[dsl.Artifact],
    tokenizer: dsl.Output[dsl.Model],
    task_config: dsl.TaskConfig,
) -> None:
    """Teaches the VQ-VAE, through Ray Train."""
    from pathlib import Path

    from components.train.place import train

    train("tokenizer", config, data_revision, Path(quarantine.path), Path(tokenizer.path), task=task_config)


@dsl.component(
    base_image=STEP_IMAGE, packages_to_install=[], install_kfp_package=False, task_config_passthroughs=TO_WORKERS
)
def train_reaction(
    config: str,
    data_revision: str,
    code_digest: str,
    features_digest: str,
    quarantine: dsl.Input[dsl.Artifact],
    encoder: dsl.Input[dsl.Model],
    tokenizer: dsl.Input[dsl.Model],
    bundle: dsl.Output[dsl.Model],
    task_config: dsl.TaskConfig,
) -> None:
    """Teaches the reaction transformer, through Ray Train, and puts the bundle together."""
    from pathlib import Path

    from components.train.place import train

    networks = {"encoder": Path(encoder.path), "tokenizer": Path(tokenizer.path)}
    train("reaction", config, data_revision, Path(quarantine.path), Path(bundle.path), networks, task=task_config)
