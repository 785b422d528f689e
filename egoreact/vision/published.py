"""Networks that others published: where their weights lie, fetched once, checked key by key."""

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import torch
from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from egoreact.errors import EgoReactError

HUB_ANSWERS_WITHIN_S = 5.0
Model = TypeVar("Model", bound=PreTrainedModel)


@dataclass(frozen=True)
class Published:
    """One file of the Hugging Face hub, at one commit."""

    repository: str
    revision: str
    file: str
    licence: str
    variable: str
    """Environment variable that names a local copy: the file, or a folder that holds it."""

    def find(self, path: Path | str | None = None) -> Path:
        """The file: the one given, else what the variable names, else the hub's, which its own cache keeps.

        Raises:
            EgoReactError: it is in none of these places.
        """
        local = path or os.environ.get(self.variable)
        if not local:
            return self._fetch()
        found = Path(local)
        if found.is_dir():
            found = found / self.file
        if not found.is_file():
            self.refuse("no such file", found)
        return found

    def _fetch(self) -> Path:
        cached = try_to_load_from_cache(self.repository, self.file, revision=self.revision)
        if isinstance(cached, str):
            return Path(cached)
        try:
            # One question first: of a hub that is away a download asks six times, for half a minute.
            url = hf_hub_url(self.repository, self.file, revision=self.revision)
            get_hf_file_metadata(url, timeout=HUB_ANSWERS_WITHIN_S)
            return Path(hf_hub_download(self.repository, self.file, revision=self.revision))
        except Exception as error:  # of the hub's client and of the HTTP library below it; all mean the same here
            place = f"{self.repository}/{self.file}"
            self.refuse(f"not in the hub's cache, and the hub gives no file ({_first_line(error)})", place, error)

    def refuse(self, what: str, where: object, cause: Exception | None = None) -> NoReturn:
        raise EgoReactError(
            what,
            where=where,
            remedy=f"get {self.file} ({self.licence}) with: hf download {self.repository} {self.file} --revision "
            f"{self.revision}, or name a copy in {self.variable}",
        ) from cause

    def read(self, path: Path) -> dict[str, Tensor]:
        """Tensors by name. What a .pth file may hold of code is never run.

        Raises:
            EgoReactError: the file holds something else.
        """
        try:
            if path.suffix == ".safetensors":
                return load_file(path)
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # on bytes that are no checkpoint, torch's reader fails in any way it likes
            self.refuse(f"cannot be read as plain weights ({type(error).__name__})", path, error)
        if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
            self.refuse("holds something else than named weights", path)
        return state

    def check(
        self,
        path: Path,
        *,
        missing: Iterable[str],
        unknown: Iterable[str],
        misshapen: Iterable[tuple[str, torch.Size, torch.Size]],
    ) -> None:
        """Raises:
        EgoReactError: the weights are not exactly the network's; names up to three keys of each fault.
        """
        faults = {
            "lacks": sorted(missing),
            "holds what the network has not:": sorted(unknown),
            "holds of another shape:": [f"{key} {tuple(is_)}, not {tuple(due)}" for key, is_, due in sorted(misshapen)],
        }
        told = [f"{fault} {_some(keys)}" for fault, keys in faults.items() if keys]
        if told:
            self.refuse("; ".join(told), path)

    def load(self, model: type[Model], config: PreTrainedConfig, path: Path | str | None = None) -> Model:
        """A network of transformers, of this config, in float32 and evaluation mode, with the weights of the file.

        Raises:
            EgoReactError: the file is not to be had, or does not fit key by key.
        """
        path = self.find(path)
        state = self.read(path)
        with _quiet_transformers():
            loaded: Any = model.from_pretrained(
                None,
                config=config,
                state_dict=state,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,  # they are named below
                output_loading_info=True,
            )
        network, report = loaded
        self.check(
            path,
            missing=report["missing_keys"],
            unknown=report["unexpected_keys"],
            misshapen=report["mismatched_keys"],
        )
        return network.eval().requires_grad_(False)


def _some(keys: list[str]) -> str:
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return ", ".join(keys[:3]) + more


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Without its table of keys and its progress bar: an error here is one line."""
    level = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.CRITICAL)
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()
