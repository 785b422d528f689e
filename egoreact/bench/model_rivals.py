"""What `bench model` is measured against, written plainly, as the papers' public practice has it.

The tokenizer and its loop follow T2M-GPT (Zhang et al. 2023): nn.Conv1d, nn.Upsample, a codebook that follows its average
by one-hot products, a DataLoader of random windows, AdamW. Its convolutions are padded on the left, so that the network
is the project's own; weights are copied from there.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from egoreact.models.causal_conv import CausalConv1d, CausalResidual, CausalStack, CausalUpsampling
from egoreact.models.vqvae import VQVAE


class PlainVQVAE(nn.Module):
    """T2M-GPT's layers with the weights of a tokenizer of the project."""

    codebook: Tensor
    code_sum: Tensor
    code_count: Tensor

    def __init__(self, tokenizer: VQVAE):
        super().__init__()
        self.encoder, self.decoder = _plain(tokenizer.encoder), _plain(tokenizer.decoder)
        self.decay = tokenizer.config.decay
        self.register_buffer("codebook", tokenizer.codebook.clone())
        self.register_buffer("code_sum", tokenizer.codebook.clone())
        self.register_buffer("code_count", torch.ones(len(tokenizer.codebook)))

    def forward(self, features: Float[Tensor, "batch frames 263"]) -> tuple[Tensor, Tensor]:
        """(reconstruction, commitment loss)"""
        latent = self.encoder(features.permute(0, 2, 1)).permute(0, 2, 1)
        rows = latent.reshape(-1, latent.shape[-1])
        distance = (rows**2).sum(-1, keepdim=True) - 2 * rows @ self.codebook.t() + (self.codebook**2).sum(-1)
        tokens = distance.argmin(-1)
        codes = nn.functional.embedding(tokens, self.codebook).view_as(latent)
        if self.training:
            self._follow(rows.detach(), tokens)
        commitment = nn.functional.mse_loss(latent, codes.detach())
        quantized = latent + (codes - latent).detach()
        return self.decoder(quantized.permute(0, 2, 1)).permute(0, 2, 1), commitment

    def decode(self, tokens: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch frames 263"]:
        return self.decoder(self.codebook[tokens].permute(0, 2, 1)).permute(0, 2, 1)

    @torch.no_grad()
    def _follow(self, rows: Tensor, tokens: Tensor) -> None:
        size = len(self.codebook)
        one_hot = torch.zeros(size, len(rows)).scatter_(0, tokens[None], 1)
        self.code_sum = self.decay * self.code_sum + (1 - self.decay) * (one_hot @ rows)
        self.code_count = self.decay * self.code_count + (1 - self.decay) * one_hot.sum(-1)
        alive = (self.code_count >= 1).float()[:, None]
        random = rows[torch.randperm(len(rows))[torch.arange(size) % len(rows)]]
        self.codebook = alive * self.code_sum / self.code_count[:, None] + (1 - alive) * random


class RandomWindows(torch.utils.data.Dataset):
    """A random window of each clip, normalised as it is read."""

    def __init__(self, clips: list[np.ndarray], mean: np.ndarray, std: np.ndarray, frames: int):
        self.clips, self.mean, self.std, self.frames = clips, mean, std, frames

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> np.ndarray:
        clip = self.clips[index]
        start = np.random.randint(len(clip) - self.frames + 1)
        return ((clip[start : start + self.frames] - self.mean) / self.std).astype(np.float32)


class _LeftPadded(nn.Module):
    def __init__(self, own: CausalConv1d):
        super().__init__()
        outputs, taps, joined = own.weight.shape
        channels = joined // own.stride
        self.pad = nn.ConstantPad1d((own.past, 0), 0.0)
        self.conv = nn.Conv1d(channels, outputs, taps * own.stride, stride=own.stride, dilation=own.dilation)
        with torch.no_grad():
            self.conv.weight.copy_(own.weight.reshape(outputs, -1, channels).mT)
            self.conv.bias.copy_(own.bias)  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.pad(x))


class _Residual(nn.Module):
    def __init__(self, own: CausalResidual):
        super().__init__()
        mix = nn.Conv1d(own.mix.in_features, own.mix.out_features, 1)
        mix.load_state_dict({"weight": own.mix.weight[..., None], "bias": own.mix.bias})
        self.layers = nn.Sequential(nn.ReLU(), _LeftPadded(own.dilated), nn.ReLU(), mix)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def _plain(stack: CausalStack) -> nn.Sequential:
    layers: list[nn.Module] = []
    for layer in stack.layers:
        match layer:
            case CausalUpsampling():
                layers += [nn.Upsample(scale_factor=2, mode="nearest"), _LeftPadded(layer)]
            case CausalConv1d():
                layers.append(_LeftPadded(layer))
            case CausalResidual():
                layers.append(_Residual(layer))
            case _:
                layers.append(nn.ReLU())
    return nn.Sequential(*layers)
