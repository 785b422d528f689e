"""Small things to teach, with everything that makes resuming and ranks hard: dropout, draws, state outside the gradient."""

import contextlib
import os
import queue
import signal
import socket
import time
from collections.abc import Callable
from multiprocessing import Queue
from pathlib import Path

import numpy as np
import torch
import torch.distributed
import torch.multiprocessing
from torch import Tensor, nn

from egoreact.training.loop import Learner
from egoreact.training.world import Draws, World


class Regressor(nn.Module):
    def __init__(self, dropout: float):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.GELU(), nn.Dropout(dropout), nn.Linear(16, 1))
        self.register_buffer("mean_input", torch.zeros(4))
        self.register_buffer("started", torch.tensor(False))


class RegressionLearner(Learner):
    """y = x0 · x1 + 0.5 from 60 samples, jittered. A running mean of the inputs is its state outside the gradient."""

    num_samples = 60

    def __init__(self, *, dropout: float = 0.0, poisoned: int | None = None, local_mean: bool = False):
        torch.manual_seed(3)
        self.module = Regressor(dropout)
        generator = torch.Generator().manual_seed(11)
        self.x = torch.randn(self.num_samples, 4, generator=generator)
        self.y = self.x[:, :1] * self.x[:, 1:2] + 0.5
        self.local_mean = local_mean
        if poisoned is not None:
            self.y[poisoned] = float("nan")

    def batch(self, indices: Tensor, draws: Draws) -> dict[str, Tensor]:
        return {"x": self.x[indices] + 0.01 * draws.normal("jitter", 4), "y": self.y[indices]}

    def loss(self, batch: dict[str, Tensor], draws: Draws) -> dict[str, Tensor]:
        mean = batch["x"].mean(0)
        if not self.local_mean:
            draws.world.average_([mean])
        self.module.mean_input.lerp_(mean, 0.1)
        self.module.started.fill_(True)
        error = self.module.layers(batch["x"] - self.module.mean_input) - batch["y"]
        return {"loss": error.square().mean(), "error": error.abs().mean()}

    def validate(self) -> dict[str, float]:
        assert not self.module.training and not torch.is_grad_enabled()
        return {"error": float((self.module.layers(self.x) - self.y).abs().mean())}

    def preview(self, folder: Path) -> None:
        (folder / "weights.txt").write_text(str(self.module.layers[0].weight.tolist()))


class UnevenLearner(RegressionLearner):
    """Samples count for as many terms as their index says: the ranks' means are over unequal numbers."""

    def batch(self, indices: Tensor, draws: Draws) -> dict[str, Tensor]:
        return super().batch(indices, draws) | {"count": (indices + 1).float()}

    def weight(self, batch: dict[str, Tensor]) -> float:
        return float(batch["count"].sum())

    def loss(self, batch: dict[str, Tensor], draws: Draws) -> dict[str, Tensor]:
        error = (self.module.layers(batch["x"]) - batch["y"]).square().squeeze(1)
        return {"loss": (error * batch["count"]).sum() / batch["count"].sum()}


class FatedLearner(RegressionLearner):
    """Stops at fixed steps, once each: rank 0 waits to be killed, rank 1 kills itself. Notes in a folder remember."""

    def __init__(self, *, notes: str, wait_at: int | None = None, die_at: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.notes, self.wait_at, self.die_at = Path(notes), wait_at, die_at
        self.started = False

    def loss(self, batch: dict[str, Tensor], draws: Draws) -> dict[str, Tensor]:
        if not self.started:
            self.started = self._first_time(f"started-at-{draws.step}") or True
        if draws.step == self.wait_at and draws.world.rank == 0 and self._first_time("waiting"):
            time.sleep(600)
        if draws.step == self.die_at and draws.world.rank == 1 and self._first_time("died"):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().loss(batch, draws)

    def _first_time(self, name: str) -> bool:
        try:
            (self.notes / name).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def on_two_processes(function: Callable[[World, Queue], None]) -> list:
    """Runs `function(world, answers)` as two gloo ranks and returns what they put into `answers`, in any order."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = torch.multiprocessing.get_context("spawn")
    answers = context.Queue()
    processes = [context.Process(target=_rank, args=(index, port, function, answers)) for index in range(2)]
    for process in processes:
        process.start()
    got = []
    while any(process.is_alive() for process in processes) or not answers.empty():
        with contextlib.suppress(queue.Empty):
            got.append(answers.get(timeout=0.1))
    assert [process.exitcode for process in processes] == [0, 0]
    return got


def _rank(index: int, port: int, function: Callable[[World, Queue], None], answers: Queue) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=index, world_size=2)
    function(World.of_process_group(torch.device("cpu")), answers)
    torch.distributed.destroy_process_group()


def waves(clips: int, frames: int, *, seed: int = 0) -> dict[str, Tensor]:
    """Smooth 263-d sequences, by clip id."""
    generator = np.random.default_rng(seed)
    time = np.arange(frames)[:, None]
    made = {}
    for clip in range(clips):
        speed, phase = generator.uniform(0.05, 0.4, (1, 263)), generator.uniform(0, 6, (1, 263))
        made[f"clip-{clip:03d}"] = torch.from_numpy(np.sin(speed * time + phase).astype(np.float32))
    return made
