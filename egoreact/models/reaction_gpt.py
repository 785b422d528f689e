"""The reaction transformer: past motion tokens and what the eyes see now give the next motion token, strictly causal.

x_t = Linear[embed(token_{t−1}) ; semantic_t ; depth_t ; V_{t−1}] → token_t   (EgoReAct, arXiv 2512.22808)

The trunk is transformers' Mistral: pre-norm blocks, rotary positions, sliding-window attention, KV cache. Live streams
keep a window of keys and values, so memory and time per token stay the same for ever.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import MistralConfig, MistralModel

from egoreact.errors import EgoReactError
from egoreact.models.ring_cache import EnduringRotary, RingCache

Sense = Literal["semantic", "depth", "velocity"]
SENSES: tuple[Sense, ...] = ("semantic", "depth", "velocity")


@dataclass(frozen=True)
class ReactionGPTConfig:
    semantic_dim: int = 384
    """Width of the frame encoder's semantic vector."""
    codebook_size: int = 512
    width: int = 384
    layers: int = 6
    heads: int = 6
    feedforward: int = 1024
    window: int = 50
    """Tokens that attention reaches back, 0.2 s each."""
    depth_channels: tuple[int, ...] = (32, 64, 128)
    """Of the stride-2 convolutions over the depth map."""
    senses: tuple[Sense, ...] = SENSES
    """What is told beside the past tokens, in this order; an ablation leaves some out."""
    dropout: float = 0.2
    condition_drop: float = 0.1
    """How often training hides what is seen from a whole clip, for classifier-free guidance."""
    guidance: float = 4.0
    """Classifier-free guidance scale at inference; 1 switches it off."""
    temperature: float = 1.0
    top_fraction: float = 0.1
    """Sampling draws among this fraction of the codebook, the likeliest codes."""

    def __post_init__(self) -> None:
        if not self.senses or sorted(set(self.senses) & set(SENSES)) != sorted(self.senses):
            raise EgoReactError(
                f"senses are {', '.join(map(str, self.senses)) or 'none'}",
                where="ReactionGPTConfig",
                remedy=f"give one or more of {', '.join(SENSES)}, each once",
            )


@dataclass(frozen=True)
class GPTInputs:
    """What the transformer is given for tokens t … t + n − 1, teacher-forced or one by one."""

    previous_token: Int[Tensor, "batch n"]
    """token_{t−1}; `codebook_size` stands for "none yet" at t = 0."""
    semantic: Float[Tensor, "batch n semantic_dim"]
    """Of frame 4t."""
    depth_m: Float[Tensor, "batch n side side"]
    """Of frame 4t."""
    head_velocity_m: Float[Tensor, "batch n 3"]
    """V_{t−1}: displacement of the head of the motion decoded so far, over the frame before 4t; 0 at t = 0."""
    seen: Tensor
    """(batch,) bool: False hides the frame's features (unconditional). Of rows at the end that are hidden, `semantic` and
    `depth_m` may be left out."""


class DepthBranch(nn.Module):
    """Metric depth map to a vector: stride-2 convolutions, average pooling, Linear.

    Nearness 1 / (0.5 + depth) stands in for depth, so that what matters is large and a missing depth (0) is bounded. Two
    channels hold the pixel's place, because an average over the map would otherwise forget on which side a thing comes.
    """

    def __init__(self, channels: tuple[int, ...], out_dim: int):
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((3, *channels), channels, strict=False):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(8, after), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers)
        self.project = nn.Linear(channels[-1], out_dim)

    def forward(self, depth_m: Float[Tensor, "n side side"]) -> Float[Tensor, "n out_dim"]:
        side = torch.linspace(-1, 1, depth_m.shape[-1], device=depth_m.device, dtype=depth_m.dtype)
        place = (axis.expand_as(depth_m) for axis in torch.meshgrid(side, side, indexing="ij"))
        # Channels last in memory, and so is all that follows: on a CPU, 13 % off a step of training from maps of 224 x 224.
        maps = torch.stack([1 / (0.5 + depth_m), *place], dim=-1).movedim(-1, 1)
        return self.project(self.convolutions(maps).mean((-2, -1)))


