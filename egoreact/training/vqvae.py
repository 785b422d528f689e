"""Teaching the tokenizer: windows of motion in, the same windows out, through the codebook.

SmoothL1 over all features + 0.5 · SmoothL1 over the joint positions + 0.02 · commitment (T2M-GPT's losses). The
codebook follows its EMA over the batch of all ranks; codes that die are replaced by vectors of that batch, drawn by the
step's own generator, so that ranks agree and a resumed run draws what an uninterrupted one would.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.distributed
from jaxtyping import Float, Int
from pydantic import TypeAdapter
from torch import Tensor, nn

from egoreact.errors import EgoReactError
from egoreact.files import whole_file
from egoreact.models.vqvae import FRAMES_PER_TOKEN, VQVAE, VQVAEConfig
from egoreact.motion.representation import POSITIONS, Normaliser, decode
from egoreact.training.loop import Learner
from egoreact.training.world import Draws, World
from egoreact.weights import load_into, read_tensors, write_tensors

log = logging.getLogger(__name__)
WELL_FILLED = 0.9
"""Share of codes that training clips use, under which a codebook is held to be too large for them."""
ENCODED_AT_ONCE = 64
"""Windows."""
Sequences = Mapping[str, Float[Tensor, "frames 263"]]
"""Features as the representation gives them, not normalised, by clip id."""


@dataclass(frozen=True)
class TokenizerTrainingConfig:
    """How windows are cut and losses weighed. Defaults are the paper preset's."""

    model: VQVAEConfig = field(default_factory=VQVAEConfig)
    window_frames: int = 64
    """A multiple of 4. Clips that are shorter are left out."""
    positions_weight: float = 0.5
    commitment_weight: float = 0.02

    def __post_init__(self) -> None:
        if self.window_frames < FRAMES_PER_TOKEN or self.window_frames % FRAMES_PER_TOKEN:
            raise EgoReactError(
                f"window_frames is {self.window_frames}", where="TokenizerTrainingConfig", remedy="give a multiple of 4"
            )


