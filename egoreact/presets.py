"""One run's whole configuration, and the three that come with the project: `tiny`, `demo`, `paper`.

The same code runs all three: `tiny` in seconds (tests), `demo` in minutes on two CPU cores, `paper` on GPU nodes.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from egoreact.errors import EgoReactError
from egoreact.evaluation.decision import PromotionPolicy
from egoreact.evaluation.examine import EvaluationConfig
from egoreact.files import sha256_json
from egoreact.hrd.dataset import DatasetConfig
from egoreact.hrd.simulate import SimulatorConfig
from egoreact.models.bundle import ReactionConfig
from egoreact.models.motion_evaluator import MotionEvaluatorConfig
from egoreact.models.reaction_gpt import ReactionGPTConfig
from egoreact.models.vqvae import VQVAEConfig
from egoreact.training.encoder import EncoderTrainingConfig
from egoreact.training.evaluator import EvaluatorTrainingConfig
from egoreact.training.gpt import GPTTrainingConfig
from egoreact.training.loop import LoopConfig
from egoreact.training.vqvae import TokenizerTrainingConfig
from egoreact.vision.backbones import BackbonesConfig
from egoreact.vision.dinov2 import ViTConfig
from egoreact.vision.frame_encoder import FrameEncoderConfig

SCHEMA_VERSION = 1

EIGHT_KINDS = ("ball_left", "ball_right", "ball_high", "low_obstacle", "head_bar", "passer_by", "dog", "car")
"""Of the simulator's kinds of encounter those that minutes are enough to learn; `paper` takes all."""


@dataclass(frozen=True)
class GateConfig:
    max_failing_fraction: float = 0.05
    """A run stops where more of the clips than this fail the alignment gate."""


@dataclass(frozen=True)
class WorkersConfig:
    """Of the distributed training jobs."""

    count: int = 2
    threads: int = 1
    """Torch threads a worker."""
    gpus: int = 0
    """GPUs a worker."""


