"""One step of many streams at once: features of frame 4t in, motion frames 4t … 4t + 3 out.

All that a stream remembers is here: the transformer's cache, the tokenizer's and the motion decoder's state, the last
token, and V_{t−1}, the head's displacement in the motion that was decoded for the frames before.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from egoreact.models.bundle import Bundle
from egoreact.models.reaction_gpt import GPTInputs, sample_tokens
from egoreact.motion.representation import StreamingDecoder
from egoreact.motion.skeleton import HEAD
from egoreact.vision.frame_encoder import FrameFeatures


@dataclass(frozen=True)
class MotionStep:
    tokens: Int[Tensor, "batch"]
    features: Float[Tensor, "batch 4 263"]
    joints_m: Float[Tensor, "batch 4 22 3"]
    head_velocity_m: Float[Tensor, "batch 3"]
    """The V_{t−1} that the tokens were drawn with."""


class ReactionStream:
    """A batch of streams that step together, each with its own random draws."""

    def __init__(self, bundle: Bundle, seeds: list[int], *, temperature: float | None = None):
        """Args:
        seeds: one a stream; a stream's draws depend on its seed alone.
        temperature: of sampling; the bundle's own where None, 0 for the likeliest token.
        """
        self.bundle = bundle
        self.config = bundle.config.gpt
        self.temperature = self.config.temperature if temperature is None else temperature
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        batch = len(seeds)
        self.guided = self.config.guidance != 1
        self.cache = bundle.gpt.new_cache()
        self.decoder_state = bundle.tokenizer.decoder_state(batch)
        self.motion_decoder = StreamingDecoder()
        self.tokens = torch.full((batch,), bundle.gpt.no_token)
        self.head_velocity_m = torch.zeros(batch, 3)

    @torch.inference_mode()
    def choose(
        self, frame: FrameFeatures, head_velocity_m: Float[Tensor, "batch 3"] | None = None
    ) -> Int[Tensor, "batch"]:
        """Draws token_t from what frame 4t shows, the tokens so far and the decoded motion so far.

        Args:
            head_velocity_m: V_{t−1} to use in place of the decoded motion's: an experiment's upper bound.
        """
        batch = len(self.tokens)
        if head_velocity_m is not None:
            self.head_velocity_m = head_velocity_m
        inputs = GPTInputs(
            previous_token=self.tokens[:, None],
            semantic=frame.semantic[:, None],
            depth_m=frame.depth_m[:, None],
            head_velocity_m=self.head_velocity_m[:, None],
            seen=torch.ones(batch, dtype=torch.bool),
        )
        if self.guided:  # the second half of the batch sees nothing: classifier-free guidance
            inputs = GPTInputs(*(torch.cat([value, value]) for value in vars(inputs).values()))
            inputs.seen[batch:] = False
        logits = self.bundle.gpt(inputs, cache=self.cache)[:, -1]
        if self.guided:
            seen, unseen = logits.chunk(2)
            logits = unseen + self.config.guidance * (seen - unseen)
        self.tokens = sample_tokens(
            logits, temperature=self.temperature, top_fraction=self.config.top_fraction, generators=self.generators
        )
        return self.tokens

    @torch.inference_mode()
    def decode(self) -> MotionStep:
        """The motion of the tokens just drawn."""
        used = self.head_velocity_m
        normalised, self.decoder_state = self.bundle.tokenizer.decode_stream(self.tokens[:, None], self.decoder_state)
        features = self.bundle.normaliser.denormalise(normalised)
        joints_m = self.motion_decoder.step(features)
        self.head_velocity_m = joints_m[:, -1, HEAD] - joints_m[:, -2, HEAD]
        return MotionStep(self.tokens, features, joints_m, used)

    def step(self, frame: FrameFeatures, head_velocity_m: Float[Tensor, "batch 3"] | None = None) -> MotionStep:
        self.choose(frame, head_velocity_m)
        return self.decode()
