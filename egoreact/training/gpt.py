"""Teaching the reaction transformer to go on from its own motion.

Teacher forcing alone shows it perfect pasts, which inference never has. So past tokens are replaced, on a schedule that
grows over training: some by codes at random (T2M-GPT's corruption), some by what the transformer itself would draw
there, given the true past (scheduled sampling in parallel: Mihaylova & Martins 2019; Duckworth et al. 2019). V_{t−1} is
taken from the decoded motion of the tokens it is shown, the replaced ones included: the same path that inference takes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import TypeAdapter
from torch import Tensor, nn

from egoreact.errors import EgoReactError
from egoreact.files import whole_file
from egoreact.models.reaction_gpt import GPTInputs, ReactionGPT, ReactionGPTConfig, pick_tokens
from egoreact.models.vqvae import FRAMES_PER_TOKEN, VQVAE, VQVAEConfig
from egoreact.motion.representation import Normaliser, decode
from egoreact.motion.skeleton import HEAD
from egoreact.training.data import Motion
from egoreact.training.loop import Learner
from egoreact.training.waits import Waits
from egoreact.training.world import Draws
from egoreact.vision.frame_features import FrameFeatures
from egoreact.weights import load_into, load_network, read_tensors, write_tensors


@dataclass(frozen=True)
class GPTTrainingConfig:
    model: ReactionGPTConfig = field(default_factory=ReactionGPTConfig)
    replaced_tokens: float = 0.5
    """Share of past tokens that is replaced by codes at random, up to a half; clips differ, from none to twice as many."""
    own_tokens: float = 0.0
    """Share of past tokens that is replaced by the transformer's own draws; likewise."""
    ramp_steps: int = 500
    """Steps over which both shares grow from none to all of it."""
    velocity: Literal["decoded", "true"] = "decoded"
    """Motion that V is taken from: what the shown tokens decode to, as at inference; or the truth, which inference never
    has: the upper bound that ablations compare with."""
    label_smoothing: float = 0.05
    feature_noise: float = 0.05
    """Standard deviation of noise on the semantic vectors, as a fraction of their own."""
    waits: int = 0
    """Versions of each clip whose calm beginning is longer or shorter; half the time one of them is learnt from."""


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

    def check(self) -> None:
        """Raises:
        EgoReactError: what a clip's tokens see is not finite; names the clip's place and the token.
        """
        for name, values in (("semantic", self.semantic), ("depth_m", self.depth_m)):
            broken = ~values.isfinite().flatten(2).all(-1) & self.valid
            if bool(broken.any()):
                clip, token = (int(number) for number in broken.nonzero()[0])
                raise EgoReactError(
                    f"{name} of clip {clip} of {len(self.tokens)} is not finite at token {token}",
                    where="reaction training",
                    remedy="extract that clip's features again, or leave it out",
                )

    def __getitem__(self, indices: Tensor) -> "ReactionSamples":
        return ReactionSamples(*(value[indices] for value in vars(self).values()))

    def version(
        self, waits: Waits, indices: Int[Tensor, " samples"], versions: Int[Tensor, " samples"]
    ) -> "ReactionSamples":
        """Of these clips these versions."""
        places = waits.places[indices, versions]
        return ReactionSamples(
            waits.tokens[indices, versions],
            self.semantic[indices[:, None], places],
            self.depth_m[indices[:, None], places],
            waits.lengths[indices, versions],
        )


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
        waits: Waits | None = None,
    ):
        for part in (samples, held_out):
            if part is not None:
                part.check()
        self.module = gpt
        self.tokenizer = tokenizer.eval().requires_grad_(False)
        self.normaliser, self.samples, self.held_out, self.config = normaliser, samples, held_out, config
        self.waits = waits
        self.num_samples = len(samples.tokens)
        self.spread = samples.semantic[samples.valid].std()

    def to(self, device: torch.device) -> None:
        self.module.to(device)
        self.tokenizer.to(device)

    def batch(self, indices: Int[Tensor, " samples"], draws: Draws) -> dict[str, Tensor]:
        part, velocity = self._drawn(indices, draws)
        count, ramp = part.tokens.shape[1], min(1.0, draws.step / max(self.config.ramp_steps, 1))

        def some(name: str, share: float) -> Bool[Tensor, "samples n"]:
            """Places of this share of the tokens; each clip's own is between none and twice as many."""
            return draws.uniform(name, count) < draws.uniform(f"{name} share", 1) * 2 * share * ramp

        replaced = some("replaced", self.config.replaced_tokens)
        codes = draws.integers("code", self.module.config.codebook_size, count)
        noise = draws.normal("noise", *part.semantic.shape[1:]) * self.config.feature_noise
        return {
            "tokens": part.tokens,
            "shown": torch.where(replaced, codes, part.tokens),
            "own": some("own", self.config.own_tokens),
            "true_velocity": velocity,
            "semantic": part.semantic + noise * self.spread,
            "depth_m": part.depth_m.float(),
            "valid": part.valid,
            "seen": draws.uniform("seen") >= self.module.config.condition_drop,
        }

    def _drawn(
        self, indices: Int[Tensor, " samples"], draws: Draws
    ) -> tuple[ReactionSamples, Float[Tensor, "samples n 3"]]:
        """The clips, each as it is or, as often, in one of its versions; and V of their true tokens."""
        part, velocity = self.samples[indices], self._true_velocity[indices]
        if self.waits is None:
            return part, velocity
        drawn = draws.integers("version", self.waits.tokens.shape[1])
        waited = self.samples.version(self.waits, indices, drawn)
        plain = draws.uniform("plain") < 0.5
        mixed = [
            torch.where(plain.view(-1, *[1] * (own.ndim - 1)), own, other)
            for own, other in zip(vars(part).values(), vars(waited).values(), strict=True)
        ]
        return ReactionSamples(*mixed), torch.where(
            plain[:, None, None], velocity, self._waited_velocity[indices, drawn]
        )

    def loss(self, batch: dict[str, Tensor], draws: Draws) -> dict[str, Float[Tensor, ""]]:
        shown, velocity = batch["shown"], batch["true_velocity"]
        truth = self._inputs(batch, batch["tokens"], velocity)
        sight = self.module.see(truth)  # whatever the past is
        if self.config.own_tokens:
            shown = torch.where(batch["own"], self._own_tokens(truth, sight, draws), shown)
        if self.config.velocity == "decoded":
            velocity = head_velocity_of(shown, self.tokenizer, self.normaliser)
        logits = self.module(self._inputs(batch, shown, velocity), sight=sight)
        targets = batch["tokens"].masked_fill(~batch["valid"], -100)
        loss = nn.functional.cross_entropy(logits.mT, targets, label_smoothing=self.config.label_smoothing)
        right = (logits.argmax(-1) == batch["tokens"])[batch["valid"]].float().mean()
        return {"loss": loss, "accuracy": right}

    @torch.no_grad()
    def _own_tokens(
        self, truth: GPTInputs, sight: Float[Tensor, "batch n sight"], draws: Draws
    ) -> Int[Tensor, "batch n"]:
        """What the transformer, with its dropout on, draws at each place after the true past: one pass for all places."""
        logits, config = self.module(truth, sight=sight), self.module.config
        numbers = draws.uniform("own draws", logits.shape[1]).double().to(logits.device)
        drawn = pick_tokens(
            logits.flatten(0, 1), numbers.flatten(), temperature=config.temperature, top_fraction=config.top_fraction
        )
        return drawn.view_as(truth.previous_token)

    def weight(self, batch: dict[str, Tensor]) -> float:
        return float(batch["valid"].sum())

    @cached_property
    def _true_velocity(self) -> Float[Tensor, "clips n 3"]:
        """V of the true tokens, decoded once."""
        return self._velocity_of(self.samples.tokens)

    @cached_property
    def _waited_velocity(self) -> Float[Tensor, "clips versions n 3"]:
        assert self.waits is not None
        tokens = self.waits.tokens
        return self._velocity_of(tokens.flatten(0, 1)).unflatten(0, tokens.shape[:2])

    def _velocity_of(self, tokens: Int[Tensor, "clips n"]) -> Float[Tensor, "clips n 3"]:
        parts = [part.to(self.tokenizer.codebook.device) for part in tokens.split(64)]
        return torch.cat([head_velocity_of(part, self.tokenizer, self.normaliser).cpu() for part in parts])

    def _inputs(
        self, batch: dict[str, Tensor], shown: Int[Tensor, "batch n"], velocity_m: Float[Tensor, "batch n 3"]
    ) -> GPTInputs:
        return GPTInputs(
            previous_token=shift(shown, self.module.no_token),
            semantic=batch["semantic"],
            depth_m=batch["depth_m"],
            head_velocity_m=velocity_m,
            seen=batch["seen"],
        )

    def validate(self) -> dict[str, float]:
        """Teacher-forced figures of held-out clips: cross-entropy and accuracy of the next token."""
        if self.held_out is None:
            return {}
        part = self.held_out
        batch = {
            "semantic": part.semantic,
            "depth_m": part.depth_m.float(),
            "seen": torch.ones(len(part.tokens), dtype=torch.bool),
        }
        device = next(self.module.parameters()).device
        batch = {name: value.to(device) for name, value in batch.items()}
        tokens = part.tokens.to(device)
        velocity = head_velocity_of(tokens, self.tokenizer, self.normaliser)
        logits = self.module(self._inputs(batch, tokens, velocity)).cpu()
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
    with torch.autocast(tokens.device.type, enabled=False):  # a small difference of positions: half precision rounds it
        joints_m = decode(normaliser.denormalise(tokenizer.decode(tokens)))
    head = joints_m[:, :, HEAD].unflatten(1, (-1, FRAMES_PER_TOKEN))
    return nn.functional.pad((head[:, :, -1] - head[:, :, -2])[:, :-1], (0, 0, 1, 0))


