"""The convolutions are what PyTorch's own are, left-padded: outputs and gradients."""

import pytest
import torch
from torch import nn

from egoreact.models.causal_conv import CausalConv1d, CausalUpsampling, shifted_products


def plain(own: CausalConv1d, x: torch.Tensor) -> torch.Tensor:
    """(frames, batch, channels) through conv1d with the same weights."""
    outputs, _, joined = own.weight.shape
    kernel = own.weight.reshape(outputs, -1, joined // own.stride).mT
    padded = nn.functional.pad(x.permute(1, 2, 0), (own.past, 0))
    return nn.functional.conv1d(padded, kernel, own.bias, own.stride, dilation=own.dilation).permute(2, 0, 1)


LAYERS = {
    "plain": lambda: CausalConv1d(7, 5, 3),
    "one tap": lambda: CausalConv1d(7, 5, 1),
    "dilated": lambda: CausalConv1d(7, 7, 3, dilation=3),
    "dilated beyond the clip": lambda: CausalConv1d(7, 7, 3, dilation=9),
    "strided": lambda: CausalConv1d(7, 5, 4, stride=2),
    "upsampling": lambda: CausalUpsampling(7),
}


@pytest.mark.parametrize("name", LAYERS)
def test_outputs_and_gradients_are_those_of_conv1d(name):
    torch.manual_seed(0)
    layer = LAYERS[name]()
    x = torch.randn(8, 3, 7, requires_grad=True)
    told = layer(x)
    seen = x.repeat_interleave(2, dim=0) if isinstance(layer, CausalUpsampling) else x
    expected = plain(layer, seen)
    torch.testing.assert_close(told, expected, atol=1e-5, rtol=0)
    weighed = torch.randn_like(told)
    inputs = (x, layer.weight, layer.bias)
    for own, other in zip(
        torch.autograd.grad((told * weighed).sum(), inputs),
        torch.autograd.grad((expected * weighed).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(own, other, atol=1e-4, rtol=0)


def test_gradients_are_right_numerically():
    torch.manual_seed(0)
    x, weight, bias = (
        torch.randn(*shape, dtype=torch.double, requires_grad=True) for shape in ((6, 2, 3), (4, 3, 3), (4,))
    )
    assert torch.autograd.gradcheck(lambda *inputs: shifted_products(*inputs, 2), (x, weight, bias))


def test_autocast_computes_in_its_precision_and_gives_gradients_in_the_weights_own():
    layer, x = CausalConv1d(7, 5, 3), torch.randn(8, 3, 7)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    assert layer.weight.grad.dtype == torch.float32
    torch.testing.assert_close(y.float(), layer(x), atol=0.05, rtol=0)


def test_initial_weights_are_conv1ds():
    torch.manual_seed(0)
    own, other = CausalConv1d(64, 64, 3), nn.Conv1d(64, 64, 3)
    assert own.weight.abs().max().item() == pytest.approx(other.weight.abs().max().item(), rel=1e-3)
    assert own.weight.std().item() == pytest.approx(other.weight.std().item(), rel=0.05)
