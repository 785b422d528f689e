"""The judge of generated motion: clips to embeddings, on which FID and diversity are measured, and to categories.

Exactly T2M's two encoders (Guo et al. 2022, "Generating Diverse and Natural 3D Human Motions from Text"), names and all,
so that their published weights fit (`t2m_checkpoint.py`): the 4 contacts are dropped (259-d), two stride-2 convolutions,
a bidirectional GRU, an embedding. Its statistics are its own, kept inside, and are not the tokenizer's: figures depend
on them. A linear head, which T2M has not, names the encounter that a motion reacts to; the share it names rightly is the
reaction accuracy.

T2M pads clips to 196 frames with zeros after normalising. Its second convolution sees one frame into what the first makes
of them, so there a clip of 196 frames is embedded unlike the same clip padded further. Here every clip is seen with zeros
behind it, as all but the longest are there: the embedding depends on the clip alone.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

from egoreact.errors import EgoReactError
from egoreact.files import sha256_bytes, sha256_file, whole_folder, write_json
from egoreact.motion.representation import CONTACTS, FEATURE_DIM
from egoreact.weights import load_into, write_tensors

SCHEMA_VERSION = 1
MOVEMENT_DIM = FEATURE_DIM - 4
FRAMES_PER_STEP = 4
"""Frames a step of the GRU, the product of the strides; no clip may be shorter."""
WEIGHTS, DESCRIPTION = "motion_evaluator.safetensors", "motion_evaluator.json"
REMEDY = "train the evaluator again: make run"


@dataclass(frozen=True)
class MotionEvaluatorConfig:
    """T2M's own sizes by default."""

    channels: int = 512
    """Of both convolutions."""
    hidden: int = 1024
    """Of the GRU's input and of each of its directions."""
    embedding_dim: int = 512
    dropout: float = 0.2


@dataclass(frozen=True)
class EvaluatorDescription:
    """What `motion_evaluator.json` says."""

    config: MotionEvaluatorConfig
    categories: tuple[str, ...]
    sha256: dict[str, str]
    trained_on: dict[str, Any] = field(default_factory=dict)
    """Where it is from, such as the data revision."""
    schema_version: int = SCHEMA_VERSION

    @staticmethod
    def read(folder: Path) -> "EvaluatorDescription":
        """Raises:
        EgoReactError: there is none, or one of another schema version.
        """
        path = Path(folder) / DESCRIPTION
        if not path.is_file():
            raise EgoReactError("no such file", where=path, remedy=REMEDY)
        try:
            description = TypeAdapter(EvaluatorDescription).validate_json(path.read_bytes())
        except ValidationError as error:
            place = ".".join(map(str, error.errors()[0]["loc"]))
            raise EgoReactError(f"is no evaluator's description ({place})", where=path, remedy=REMEDY) from error
        if description.schema_version != SCHEMA_VERSION:
            raise EgoReactError(
                f"schema version {description.schema_version}, this program reads {SCHEMA_VERSION}",
                where=path,
                remedy=REMEDY,
            )
        return description


@dataclass(frozen=True)
class Judgement:
    """What the evaluator makes of n clips, as NumPy arrays."""

    embeddings: Float[np.ndarray, "n embedding_dim"]
    classes: Int[np.ndarray, " n"]
    """Index into `MotionEvaluator.categories` of the likeliest; −1 where it knows none."""


class MovementEncoder(nn.Module):
    """T2M's `MovementConvEncoder`: four frames to one vector."""

    def __init__(self, channels: int, dropout: float):
        super().__init__()
        layers: list[nn.Module] = []
        for before in (MOVEMENT_DIM, channels):
            layers += [nn.Conv1d(before, channels, 4, stride=2, padding=1), nn.Dropout(dropout), nn.LeakyReLU(0.2)]
        self.main = nn.Sequential(*layers)
        self.out_net = nn.Linear(channels, channels)

    def forward(self, movement: Float[Tensor, "batch 4*n 259"]) -> Float[Tensor, "batch n channels"]:
        return self.out_net(self.main(movement.mT).mT)


