"""Attention over time, each place of a feature map for itself, in the layout of the checkpoint's `motion_modules`."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from egoreact.vision.video_depth.state import WINDOW, DepthState, Reading

HIDDEN = 4
"""Width of the feed-forward layer, in widths."""


class Positions(nn.Module):
    """Sinusoids, stored in the checkpoint."""

    pe: Tensor

    def __init__(self, width: int):
        super().__init__()
        frequency = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000) / width))
        angle = torch.arange(WINDOW)[:, None] * frequency
        self.register_buffer("pe", torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[None])


class TemporalAttention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(width, width, bias=False)
        self.to_v = nn.Linear(width, width, bias=False)
        self.to_out = nn.Sequential(nn.Linear(width, width))
        self.pos_encoder = Positions(width)

    def over_window(self, x: Float[Tensor, "batch frames tokens width"]) -> Float[Tensor, "batch frames tokens width"]:
        """Each frame sees every frame of the window, later ones too."""
        placed = x + self.pos_encoder.pe[0, : x.shape[1], None]
        query, key, value = (
            project(placed).unflatten(-1, (self.heads, -1)).permute(0, 2, 3, 1, 4)
            for project in (self.to_q, self.to_k, self.to_v)
        )
        attended = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.to_out(attended.permute(0, 3, 1, 2, 4).flatten(-2))

    def over_memory(
        self, x: Float[Tensor, "batch tokens width"], keys: Tensor, values: Tensor, reading: Reading
    ) -> Float[Tensor, "batch tokens width"]:
        """The new frame of each stream sees what `reading` says. Writes its own key and value into the memory.

        The projections are linear: q · K(x + p) = q · Kx + q · Kp, so memory and positions are attended to apart, and
        the memory is read where it lies.

        Args:
            keys, values: (slots, batch, tokens, width).
        """
        positions = self.pos_encoder.pe[0]
        rows = torch.arange(len(x), device=x.device)
        keys[reading.write, rows] = self.to_k(x).to(keys.dtype)
        values[reading.write, rows] = self.to_v(x).to(values.dtype)

        split = (self.heads, -1)
        query = self.to_q(x + positions[-1]).unflatten(-1, split) * (x.shape[-1] // self.heads) ** -0.5
        flat = query.to(keys.dtype).flatten(0, 2)[:, None]  # (batch · tokens · heads, 1, head_width)
        at_slots = (flat @ _per_head(keys, self.heads).mT).to(x.dtype).view(*query.shape[:-1], -1)
        at_positions = torch.einsum("bnhd,phd->bnhp", query, self.to_k(positions).unflatten(-1, split))
        slots = reading.slots[:, None, None].expand_as(at_positions)
        scores = (at_slots.gather(-1, slots) + at_positions).masked_fill(reading.hidden[:, None, None], -torch.inf)

        weights = scores.softmax(-1)
        of_slots = torch.zeros_like(at_slots).scatter_add_(-1, slots, weights.to(at_slots.dtype))
        from_memory = of_slots.to(values.dtype).flatten(0, 2)[:, None] @ _per_head(values, self.heads)
        from_positions = torch.einsum("bnhp,phd->bnhd", weights, self.to_v(positions).unflatten(-1, split))
        return self.to_out((from_memory.to(x.dtype).view_as(query) + from_positions).flatten(-2))


def _per_head(memory: Tensor, heads: int) -> Float[Tensor, "pairs slots head_width"]:
    """A view: each head of each place of each stream on its own."""
    return memory.unflatten(-1, (heads, -1)).flatten(1, 3).transpose(0, 1)


Attend = Callable[[TemporalAttention, Float[Tensor, "n tokens width"]], Float[Tensor, "n tokens width"]]
"""How an attention is applied to tokens of n frames: over a window, or one frame of each stream."""


def attend_over_windows(frames: int) -> Attend:
    """The n frames are windows of this many, one after another."""

    def attend(attention: TemporalAttention, x: Tensor) -> Tensor:
        return attention.over_window(x.unflatten(0, (-1, frames))).flatten(0, 1)

    return attend


def attend_over_memory(state: DepthState) -> Attend:
    """The n frames are the next ones of n streams. To be called once by each attention, in the order of the memory."""
    reading = Reading.at(state.ages)
    memory = zip(state.keys, state.values, strict=True)

    def attend(attention: TemporalAttention, x: Tensor) -> Tensor:
        keys, values = next(memory)
        return attention.over_memory(x, keys, values, reading)

    return attend


class GatedGelu(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.proj = nn.Linear(width, 2 * HIDDEN * width)

    def forward(self, x: Tensor) -> Tensor:
        x, gate = self.proj(x).chunk(2, dim=-1)
        return x * nn.functional.gelu(gate)


class FeedForward(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        # The identity is where training drops out; the checkpoint counts it.
        self.net = nn.Sequential(GatedGelu(width), nn.Identity(), nn.Linear(HIDDEN * width, width))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class TemporalBlock(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.attention_blocks = nn.ModuleList(TemporalAttention(width, heads) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.ff = FeedForward(width)
        self.ff_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, attend: Attend) -> Tensor:
        for attention, norm in zip(self.attention_blocks, self.norms, strict=True):
            assert isinstance(attention, TemporalAttention)
            x = x + attend(attention, norm(x))
        return x + self.ff(self.ff_norm(x))


class TemporalTransformer(nn.Module):
    def __init__(self, width: int, heads: int, groups: int):
        super().__init__()
        self.norm = nn.GroupNorm(groups, width, eps=1e-6)
        self.proj_in = nn.Linear(width, width)
        self.transformer_blocks = nn.ModuleList([TemporalBlock(width, heads)])
        self.proj_out = nn.Linear(width, width)
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)

    def forward(self, maps: Float[Tensor, "n width rows columns"], attend: Attend) -> Tensor:
        x = self.proj_in(self.norm(maps).flatten(2).mT)
        for block in self.transformer_blocks:
            x = block(x, attend)
        return maps + self.proj_out(x).mT.unflatten(-1, maps.shape[-2:])


class TemporalModule(nn.Module):
    """Feature maps of n frames that take up what their streams or windows show. Untrained, it changes nothing."""

    def __init__(self, width: int, heads: int, groups: int):
        super().__init__()
        self.temporal_transformer = TemporalTransformer(width, heads, groups)

    def forward(self, maps: Float[Tensor, "n width rows columns"], attend: Attend) -> Tensor:
        return self.temporal_transformer(maps, attend)
