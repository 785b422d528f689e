"""Drawing tokens without the project's caches, and by transformers' own `generate`."""

import copy

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import GenerationConfig, MistralForCausalLM

from egoreact.models.bundle import Bundle
from egoreact.models.reaction_gpt import GPTInputs, ReactionGPT, ReactionGPTConfig, sample_tokens
from egoreact.motion.representation import decode
from egoreact.motion.skeleton import HEAD
from egoreact.streaming.reaction_stream import ReactionStream
from egoreact.vision.frame_features import FrameFeatures
from egoreact.weights import seeded

SEED = 7


def drawn_by(stream: ReactionStream, frames: FrameFeatures) -> Int[Tensor, "1 n"]:
    """What a stream, as it is served, draws for these frames."""
    steps = [
        stream.step(FrameFeatures(*frame))
        for frame in zip(frames.semantic.split(1), frames.depth_m.split(1), strict=True)
    ]
    return torch.stack([step.tokens for step in steps], dim=1)


class Recomputing:
    """The same draws of one stream that remembers its inputs and tokens, and nothing that was made of them."""

    def __init__(self, bundle: Bundle, tokens: int, depth_side: int):
        generator = torch.Generator().manual_seed(0)
        self.bundle = bundle
        self.frames = FrameFeatures(
            torch.randn(tokens, bundle.config.gpt.semantic_dim, generator=generator),
            torch.rand(tokens, depth_side, depth_side, generator=generator) * 5,
        )

        self.start = torch.full((1, 1), bundle.gpt.no_token), torch.zeros(1, 1, 3)

    def tokens(self) -> Int[Tensor, "1 n"]:
        generators = [torch.Generator().manual_seed(SEED)]
        past = self.start
        for _ in self.frames.semantic:
            past = self.step(past, generators)
        return past[0][:, 1:]

    @torch.inference_mode()
    def step(self, past: tuple[Tensor, Tensor], generators: list[torch.Generator]) -> tuple[Tensor, Tensor]:
        """One token more. `past`: the tokens, "none yet" first, and V_{t−1} of each token and of the next."""
        bundle, config = self.bundle, self.bundle.config.gpt
        logits = self._logits(*past)[:, -1]
        drawn = sample_tokens(
            logits, temperature=config.temperature, top_fraction=config.top_fraction, generators=generators
        )
        told = torch.cat([past[0], drawn[:, None]], dim=1)
        head = decode(bundle.normaliser.denormalise(bundle.tokenizer.decode(told[:, 1:])))[:, :, HEAD]
        return told, torch.cat([past[1], (head[:, -1] - head[:, -2])[:, None]], dim=1)

    def _logits(self, previous: Tensor, velocities: Tensor) -> Tensor:
        count, guidance = previous.shape[1], self.bundle.config.gpt.guidance
        semantic, depth_m = self.frames.semantic[None, :count], self.frames.depth_m[None, :count]
        if guidance == 1:
            return self.bundle.gpt(GPTInputs(previous, semantic, depth_m, velocities, torch.tensor([True])))
        twice = GPTInputs(
            previous.repeat(2, 1), semantic, depth_m, velocities.repeat(2, 1, 1), torch.tensor([True, False])
        )
        seeing, blind = self.bundle.gpt(twice).chunk(2)
        return blind + guidance * (seeing - blind)


class LanguageModel:
    """The trunk, the head and the token embedding alone: token in, likeliest token out."""

    def __init__(self, gpt: ReactionGPTConfig, tokens: int):
        self.gpt = seeded(0, lambda: ReactionGPT(gpt)).eval().requires_grad_(False)
        self.count = tokens
        self.start = torch.full((1, 1), self.gpt.no_token)
        trunk = self.gpt.trunk
        trunk.embed_tokens = self.gpt.token
        config = copy.deepcopy(trunk.config)
        config.max_position_embeddings = tokens + 1  # else it warns; rotary positions know no end
        with torch.device("meta"):  # its own weights are never made
            self.model = MistralForCausalLM(config).eval()
        self.model.model, self.model.lm_head = trunk, self.gpt.head
        self.settings = GenerationConfig(max_new_tokens=tokens, do_sample=False, pad_token_id=0)

    @torch.inference_mode()
    def own_tokens(self) -> Int[Tensor, "1 n"]:
        """By the ring of keys and values that streams have."""
        ring, told = self.gpt.new_ring(1), [self.start]
        for _ in range(self.count):
            ring.place(slice(None))
            hidden = self.gpt.trunk(told[-1], past_key_values=ring, use_cache=True, **ring.arguments).last_hidden_state
            told.append(self.gpt.head(hidden).argmax(-1))
        return torch.cat(told[1:], dim=1)

    @torch.inference_mode()
    def generated(self) -> Int[Tensor, "1 n"]:
        """By `generate`."""
        mask = torch.ones_like(self.start)
        return self.model.generate(self.start, attention_mask=mask, generation_config=self.settings)[:, 1:]
