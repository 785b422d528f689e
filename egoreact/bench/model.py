"""The models against named rivals: the same weights, or the same configuration, in one run; they agree before they are timed."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from egoreact.bench.model_rivals import PlainVQVAE
from egoreact.bench.model_sampling import SEED, LanguageModel, Recomputing, drawn_by
from egoreact.bench.model_training import measure_loops
from egoreact.errors import EgoReactError
from egoreact.evaluation.metrics import fid
from egoreact.models.bundle import Bundle
from egoreact.models.vqvae import VQVAE
from egoreact.presets import RunConfig
from egoreact.progress import Progress
from egoreact.streaming.reaction_stream import ReactionStream
from egoreact.vision.dinov2 import ViTConfig
from egoreact.vision.frame_encoder import FrameEncoderConfig
from egoreact.vision.frame_features import FrameFeatures

AGAINST = {
    "sampling": "the last of the tokens by the same weights and draws with the whole past recomputed: depth branch and "
    "transformer without a cache, all tokens decoded anew",
    "sampling_of_kept_frames": "the same, the rival keeping what it made of earlier frames: maps of 16 x 16, whose branch "
    "weighs nothing on either side",
    "sampling_vs_generate": "transformers' generate, greedy, with its cache, on the same trunk, embedding and head; no frame is seen",
    "vq_decode": "a token of a stream, mean of the last 10, against decoding all tokens so far anew, by plain padded convolutions (nn.Conv1d, nn.Upsample) of the same weights",
    "vq_decode_vs_own": "decoding all tokens so far anew, by the project's own whole-clip decoder",
    "fid": "the usual implementation: scipy.linalg.sqrtm of the product of covariances",
    "vqvae_training": "a plain PyTorch loop of the same network as T2M-GPT has it: nn.Conv1d, one-hot codebook update, "
    "DataLoader of random windows, AdamW; each loop in a process of its own",
    "gpt_training": "a plain PyTorch loop of the same network, half of the tokens replaced as in T2M-GPT, V decoded by plain "
    "convolutions, AdamW; each loop in a process of its own",
}
"""Figure without `_ratio` → what it is measured against."""
SMALL_MAP = 16
DECODED_IN_A_ROW = 10
"""Tokens at the end of a stream, one after another, as weights and caches are in a stream."""
CHEAP_TURNS = 5
"""For each turn of a training loop, where a turn is one token."""


@dataclass(frozen=True)
class ModelBench:
    """What is measured. Defaults are the paper preset's sizes, but for the transformer's batch: maps of 224 x 224."""

    tokens: int = 50
    """Drawn and decoded."""
    embedding_dim: int = 512
    fid_samples: int = 500
    """Real embeddings, and as many generated: the test clips."""
    vqvae_batch: int = 256
    gpt_batch: int = 8
    steps: int = 1
    """Of a training loop in each turn, after as many that are not timed."""
    rounds: int = 6


def measure_model(config: RunConfig, bench: ModelBench | None = None) -> dict[str, object]:
    """How many times faster than each rival, as the best of some turns of each.

    Args:
        config: whose tokenizer and transformer.

    Returns:
        `…_ratio`s, `sampling_tokens_per_s`, `vqvae_windows_per_s` and `gpt_tokens_per_s` (training), `against`, sizes.

    Raises:
        EgoReactError: a rival disagrees.
    """
    bench = bench or ModelBench()
    progress = Progress("bench model", 7, "rivals")
    figures: dict[str, object] = {}
    for part in _parts(config, bench):
        figures |= part
        ratios = {name: value for name, value in part.items() if name.endswith("_ratio")}
        progress.advance(note=", ".join(f"{name} {value:.3g}" for name, value in ratios.items()))
    sizes = {f"bench_{name}": getattr(bench, name) for name in ("tokens", "embedding_dim", "fid_samples")}
    return figures | sizes | {"model_preset": config.name, "against": AGAINST}


def _parts(config: RunConfig, bench: ModelBench) -> Iterator[dict[str, object]]:
    yield _sampling(config, "sampling", config.encoder.model.depth_side, bench.tokens, bench.rounds)
    yield _sampling(config, "sampling_of_kept_frames", SMALL_MAP, bench.tokens, bench.rounds)
    yield _generate(config, bench.tokens, bench.rounds)
    yield _vq_decode(config, bench.tokens, bench.rounds)
    yield _fid(bench.embedding_dim, bench.fid_samples, bench.rounds)
    yield from measure_loops(
        config, vqvae_batch=bench.vqvae_batch, gpt_batch=bench.gpt_batch, steps=bench.steps, rounds=bench.rounds
    )


def best_times(functions: list[Callable[[], object]], rounds: int) -> list[float]:
    """Seconds of the best of `rounds` turns of each, one after another in each round."""
    best = [float("inf")] * len(functions)
    for _ in range(rounds):
        for place, function in enumerate(functions):
            started = time.perf_counter()
            function()
            best[place] = min(best[place], time.perf_counter() - started)
    return best


def _sampling(config: RunConfig, name: str, depth_side: int, tokens: int, rounds: int) -> dict[str, object]:
    embedded = FrameEncoderConfig(vit=ViTConfig(width=config.gpt.model.semantic_dim, layers=1))
    bundle = Bundle.untrained(replace(config.reaction, encoder=embedded))
    rival = Recomputing(bundle, tokens, depth_side)
    stream, drawn = ReactionStream(bundle, [SEED]), rival.tokens()
    _agree(name, drawn_by(stream, rival.frames), drawn)
    past = torch.cat([rival.start[0], drawn[:, :-1]], dim=1), torch.zeros(1, tokens, 3)
    newest = FrameFeatures(rival.frames.semantic[-1:], rival.frames.depth_m[-1:])
    generators = [torch.Generator().manual_seed(SEED)]
    own_s, rival_s = best_times(
        [lambda: stream.step(newest), lambda: rival.step(past, generators)], CHEAP_TURNS * rounds
    )
    return {f"{name}_ratio": rival_s / own_s, f"{name}_tokens_per_s": 1 / own_s}


def _generate(config: RunConfig, tokens: int, rounds: int) -> dict[str, object]:
    both = LanguageModel(config.gpt.model, tokens)
    _agree("generate", both.own_tokens(), both.generated())
    own_s, rival_s = best_times([both.own_tokens, both.generated], rounds)
    return {"sampling_vs_generate_ratio": rival_s / own_s}


@torch.inference_mode()
def _vq_decode(config: RunConfig, tokens: int, rounds: int) -> dict[str, object]:
    torch.manual_seed(0)
    own = VQVAE(config.tokenizer.model).eval()
    plain = PlainVQVAE(own).eval()
    told = torch.randint(config.tokenizer.model.codebook_size, (1, tokens))

    def stream() -> Tensor:
        state, parts = own.decoder_state(1), []
        for token in told.split(1, dim=1):
            features, state = own.decode_stream(token, state)
            parts.append(features)
        return torch.cat(parts, dim=1)

    whole = plain.decode(told)
    for name, features in (("own", own.decode(told)), ("streamed", stream())):
        _close(f"vq decoding, {name}", features, whole, 1e-5)
    before, newest = told[:, :-DECODED_IN_A_ROW], told[:, -DECODED_IN_A_ROW:].split(1, dim=1)
    then = own.decoder_state(1)
    if before.numel():
        _, then = own.decode_stream(before, then)

    def last_of_a_stream() -> None:
        state = then
        for token in newest:
            _, state = own.decode_stream(token, state)

    row_s, plain_s, own_s = best_times(
        [last_of_a_stream, lambda: plain.decode(told), lambda: own.decode(told)], CHEAP_TURNS * rounds
    )
    token_s = row_s / len(newest)
    return {"vq_decode_ratio": plain_s / token_s, "vq_decode_vs_own_ratio": own_s / token_s}


def _fid(dim: int, samples: int, rounds: int) -> dict[str, object]:
    rng = np.random.default_rng(0)
    real, made = (rng.standard_normal((samples, dim)) @ rng.standard_normal((dim, dim)) / dim**0.5 for _ in range(2))

    def usual() -> float:
        first, second = np.cov(real, rowvar=False), np.cov(made, rowvar=False)
        root = scipy.linalg.sqrtm(first @ second)
        root = root.real if np.iscomplexobj(root) else root
        apart = real.mean(0) - made.mean(0)
        return float(apart @ apart + np.trace(first) + np.trace(second) - 2 * np.trace(root))

    own, rival = fid(real, made), usual()
    if abs(own - rival) > 1e-6 * max(1.0, abs(rival)):
        raise EgoReactError(
            f"{own} against {rival}", where="bench model, fid", remedy="they should agree to 6 decimals"
        )
    own_s, rival_s = best_times([lambda: fid(real, made), usual], rounds)
    return {"fid_ratio": rival_s / own_s}


def _agree(name: str, own: Tensor, rival: Tensor) -> None:
    if not torch.equal(own, rival):
        first = int((own != rival).any(0).nonzero()[0])
        raise EgoReactError(
            f"the tokens differ from token {first} on", where=f"bench model, {name}", remedy="they should be the same"
        )


def _close(name: str, own: Tensor, rival: Tensor, share: float) -> None:
    """To `share` of the largest value."""
    apart = float((own - rival).abs().max() / rival.abs().max())
    if not apart <= share:
        raise EgoReactError(
            f"apart by {apart:.1e} of the largest value", where=f"bench model, {name}", remedy=f"at most {share:.0e}"
        )
