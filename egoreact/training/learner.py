"""What the loop asks of a thing to be taught."""

from abc import ABC, abstractmethod
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from egoreact.training.world import Draws


class Learner(ABC):
    """What is taught. Made alike on every rank."""

    module: nn.Module
    """All that is saved: parameters and persistent buffers (a codebook's EMA sums and counts among them). The loop
    switches it between train and eval mode, so a frozen model that helps to teach is kept outside of it."""
    num_samples: int

    @abstractmethod
    def batch(self, indices: Int[Tensor, " samples"], draws: Draws) -> dict[str, Tensor]:
        """This rank's part of a step's batch, on the CPU. May run in another thread; touches no parameters."""

    @abstractmethod
    def loss(self, batch: dict[str, Tensor], draws: Draws) -> dict[str, Float[Tensor, ""]]:
        """Scalars by name; `loss` is descended, all are reported. Each is a mean over this rank's part of the batch."""

    def weight(self, batch: dict[str, Tensor]) -> float:
        """How many equal things the means of `loss` are over, for ranks to be averaged in proportion.

        To override where samples count unequally, for example clips of different lengths in a mean over tokens.
        """
        return 1.0

    def to(self, device: torch.device) -> None:
        """Moves what computes the loss. To override where that is more than `module`."""
        self.module.to(device)

    def validate(self) -> dict[str, float]:
        """Figures of the module as it stands (in eval mode, without gradients). On the first rank alone."""
        return {}

    def preview(self, folder: Path) -> None:  # noqa: B027 - to override
        """Writes files into `folder` that show a person how far it is. On the first rank alone, in eval mode."""
