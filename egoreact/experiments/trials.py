"""Networks trained for an experiment, in this process, with the preset's own budget.

A trial lies in the workspace under a digest of all that decides its weights. So one that was stopped goes on from its
newest checkpoint, and one that is done is there at once.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TypeVar

from torch import nn

from egoreact.experiments.lab import Lab
from egoreact.files import sha256_json
from egoreact.models.bundle import Bundle, ReactionConfig
from egoreact.models.reaction_gpt import ReactionGPT
from egoreact.models.vqvae import VQVAE
from egoreact.motion.representation import Normaliser
from egoreact.progress import Progress
from egoreact.provenance import code_digest
from egoreact.training.checkpoint import FolderStore, load_module
from egoreact.training.gpt import GPTTrainingConfig, ReactionLearner
from egoreact.training.loop import Learner, LoopConfig, MetricsSink, fit
from egoreact.training.vqvae import TokenizerLearner, TokenizerTrainingConfig
from egoreact.weights import seeded

Network = TypeVar("Network", bound=nn.Module)
TEACHING_CODE = ("egoreact/models", "egoreact/training", "egoreact/motion")
"""Whatever else changes leaves a trial's weights as they are."""


def train_reaction(
    lab: Lab, training: GPTTrainingConfig, *, name: str, seed: int, on_metrics: MetricsSink | None = None
) -> Bundle:
    """The lab's bundle with a transformer taught like this, of this seed."""
    loop = replace(lab.config.gpt_loop, seed=seed)
    decides: list[object] = [
        asdict(training),
        asdict(loop),
        lab.bundle.manifest.files,
        lab.data_digest,
        sorted(lab.quarantined),
    ]

    def learner() -> ReactionLearner:
        return seeded(
            seed,
            lambda: ReactionLearner(
                ReactionGPT(training.model),
                lab.bundle.tokenizer,
                lab.bundle.normaliser,
                lab.training_samples,
                held_out=lab.held_out_samples,
                config=training,
                waits=lab.waits,
            ),
        )

    gpt = _train(lab, f"reaction-{name}", decides, learner, ReactionGPT(training.model), loop, on_metrics)
    config = ReactionConfig(lab.bundle.config.encoder, lab.bundle.config.tokenizer, training.model)
    manifest = replace(lab.bundle.manifest, config=config, seed=seed, files={}, metrics={})
    return Bundle(manifest, lab.bundle.encoder, lab.bundle.tokenizer, gpt, normaliser=lab.bundle.normaliser)


def train_tokenizer(
    lab: Lab, training: TokenizerTrainingConfig, *, name: str, seed: int, on_metrics: MetricsSink | None = None
) -> tuple[VQVAE, Normaliser]:
    """A tokenizer taught like this, and the statistics it is fed with."""
    loop = replace(lab.config.tokenizer_loop, seed=seed)
    decides: list[object] = [asdict(training), asdict(loop), lab.data_digest, sorted(lab.quarantined)]
    normaliser = Normaliser.from_features([motion.features for motion in lab.training.motion])

    def learner() -> TokenizerLearner:
        taught, held_out = ({m.clip_id: m.features for m in part.motion} for part in (lab.training, lab.held_out))
        return seeded(seed, lambda: TokenizerLearner(VQVAE(training.model), normaliser, taught, held_out, training))

    tokenizer = _train(lab, f"tokenizer-{name}", decides, learner, VQVAE(training.model), loop, on_metrics)
    return tokenizer, normaliser


def _train(
    lab: Lab,
    name: str,
    decides: list[object],
    learner: Callable[[], Learner],
    network: Network,
    loop: LoopConfig,
    on_metrics: MetricsSink | None,
) -> Network:
    digest = sha256_json([name, *decides, code_digest(*TEACHING_CODE)])
    folder = lab.folder / "trials" / f"{name}-seed{loop.seed}-{digest[:16]}"
    progress = Progress(f"train {name} seed {loop.seed}", loop.steps, "steps")

    def report(done: int, metrics: dict[str, float]) -> None:
        progress.advance(done - progress.done, f"loss {metrics['train/loss']:.4g}" if "train/loss" in metrics else "")
        if on_metrics:
            on_metrics(done, metrics)

    result = fit(learner(), loop, store=FolderStore(folder, digest), on_metrics=report)
    load_module(result.checkpoint, network)
    return network.eval().requires_grad_(False)
