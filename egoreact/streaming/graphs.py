"""CUDA graphs: many small kernels launched as one, because launching them takes longer than running them."""

from collections.abc import Callable

import torch
from torch import Tensor

WARM_UP = 3
"""Calls before the capture, in which libraries choose their kernels and take their workspaces."""


class Graphed:
    """A function of tensors, captured once in a CUDA graph and replayed; on another device it is just called.

    It asks nothing of the host, writes what it remembers in place, and takes the same shapes each time. The capture
    calls it with the examples, so these should point to memory that may be spoilt. A result lies where the next call
    writes its own.
    """

    @torch.inference_mode()
    def __init__(self, function: Callable[..., Tensor], *examples: Tensor):
        self.function = function
        self.graph: torch.cuda.CUDAGraph | None = None
        if not examples[0].is_cuda:
            return
        self.inputs = [example.clone() for example in examples]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                function(*self.inputs)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.output = function(*self.inputs)

    @torch.inference_mode()
    def __call__(self, *inputs: Tensor) -> Tensor:
        if self.graph is None:
            return self.function(*inputs)
        for static, given in zip(self.inputs, inputs, strict=True):
            static.copy_(given, non_blocking=True)
        self.graph.replay()
        return self.output
