"""Convolutions over time that see only the past, and can be fed piece by piece.

A stream's state is a flat list of tensors (batch, channels, frames), one a convolution, in the order they run. It
starts as zeros, which is what left padding with zeros means for a whole clip: both give the same output.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

State = list[Tensor]


class CausalConv1d(nn.Module):
    """Output i depends on inputs up to stride · (i + 1) − 1 and no later one.

    A chunk fed to `stream` must hold a multiple of `stride` frames.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, dilation: int = 1):
        super().__init__()
        self.conv = nn.Conv1d(in_channels, out_channels, kernel_size, stride=stride, dilation=dilation)
        self.past = (kernel_size - 1) * dilation - (stride - 1)
        """Frames of the past that the first output of a chunk still needs."""

    def forward(self, x: Float[Tensor, "batch in_channels frames"]) -> Float[Tensor, "batch out_channels outputs"]:
        return self.conv(nn.functional.pad(x, (self.past, 0)))

    def initial_state(self, batch: int) -> State:
        weight = self.conv.weight
        return [weight.new_zeros(batch, self.conv.in_channels, self.past)]

    def stream(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        x = torch.cat([state[0], x], dim=-1)
        return self.conv(x), [x[..., x.shape[-1] - self.past :]]


class CausalResidual(nn.Module):
    """ReLU, dilated convolution of width 3, ReLU, 1 × 1 convolution, added to the input (T2M-GPT's residual block)."""

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.dilated = CausalConv1d(channels, channels, 3, dilation=dilation)
        self.mix = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mix(self.dilated(x.relu()).relu())

    def initial_state(self, batch: int) -> State:
        return self.dilated.initial_state(batch)

    def stream(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, state = self.dilated.stream(x.relu(), state)
        return x + self.mix(y.relu()), state


REMEMBERS = (CausalConv1d, CausalResidual)


class CausalStack(nn.Module):
    """Layers one after another; those that are not among `REMEMBERS` have no memory of time."""

    def __init__(self, layers: Iterable[nn.Module]):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x

    def initial_state(self, batch: int) -> State:
        """The state before the first frame, for `batch` streams."""
        return [
            tensor for layer in self.layers if isinstance(layer, REMEMBERS) for tensor in layer.initial_state(batch)
        ]

    def stream(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """The outputs for the next chunk, equal to what `forward` gives there for the whole, and the state after it."""
        after: State = []
        for layer in self.layers:
            if isinstance(layer, REMEMBERS):
                used = len(after)
                x, new = layer.stream(x, state[used : used + 1])
                after += new
            else:
                x = layer(x)
        return x, after
