"""Teaching the reaction transformer to go on from its own motion.

Teacher forcing alone shows it perfect pasts, which inference never has. So part of the past tokens is replaced by other
codes, and V_{t−1} is always taken from the decoded motion of the tokens it is shown, the replaced ones included: the
same path that inference takes. The share replaced grows over training (a schedule against exposure bias).
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import TypeAdapter
from torch import Tensor, nn

from egoreact.files import whole_file
from egoreact.models.reaction_gpt import GPTInputs, ReactionGPT, ReactionGPTConfig
from egoreact.models.vqvae import FRAMES_PER_TOKEN, VQVAE, VQVAEConfig
from egoreact.motion.representation import Normaliser, decode
from egoreact.motion.skeleton import HEAD
from egoreact.training.loop import Learner
from egoreact.training.world import Draws
from egoreact.weights import load_network, read_tensors, write_tensors


@dataclass(frozen=True)
class GPTTrainingConfig:
    model: ReactionGPTConfig = field(default_factory=ReactionGPTConfig)
    replaced_tokens: float = 0.5
    """Largest share of a clip's past tokens that is replaced."""
    ramp_steps: int = 500
    """Steps over which the share grows from none to its largest."""
    velocity: Literal["decoded", "true"] = "decoded"
    """Motion that V is taken from: what the shown tokens decode to, as at inference; or the truth, which inference never
    has: the upper bound that ablations compare with."""
    label_smoothing: float = 0.05
    feature_noise: float = 0.05
    """Standard deviation of noise on the semantic vectors, as a fraction of their own."""


@dataclass(frozen=True)
class ReactionSamples:
    """Clips padded to one length: what each token sees, and the token."""

    tokens: Int[Tensor, "clips n"]
    semantic: Float[Tensor, "clips n semantic_dim"]
    depth_m: Float[Tensor, "clips n side side"]
    lengths: Int[Tensor, "clips"]
    """Tokens of each clip; what lies behind is padding."""

    @property
    def valid(self) -> Bool[Tensor, "clips n"]:
        return torch.arange(self.tokens.shape[1]) < self.lengths[:, None]

    def __getitem__(self, indices: Tensor) -> "ReactionSamples":
        return ReactionSamples(*(value[indices] for value in vars(self).values()))


class ReactionLearner(Learner):
    module: ReactionGPT

    def __init__(
        self,
        gpt: ReactionGPT,
        tokenizer: VQVAE,
        normaliser: Normaliser,
        samples: ReactionSamples,
        *,
        held_out: ReactionSamples | None,
        config: GPTTrainingConfig,
    ):
        self.module = gpt
        self.tokenizer = tokenizer.eval().requires_grad_(False)
        self.normaliser, self.samples, self.held_out, self.config = normaliser, samples, held_out, config
        self.num_samples = len(samples.tokens)
        self.spread = samples.semantic[samples.valid].std()

    def batch(self, indices: Int[Tensor, " samples"], draws: Draws) -> dict[str, Tensor]:
        part = self.samples[indices]
        count = part.tokens.shape[1]
        share = self.config.replaced_tokens * min(1.0, draws.step / max(self.config.ramp_steps, 1))
        replaced = draws.uniform("which", count) < draws.uniform("share", 1) * share
        shown = torch.where(replaced, draws.integers("code", self.module.config.codebook_size, count), part.tokens)
        noise = draws.normal("noise", *part.semantic.shape[1:]) * self.config.feature_noise
        followed = shown if self.config.velocity == "decoded" else part.tokens
        return {
            "tokens": part.tokens,
            "shown": shown,
            "velocity": head_velocity_of(followed, self.tokenizer, self.normaliser),
            "semantic": part.semantic + noise * self.spread,
            "depth_m": part.depth_m.float(),
            "valid": part.valid,
            "seen": draws.uniform("seen") >= self.module.config.condition_drop,
        }

    def loss(self, batch: dict[str, Tensor], draws: Draws) -> dict[str, Float[Tensor, ""]]:
        logits = self.module(self._inputs(batch))
        targets = batch["tokens"].masked_fill(~batch["valid"], -100)
        loss = nn.functional.cross_entropy(logits.mT, targets, label_smoothing=self.config.label_smoothing)
        right = (logits.argmax(-1) == batch["tokens"])[batch["valid"]].float().mean()
        return {"loss": loss, "accuracy": right}

    def weight(self, batch: dict[str, Tensor]) -> float:
        return float(batch["valid"].sum())

    def _inputs(self, batch: dict[str, Tensor]) -> GPTInputs:
        return GPTInputs(
            previous_token=shift(batch["shown"], self.module.no_token),
            semantic=batch["semantic"],
            depth_m=batch["depth_m"],
            head_velocity_m=batch["velocity"],
            seen=batch["seen"],
        )

    def validate(self) -> dict[str, float]:
        """Teacher-forced figures of held-out clips: cross-entropy and accuracy of the next token."""
        if self.held_out is None:
            return {}
        part = self.held_out
        batch = {
            "shown": part.tokens,
            "velocity": head_velocity_of(part.tokens, self.tokenizer, self.normaliser),
            "semantic": part.semantic,
            "depth_m": part.depth_m.float(),
            "seen": torch.ones(len(part.tokens), dtype=torch.bool),
        }
        device = next(self.module.parameters()).device
        logits = self.module(self._inputs({name: value.to(device) for name, value in batch.items()})).cpu()
        loss = nn.functional.cross_entropy(logits.mT, part.tokens.masked_fill(~part.valid, -100))
        right = (logits.argmax(-1) == part.tokens)[part.valid].float().mean()
        return {"teacher_forced_loss": float(loss), "teacher_forced_accuracy": float(right)}


