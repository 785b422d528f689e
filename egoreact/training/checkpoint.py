"""Checkpoints: a folder of `module.safetensors`, `optimizer.safetensors` and `checkpoint.json`. No pickle."""

import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import nn

from egoreact.errors import EgoReactError
from egoreact.files import whole_folder
from egoreact.weights import disk_errors_raised

SCHEMA_VERSION = 1
MODULE, OPTIMIZER, RECORD = "module.safetensors", "optimizer.safetensors", "checkpoint.json"


@dataclass(frozen=True)
class CheckpointRecord:
    """What `checkpoint.json` says. Random states are absent: every draw is a pure function of seed and step."""

    step: int
    """Steps done."""
    identity: str
    """Digest of what decides the weights' path; only a run of the same identity resumes from here."""
    metrics: dict[str, float]
    """The newest reported."""
    window: dict[str, list[float]]
    """Sum and count of each metric since the last report."""
    schema_version: int = SCHEMA_VERSION


def write_checkpoint(
    folder: Path, module: nn.Module, optimizer: torch.optim.Optimizer, record: CheckpointRecord
) -> None:
    """Writes into an existing empty folder; the caller makes it whole or absent."""
    names = _trained(module)
    state = {
        f"{names[index]}/{key}": value.detach().cpu().contiguous()
        for index, values in optimizer.state_dict()["state"].items()
        for key, value in values.items()
    }
    with disk_errors_raised():
        safetensors.torch.save_model(module, str(folder / MODULE))
        safetensors.torch.save_file(state, folder / OPTIMIZER)
    (folder / RECORD).write_text(json.dumps(asdict(record), indent=2) + "\n")


def read_record(folder: Path) -> CheckpointRecord | None:
    """The record, or None where the folder holds no complete checkpoint of this schema."""
    try:
        record = CheckpointRecord(**json.loads((folder / RECORD).read_text()))
        for name in (MODULE, OPTIMIZER):
            with safetensors.safe_open(str(folder / name), "pt"):
                pass
    except (OSError, ValueError, TypeError, safetensors.SafetensorError):
        return None
    return record if record.schema_version == SCHEMA_VERSION else None


def load_module(folder: Path, module: nn.Module) -> None:
    """Loads a checkpoint's parameters and buffers into `module`, all of them or an error.

    Raises:
        EgoReactError: missing or unreadable, or of another architecture.
    """
    try:
        safetensors.torch.load_model(module, folder / MODULE)
    except (OSError, RuntimeError, safetensors.SafetensorError) as error:
        raise EgoReactError(
            f"does not fit the module ({str(error).splitlines()[0]})",
            where=folder / MODULE,
            remedy="train anew with this configuration",
        ) from error


def load_optimizer(folder: Path, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Loads what `write_checkpoint` saved of the optimiser of `module`'s parameters that require gradients."""
    tensors = safetensors.torch.load_file(folder / OPTIMIZER)
    indices = {
        name: i for i, (name, _) in enumerate(item for item in module.named_parameters() if item[1].requires_grad)
    }
    state: dict[int, dict[str, torch.Tensor]] = {}
    for path, tensor in tensors.items():
        name, _, key = path.rpartition("/")
        state.setdefault(indices[name], {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _trained(module: nn.Module) -> list[str]:
    return [name for name, parameter in module.named_parameters() if parameter.requires_grad]


class CheckpointStore(ABC):
    """Where a run's checkpoints are. Every rank calls both methods, at the same steps."""

    identity: str
    where: str
    """Its address, for messages."""

    @abstractmethod
    def candidates(self) -> Iterator[Path]:
        """Folders that may hold a checkpoint to resume from, newest first."""

    @abstractmethod
    def save(self, step: int, write: Callable[[Path], None] | None, metrics: dict[str, float]) -> Path:
        """Stores what `write` puts into a folder, whole or not at all, and drops all but the newest two.

        `write` is None on every rank but the first.
        """


class FolderStore(CheckpointStore):
    """`<folder>/checkpoint-<step>`, on a disk that this process can rename on."""

    def __init__(self, folder: Path, identity: str, *, keep: int = 2):
        self.folder, self.identity, self.keep, self.where = Path(folder), identity, keep, str(folder)

    def candidates(self) -> Iterator[Path]:
        yield from sorted(self.folder.glob("checkpoint-*"), reverse=True)

    def save(self, step: int, write: Callable[[Path], None] | None, metrics: dict[str, float]) -> Path:
        path = self.folder / f"checkpoint-{step:09d}"
        if write is not None:
            with whole_folder(path) as beside:
                write(beside)
            records = {folder: read_record(folder) for folder in self.candidates()}
            own = [folder for folder, record in records.items() if record and record.identity == self.identity]
            strays = self.folder.glob(".checkpoint-*")  # of a process killed while it wrote
            for folder in [*(set(self.candidates()) - set(own[: self.keep])), *strays]:
                shutil.rmtree(folder)
        return path
