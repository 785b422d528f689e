"""Motion as tokens: a VQ-VAE over the 263-d representation, causal in encoder and decoder.

The layers are T2M-GPT's (two stride-2 stages, residual blocks of dilation 9, 3, 1) with every convolution turned to the
past, so that token t holds frames 4t … 4t + 3 and is decoded from tokens up to t alone. The codebook is
vector-quantize-pytorch's; its EMA sums and counts are buffers, so they are saved and a resumed run goes on unchanged.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from vector_quantize_pytorch import VectorQuantize

from egoreact.models.causal_conv import CausalConv1d, CausalResidual, CausalStack, CausalUpsampling, State
from egoreact.motion.representation import FEATURE_DIM

FRAMES_PER_TOKEN = 4


@dataclass(frozen=True)
class VQVAEConfig:
    width: int = 512
    """Channels of the convolutions."""
    code_dim: int = 512
    codebook_size: int = 512
    residual_blocks: int = 3
    """Per stage, dilations 3^(blocks−1) … 1."""
    decay: float = 0.99
    """Of the codebook's exponential moving average."""
    dead_code_threshold: float = 1.0
    """A code whose EMA count falls below this is replaced by a vector of the batch."""


@dataclass(frozen=True)
class VQVAEOutput:
    reconstruction: Float[Tensor, "batch frames 263"]
    tokens: Int[Tensor, "batch tokens"]
    commitment_loss: Float[Tensor, ""]


class VQVAE(nn.Module):
    """Normalised features to tokens and back. Lengths in frames are multiples of 4."""

    def __init__(self, config: VQVAEConfig, *, sync_codebook: bool = False):
        """Args:
        sync_codebook: average the codebook's statistics over the ranks of the process group, which must exist.
        """
        super().__init__()
        self.config = config
        width = config.width
        dilations = [3**power for power in reversed(range(config.residual_blocks))]
        down: list[nn.Module] = [CausalConv1d(FEATURE_DIM, width, 3), nn.ReLU()]
        up: list[nn.Module] = [CausalConv1d(config.code_dim, width, 3), nn.ReLU()]
        for _ in range(2):
            down += [CausalConv1d(width, width, 4, stride=2), *(CausalResidual(width, d) for d in dilations)]
            up += [*(CausalResidual(width, d) for d in dilations), CausalUpsampling(width)]
        self.encoder = CausalStack([*down, CausalConv1d(width, config.code_dim, 3)])
        self.decoder = CausalStack([*up, CausalConv1d(width, width, 3), nn.ReLU(), CausalConv1d(width, FEATURE_DIM, 3)])
        self.quantizer = VectorQuantize(
            config.code_dim,
            config.codebook_size,
            decay=config.decay,
            threshold_ema_dead_code=config.dead_code_threshold,
            commitment_weight=1.0,
            sync_codebook=sync_codebook,
            rotation_trick=False,
        )

    def forward(self, features: Float[Tensor, "batch frames 263"]) -> VQVAEOutput:
        quantized, tokens, commitment_loss = self.quantizer(_whole(self.encoder, features))
        return VQVAEOutput(_whole(self.decoder, quantized), tokens, commitment_loss.squeeze())

    def encode(self, features: Float[Tensor, "batch frames 263"]) -> Int[Tensor, "batch tokens"]:
        """Nearest codes; never updates the codebook."""
        return self.quantize(_whole(self.encoder, features))

    def quantize(self, latent: Float[Tensor, "batch tokens code_dim"]) -> Int[Tensor, "batch tokens"]:
        return torch.cdist(latent, self.codebook.expand(len(latent), -1, -1)).argmin(-1)

    @property
    def codebook(self) -> Float[Tensor, "codes code_dim"]:
        return self.quantizer.codebook

    def decode(self, tokens: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch frames 263"]:
        return _whole(self.decoder, self.codebook[tokens])

    def decoder_state(self, batch: int) -> State:
        """State of `batch` decoding streams before their first token."""
        return self.decoder.initial_state(batch)

    def decode_stream(self, tokens: Int[Tensor, "batch tokens"], state: State) -> tuple[Tensor, State]:
        """The features of the next tokens, (batch, 4 · tokens, 263), and the state after them. Equal to `decode`."""
        return _chunk(self.decoder, self.codebook[tokens], state)

    def encoder_state(self, batch: int) -> State:
        return self.encoder.initial_state(batch)

    def encode_stream(self, features: Float[Tensor, "batch frames 263"], state: State) -> tuple[Tensor, State]:
        """The tokens of the next frames, a multiple of 4, and the state after them. Equal to `encode`."""
        latent, state = _chunk(self.encoder, features, state)
        return self.quantize(latent), state


def _whole(stack: CausalStack, x: Float[Tensor, "batch frames channels"]) -> Float[Tensor, "batch outputs channels"]:
    return stack(x.transpose(0, 1)).transpose(0, 1)


def _chunk(
    stack: CausalStack, x: Float[Tensor, "batch frames channels"], state: State
) -> tuple[Float[Tensor, "batch outputs channels"], State]:
    y, state = stack.stream(x.transpose(0, 1), state)
    return y.transpose(0, 1), state