class ReactionGPT(nn.Module):
    def __init__(self, config: ReactionGPTConfig):
        super().__init__()
        self.config = config
        width = config.width
        self.token = nn.Embedding(config.codebook_size + 1, width)
        if "semantic" in config.senses:
            self.semantic = nn.Sequential(nn.LayerNorm(config.semantic_dim), nn.Linear(config.semantic_dim, width))
        if "depth" in config.senses:
            self.depth = DepthBranch(config.depth_channels, width)
        if "velocity" in config.senses:
            self.velocity = nn.Sequential(nn.Linear(3, width), nn.GELU(), nn.Linear(width, width))
        self.unseen = nn.Parameter(torch.zeros(len(set(config.senses) - {"velocity"}) * width))
        self.fuse = nn.Linear((1 + len(config.senses)) * width, width)
        self.dropout = nn.Dropout(config.dropout)
        self.trunk = MistralModel(
            MistralConfig(
                vocab_size=1,  # the trunk is fed vectors; its own embedding is not used
                bos_token_id=None,
                eos_token_id=None,
                hidden_size=width,
                intermediate_size=config.feedforward,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                num_key_value_heads=config.heads,
                sliding_window=config.window,
                attention_dropout=config.dropout,
                max_position_embeddings=config.window,
                attn_implementation="sdpa",  # type: ignore[call-arg]
            )
        )
        self.trunk.rotary_emb = EnduringRotary(self.trunk.config)  # type: ignore[assignment]
        self.head = nn.Linear(width, config.codebook_size)

    def forward(
        self, inputs: GPTInputs, *, sight: Float[Tensor, "batch n sight"] | None = None, cache: RingCache | None = None
    ) -> Float[Tensor, "batch n codebook_size"]:
        """Logits of token_t for each t given.

        Args:
            sight: what `see` makes of these inputs, where that is known already.
            cache: takes one token of the rows that it was told to `place`, and t goes on from where each of them is.
        """
        parts = [self.token(inputs.previous_token), self.see(inputs) if sight is None else sight]
        if "velocity" in self.config.senses:
            parts.append(self.velocity(inputs.head_velocity_m * VELOCITY_SCALE))
        x = self.fuse(torch.cat(parts, dim=-1))
        placed = {} if cache is None else cache.arguments
        hidden = self.trunk(
            inputs_embeds=self.dropout(x), past_key_values=cache, use_cache=cache is not None, **placed
        ).last_hidden_state
        return self.head(self.dropout(hidden))

    def see(self, inputs: GPTInputs) -> Float[Tensor, "batch n sight"]:
        """What frame 4t shows, of no width where the model does not look. Neither tokens nor V nor dropout change it."""
        count, parts = inputs.previous_token.shape[1], []
        if "semantic" in self.config.senses:
            parts.append(self.semantic(inputs.semantic))
        if "depth" in self.config.senses:
            parts.append(self._depth(inputs.depth_m))
        if not parts:
            return self.unseen.expand(len(inputs.seen), count, -1)
        shown = torch.where(inputs.seen[: len(parts[0]), None, None], torch.cat(parts, dim=-1), self.unseen)
        return torch.cat([shown, self.unseen.expand(len(inputs.seen) - len(shown), count, -1)])

    def _depth(self, depth_m: Float[Tensor, "batch n side side"]) -> Float[Tensor, "batch n width"]:
        return self.depth(depth_m.flatten(0, 1)).unflatten(0, depth_m.shape[:2])

    def new_ring(self, rows: int) -> RingCache:
        """A cache of fixed size for live streams, of so many rows that step in any company."""
        return RingCache(self.trunk.config, rows, device=self.unseen.device, dtype=self.unseen.dtype)

    @property
    def no_token(self) -> int:
        """Stands for token_{−1}."""
        return self.config.codebook_size


VELOCITY_SCALE = 20.0
"""Metres a frame become metres a second: numbers of order one."""


def sample_tokens(
    logits: Float[Tensor, "batch codes"], *, temperature: float, top_fraction: float, generators: list[torch.Generator]
) -> Int[Tensor, "batch"]:
    """Draws one token a row among the likeliest `top_fraction` of codes; temperature 0 takes the likeliest.

    Each row has its own generator, so a stream's draws do not depend on who shares its batch.
    """
    draws = torch.stack([torch.rand((), generator=generator, dtype=torch.float64) for generator in generators])
    return pick_tokens(logits, draws.to(logits.device), temperature=temperature, top_fraction=top_fraction)


def pick_tokens(
    logits: Float[Tensor, "batch codes"], draws: Float[Tensor, "batch"], *, temperature: float, top_fraction: float
) -> Int[Tensor, "batch"]:
    """`sample_tokens` with the random numbers given, uniform in [0, 1), double precision: nothing here asks the host."""
    if temperature == 0:
        return logits.argmax(-1)
    kept = max(1, round(top_fraction * logits.shape[-1]))
    values, codes = logits.topk(kept, dim=-1)
    cumulative = torch.softmax(values.double() / temperature, dim=-1).cumsum(-1)
    chosen = (cumulative < draws[:, None] * cumulative[:, -1:]).sum(-1, keepdim=True)
    return codes.gather(-1, chosen.clamp(max=kept - 1)).squeeze(-1)