class MotionEncoder(nn.Module):
    """T2M's `MotionEncoderBiGRUCo`: a clip's vectors to one embedding."""

    def __init__(self, channels: int, hidden: int, embedding_dim: int):
        super().__init__()
        self.input_emb = nn.Linear(channels, hidden)
        self.gru = nn.GRU(hidden, hidden, batch_first=True, bidirectional=True)
        self.output_net = nn.Sequential(
            nn.Linear(2 * hidden, hidden), nn.LayerNorm(hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, embedding_dim)
        )
        self.hidden = nn.Parameter(torch.randn(2, 1, hidden))
        """Of both directions, before the first step."""

    def forward(
        self, movements: Float[Tensor, "batch n channels"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch embedding_dim"]:
        packed = pack_padded_sequence(self.input_emb(movements), lengths.cpu(), batch_first=True, enforce_sorted=False)
        _, last = self.gru(packed, self.hidden.expand(-1, len(movements), -1).contiguous())
        return self.output_net(torch.cat([last[0], last[1]], dim=-1))


class MotionEvaluator(nn.Module):
    """Clips of any lengths from 4 frames up; a clip's result does not depend on its padding or its batch."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: MotionEvaluatorConfig, categories: Sequence[str]):
        """Args:
        categories: that it names; none for an evaluator that only embeds, such as T2M's.
        """
        super().__init__()
        self.config, self.categories = config, tuple(categories)
        self.register_buffer("mean", torch.zeros(MOVEMENT_DIM))
        self.register_buffer("std", torch.ones(MOVEMENT_DIM))
        self.movement_encoder = MovementEncoder(config.channels, config.dropout)
        self.motion_encoder = MotionEncoder(config.channels, config.hidden, config.embedding_dim)
        self.classify: nn.Module = nn.Identity()
        if self.categories:
            self.classify = nn.Linear(config.embedding_dim, len(self.categories))
        self.trained_on: dict[str, Any] = {}
        """Where it is from, as `save` was told."""

    def set_statistics(self, clips: Sequence[Float[np.ndarray, "frames 263"]]) -> None:
        """Takes mean and standard deviation from motion, normally the training split's."""
        movement = _without_contacts(torch.from_numpy(np.concatenate(clips)).double())
        self.mean.copy_(movement.mean(0))
        self.std.copy_(movement.std(0).clamp_min(1e-3))

    def forward(
        self, features: Float[Tensor, "batch frames 263"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch embedding_dim"]:
        """Embeddings. Of each row, only the whole steps of 4 frames within its length are seen; 4 frames are the least."""
        steps = lengths // FRAMES_PER_STEP
        movement = (_without_contacts(features) - self.mean) / self.std
        seen = torch.arange(movement.shape[1], device=lengths.device) < (steps * FRAMES_PER_STEP)[:, None]
        movement = nn.functional.pad(movement * seen[..., None], (0, 0, 0, FRAMES_PER_STEP))
        return self.motion_encoder(self.movement_encoder(movement), steps)

    @torch.inference_mode()
    def judge(self, clips: Sequence[Float[np.ndarray, "frames 263"]], *, batch_size: int = 64) -> Judgement:
        """Embeddings and likeliest categories of clips of any lengths, in order.

        Raises:
            EgoReactError: a clip is misshapen, shorter than 4 frames, or not finite; names its place.
        """
        self.eval()
        embeddings = [torch.zeros(0, self.config.embedding_dim)]
        for start in range(0, len(clips), batch_size):
            batch = [_checked(clip, start + place) for place, clip in enumerate(clips[start : start + batch_size])]
            embeddings.append(self(*pad(batch, device=self.mean.device)).cpu())
        embedding = torch.cat(embeddings)
        classes = torch.full((len(embedding),), -1)
        if self.categories:
            classes = self.classify(embedding.to(self.mean.device)).argmax(-1).cpu()
        return Judgement(embedding.numpy(), classes.numpy())

    def save(self, folder: Path, *, trained_on: dict[str, Any] | None = None) -> None:
        """Writes `motion_evaluator.safetensors` and `.json`, the folder whole or not at all.

        Args:
            trained_on: anything JSON-able that says where it is from, such as the data revision.
        """
        with whole_folder(folder) as beside:
            write_tensors(beside / WEIGHTS, self.state_dict())
            description = EvaluatorDescription(
                config=self.config,
                categories=self.categories,
                sha256={WEIGHTS: sha256_file(beside / WEIGHTS)},
                trained_on=trained_on or {},
            )
            write_json(beside / DESCRIPTION, asdict(description))

    @staticmethod
    def load(folder: Path) -> "MotionEvaluator":
        """The evaluator that `save` wrote, on the CPU, in evaluation mode.

        Raises:
            EgoReactError: a file is missing, changed, or of another schema version.
        """
        weights = Path(folder) / WEIGHTS
        description = EvaluatorDescription.read(folder)
        if not weights.is_file():
            raise EgoReactError("no such file", where=weights, remedy=REMEDY)
        if sha256_file(weights) != description.sha256.get(WEIGHTS):
            raise EgoReactError(f"its bytes differ from the SHA-256 in {DESCRIPTION}", where=weights, remedy=REMEDY)
        evaluator = load_into(MotionEvaluator(description.config, description.categories), weights).eval()
        evaluator.trained_on = description.trained_on
        return evaluator

    @property
    def digest(self) -> str:
        """Hex SHA-256 of weights, statistics, config and categories: figures of two evaluators are not comparable."""
        parts = [json.dumps([asdict(self.config), self.categories]).encode()]
        parts += [tensor.cpu().numpy().tobytes() for _, tensor in sorted(self.state_dict().items())]
        return sha256_bytes(b"".join(parts))


def pad(
    clips: Sequence[np.ndarray], *, device: torch.device | str = "cpu"
) -> tuple[Float[Tensor, "batch frames 263"], Int[Tensor, " batch"]]:
    """Clips as one zero-padded float32 batch, and their lengths."""
    rows = [torch.from_numpy(np.asarray(clip, dtype=np.float32)) for clip in clips]
    lengths = torch.tensor([len(clip) for clip in clips])
    return pad_sequence(rows, batch_first=True).to(device), lengths.to(device)


def _without_contacts(features: Float[Tensor, "*batch 263"]) -> Float[Tensor, "*batch 259"]:
    return features[..., : CONTACTS.start]


def _checked(clip: np.ndarray, place: int) -> np.ndarray:
    where = f"clip {place} of the evaluator's input"
    if clip.ndim != 2 or clip.shape[1] != FEATURE_DIM or len(clip) < FRAMES_PER_STEP:
        raise EgoReactError(
            f"has shape {clip.shape}",
            where=where,
            remedy=f"give (frames, {FEATURE_DIM}) with {FRAMES_PER_STEP} frames or more",
        )
    if not np.isfinite(clip).all():
        raise EgoReactError(
            "holds NaN or infinite values", where=where, remedy="the model or the clip that made it is broken"
        )
    return clip
