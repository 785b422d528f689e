"""The weights that a training starts from where it does not start from scratch: a registered bundle's, by its digest."""

from pathlib import Path
from typing import Literal

from components.promote.registry import Registry
from egoreact.errors import EgoReactError
from egoreact.models.bundle import STATISTICS, ReactionConfig, verify
from egoreact.models.reaction_gpt import ReactionGPT
from egoreact.models.vqvae import VQVAE
from egoreact.motion.representation import Normaliser
from egoreact.vision.frame_encoder import FrameEncoder, FrameEncoderConfig
from egoreact.weights import WeightsMismatchError, load_into, read_tensors
from egoreact.workspace import Workspace

FOLDER = "initial"
"""In the workspace: a bundle a folder."""


def initial_bundle(digest: str) -> Path:
    """The folder of the registered bundle of this digest, fetched from the registry where it is not here, and verified.

    Raises:
        EgoReactError: the registry knows no such bundle, holds another one under its name, or is away.
    """
    workspace = Workspace.from_environment()
    folder = workspace.root / FOLDER / digest
    for place in (folder, workspace.releases / digest / "bundle"):
        if place.is_dir() and _digest(place) == digest:
            return place
    registry = Registry(workspace)
    version = next((known.version for known in registry.versions() if known.digest == digest), None)
    if version is None:
        remedy = "start from scratch, or from a registered bundle"
        raise EgoReactError(f"no bundle {digest[:12]}", where=f"registry {registry.uri}", remedy=remedy)
    registry.download(version, folder)
    found = _digest(folder)
    if found != digest:
        what = f"version {version} holds bundle {found[:12] or 'of no digest'}, registered as {digest[:12]}"
        raise EgoReactError(what, where=registry.uri, remedy="go back to a sound version: egoreact rollback --to N")
    return folder


def initial_weights(digest: str, network: Literal["encoder", "tokenizer", "gpt"]) -> str:
    """Absolute path of a network's weights in that bundle; empty where the digest is: then it starts from scratch."""
    return str((initial_bundle(digest) / f"{network}.safetensors").absolute()) if digest else ""


def initial_statistics(digest: str) -> Normaliser:
    """What that bundle's tokenizer was taught with; weights mean nothing under other statistics."""
    return Normaliser(**read_tensors(initial_bundle(digest) / STATISTICS))


def check_it_fits(digest: str, config: ReactionConfig) -> None:
    """Raises:
    EgoReactError: a network of that bundle is of another architecture than the run's.
    """
    folder = initial_bundle(digest)
    try:
        load_into(VQVAE(config.tokenizer), folder / "tokenizer.safetensors")
        load_into(ReactionGPT(config.gpt), folder / "gpt.safetensors")
        if isinstance(config.encoder, FrameEncoderConfig):  # published backbones are not trained
            load_into(FrameEncoder(config.encoder), folder / "encoder.safetensors")
    except WeightsMismatchError as error:
        remedy = "give the configuration that it was trained with, or --from-scratch"
        raise EgoReactError(
            f"the champion, bundle {digest[:12]}, is of another architecture ({error.what})",
            where="config",
            remedy=remedy,
        ) from error


def _digest(folder: Path) -> str:
    try:
        return verify(folder)[1]
    except EgoReactError:
        return ""