@dataclass(frozen=True)
class RunConfig:
    name: str
    dataset: DatasetConfig
    encoder: EncoderTrainingConfig
    encoder_loop: LoopConfig
    tokenizer: TokenizerTrainingConfig
    tokenizer_loop: LoopConfig
    gpt: GPTTrainingConfig
    gpt_loop: LoopConfig
    evaluator: EvaluatorTrainingConfig
    gate: GateConfig = field(default_factory=GateConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    promotion: PromotionPolicy = field(default_factory=PromotionPolicy)
    workers: WorkersConfig = field(default_factory=WorkersConfig)
    initial: str = ""
    """Digest of the registered bundle whose weights encoder, tokenizer and transformer start from; from scratch where empty."""
    schema_version: int = SCHEMA_VERSION

    @property
    def reaction(self) -> ReactionConfig:
        """The networks of the bundle that this run trains."""
        return ReactionConfig(encoder=self.encoder.model, tokenizer=self.tokenizer.model, gpt=self.gpt.model)

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @staticmethod
    def from_json(text: str | bytes) -> "RunConfig":
        """Raises:
        EgoReactError: it is no run configuration of this schema version; names the field.
        """
        try:
            values: Any = json.loads(text)
            version = values.get("schema_version") if isinstance(values, dict) else None
            if version != SCHEMA_VERSION:
                raise EgoReactError(
                    f"run config of schema version {version}, this program reads {SCHEMA_VERSION}",
                    where="config",
                    remedy="start from a preset: tiny, demo, paper",
                )
            return TypeAdapter(RunConfig).validate_python(values)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise EgoReactError(f"{place}: {first['msg']}", where="config", remedy="correct that field") from error
        except ValueError as error:
            raise EgoReactError(f"is not JSON ({error})", where="config", remedy="start from a preset") from error

    @staticmethod
    def from_file(path: Path) -> "RunConfig":
        """Raises:
        EgoReactError: the file cannot be read, or see `from_json`.
        """
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise EgoReactError(f"cannot be read ({error})", where=path, remedy="name a JSON file") from error
        return RunConfig.from_json(text)

    @property
    def digest(self) -> str:
        return sha256_json(asdict(self))


def by_name(name: str, *, seed: int = 0) -> RunConfig:
    """Raises:
    EgoReactError: no preset of that name.
    """
    presets = {"tiny": tiny, "demo": demo, "paper": paper}
    if name not in presets:
        raise EgoReactError(f"no preset '{name}'", where="preset", remedy=f"use one of {', '.join(presets)}")
    return presets[name](seed)


def tiny(seed: int = 0) -> RunConfig:
    """Every step for real, in seconds, good for nothing but tests."""
    vit = ViTConfig(width=32, layers=1, heads=2, image_size_px=56)
    loop = LoopConfig(steps=20, batch_size=16, learning_rate=1e-3, seed=seed, checkpoint_every=10, log_every=5)
    return RunConfig(
        name="tiny",
        dataset=DatasetConfig(
            simulator=SimulatorConfig(frames=41, image_size_px=56, categories=EIGHT_KINDS),
            train_clips=24, val_clips=8, test_clips=16, clips_per_shard=8, seed=seed,
        ),
        encoder=EncoderTrainingConfig(model=FrameEncoderConfig(vit=vit)),
        encoder_loop=loop,
        tokenizer=TokenizerTrainingConfig(
            model=VQVAEConfig(width=32, code_dim=16, codebook_size=32, residual_blocks=1), window_frames=32
        ),
        tokenizer_loop=loop,
        gpt=GPTTrainingConfig(
            model=ReactionGPTConfig(
                semantic_dim=32, codebook_size=32, width=32, layers=1, heads=2, feedforward=64, window=8,
                depth_channels=(8, 8, 8), dropout=0.0, guidance=1.0,
            ),
            ramp_steps=10, waits=3,
        ),
        gpt_loop=loop,
        evaluator=EvaluatorTrainingConfig(model=MotionEvaluatorConfig(channels=16, hidden=16, embedding_dim=16), loop=loop),
        gate=GateConfig(max_failing_fraction=0.2),
        evaluation=EvaluationConfig(
            repeats=2, multimodality_conditions=4, multimodality_samples=12, latency_sessions=1, seed=seed
        ),
        promotion=PromotionPolicy(head_error_share_of_baseline=1e6, accuracy_over_chance=0.0, min_codebook_usage=0.0),
        workers=WorkersConfig(count=1),
    )  # fmt: skip


def demo(seed: int = 0) -> RunConfig:
    """The main job on two CPU cores, in minutes."""
    vit = ViTConfig(width=128, layers=4, heads=4, image_size_px=112)
    return RunConfig(
        name="demo",
        dataset=DatasetConfig(
            simulator=SimulatorConfig(frames=81, image_size_px=112, categories=EIGHT_KINDS),
            train_clips=400, val_clips=40, test_clips=120, clips_per_shard=40, seed=seed,
        ),
        encoder=EncoderTrainingConfig(model=FrameEncoderConfig(vit=vit, pixels_per_patch=2), every=4),
        encoder_loop=LoopConfig(
            steps=800, batch_size=32, learning_rate=1e-3, warmup_steps=80, decay_at=640, decay_factor=0.1, grad_clip=5.0,
            checkpoint_every=400, seed=seed,
        ),
        tokenizer=TokenizerTrainingConfig(
            model=VQVAEConfig(width=128, code_dim=64, codebook_size=128, residual_blocks=2), window_frames=80
        ),
        tokenizer_loop=LoopConfig(
            steps=420, batch_size=48, learning_rate=2e-3, warmup_steps=50, decay_at=330, decay_factor=0.1, grad_clip=0.5,
            checkpoint_every=210, seed=seed,
        ),
        gpt=GPTTrainingConfig(
            model=ReactionGPTConfig(
                semantic_dim=128, codebook_size=128, width=128, layers=4, heads=4, feedforward=384, window=20,
                depth_channels=(16, 32, 64), dropout=0.2, guidance=4.0, temperature=0.7, top_fraction=0.1,
            ),
            replaced_tokens=0.25, own_tokens=0.25, ramp_steps=140, feature_noise=0.2, waits=12,
        ),
        gpt_loop=LoopConfig(
            steps=350, batch_size=48, learning_rate=1e-3, warmup_steps=50, decay_at=270, decay_factor=0.1,
            weight_decay=0.05, grad_clip=1.0, checkpoint_every=175, seed=seed,
        ),
        evaluator=EvaluatorTrainingConfig(
            model=MotionEvaluatorConfig(channels=64, hidden=64, embedding_dim=64),
            loop=LoopConfig(steps=200, batch_size=64, learning_rate=1e-3, grad_clip=1.0, seed=seed),
        ),
        evaluation=EvaluationConfig(repeats=5, multimodality_conditions=20, multimodality_samples=20, seed=seed),
    )  # fmt: skip


def paper(seed: int = 0) -> RunConfig:
    """HRD's size and the paper's models, for GPU nodes.

    Weights of DINOv2-small and metric Video Depth Anything small come from the hub, or from where `EGOREACT_DINOV2` and
    `EGOREACT_VIDEO_DEPTH` say; they stay as they are.
    """
    eyes = BackbonesConfig()
    return RunConfig(
        name="paper",
        dataset=DatasetConfig(
            simulator=SimulatorConfig(frames=149, image_size_px=224),
            train_clips=2800, val_clips=200, test_clips=500, clips_per_shard=100, seed=seed,
        ),
        encoder=EncoderTrainingConfig(model=eyes),
        encoder_loop=LoopConfig(steps=1, batch_size=1, seed=seed),  # not used: the backbones are frozen
        tokenizer=TokenizerTrainingConfig(),
        tokenizer_loop=LoopConfig(
            steps=300_000, batch_size=256, learning_rate=2e-4, warmup_steps=1000, decay_at=200_000, decay_factor=0.05,
            checkpoint_every=5000, seed=seed,
        ),
        gpt=GPTTrainingConfig(model=ReactionGPTConfig(semantic_dim=eyes.semantic_dim), waits=8),
        gpt_loop=LoopConfig(
            steps=10_000, batch_size=64, learning_rate=2e-4, warmup_steps=250, decay_at=6000, decay_factor=0.1, seed=seed
        ),
        evaluator=EvaluatorTrainingConfig(
            model=MotionEvaluatorConfig(), loop=LoopConfig(steps=20_000, batch_size=128, learning_rate=1e-4, seed=seed)
        ),
        workers=WorkersConfig(count=4, threads=8, gpus=1),
    )  # fmt: skip