class TokenizerLearner(Learner):
    module: VQVAE

    def __init__(
        self,
        tokenizer: VQVAE,
        normaliser: Normaliser,
        training: Sequences,
        held_out: Sequences,
        config: TokenizerTrainingConfig,
    ):
        for name, features in (*training.items(), *held_out.items()):
            _refuse_unless_finite(name, features)
        window = config.window_frames
        long_enough = [features for _, features in sorted(training.items()) if len(features) >= window]
        if not long_enough:
            raise EgoReactError(
                f"none of {len(training)} clips has {window} frames",
                where="tokenizer training",
                remedy="lower window_frames, or give longer clips",
            )
        self.module, self.normaliser, self.config = tokenizer, normaliser, config
        self.held_out = [features for _, features in sorted(held_out.items()) if len(features) >= FRAMES_PER_TOKEN]
        self.rows = normaliser.normalise(torch.cat(long_enough).float())
        lengths = torch.tensor([len(features) for features in long_enough])
        samples = lengths // window  # a long clip is seen more often
        self.first_row = (lengths.cumsum(0) - lengths).repeat_interleave(samples)
        self.starts = (lengths - window + 1).repeat_interleave(samples)
        """Of each sample: how many places its window can start at."""
        self.num_samples = len(self.starts)
        before = torch.arange(self.num_samples) - (samples.cumsum(0) - samples).repeat_interleave(samples)
        self.tiles = self.first_row + window * before
        """First rows of windows that lie side by side."""
        self._draws: Draws | None = None
        tokenizer.quantizer._codebook.replace_sample_fn = self._replacements

    def batch(self, indices: Int[Tensor, " samples"], draws: Draws) -> dict[str, Tensor]:
        start = (draws.uniform("start") * self.starts[indices]).long()
        rows = (self.first_row[indices] + start)[:, None] + torch.arange(self.config.window_frames)
        return {"features": self.rows[rows]}

    def loss(self, batch: dict[str, Tensor], draws: Draws) -> dict[str, Float[Tensor, ""]]:
        self._draws = draws
        truth = batch["features"]
        output = self.module(truth)
        smooth_l1 = nn.functional.smooth_l1_loss
        reconstruction = smooth_l1(output.reconstruction, truth)
        positions = smooth_l1(output.reconstruction[..., POSITIONS], truth[..., POSITIONS])
        loss = reconstruction + self.config.positions_weight * positions
        loss = loss + self.config.commitment_weight * output.commitment_loss
        return {
            "loss": loss,
            "reconstruction": reconstruction,
            "positions": positions,
            "commitment": output.commitment_loss,
            **self._usage(output.tokens, draws.world),
        }

    def validate(self) -> dict[str, float]:
        """Held-out clips through the tokenizer and back; and the share of codes that any training window uses.

        `mpjpe_cm` with each frame's pelvises on one place, `drift_cm` of the pelvis itself; codes used, of all.
        """
        device = next(self.module.parameters()).device
        figures = {"codes_filled": self._codes_filled(device)}
        if not self.held_out:
            return figures
        pose_m, drift_m, all_tokens = 0.0, 0.0, []
        for features in self.held_out:
            features = features[: len(features) // FRAMES_PER_TOKEN * FRAMES_PER_TOKEN].float()
            tokens = self.module.encode(self.normaliser.normalise(features).to(device)[None])
            told = decode(self.normaliser.denormalise(self.module.decode(tokens))[0].cpu())
            truth = decode(features)
            pose_m += float((told - told[:, :1] - truth + truth[:, :1]).norm(dim=-1).mean())
            drift_m += float((told[:, 0] - truth[:, 0]).norm(dim=-1).mean())
            all_tokens.append(tokens.flatten())
        figures |= {"mpjpe_cm": 100 * pose_m / len(self.held_out), "drift_cm": 100 * drift_m / len(self.held_out)}
        return figures | {name: float(value) for name, value in self._usage(torch.cat(all_tokens), World()).items()}

    def _codes_filled(self, device: torch.device) -> float:
        """Of windows that lie side by side in the training clips."""
        used = torch.zeros(self.module.config.codebook_size, dtype=torch.bool)
        for first_row in self.tiles.split(ENCODED_AT_ONCE):
            rows = first_row[:, None] + torch.arange(self.config.window_frames)
            used[self.module.encode(self.rows[rows].to(device)).flatten().cpu()] = True
        return float(used.float().mean())

    def _usage(self, tokens: Int[Tensor, "*batch"], world: World) -> dict[str, Tensor]:
        counts = torch.bincount(tokens.flatten(), minlength=self.module.config.codebook_size).float()
        world.average_([counts])
        share = counts / counts.sum()
        entropy = -(share * share.clamp(min=1e-12).log()).sum()
        return {"perplexity": entropy.exp(), "codes_used": (counts > 0).float().mean()}

    def _replacements(self, vectors: Float[Tensor, "1 vectors dim"], count: int) -> Float[Tensor, "1 count dim"]:
        """Vectors of the whole batch for dead codes; the library's own draw depends on the number of ranks."""
        assert self._draws is not None
        candidates = torch.cat(self._draws.world.gather(vectors[0].detach()))
        generator = self._draws.generator("dead codes")
        if len(candidates) >= count:
            chosen = torch.randperm(len(candidates), generator=generator)[:count]
        else:
            chosen = torch.randint(len(candidates), (count,), generator=generator)
        return candidates[chosen.to(candidates.device)][None]


def warn_of_empty_codes(metrics: Mapping[str, float], config: VQVAEConfig) -> None:
    """Says so where the codebook is larger than the training data can fill.

    Args:
        metrics: of `fit`, at its end.
    """
    filled = metrics.get("val/codes_filled", 1.0)
    if filled < WELL_FILLED:
        used = round(filled * config.codebook_size)
        log.warning(
            "tokenizer: the training clips use %d of %d codes (%.0f %%), the others are dead; a codebook_size of %d "
            "would do, or give more clips",
            used, config.codebook_size, 100 * filled, 2 ** max(1, math.ceil(math.log2(used))),
        )  # fmt: skip


def _refuse_unless_finite(clip_id: str, features: Float[Tensor, "frames 263"]) -> None:
    broken = ~features.isfinite().all(-1)
    if bool(broken.any()):
        raise EgoReactError(
            f"clip {clip_id} is not finite in frame {int(broken.nonzero()[0])}",
            where="tokenizer training",
            remedy="leave that clip out, or encode its motion again",
        )


def write_tokenizer_data(path: Path, training: Sequences, held_out: Sequences, normaliser: Normaliser) -> None:
    """One safetensors file that `make_tokenizer_learner` reads on every rank."""
    tensors = {f"train/{name}": features for name, features in training.items()}
    tensors |= {f"held_out/{name}": features for name, features in held_out.items()}
    with whole_file(path) as beside:
        write_tensors(beside, tensors | {f"normaliser/{name}": value for name, value in normaliser.tensors().items()})


def make_tokenizer_learner(*, data: str, config: dict, initial: str = "") -> TokenizerLearner:
    """A tokenizer and what teaches it. Its codebook is averaged over the ranks of the process group, if any.

    Args:
        data: path of what `write_tokenizer_data` wrote.
        config: `dataclasses.asdict` of a `TokenizerTrainingConfig`.
        initial: path of the weights that it starts from; fresh ones where empty.

    Raises:
        WeightsMismatchError: the initial weights are of another architecture.
    """
    tensors = read_tensors(Path(data))

    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

    training_config = TypeAdapter(TokenizerTrainingConfig).validate_python(config)
    ranks = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    tokenizer = VQVAE(training_config.model, sync_codebook=ranks > 1)
    if initial:
        load_into(tokenizer, Path(initial))
    return TokenizerLearner(
        tokenizer, Normaliser(**part("normaliser/")), part("train/"), part("held_out/"), training_config
    )
