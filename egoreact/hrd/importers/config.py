"""How recordings become clips."""

from dataclasses import dataclass
from typing import Literal

from egoreact.errors import EgoReactError
from egoreact.hrd.clip import UNKNOWN
from egoreact.hrd.simulate.encounters import ENCOUNTERS

Kind = Literal["auto", "egoego", "aria", "bvh", "amass", "humanml3d"]
SHORTEST_FRAMES = 21
"""One second: what is shorter is no clip."""


@dataclass(frozen=True)
class ImportConfig:
    """How a recording becomes clips."""

    frames: int = 81
    """Frames a clip, 4N + 1. Windows follow each other. Of what is left at the end, half a window or more becomes a last window
    that overlaps the one before; less is dropped. A recording shorter than one window becomes one shorter clip."""
    category: str = UNKNOWN
    """What happens, for recorded video. For motion without video: the one encounter that may explain it; any by default."""
    caption: str = ""
    """A sentence about what happens; made from the encounter that explains a motion where there is none."""
    explain: bool = True
    """Whether something comes, in the rendered view of a motion without video, that is a reason for the motion."""
    fov_degrees: float = 90.0
    """Field of view from side to side: assumed of recorded video, rendered where there is none."""
    image_size_px: int = 112
    """Side of rendered images; recorded video keeps its size."""
    metres_per_unit: float | None = None
    """The unit of a BVH file, where it is not its dialect's own."""
    source_fps: float | None = None
    """The rate of a motion file that does not say it."""
    to_reference_body: bool = True
    """Whether motion without video is retargeted to the reference bone lengths."""
    device_camera_xyzw: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0)
    """Of an Aria-style recording: quaternion of the camera's axes (OpenCV's: x right, y down, z forward) in the device's."""
    video_start_us: int | None = None
    """Of an Aria-style recording: when the video's first frame was taken, on the trajectory's clock; its first stamp by default."""
    seed: int = 0
    """Of the places that are rendered around a motion; each clip of a recording has its own."""

    def __post_init__(self) -> None:
        if self.frames < SHORTEST_FRAMES or self.frames % 4 != 1:
            raise EgoReactError(
                f"frames is {self.frames}", where="ImportConfig", remedy=f"use 4N + 1, at least {SHORTEST_FRAMES}"
            )
        if self.category != UNKNOWN and self.category not in ENCOUNTERS:
            raise EgoReactError(
                f"no encounter is called {self.category!r}",
                where="category",
                remedy=f"use {UNKNOWN} or one of {', '.join(ENCOUNTERS)}",
            )
        if not 16 <= self.image_size_px <= 1024 or self.image_size_px % 2:
            raise EgoReactError(
                f"is {self.image_size_px}", where="image_size_px", remedy="use an even side, 16 to 1024 px"
            )
        if not 20.0 <= self.fov_degrees <= 150.0:
            raise EgoReactError(f"is {self.fov_degrees}", where="fov_degrees", remedy="use 20 to 150 degrees")
        if self.source_fps is not None and not 1 <= self.source_fps <= 1000:
            raise EgoReactError(f"is {self.source_fps}", where="source_fps", remedy="use 1 to 1000 frames a second")
