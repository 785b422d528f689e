"""The judge of generated motion: clips to embeddings, on which FID and diversity are measured, and to categories.

T2M's form (Guo et al. 2022): the 4 contacts are dropped (259-d), two stride-2 convolutions, a bidirectional GRU, an
embedding. Its statistics are its own, kept inside, and are not the tokenizer's: figures depend on them. A linear head
names the encounter that a motion reacts to; the share it names rightly is the reaction accuracy.
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


@dataclass(frozen=True)
class MotionEvaluatorConfig:
    channels: int = 512
    """Of both convolutions."""
    hidden: int = 1024
    """Of the GRU, each direction."""
    embedding_dim: int = 512
    dropout: float = 0.2


@dataclass(frozen=True)
class EvaluatorDescription:
    """What `motion_evaluator.json` says."""

    config: MotionEvaluatorConfig
    categories: tuple[str, ...]
    sha256: dict[str, str]
    trained_on: dict[str, Any] = field(default_factory=dict)
    """Where it is from, such as data revision and accuracy."""
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class Judgement:
    """What the evaluator makes of n clips, as NumPy arrays."""

    embeddings: Float[np.ndarray, "n embedding_dim"]
    classes: Int[np.ndarray, " n"]
    """Index into `MotionEvaluator.categories` of the likeliest."""


class MotionEvaluator(nn.Module):
    """Clips of any lengths from 4 frames up; a clip's result does not depend on its padding or its batch."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: MotionEvaluatorConfig, categories: Sequence[str]):
        super().__init__()
        self.config, self.categories = config, tuple(categories)
        self.register_buffer("mean", torch.zeros(MOVEMENT_DIM))
        self.register_buffer("std", torch.ones(MOVEMENT_DIM))
        self.convolutions = nn.ModuleList(
            nn.Conv1d(before, config.channels, 4, stride=2, padding=1) for before in (MOVEMENT_DIM, config.channels)
        )
        self.activation = nn.Sequential(nn.LeakyReLU(0.2), nn.Dropout(config.dropout))
        self.gru = nn.GRU(config.channels, config.hidden, batch_first=True, bidirectional=True)
        self.embedding = nn.Sequential(
            nn.Linear(2 * config.hidden, config.hidden),
            nn.LayerNorm(config.hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(config.hidden, config.embedding_dim),
        )
        self.classify = nn.Linear(config.embedding_dim, len(self.categories))

    def set_statistics(self, clips: Sequence[Float[np.ndarray, "frames 263"]]) -> None:
        """Takes mean and standard deviation from motion, normally the training split's."""
        movement = _without_contacts(torch.from_numpy(np.concatenate(clips)).double())
        self.mean.copy_(movement.mean(0))
        self.std.copy_(movement.std(0).clamp_min(1e-3))

    def forward(
        self, features: Float[Tensor, "batch frames 263"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch embedding_dim"]:
        """Embeddings. Frames at and after a row's length, 4 or more, are ignored."""
        x = ((_without_contacts(features) - self.mean) / self.std).mT
        x = x * _mask(lengths, x.shape[-1])
        for convolution in self.convolutions:
            lengths = lengths // 2
            x = self.activation(convolution(x))
            # Past the end stay zeros, which is what the next convolution pads a lone clip with.
            x = x * _mask(lengths, x.shape[-1])
        packed = pack_padded_sequence(x.mT, lengths.cpu(), batch_first=True, enforce_sorted=False)
        _, last = self.gru(packed)
        return self.embedding(torch.cat([last[0], last[1]], dim=-1))

    @torch.inference_mode()
    def judge(self, clips: Sequence[Float[np.ndarray, "frames 263"]], *, batch_size: int = 128) -> Judgement:
        """Embeddings and likeliest categories of clips of any lengths, in order.

        Raises:
            EgoReactError: a clip is misshapen, shorter than 4 frames, or not finite; names its place.
        """
        self.eval()
        embeddings, classes = [], []
        for start in range(0, len(clips), batch_size):
            batch = [_checked(clip, start + place) for place, clip in enumerate(clips[start : start + batch_size])]
            embedding = self(*pad(batch, device=self.mean.device))
            embeddings.append(embedding.cpu())
            classes.append(self.classify(embedding).argmax(-1).cpu())
        if not embeddings:
            return Judgement(np.zeros((0, self.config.embedding_dim), np.float32), np.zeros(0, np.int64))
        return Judgement(torch.cat(embeddings).numpy(), torch.cat(classes).numpy())

    def save(self, folder: Path, *, trained_on: dict[str, Any] | None = None) -> None:
        """Writes `motion_evaluator.safetensors` and `.json`, the folder whole or not at all.

        Args:
            trained_on: anything JSON-able that says where it is from, such as data revision and accuracy.
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
        weights, path = Path(folder) / WEIGHTS, Path(folder) / DESCRIPTION
        remedy = "train the evaluator again: make run"
        for file in (weights, path):
            if not file.is_file():
                raise EgoReactError("no such file", where=file, remedy=remedy)
        try:
            description = TypeAdapter(EvaluatorDescription).validate_json(path.read_bytes())
        except ValidationError as error:
            place = ".".join(map(str, error.errors()[0]["loc"]))
            raise EgoReactError(f"is no evaluator's description ({place})", where=path, remedy=remedy) from error
        if description.schema_version != SCHEMA_VERSION:
            raise EgoReactError(
                f"schema version {description.schema_version}, this program reads {SCHEMA_VERSION}",
                where=path,
                remedy=remedy,
            )
        if sha256_file(weights) != description.sha256.get(WEIGHTS):
            raise EgoReactError(f"its bytes differ from the SHA-256 in {DESCRIPTION}", where=weights, remedy=remedy)
        return load_into(MotionEvaluator(description.config, description.categories), weights).eval()

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


def _mask(lengths: Int[Tensor, " batch"], frames: int) -> Tensor:
    return (torch.arange(frames, device=lengths.device) < lengths[:, None])[:, None]


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