def shift(tokens: Int[Tensor, "batch n"], first: int) -> Int[Tensor, "batch n"]:
    """token_{t−1} for each t."""
    return nn.functional.pad(tokens[:, :-1], (1, 0), value=first)


@torch.no_grad()
def head_velocity_of(
    tokens: Int[Tensor, "batch n"], tokenizer: VQVAE, normaliser: Normaliser
) -> Float[Tensor, "batch n 3"]:
    """V_{t−1} for each t, m a frame: the head's displacement from frame 4t − 2 to 4t − 1 of the tokens' decoded motion."""
    joints_m = decode(normaliser.denormalise(tokenizer.decode(tokens)))
    head = joints_m[:, :, HEAD].unflatten(1, (-1, FRAMES_PER_TOKEN))
    return nn.functional.pad((head[:, :, -1] - head[:, :, -2])[:, :-1], (0, 0, 1, 0))


def write_reaction_data(
    path: Path, samples: ReactionSamples, held_out: ReactionSamples, normaliser: Normaliser
) -> None:
    """One safetensors file that `make_reaction_learner` reads on every rank."""
    with whole_file(path) as beside:
        write_tensors(
            beside,
            {f"train/{name}": value for name, value in vars(samples).items()}
            | {f"held_out/{name}": value for name, value in vars(held_out).items()}
            | {f"normaliser/{name}": value for name, value in normaliser.tensors().items()},
        )


def make_reaction_learner(*, data: str, tokenizer: str, config: dict) -> ReactionLearner:
    """A fresh transformer and what teaches it.

    Args:
        data: path of what `write_reaction_data` wrote.
        tokenizer: folder of the trained tokenizer.
        config: `dataclasses.asdict` of a `GPTTrainingConfig`.
    """
    tensors = read_tensors(Path(data))

    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    training_config = TypeAdapter(GPTTrainingConfig).validate_python(config)
    return ReactionLearner(
        ReactionGPT(training_config.model),
        load_network(Path(tokenizer), VQVAEConfig, VQVAE),
        Normaliser(**part("normaliser/")),
        ReactionSamples(**part("train/")),
        held_out=ReactionSamples(**part("held_out/")),
        config=training_config,
    )


def pad_samples(clips: list[tuple[Tensor, Tensor, Tensor]]) -> ReactionSamples:
    """(tokens, semantic, depth_m) of clips, of the same length each, padded at the end with zeros."""
    tokens, semantic, depth_m = (
        nn.utils.rnn.pad_sequence(list(column), batch_first=True) for column in zip(*clips, strict=True)
    )
    return ReactionSamples(tokens, semantic, depth_m, torch.tensor([len(clip[0]) for clip in clips]))
