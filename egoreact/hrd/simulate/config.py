"""What the simulator is asked for."""

from dataclasses import dataclass, field

from egoreact.errors import EgoReactError
from egoreact.hrd.simulate.encounters import ENCOUNTERS
from egoreact.hrd.simulate.picture.lens import CameraEffects


@dataclass(frozen=True)
class SimulatorConfig:
    """How clips are made; which clip is made is said by category and seed."""

    frames: int = 81
    """Frames a clip at 20 fps, 4N + 1 for N motion tokens."""
    image_size_px: int = 112
    """Side of the square image."""
    fov_degrees: float = 90.0
    """Field of view from side to side."""
    categories: tuple[str, ...] = tuple(ENCOUNTERS)
    """Encounters a data set is made of, in turn."""
    own_body: bool = True
    """Whether the wearer sees their own arms and legs, and their shadow."""
    camera: CameraEffects | None = field(default_factory=CameraEffects)
    """Between which bounds the clips' cameras differ; None for a perfect one. Depth and classes are exact with any."""

    def __post_init__(self) -> None:
        if self.frames < 5 or self.frames % 4 != 1:
            raise EgoReactError(f"frames is {self.frames}", where="SimulatorConfig", remedy="use 4N + 1, at least 5")
        if not 16 <= self.image_size_px <= 1024 or self.image_size_px % 2:
            raise EgoReactError(
                f"image_size_px is {self.image_size_px}",
                where="SimulatorConfig",
                remedy="use an even side, 16 to 1024 px",
            )
        if not 20.0 <= self.fov_degrees <= 150.0:
            raise EgoReactError(
                f"fov_degrees is {self.fov_degrees}", where="SimulatorConfig", remedy="use 20 to 150 degrees"
            )
        unknown = [name for name in self.categories if name not in ENCOUNTERS]
        if unknown or not self.categories:
            raise EgoReactError(
                f"unknown category {unknown[0]!r}" if unknown else "no categories",
                where="SimulatorConfig",
                remedy=f"use some of {', '.join(ENCOUNTERS)}",
            )
