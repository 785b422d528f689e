"""Networks on disk: safetensors for the numbers, JSON for the config. Read whole and fitting, or refused by name."""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from egoreact.errors import EgoReactError
from egoreact.files import sha256_file, sha256_json, whole_folder, write_json

Network = TypeVar("Network", bound=nn.Module)
Built = TypeVar("Built")
WEIGHTS, CONFIG = "weights.safetensors", "config.json"


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    with disk_errors_raised():
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)


@contextmanager
def disk_errors_raised() -> Iterator[None]:
    """What a disk refuses safetensors is raised as the OSError that it was."""
    try:
        yield
    except SafetensorError as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Raises:
    EgoReactError: no such file, or no safetensors file.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise EgoReactError(
            f"is no safetensors file ({reason})", where=path, remedy="restore it, or train again"
        ) from error


class WeightsMismatchError(EgoReactError):
    """Sound weights of another architecture than this code builds."""


def load_into(network: Network, path: Path) -> Network:
    """Loads a file whose keys and shapes are exactly the network's. Raises what `read_tensors` and `load_state` do."""
    return load_state(network, read_tensors(path), where=path)


def load_state(network: Network, state: Mapping[str, Tensor], *, where: object) -> Network:
    """Loads a state dict whose keys and shapes are exactly the network's.

    Raises:
        WeightsMismatchError: keys are missing or extra, or a shape differs; names up to three of them.
    """
    expected = network.state_dict()
    problems = [f"{key} is missing" for key in sorted(expected.keys() - state.keys())]
    problems += [f"{key} is not known" for key in sorted(state.keys() - expected.keys())]
    problems += [
        f"{key} is {tuple(state[key].shape)}, not {tuple(expected[key].shape)}"
        for key in sorted(expected.keys() & state.keys())
        if state[key].shape != expected[key].shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise WeightsMismatchError(
            f"does not fit the network: {'; '.join(problems[:3])}{more}",
            where=where,
            remedy="give the weights of this config",
        )
    network.load_state_dict(state)
    return network


def save_network(folder: Path, network: nn.Module, config: Any, **more: dict[str, Tensor]) -> None:
    """Writes the config (a dataclass) and the weights, and `<name>.safetensors` for more tensors; all or nothing."""
    with whole_folder(folder) as beside:
        for name, tensors in more.items():
            write_tensors(beside / f"{name}.safetensors", tensors)
        write_tensors(beside / WEIGHTS, network.state_dict())
        write_json(beside / CONFIG, asdict(config))


def load_network(folder: Path, config_type: type, build: Callable[[Any], Network]) -> Network:
    """The network that `save_network` wrote, in evaluation mode.

    Raises:
        EgoReactError: a file is missing, not of this kind, or does not fit.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise EgoReactError("no such file", where=path, remedy="train the network first")
    try:
        config: Any = TypeAdapter(config_type).validate_json(path.read_bytes())
    except ValidationError as error:
        raise EgoReactError(f"is no {config_type.__name__}", where=path, remedy="train the network again") from error
    return load_into(build(config), folder / WEIGHTS).eval().requires_grad_(False)


def network_digest(folder: Path) -> str:
    """Digest of config and weights: what cached features are keyed by."""
    return sha256_json([json.loads((folder / CONFIG).read_text()), sha256_file(folder / WEIGHTS)])


def parameter_count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def seeded(seed: int, build: Callable[[], Built]) -> Built:
    """Builds networks whose random weights depend on the seed alone; the caller's random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()
