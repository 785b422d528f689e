"""What an experiment starts from: a data set, a trained bundle, its evaluator, and the settings that train variants of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from egoreact.errors import EgoReactError
from egoreact.evaluation.kept import evaluator_of_data
from egoreact.evaluation.protocol import EvaluationClip
from egoreact.files import sha256_json
from egoreact.hrd.clip import Clip, Split
from egoreact.hrd.dataset import data_folder, manifest_digest
from egoreact.hrd.shards import read_clips, read_manifest, read_rows
from egoreact.models.bundle import Bundle
from egoreact.models.motion_evaluator import MotionEvaluator
from egoreact.models.release import released_bundle
from egoreact.presets import RunConfig, by_name
from egoreact.progress import Progress
from egoreact.training.data import Motion, load_motion, usable_rows
from egoreact.training.features import extract_features, load_features
from egoreact.training.gpt import ReactionSamples, samples_of
from egoreact.training.loop import LoopConfig
from egoreact.training.waits import Waits, waits_of
from egoreact.vision.frame_features import FrameFeatures
from egoreact.weights import network_digest, save_network
from egoreact.workspace import Workspace


@dataclass(frozen=True)
class Part:
    """One split: what was done and what the tokens see, in the manifest's order."""

    rows: pd.DataFrame
    motion: list[Motion]
    seen: Mapping[str, FrameFeatures]

    @property
    def perceptions(self) -> list[FrameFeatures]:
        return [self.seen[motion.clip_id] for motion in self.motion]

    @property
    def clips(self) -> list[EvaluationClip]:
        return [EvaluationClip(m.clip_id, m.category, m.features.numpy(), self.seen[m.clip_id]) for m in self.motion]


@dataclass(frozen=True)
class Lab:
    config: RunConfig
    """How networks are trained; their sizes are the bundle's."""
    bundle: Bundle
    evaluator: MotionEvaluator
    hrd: Path
    quarantined: frozenset[str]
    workspace: Workspace

    @property
    def folder(self) -> Path:
        """Where experiments keep their trained variants, tables and reports."""
        return self.workspace.root / "experiments"

    @cached_property
    def data_digest(self) -> str:
        """Of the manifest, which names every shard's bytes."""
        return manifest_digest(self.hrd)

    @cached_property
    def training(self) -> Part:
        return self._part("train")

    @cached_property
    def held_out(self) -> Part:
        return self._part("val")

    @cached_property
    def test(self) -> Part:
        """Less the clips whose kind of encounter the evaluator does not know."""
        return self._part("test")

    @cached_property
    def training_samples(self) -> ReactionSamples:
        return self.samples(self.training)

    @cached_property
    def waits(self) -> Waits | None:
        """Of the training clips, as the preset trains on them."""
        versions, seed = self.config.gpt.waits, self.config.gpt_loop.seed
        tokenizer, normaliser = self.bundle.tokenizer, self.bundle.normaliser
        return waits_of(self.training.motion, tokenizer, normaliser, versions=versions, seed=seed) if versions else None

    @cached_property
    def held_out_samples(self) -> ReactionSamples:
        return self.samples(self.held_out)

    @torch.inference_mode()
    def tokens(self, motion: Motion) -> Int[Tensor, "tokens"]:
        """Of the true motion, by the bundle's tokenizer."""
        return self.bundle.tokenizer.encode(self.bundle.normaliser.normalise(motion.features)[None])[0].clone()

    def samples(self, part: Part) -> ReactionSamples:
        """What each token of a split's clips sees, and the token of the true motion."""
        return samples_of(part.motion, part.seen, self.bundle.tokenizer, self.bundle.normaliser)

    def _part(self, split: Split) -> Part:
        rows = usable_rows(self.hrd, split, self.quarantined)
        if split == "test" and self.evaluator.categories:
            rows = rows[rows["category"].isin(self.evaluator.categories)]
        if len(rows) < 2:
            raise EgoReactError(
                f"{len(rows)} usable {split} clips", where=self.hrd, remedy="build more: egoreact hrd build"
            )
        seen = load_features(self.workspace.features, rows, self._encoder_digest)
        return Part(rows, [motion for motion in load_motion(self.hrd, rows) if motion.clip_id in seen], seen)

    @cached_property
    def _encoder_digest(self) -> str:
        """Of the bundle's encoder; from here on every shard's features are in the cache."""
        folder = self.folder / "encoders" / sha256_json(sorted(self.bundle.manifest.files.items()))[:16]
        if not folder.is_dir():
            save_network(folder, self.bundle.encoder, self.bundle.config.encoder)
        extract_features(self.hrd, read_manifest(self.hrd), folder, self.workspace.features)
        return network_digest(folder)

    def see(self, frames: UInt8[np.ndarray, "tokens height width 3"]) -> FrameFeatures:
        """What the bundle's eyes make of the frames that a clip's tokens see, from its start."""
        return self.bundle.encoder.encode(torch.from_numpy(np.ascontiguousarray(frames)))

    def test_clips(self) -> Iterator[tuple[Clip, Motion]]:
        """The test clips with their pictures, one in memory at a time."""
        motion = {motion.clip_id: motion for motion in self.test.motion}
        progress = Progress("looking at", len(self.test.rows), "clips")
        for clip in read_clips(self.hrd, self.test.rows):
            if clip.id in motion:
                yield clip, motion[clip.id]
            progress.advance()


def open_lab(
    preset: str,
    *,
    bundle: Path | None = None,
    evaluator: Path | None = None,
    steps: int | None = None,
) -> Lab:
    """The lab of a preset, on the data set of this workspace.

    Args:
        bundle: the trained bundle's folder; the released one by default.
        evaluator: its folder; the one kept with the data by default.
        steps: of each training, in place of the preset's.

    Raises:
        EgoReactError: nothing was trained here yet, or data, bundle or evaluator is missing or damaged.
    """
    workspace, hrd = Workspace.from_environment(), data_folder() / "hrd"
    loaded = Bundle.load(bundle or released_bundle(workspace))
    read_rows(hrd)
    judge = MotionEvaluator.load(evaluator) if evaluator else evaluator_of_data(workspace, hrd)[0]
    quarantined = frozenset(map(str, judge.trained_on.get("quarantined", ())))
    config, networks = by_name(preset), loaded.config
    config = replace(
        config,
        tokenizer=replace(config.tokenizer, model=networks.tokenizer),
        tokenizer_loop=_of_steps(config.tokenizer_loop, steps),
        gpt=replace(config.gpt, model=networks.gpt),
        gpt_loop=_of_steps(config.gpt_loop, steps),
    )
    return Lab(config, loaded, judge, hrd, quarantined, workspace)


def _of_steps(loop: LoopConfig, steps: int | None) -> LoopConfig:
    if steps is None:
        return loop
    decay_at = None if loop.decay_at is None else round(loop.decay_at * steps / loop.steps)
    return replace(loop, steps=steps, decay_at=decay_at)
