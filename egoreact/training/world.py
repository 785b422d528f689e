"""The ranks that train together, and the random numbers of a step, which do not depend on how many they are."""

import hashlib
from dataclasses import dataclass, field

import torch
import torch.distributed
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class World:
    """This process among those that train together. Alone by default."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @staticmethod
    def of_process_group(device: torch.device) -> "World":
        """The world of `torch.distributed`, which is initialised (Ray Train does)."""
        return World(torch.distributed.get_rank(), torch.distributed.get_world_size(), device)

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def part(self, total: int) -> slice:
        """This rank's contiguous part of `total` samples; parts in rank order are the whole."""
        size = total // self.size
        return slice(self.rank * size, (self.rank + 1) * size)

    def average_(self, tensors: list[Tensor]) -> None:
        """Replaces each tensor by its mean over the ranks, in one collective."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        torch.distributed.all_reduce(flat)
        flat /= self.size
        for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(mean.view_as(tensor))

    def copy_from_first_(self, tensors: list[Tensor]) -> None:
        """Gives every rank the first one's tensors."""
        if self.size > 1:
            for tensor in tensors:
                data = tensor.detach().contiguous()
                torch.distributed.broadcast(data.view(-1).view(torch.uint8), src=0)  # gloo knows no bool
                tensor.detach().copy_(data)

    def wait_for_all(self) -> None:
        if self.size > 1:
            torch.distributed.barrier()

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Every rank's tensor (the same shape on all), in rank order."""
        if self.size == 1:
            return [tensor]
        parts = [torch.empty_like(tensor) for _ in range(self.size)]
        torch.distributed.all_gather(parts, tensor.contiguous())
        return parts


def seed_of(*parts: object) -> int:
    """A 63-bit seed that is a pure function of its arguments' text."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:8], "big") >> 1


@dataclass(frozen=True)
class Draws:
    """The random numbers of one step, by name: pure functions of (seed, step, name).

    Numbers are drawn for the whole batch of all ranks and then cut, so two ranks draw what one would. On the CPU.
    """

    seed: int
    step: int
    batch_size: int
    """Over all ranks."""
    world: World = field(default_factory=World)

    def generator(self, name: str) -> torch.Generator:
        """The same on every rank."""
        return torch.Generator().manual_seed(seed_of(self.seed, self.step, name))

    def uniform(self, name: str, *shape: int) -> Float[Tensor, "samples ..."]:
        """In [0, 1), (samples of this rank, *shape)."""
        return torch.rand((self.batch_size, *shape), generator=self.generator(name))[self.world.part(self.batch_size)]

    def normal(self, name: str, *shape: int) -> Float[Tensor, "samples ..."]:
        """Standard normal, (samples of this rank, *shape)."""
        return torch.randn((self.batch_size, *shape), generator=self.generator(name))[self.world.part(self.batch_size)]

    def integers(self, name: str, high: int, *shape: int) -> Int[Tensor, "samples ..."]:
        """From 0 to high - 1, (samples of this rank, *shape)."""
        whole = torch.randint(high, (self.batch_size, *shape), generator=self.generator(name))
        return whole[self.world.part(self.batch_size)]
