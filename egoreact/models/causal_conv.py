"""Convolutions over time that see only the past, and can be fed piece by piece.

Sequences are (frames, batch, channels). A shift in time is then a shift of rows, and a convolution is one matrix product
a tap over rows that lie together: nothing is unfolded or padded, and the zeros before the first frame are not multiplied.

A stream's state is a flat list of tensors (batch, frames, channels), one a convolution, in the order they run. It starts
as zeros, which is what the absent past of a whole clip means: both give the same output.
"""

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

State = list[Tensor]


class CausalConv1d(nn.Module):
    """Output i depends on inputs up to stride · (i + 1) − 1 and no later one.

    Lengths in frames, of chunks too, are multiples of `stride`; so is `kernel_size`.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, dilation: int = 1):
        super().__init__()
        self.stride, self.dilation = stride, dilation
        taps = kernel_size // stride
        self.weight = nn.Parameter(torch.empty(out_channels, taps, stride * in_channels))
        """Oldest tap first. With a stride, one tap is so many frames, joined."""
        self.bias = nn.Parameter(torch.empty(out_channels))
        bound = (in_channels * kernel_size) ** -0.5  # nn.Conv1d's
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)
        self.past = (taps - 1) * dilation * stride
        """Frames of the past that the first output of a chunk still needs."""

    def forward(self, x: Float[Tensor, "frames batch in_channels"]) -> Float[Tensor, "outputs batch out_channels"]:
        return shifted_products(self._join(x), self.weight, self.bias, self.dilation)

    def initial_state(self, batch: int) -> State:
        return [self.weight.new_zeros(batch, self.past, self.weight.shape[-1] // self.stride)]

    def stream(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        x = torch.cat([state[0].transpose(0, 1), x])
        rows, taps = self._join(x), self.weight.shape[1]
        outputs = len(rows) - (taps - 1) * self.dilation
        seen = torch.cat([rows[tap * self.dilation :][:outputs] for tap in range(taps)], dim=-1)
        y = nn.functional.linear(seen, self.weight.flatten(1), self.bias)
        return y, [x[len(x) - self.past :].transpose(0, 1)]

    def _join(self, x: Tensor) -> Tensor:
        return x.unflatten(0, (-1, self.stride)).transpose(1, 2).flatten(2) if self.stride > 1 else x


class CausalUpsampling(CausalConv1d):
    """Each frame twice, then a convolution of width 3.

    Two outputs of three taps see two different frames, so for whole clips the taps on one frame are added beforehand: four
    products instead of six.
    """

    def __init__(self, channels: int):
        super().__init__(channels, channels, 3)

    def forward(self, x: Float[Tensor, "frames batch channels"]) -> Float[Tensor, "frames*2 batch channels"]:
        oldest, middle, newest = self.weight.unbind(1)
        first, second = torch.stack([oldest + middle, newest], 1), torch.stack([oldest, middle + newest], 1)
        both = shifted_products(x, torch.cat([first, second]), self.bias.repeat(2), 1)
        return both.unflatten(-1, (2, -1)).transpose(1, 2).flatten(0, 1)

    def stream(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return super().stream(x.repeat_interleave(2, dim=0), state)


class CausalResidual(nn.Module):
    """ReLU, dilated convolution of width 3, ReLU, 1 × 1 convolution, added to the input (T2M-GPT's residual block)."""

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.dilated = CausalConv1d(channels, channels, 3, dilation=dilation)
        self.mix = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mix(self.dilated(x.relu()).relu_())

    def initial_state(self, batch: int) -> State:
        return self.dilated.initial_state(batch)

    def stream(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, state = self.dilated.stream(x.relu(), state)
        return x + self.mix(y.relu_()), state


REMEMBERS = (CausalConv1d, CausalResidual)


class CausalStack(nn.Module):
    """Layers one after another; those that are not among `REMEMBERS` have no memory of time."""

    def __init__(self, layers: Iterable[nn.Module]):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Float[Tensor, "frames batch channels"]) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x

    def initial_state(self, batch: int) -> State:
        """The state before the first frame, for `batch` streams."""
        return [
            tensor for layer in self.layers if isinstance(layer, REMEMBERS) for tensor in layer.initial_state(batch)
        ]

    def stream(self, x: Float[Tensor, "frames batch channels"], state: State) -> tuple[Tensor, State]:
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


def shifted_products(
    x: Float[Tensor, "frames batch in_channels"],
    weight: Float[Tensor, "out_channels taps in_channels"],
    bias: Float[Tensor, "out_channels"],
    dilation: int,
) -> Float[Tensor, "frames batch out_channels"]:
    """y_t = bias + Σ_tap weight_tap · x_{t − (taps − 1 − tap) · dilation}, where there is nothing before x_0."""
    device = x.device.type
    if torch.is_autocast_enabled(device):
        x, weight, bias = (value.to(torch.get_autocast_dtype(device)) for value in (x, weight, bias))
    return _ShiftedProducts.apply(x, weight, bias, dilation)


class _ShiftedProducts(torch.autograd.Function):
    """In place, which autograd's own derivative of shifted sums is not."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        y = x.new_empty(*x.shape[:2], len(weight))
        rows, sums = x.flatten(0, 1), y.flatten(0, 1)
        torch.addmm(bias, rows, weight[:, -1].T, out=sums)
        for tap, lag in _earlier(x, weight, dilation):
            torch.addmm(sums[lag:], rows[:-lag], weight[:, tap].T, out=sums[lag:])
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        rows, dy = x.flatten(0, 1), gradients[0].flatten(0, 1)
        dx = dy @ weight[:, -1] if ctx.needs_input_grad[0] else None
        dweight = torch.zeros_like(weight)
        torch.mm(dy.T, rows, out=dweight[:, -1])
        for tap, lag in _earlier(x, weight, ctx.dilation):
            torch.mm(dy[lag:].T, rows[:-lag], out=dweight[:, tap])
            if dx is not None:
                torch.addmm(dx[:-lag], dy[lag:], weight[:, tap], out=dx[:-lag])
        return None if dx is None else dx.unflatten(0, x.shape[:2]), dweight, dy.sum(0), None


def _earlier(x: Tensor, weight: Tensor, dilation: int) -> list[tuple[int, int]]:
    """(tap, how many rows it reaches back) of the taps before the newest that reach any frame of the sequence."""
    frames, batch = x.shape[:2]
    taps = weight.shape[1]
    lags = [(tap, (taps - 1 - tap) * dilation) for tap in range(taps - 1)]
    return [(tap, lag * batch) for tap, lag in lags if lag < frames]
