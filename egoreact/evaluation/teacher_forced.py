"""What the model says next after the true past: next-token figures, and the motion of tokens drawn there.

No figure of the closed loop: here a wrong token is forgotten at once, for the next one is drawn after the truth again. The
distance between the two tells how much a model suffers from going on from its own mistakes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from egoreact.models.bundle import Bundle
from egoreact.models.motion_evaluator import pad
from egoreact.models.reaction_gpt import GPTInputs, pick_tokens
from egoreact.models.vqvae import FRAMES_PER_TOKEN
from egoreact.training.gpt import head_velocity_of, shift
from egoreact.vision.frame_features import FrameFeatures

BATCH = 128


@dataclass(frozen=True)
class TeacherForced:
    """Of clips in the order they were given. Networks are causal, so what pads the shorter ones changes nothing of them."""

    bundle: Bundle
    logits: Float[Tensor, "clips tokens codes"]
    """That tokens are drawn from, guidance included, as in the closed loop."""
    nll_nats: list[Float[np.ndarray, " tokens"]]
    """−ln p of each true token, without guidance."""
    right: list[Bool[np.ndarray, " tokens"]]
    """Whether the true token is the likeliest, without guidance."""

    @torch.inference_mode()
    def draw(self, seed: int) -> list[Float[np.ndarray, "frames 263"]]:
        """Motion of tokens each drawn after the true past, with the bundle's temperature."""
        config = self.bundle.config.gpt
        numbers = torch.from_numpy(np.random.default_rng(seed).random(self.logits.shape[:2])).to(self.logits.device)
        motion: list[np.ndarray] = []
        for logits, draws in zip(self.logits.split(BATCH), numbers.split(BATCH), strict=True):
            tokens = pick_tokens(
                logits.flatten(0, 1), draws.flatten(), temperature=config.temperature, top_fraction=config.top_fraction
            )
            decoded = self.bundle.tokenizer.decode(tokens.view_as(draws))
            motion += list(self.bundle.normaliser.denormalise(decoded).cpu().numpy())
        return [rows[: FRAMES_PER_TOKEN * len(right)] for rows, right in zip(motion, self.right, strict=True)]


@torch.inference_mode()
def teacher_force(
    bundle: Bundle, perceptions: Sequence[FrameFeatures], motion: Sequence[Float[np.ndarray, "frames 263"]]
) -> TeacherForced:
    """Asks the model, after each true past of each clip, for the next token.

    Args:
        perceptions: what each clip's tokens see, a row a token.
        motion: each clip's true motion.
    """
    device = bundle.gpt.unseen.device
    features, _ = pad(motion, device=device)
    semantic = pad_sequence([seen.semantic.float() for seen in perceptions], batch_first=True).to(device)
    depth_m = pad_sequence([seen.depth_m.float() for seen in perceptions], batch_first=True).to(device)
    logits, nll_nats, right = [], [], []
    for part in torch.arange(len(motion), device=device).split(BATCH):
        tokens = bundle.tokenizer.encode(bundle.normaliser.normalise(features[part]))
        conditional, drawn_from = _logits(bundle, tokens, semantic[part], depth_m[part])
        logits.append(drawn_from)
        nll_nats.append(nn.functional.cross_entropy(conditional.mT, tokens, reduction="none").double().cpu())
        right.append((conditional.argmax(-1) == tokens).cpu())
    lengths = [len(seen.semantic) for seen in perceptions]
    return TeacherForced(
        bundle,
        torch.cat(logits),
        [row[:length].numpy() for row, length in zip(torch.cat(nll_nats), lengths, strict=True)],
        [row[:length].numpy() for row, length in zip(torch.cat(right), lengths, strict=True)],
    )


def _logits(
    bundle: Bundle, tokens: Int[Tensor, "batch n"], semantic: Tensor, depth_m: Tensor
) -> tuple[Float[Tensor, "batch n codes"], Float[Tensor, "batch n codes"]]:
    """Of each next token: conditional ones, and those that the closed loop would draw from."""

    def ask(seen: bool) -> Float[Tensor, "batch n codes"]:
        inputs = GPTInputs(
            previous_token=shift(tokens, bundle.gpt.no_token),
            semantic=semantic,
            depth_m=depth_m,
            head_velocity_m=head_velocity_of(tokens, bundle.tokenizer, bundle.normaliser),
            seen=torch.full((len(tokens),), seen, device=tokens.device),
        )
        return bundle.gpt(inputs)

    conditional, guidance = ask(True), bundle.config.gpt.guidance
    if guidance == 1:
        return conditional, conditional
    unseen = ask(False)
    return conditional, unseen + guidance * (conditional - unseen)
