"""The depth head: a dense prediction transformer's pyramid with attention over time at four of its places."""

from jaxtyping import Float
from torch import Tensor, nn

from egoreact.vision.video_depth.temporal import Attend, TemporalAttention, TemporalModule

Pyramid = list[Float[Tensor, "n channels rows columns"]]
"""Four maps a frame, of 4, 2, 1 and 1/2 places a patch."""


class ResidualUnit(nn.Module):
    def __init__(self, features: int):
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.conv1(x.relu()).relu())


class Fusion(nn.Module):
    """RefineNet's block: takes up a finer map and grows to the next size."""

    def __init__(self, features: int):
        super().__init__()
        self.out_conv = nn.Conv2d(features, features, 1)
        self.resConfUnit1 = ResidualUnit(features)
        self.resConfUnit2 = ResidualUnit(features)

    def forward(self, x: Tensor, finer: Tensor | None, size: tuple[int, int]) -> Tensor:
        if finer is not None:
            x = x + self.resConfUnit1(finer)
        return self.out_conv(resize(self.resConfUnit2(x), size))


class Scratch(nn.Module):
    """What the checkpoint calls by this name: the way from the pyramid to one map."""

    def __init__(self, channels: tuple[int, int, int, int], features: int):
        super().__init__()
        self.layer1_rn, self.layer2_rn, self.layer3_rn, self.layer4_rn = (
            nn.Conv2d(width, features, 3, padding=1, bias=False) for width in channels
        )
        self.refinenet1, self.refinenet2, self.refinenet3, self.refinenet4 = (Fusion(features) for _ in channels)
        self.output_conv1 = nn.Conv2d(features, features // 2, 3, padding=1)
        self.output_conv2 = nn.Sequential(
            nn.Conv2d(features // 2, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 1, 1), nn.ReLU()
        )


class TemporalHead(nn.Module):
    def __init__(
        self, width: int, channels: tuple[int, int, int, int], features: int, heads: int, groups: int, patch_px: int
    ):
        super().__init__()
        self.patch_px = patch_px
        self.projects = nn.ModuleList(nn.Conv2d(width, out, 1) for out in channels)
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(channels[0], channels[0], 4, stride=4),
                nn.ConvTranspose2d(channels[1], channels[1], 2, stride=2),
                nn.Identity(),
                nn.Conv2d(channels[3], channels[3], 3, stride=2, padding=1),
            ]
        )
        self.scratch = Scratch(channels, features)
        self.motion_modules = nn.ModuleList(
            TemporalModule(out, heads, groups) for out in (channels[2], channels[3], features, features)
        )

    @property
    def attentions(self) -> list[TemporalAttention]:
        """In the order they run."""
        return [module for module in self.motion_modules.modules() if isinstance(module, TemporalAttention)]

    def places(self, rows: int, columns: int) -> list[int]:
        """Places of the map that each temporal attention runs over, for an image of rows × columns patches."""
        patches = rows * columns
        half = -(-rows // 2) * -(-columns // 2)
        return [places for places in (patches, half, patches, 4 * patches) for _ in range(2)]

    def pyramid(self, taps: list[Tensor]) -> Pyramid:
        """From the encoder's maps; each frame for itself."""
        steps = zip(taps, self.projects, self.resize_layers, strict=True)
        return [grow(project(tokens)) for tokens, project, grow in steps]

    def fuse(self, pyramid: Pyramid, attend: Attend) -> Pyramid:
        """Everything that looks over time. Gives the fused map and the two finer ones still to be taken up."""
        scratch = self.scratch
        in_time = list(self.motion_modules)
        first, second, third, fourth = pyramid
        third = scratch.layer3_rn(in_time[0](third, attend))
        fourth = scratch.layer4_rn(in_time[1](fourth, attend))
        x = in_time[2](scratch.refinenet4(fourth, None, _size(third)), attend)
        x = in_time[3](scratch.refinenet3(x, third, _size(second)), attend)
        return [x, second, first]

    def depth(self, fused: Pyramid) -> Float[Tensor, "n height width"]:
        """Metres at the image's size; each frame for itself."""
        x, second, first = fused
        scratch = self.scratch
        rows, columns = _size(first)
        x = scratch.refinenet2(x, scratch.layer2_rn(second), (rows, columns))
        x = scratch.output_conv1(scratch.refinenet1(x, scratch.layer1_rn(first), (2 * rows, 2 * columns)))
        x = resize(x, (rows // 4 * self.patch_px, columns // 4 * self.patch_px))
        return scratch.output_conv2(x).squeeze(1)


def resize(maps: Float[Tensor, "n channels rows columns"], size: tuple[int, int]) -> Tensor:
    """Bilinear, corners on corners."""
    return nn.functional.interpolate(maps, size=size, mode="bilinear", align_corners=True)


def _size(maps: Tensor) -> tuple[int, int]:
    return tuple(maps.shape[-2:])  # type: ignore[return-value]
