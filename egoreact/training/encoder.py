"""Teaching the embedded frame encoder what the simulator knows of a picture: depth, what each pixel is, and what comes.

Losses: L1 of log depth; cross-entropy of the segmentation; and on the semantic vector, for each kind of thing that can
come at a person, whether it is there, where in the image, and how near, and where the eyes look: they follow what comes,
so it stays near the middle of the picture, and which side it comes from shows in how far the head has turned.
"""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float, Int, UInt8
from pydantic import TypeAdapter
from torch import Tensor, nn

from egoreact.files import whole_file
from egoreact.training.data import Pictures
from egoreact.training.loop import Learner
from egoreact.training.world import Draws
from egoreact.vision.dinov2 import preprocess
from egoreact.vision.encoders import EncoderConfig
from egoreact.vision.frame_encoder import (
    GAZE_UNIT_RADIANS,
    OBJECT_CLASSES,
    FrameEncoder,
    FrameEncoderConfig,
    Perception,
)
from egoreact.weights import load_into, read_tensors, write_tensors

MIN_DEPTH_M, MAX_DEPTH_M = 0.1, 50.0


@dataclass(frozen=True)
class EncoderTrainingConfig:
    model: EncoderConfig = field(default_factory=FrameEncoderConfig)
    """Published backbones are frozen: of them nothing else here is used."""
    depth_weight: float = 1.0
    segmentation_weight: float = 0.5
    objects_weight: float = 1.0
    gaze_weight: float = 1.0
    every: int = 4
    """Each how many frames of a clip one is learnt from; neighbours differ little."""


class EncoderLearner(Learner):
    module: FrameEncoder

    def __init__(
        self, encoder: FrameEncoder, pictures: Pictures, held_out: Pictures | None, config: EncoderTrainingConfig
    ):
        self.module = encoder
        self.pictures, self.held_out, self.config = pictures, held_out, config
        self.num_samples = len(pictures.rgb)

    def batch(self, indices: Int[Tensor, " samples"], draws: Draws) -> dict[str, Tensor]:
        """Pictures of random brightness, half of them mirrored with all that is known of them."""
        brightness = draws.uniform("brightness", 1, 1, 1) * 0.5 + 0.75
        mirrored = draws.uniform("mirrored") < 0.5
        rgb = (self.pictures.rgb[indices].float() * brightness).clamp(0, 255).to(torch.uint8)
        depth_m, segmentation = self.pictures.depth_m[indices], self.pictures.segmentation[indices].long()
        sideways = torch.where(mirrored, -1.0, 1.0)
        objects, gaze = self.pictures.objects[indices].clone(), self.pictures.gaze[indices].clone()
        objects[..., 1] *= sideways[:, None]
        gaze[:, 0] *= sideways
        return {
            "images": preprocess(_mirror(rgb, mirrored, side=2), self.module.config.vit.image_size_px),
            "depth_m": _mirror(depth_m, mirrored, side=2),
            "segmentation": _mirror(segmentation, mirrored, side=2),
            "objects": objects,
            "gaze": gaze,
        }

    def loss(self, batch: dict[str, Tensor], draws: Draws) -> dict[str, Float[Tensor, ""]]:
        perceived: Perception = self.module(batch["images"])
        depth = _depth_loss(perceived.log_depth, batch["depth_m"])
        segmentation = nn.functional.cross_entropy(
            perceived.segmentation_logits, batch["segmentation"], weight=_class_weights(batch["segmentation"].device)
        )
        objects = _object_loss(perceived.objects, batch["objects"])
        gaze = nn.functional.smooth_l1_loss(perceived.gaze / GAZE_UNIT_RADIANS, batch["gaze"] / GAZE_UNIT_RADIANS)
        c = self.config
        total = c.depth_weight * depth + c.segmentation_weight * segmentation + c.objects_weight * objects
        total = total + c.gaze_weight * gaze
        return {"loss": total, "depth": depth, "segmentation": segmentation, "objects": objects, "gaze": gaze}

    def _perceive(self, rgb: UInt8[Tensor, "n height width 3"]) -> Perception:
        device = next(self.module.parameters()).device
        return self.module(preprocess(rgb.to(device), self.module.config.vit.image_size_px)).to("cpu")

    def validate(self) -> dict[str, float]:
        """Of held-out frames: mean relative depth error, the share of object presences told right, and the mean error of
        where the eyes look, degrees."""
        if self.held_out is None:
            return {}
        error, right, astray, count = 0.0, 0.0, 0.0, 0
        for rgb, depth_m, _, objects, gaze in zip(
            *(part.split(64) for part in vars(self.held_out).values()), strict=True
        ):
            perceived = self._perceive(rgb)
            known = depth_m > MIN_DEPTH_M
            error += float(
                ((perceived.features.depth_m - depth_m).abs() / depth_m.clamp(min=MIN_DEPTH_M))[known].mean()
            ) * len(rgb)
            there = objects[..., 0] > 0.5
            astray += float((perceived.gaze - gaze).abs().mean().rad2deg()) * len(rgb)
            right += float(((perceived.objects[..., 0] > 0) == there).float().mean()) * len(rgb)
            count += len(rgb)
        means = (error / count, right / count, astray / count)
        return dict(zip(("depth_relative_error", "presence_accuracy", "gaze_error_degrees"), means, strict=True))


