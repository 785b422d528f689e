"""Teaching the embedded frame encoder what the simulator knows of a picture: depth, what each pixel is, and what comes.

Losses: L1 of log depth; cross-entropy of the segmentation; and on the semantic vector, for each kind of thing that can
come at a person, whether it is there, where in the image, and how near.
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
from egoreact.vision.dinov2 import load_pretrained, preprocess
from egoreact.vision.frame_encoder import OBJECT_CLASSES, FrameEncoder, FrameEncoderConfig, Perception
from egoreact.weights import read_tensors, write_tensors

MIN_DEPTH_M, MAX_DEPTH_M = 0.1, 50.0


@dataclass(frozen=True)
class EncoderTrainingConfig:
    model: FrameEncoderConfig = field(default_factory=FrameEncoderConfig)
    depth_weight: float = 1.0
    segmentation_weight: float = 0.5
    objects_weight: float = 1.0
    every: int = 4
    """Each how many frames of a clip one is learnt from; neighbours differ little."""
    backbone: str = ""
    """Weights that the transformer starts from: a folder or a model of the hub; empty starts from scratch."""


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
        return {
            "images": preprocess(_mirror(rgb, mirrored, side=2), self.module.config.vit.image_size_px),
            "depth_m": _mirror(depth_m, mirrored, side=2),
            "segmentation": _mirror(segmentation, mirrored, side=2),
        }

    def loss(self, batch: dict[str, Tensor], draws: Draws) -> dict[str, Float[Tensor, ""]]:
        perceived: Perception = self.module(batch["images"])
        depth = _depth_loss(perceived.log_depth, batch["depth_m"])
        segmentation = nn.functional.cross_entropy(
            perceived.segmentation_logits, batch["segmentation"], weight=_class_weights(batch["segmentation"].device)
        )
        objects = _object_loss(perceived.objects, object_truth(batch["depth_m"], batch["segmentation"]))
        c = self.config
        total = c.depth_weight * depth + c.segmentation_weight * segmentation + c.objects_weight * objects
        return {"loss": total, "depth": depth, "segmentation": segmentation, "objects": objects}

    def _perceive(self, rgb: UInt8[Tensor, "n height width 3"]) -> Perception:
        device = next(self.module.parameters()).device
        return self.module(preprocess(rgb.to(device), self.module.config.vit.image_size_px)).to("cpu")

    def validate(self) -> dict[str, float]:
        """Of held-out frames: mean relative depth error, and the share of object presences told right."""
        if self.held_out is None:
            return {}
        error, right, count = 0.0, 0.0, 0
        for rgb, depth_m, segmentation in zip(*(part.split(64) for part in vars(self.held_out).values()), strict=True):
            perceived = self._perceive(rgb)
            known = depth_m > MIN_DEPTH_M
            error += float(
                ((perceived.features.depth_m - depth_m).abs() / depth_m.clamp(min=MIN_DEPTH_M))[known].mean()
            ) * len(rgb)
            there = object_truth(depth_m, segmentation.long())[..., 0] > 0.5
            right += float(((perceived.objects[..., 0] > 0) == there).float().mean()) * len(rgb)
            count += len(rgb)
        return {"depth_relative_error": error / count, "presence_accuracy": right / count}


def object_truth(
    depth_m: Float[Tensor, "n side side"], segmentation: Int[Tensor, "n side side"]
) -> Float[Tensor, "n 6 4"]:
    """Of each object class: presence, centre x and y in [−1, 1], and nearness 1 / (0.5 + median-ish depth)."""
    mask = torch.stack([segmentation == c for c in range(1, OBJECT_CLASSES + 1)], dim=1).float()
    area = mask.sum((-2, -1))
    side = torch.linspace(-1, 1, depth_m.shape[-1], device=depth_m.device)
    x = (mask * side).sum((-2, -1)) / area.clamp(min=1)
    y = (mask * side[:, None]).sum((-2, -1)) / area.clamp(min=1)
    nearness = (mask / (0.5 + depth_m[:, None])).sum((-2, -1)) / area.clamp(min=1)
    return torch.stack([(area > 0).float(), x, y, nearness], dim=-1)


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


def make_encoder_learner(*, data: str, config: dict) -> EncoderLearner:
    """A fresh encoder and what teaches it.

    Args:
        data: path of what `write_encoder_data` wrote.
        config: `dataclasses.asdict` of an `EncoderTrainingConfig`.
    """
    tensors = read_tensors(Path(data))
    train, held_out = (
        Pictures(**{name.removeprefix(part): value for name, value in tensors.items() if name.startswith(part)})
        for part in ("train/", "held_out/")
    )
    training_config = TypeAdapter(EncoderTrainingConfig).validate_python(config)
    encoder = FrameEncoder(training_config.model)
    if training_config.backbone:
        load_pretrained(encoder.vit, training_config.backbone)
    return EncoderLearner(encoder, train, held_out, training_config)
