"""The variants that the ablation trains, and how each of them reacts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor

from egoreact.evaluation.protocol import Features
from egoreact.experiments.lab import Lab
from egoreact.experiments.trials import train_reaction
from egoreact.models.bundle import Bundle
from egoreact.models.reaction_gpt import SENSES, Sense
from egoreact.streaming.batch import react_to_features
from egoreact.training.data import Motion
from egoreact.training.gpt import head_velocity_of
from egoreact.training.loop import MetricsSink
from egoreact.vision.frame_features import FrameFeatures


@dataclass(frozen=True)
class Variant:
    name: str
    without: frozenset[Sense] = frozenset()
    true_velocity: bool = False
    """Taught and run with V of the true motion: what nobody has at inference."""

    def train(self, lab: Lab, seed: int, on_metrics: MetricsSink | None = None) -> Bundle:
        training = lab.config.gpt
        senses = tuple(sense for sense in SENSES if sense not in self.without)
        training = replace(
            training,
            model=replace(training.model, senses=senses),
            velocity="true" if self.true_velocity else "decoded",
        )
        file_name = "-".join(["true" if self.true_velocity else "decoded", *senses])
        return train_reaction(lab, training, name=file_name, seed=seed, on_metrics=on_metrics)

    def react(
        self, lab: Lab, bundle: Bundle, motion: Sequence[Motion], seen: Sequence[FrameFeatures], *, seed: int
    ) -> list[Features]:
        """Closed loop; the true motion is used by the upper bound alone."""
        given = [true_velocity(lab, each) for each in motion] if self.true_velocity else None
        return [made.features for made in react_to_features(bundle, seen, seed=seed, head_velocity_m=given)]


def true_velocity(lab: Lab, motion: Motion) -> Float[Tensor, "tokens 3"]:
    """V_{t−1} of each token, of the true motion as the tokenizer tells it."""
    return head_velocity_of(lab.tokens(motion)[None], lab.bundle.tokenizer, lab.bundle.normaliser)[0]


FULL = Variant("full")
NO_DEPTH = Variant("− depth", frozenset({"depth"}))
NO_VELOCITY = Variant("− head velocity", frozenset({"velocity"}))
NO_SEMANTICS = Variant("− semantics", frozenset({"semantic"}))
BLIND = Variant("− depth − semantics", frozenset({"depth", "semantic"}))
TRUE_VELOCITY = Variant("true head velocity", true_velocity=True)
VARIANTS = (FULL, NO_DEPTH, NO_VELOCITY, NO_SEMANTICS, BLIND, TRUE_VELOCITY)
