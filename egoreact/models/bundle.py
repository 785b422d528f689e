"""What is trained, evaluated, registered and served: one folder, loaded whole or refused.

`bundle.json` names every other file with its SHA-256; the SHA-256 of `bundle.json` itself is the bundle's digest.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from egoreact.errors import EgoReactError
from egoreact.files import sha256_file, whole_folder, write_json
from egoreact.models.reaction_gpt import ReactionGPT, ReactionGPTConfig
from egoreact.models.vqvae import VQVAE, VQVAEConfig
from egoreact.motion.representation import Normaliser
from egoreact.vision.encoders import Encoder, EncoderConfig, build_encoder
from egoreact.weights import load_into, read_tensors, seeded, write_tensors

SCHEMA_VERSION = 1
MANIFEST = "bundle.json"
CARD = "card.md"
STATISTICS = "statistics.safetensors"


@dataclass(frozen=True)
class ReactionConfig:
    """The networks that turn frames into motion."""

    encoder: EncoderConfig
    tokenizer: VQVAEConfig
    gpt: ReactionGPTConfig

    def __post_init__(self) -> None:
        if self.gpt.codebook_size != self.tokenizer.codebook_size or self.gpt.semantic_dim != self.encoder.semantic_dim:
            raise EgoReactError(
                "the transformer's codebook_size and semantic_dim differ from the tokenizer's and the encoder's",
                where="reaction config",
                remedy="give the same numbers",
            )


@dataclass(frozen=True)
class BundleManifest:
    config: ReactionConfig
    files: dict[str, str]
    """File name to SHA-256."""
    data_revision: str
    """DVC revision of the data set it was trained on."""
    commit: str
    code_digest: str
    mlflow_run: str
    seed: int
    versions: dict[str, str]
    metrics: dict[str, float] = field(default_factory=dict)
    """Of training; those of evaluation lie in its own record, which names this bundle's digest."""
    schema_version: int = SCHEMA_VERSION


@dataclass
class Bundle:
    """The networks in evaluation mode, the normalisation statistics, and where they come from."""

    manifest: BundleManifest
    encoder: Encoder
    tokenizer: VQVAE
    gpt: ReactionGPT
    normaliser: Normaliser
    digest: str = ""
    """Hex SHA-256 of bundle.json; empty for a bundle that was never saved."""

    def __post_init__(self) -> None:
        for network in self._networks().values():
            network.eval().requires_grad_(False)

    @cached_property
    def config(self) -> ReactionConfig:
        return self.manifest.config

    def _networks(self) -> dict[str, nn.Module]:
        return {"encoder": self.encoder, "tokenizer": self.tokenizer, "gpt": self.gpt}

    @staticmethod
    def untrained(config: ReactionConfig, *, seed: int = 0) -> "Bundle":
        """Random weights: for tests and benchmarks of everything but quality."""
        networks = seeded(
            seed, lambda: (build_encoder(config.encoder), VQVAE(config.tokenizer), ReactionGPT(config.gpt))
        )
        manifest = BundleManifest(config, {}, "none", "unknown", "none", "none", seed, {})
        return Bundle(manifest, *networks, normaliser=Normaliser(torch.zeros(263), torch.ones(263)))

    def to(self, device: torch.device | str, dtype: torch.dtype = torch.float32) -> "Bundle":
        """Moves this bundle's networks, as `nn.Module.to` does, and returns it.

        Args:
            dtype: of the eyes and the transformer. Motion stays in single precision: its errors add up along a path.
        """
        self.encoder.to(device, dtype)
        self.gpt.to(device, dtype)
        self.tokenizer.to(device)
        return self

    def save(self, folder: Path) -> "Bundle":
        """Writes the folder, whole or not at all, and returns the bundle as it was read back and verified."""
        with whole_folder(folder) as beside:
            for name, network in self._networks().items():
                write_tensors(beside / f"{name}.safetensors", network.state_dict())
            write_tensors(beside / STATISTICS, {"mean": self.normaliser.mean, "std": self.normaliser.std})
            (beside / CARD).write_text(_card(self.manifest))
            digests = {path.name: sha256_file(path) for path in sorted(beside.iterdir())}
            write_json(beside / MANIFEST, asdict(self.manifest) | {"files": digests})
        return Bundle.load(folder)

    @staticmethod
    def load(folder: Path) -> "Bundle":
        """Raises:
        EgoReactError: no bundle there, another schema version, or a file missing, changed or misshapen.
        """
        manifest, digest = verify(folder)
        config = manifest.config
        bundle = Bundle(
            manifest,
            load_into(build_encoder(config.encoder), folder / "encoder.safetensors"),
            load_into(VQVAE(config.tokenizer), folder / "tokenizer.safetensors"),
            load_into(ReactionGPT(config.gpt), folder / "gpt.safetensors"),
            normaliser=Normaliser(**read_tensors(folder / STATISTICS)),
            digest=digest,
        )
        return bundle


def verify(folder: Path) -> tuple[BundleManifest, str]:
    """The manifest and digest of a bundle whose every file has the SHA-256 that the manifest says. Loads no weights."""
    path = folder / MANIFEST
    if not path.is_file():
        raise EgoReactError("no bundle here", where=path, remedy="train one with: egoreact pipeline run")
    content = path.read_bytes()
    try:
        values = json.loads(content)
        version = values.get("schema_version") if isinstance(values, dict) else None
        if version != SCHEMA_VERSION:
            raise EgoReactError(
                f"bundle schema version {version}, this program reads {SCHEMA_VERSION}",
                where=path,
                remedy="train it again",
            )
        manifest = TypeAdapter(BundleManifest).validate_python(values)
    except (ValueError, ValidationError) as error:
        raise EgoReactError(
            f"is no bundle manifest ({_first_line(error)})", where=path, remedy="restore the bundle"
        ) from error
    for name, digest in manifest.files.items():
        file = folder / name
        if not file.is_file():
            raise EgoReactError("a file of the bundle is missing", where=file, remedy="restore the bundle")
        if sha256_file(file) != digest:
            raise EgoReactError("differs from the SHA-256 in bundle.json", where=file, remedy="restore the bundle")
    return manifest, hashlib.sha256(content).hexdigest()


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def _card(manifest: BundleManifest) -> str:
    config = manifest.config
    rows = [f"| {name} | {value:.4g} |" for name, value in sorted(manifest.metrics.items())]
    origin = [f"| {f.name} | `{getattr(manifest, f.name)}` |" for f in fields(manifest) if f.name in _ORIGIN]
    return "\n".join([
        "# EgoReAct reaction bundle", "",
        "Egocentric video in, the wearer's 3D motion out: 20 motion frames a second, one token (4 frames) every 0.2 s.", "",
        f"Frame encoder: {config.encoder.description}. Tokenizer: causal VQ-VAE, {config.tokenizer.codebook_size} codes. "
        f"Transformer: {config.gpt.layers} × {config.gpt.width}, window {config.gpt.window} tokens.", "",
        "| origin | |", "|---|---|", *origin, "",
        "| metric of training | |", "|---|---|", *rows, "",
        "Trained on what its data revision holds; outside of that its reactions are guesses. Not for safety-critical use.", "",
    ])  # fmt: skip


_ORIGIN = ("data_revision", "commit", "code_digest", "mlflow_run", "seed")
