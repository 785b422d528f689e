"""The transformer's memory for live streams: rows of any age in one batch, nothing that grows, moves or is copied.

Each row has one place for each of the newest `window` tokens and writes them in turn, so a place is overwritten just
when attention no longer reaches it. All shapes are fixed and nothing asks the host, so that a step can be captured in a
CUDA graph.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import Cache, MistralConfig
from transformers.models.mistral.modeling_mistral import MistralRotaryEmbedding

Rows = Int[Tensor, "n"] | slice
"""Which rows of a memory; a slice is read where it lies."""


class RingCache(Cache):
    """Call `place` for each token, then the trunk with its `arguments`, which calls `update` once a layer."""

    def __init__(self, config: MistralConfig, rows: int, *, device: torch.device | str, dtype: torch.dtype):
        super().__init__(layers=[])
        window = config.sliding_window
        assert window is not None and config.num_key_value_heads == config.num_attention_heads
        shape = (rows, config.num_attention_heads, window, config.hidden_size // config.num_attention_heads)
        self.keys, self.values = (
            [torch.zeros(shape, device=device, dtype=dtype) for _ in range(config.num_hidden_layers)] for _ in "kv"
        )
        self.ages = torch.zeros(rows, dtype=torch.long, device=device)
        """Tokens that each row has taken."""
        self._numbers = torch.arange(rows, device=device)
        self._places = torch.arange(window, device=device)

    @property
    def tensors(self) -> list[Tensor]:
        """All that is remembered, rows first."""
        return [self.ages, *self.keys, *self.values]

    def place(self, rows: Rows) -> None:
        """The next token is of these rows. They differ, but for those that nobody reads."""
        ages, window = self.ages[rows].clone(), len(self._places)
        self.rows, self._written = rows, (self._numbers[rows], ages % window)
        tokens_ago = (ages[:, None] - self._places) % window
        self._seen: Bool[Tensor, "n 1 1 window"] = (tokens_ago <= ages[:, None])[:, None, None]
        self._positions = ages[:, None]
        self.ages[rows] = ages + 1

    @property
    def arguments(self) -> dict[str, Tensor]:
        """Of the trunk: what each row sees, and its position."""
        return {"attention_mask": self._seen, "position_ids": self._positions}

    def update(
        self,
        key_states: Float[Tensor, "n heads 1 head_width"],
        value_states: Float[Tensor, "n heads 1 head_width"],
        layer_idx: int,
        *args: object,
        **kwargs: object,
    ) -> tuple[Float[Tensor, "n heads window head_width"], Float[Tensor, "n heads window head_width"]]:
        """Takes one token of each row; gives all that it sees, itself included, in the order of the places."""
        keys, values = self.keys[layer_idx], self.values[layer_idx]
        row, place = self._written
        keys[row, :, place] = key_states[:, :, 0]
        values[row, :, place] = value_states[:, :, 0]
        return keys[self.rows], values[self.rows]


class EnduringRotary(nn.Module):
    """Mistral's rotary positions with angles in double precision.

    Positions of a stream are counted from its start. In single precision their angles lose digits: scores are off by
    5e-4 after an hour of tokens and by 2e-2 after a day.
    """

    def __init__(self, config: MistralConfig):
        super().__init__()
        inverse, _ = MistralRotaryEmbedding.compute_default_rope_parameters(config)
        self.inverse_wavelength = nn.Buffer(inverse, persistent=False)

    @torch.no_grad()
    def forward(self, x: Tensor, position_ids: Int[Tensor, "batch n"]) -> tuple[Tensor, Tensor]:
        angles = position_ids[..., None].double() * self.inverse_wavelength.double()
        angles = torch.cat([angles, angles], dim=-1)
        return angles.cos().to(x.dtype), angles.sin().to(x.dtype)