def _mirror(pictures: Tensor, mirrored: Tensor, *, side: int) -> Tensor:
    flags = mirrored.view(-1, *[1] * (pictures.ndim - 1))
    return torch.where(flags, pictures.flip(side), pictures)


def _depth_loss(log_depth: Tensor, depth_m: Tensor) -> Tensor:
    known = depth_m > MIN_DEPTH_M
    target = depth_m.clamp(MIN_DEPTH_M, MAX_DEPTH_M).log()
    return (nn.functional.l1_loss(log_depth, target, reduction="none") * known).sum() / known.sum().clamp(min=1)


def _object_loss(predicted: Tensor, truth: Tensor) -> Tensor:
    there = truth[..., 0]
    presence = nn.functional.binary_cross_entropy_with_logits(predicted[..., 0], there)
    place = nn.functional.smooth_l1_loss(predicted[..., 1:], truth[..., 1:], reduction="none").mean(-1)
    return presence + 4 * (place * there).sum() / there.sum().clamp(min=1)


def _class_weights(device: torch.device) -> Tensor:
    """Things that come are few pixels among many of the static world."""
    return torch.tensor([0.2] + [1.0] * OBJECT_CLASSES + [0.5], device=device)


def write_encoder_data(path: Path, pictures: Pictures, held_out: Pictures) -> None:
    """One safetensors file that `make_encoder_learner` reads on every rank."""
    with whole_file(path) as beside:
        write_tensors(
            beside,
            {f"train/{name}": value for name, value in vars(pictures).items()}
            | {f"held_out/{name}": value for name, value in vars(held_out).items()},
        )


def make_encoder_learner(*, data: str, config: dict, initial: str = "") -> EncoderLearner:
    """An encoder and what teaches it.

    Args:
        data: path of what `write_encoder_data` wrote.
        config: `dataclasses.asdict` of an `EncoderTrainingConfig`.
        initial: path of the weights that it starts from; fresh ones where empty.

    Raises:
        WeightsMismatchError: the initial weights are of another architecture.
    """
    tensors = read_tensors(Path(data))
    train, held_out = (
        Pictures(**{name.removeprefix(part): value for name, value in tensors.items() if name.startswith(part)})
        for part in ("train/", "held_out/")
    )
    training_config = TypeAdapter(EncoderTrainingConfig).validate_python(config)
    assert isinstance(training_config.model, FrameEncoderConfig)
    encoder = FrameEncoder(training_config.model)
    if initial:
        load_into(encoder, Path(initial))
    return EncoderLearner(encoder, train, held_out, training_config)
