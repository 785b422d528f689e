"""Frame features, computed once: a file per shard and encoder, named by both digests, holding what the tokens see."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from egoreact.errors import EgoReactError
from egoreact.files import sha256_json, whole_file
from egoreact.hrd.shards import ShardCounts, read_shard, verify_shard
from egoreact.processes import map_in_processes
from egoreact.progress import Progress
from egoreact.training.data import token_frames
from egoreact.vision.encoders import load_encoder
from egoreact.vision.frame_features import FrameFeatures
from egoreact.weights import network_digest, read_tensors, write_tensors


def features_path(cache: Path, shard_sha256: str, encoder_digest: str) -> Path:
    return cache / f"{shard_sha256[:24]}-{encoder_digest[:24]}.safetensors"


def extract_features(
    folder: Path, manifest: pd.DataFrame, encoder_folder: Path, cache: Path, *, workers: int | None = None
) -> tuple[str, ShardCounts]:
    """Encodes the shards whose features are not in the cache yet.

    Returns:
        A digest that names the features (of the encoder and every shard), and how many shards were encoded now.

    Raises:
        EgoReactError: a shard to be encoded is not the one that the manifest names.
    """
    encoder_digest = network_digest(encoder_folder)
    first = manifest.drop_duplicates("shard").sort_values("shard")
    shards: dict[str, str] = dict(zip(first["shard"], first["shard_sha256"], strict=True))
    paths = {name: features_path(cache, digest, encoder_digest) for name, digest in shards.items()}
    wanted = [(folder / name, shards[name], path) for name, path in paths.items() if not path.is_file()]
    progress = Progress("encoding", len(shards), "shards")
    if len(wanted) < len(shards):
        progress.advance(len(shards) - len(wanted), "from the cache")
    for _ in map_in_processes(partial(_extract_shard, encoder_folder), wanted, workers=workers):
        progress.advance()
    counts = ShardCounts(unchanged=len(shards) - len(wanted), new=len(wanted))
    return sha256_json([encoder_digest, shards]), counts


def _extract_shard(encoder_folder: Path, item: tuple[Path, str, Path]) -> None:
    shard, sha256, target = item
    verify_shard(shard, sha256)  # features of other bytes would be kept under the name of these
    encoder = load_encoder(encoder_folder).to("cuda" if torch.cuda.is_available() else "cpu")
    tensors: dict[str, Tensor] = {}
    for clip in read_shard(shard):
        frames = list(token_frames(clip))
        if frames:
            seen = encoder.encode(torch.from_numpy(np.stack(frames)))
            tensors[f"{clip.id}/semantic"], tensors[f"{clip.id}/depth_m"] = seen.semantic, seen.depth_m.half()
    with whole_file(target) as beside:
        write_tensors(beside, tensors)


def load_features(cache: Path, rows: pd.DataFrame, encoder_digest: str) -> dict[str, FrameFeatures]:
    """Features of the rows' clips by clip id, one row a token.

    Raises:
        EgoReactError: a shard's features are not in the cache.
    """
    found: dict[str, FrameFeatures] = {}
    for (shard, digest), clips in rows.groupby(["shard", "shard_sha256"]):
        path = features_path(cache, str(digest), encoder_digest)
        if not path.is_file():
            raise EgoReactError(
                f"features of {shard} are not in the cache", where=path, remedy="extract them again: make run"
            )
        tensors = read_tensors(path)
        for clip_id in clips["clip_id"]:
            if f"{clip_id}/semantic" in tensors:
                depth_m: Float[Tensor, "n side side"] = tensors[f"{clip_id}/depth_m"]
                found[clip_id] = FrameFeatures(tensors[f"{clip_id}/semantic"], depth_m)
    return found