def write_reaction_data(
    path: Path, samples: ReactionSamples, held_out: ReactionSamples, normaliser: Normaliser, waits: Waits | None = None
) -> None:
    """One safetensors file that `make_reaction_learner` reads on every rank."""
    parts = {"train": vars(samples), "held_out": vars(held_out), "normaliser": normaliser.tensors()}
    if waits is not None:
        parts["waits"] = vars(waits)
    with whole_file(path) as beside:
        write_tensors(
            beside, {f"{part}/{name}": value for part, values in parts.items() for name, value in values.items()}
        )


def make_reaction_learner(*, data: str, tokenizer: str, config: dict, initial: str = "") -> ReactionLearner:
    """A transformer and what teaches it.

    Args:
        data: path of what `write_reaction_data` wrote.
        tokenizer: folder of the trained tokenizer.
        config: `dataclasses.asdict` of a `GPTTrainingConfig`.
        initial: path of the weights that it starts from; fresh ones where empty.

    Raises:
        WeightsMismatchError: the initial weights are of another architecture.
    """
    tensors = read_tensors(Path(data))

    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    training_config = TypeAdapter(GPTTrainingConfig).validate_python(config)
    waits = part("waits/")
    gpt = ReactionGPT(training_config.model)
    return ReactionLearner(
        load_into(gpt, Path(initial)) if initial else gpt,
        load_network(Path(tokenizer), VQVAEConfig, VQVAE),
        Normaliser(**part("normaliser/")),
        ReactionSamples(**part("train/")),
        held_out=ReactionSamples(**part("held_out/")),
        config=training_config,
        waits=Waits(**waits) if waits else None,
    )


@torch.inference_mode()
def samples_of(
    motion: Iterable[Motion], seen: Mapping[str, FrameFeatures], tokenizer: VQVAE, normaliser: Normaliser
) -> ReactionSamples:
    """What each token of the clips sees, by clip id, and the token of the true motion."""
    clips = []
    for each in motion:
        tokens = tokenizer.encode(normaliser.normalise(each.features)[None])[0]
        features = seen[each.clip_id]
        clips.append((tokens.clone(), features.semantic, features.depth_m))
    return pad_samples(clips)


def pad_samples(clips: list[tuple[Tensor, Tensor, Tensor]]) -> ReactionSamples:
    """(tokens, semantic, depth_m) of clips, of the same length each, padded at the end with zeros."""
    tokens, semantic, depth_m = (
        nn.utils.rnn.pad_sequence(list(column), batch_first=True) for column in zip(*clips, strict=True)
    )
    return ReactionSamples(tokens, semantic, depth_m, torch.tensor([len(clip[0]) for clip in clips]))
