"""The wearer's camera: how it sees what light there is. Drawn once a clip; what it records of depth and classes stays exact."""

from dataclasses import dataclass, fields
from functools import cache

import numpy as np
from jaxtyping import Float32, Float64

from egoreact.motion.skeleton import FPS

_METERED_PX = 28
"""Samples along a side that the exposure is measured with, whatever the picture's size."""
_GREY = 0.34
"""Linear light that a metered picture is brought towards."""
_LEAST, _MOST = 0.6, 2.2
"""Bounds of the exposure."""


@dataclass(frozen=True)
class CameraEffects:
    """Between which bounds cameras differ."""

    shutter_s: tuple[float, float] = (1 / 200, 1 / 60)
    exposure_stops: tuple[float, float] = (-0.35, 0.35)
    """Off what the automatic exposure would choose."""
    exposure_lag_s: tuple[float, float] = (0.15, 0.5)
    warmth: tuple[float, float] = (-0.07, 0.07)
    """More red and less blue, or the other way round."""
    tint: tuple[float, float] = (-0.025, 0.025)
    """More green, or less."""
    vignette: tuple[float, float] = (0.0, 0.3)
    noise: tuple[float, float] = (0.2, 1.0)
    """Times that of a small sensor by day."""


@dataclass(frozen=True)
class Camera:
    """One camera; as it stands, a perfect one."""

    shutter_s: float = 0.0
    exposure_stops: float = 0.0
    exposure_lag_s: float = 0.0
    """0: no automatic exposure."""
    warmth: float = 0.0
    tint: float = 0.0
    vignette: float = 0.0
    noise: float = 0.0
    noise_seed: int = 0

    @property
    def grain(self) -> float:
        """Deviation of the square root of the light."""
        return 0.009 * self.noise

    def gains(self, exposure: float) -> Float64[np.ndarray, "3"]:
        balance = np.array([1 + self.warmth, 1 + self.tint, 1 - self.warmth])
        return balance * exposure * 2.0**self.exposure_stops


def sample_camera(effects: CameraEffects | None, rng: np.random.Generator) -> Camera:
    """A camera within the bounds; the perfect one for None."""
    if effects is None:
        return Camera()
    drawn = {name: float(rng.uniform(*getattr(effects, name))) for name in (field.name for field in fields(effects))}
    return Camera(**drawn, noise_seed=int(rng.integers(2**31)))


class Exposure:
    """Follows the light, late and not all the way."""

    def __init__(self, camera: Camera):
        self.lag_s = camera.exposure_lag_s
        self.now = 1.0
        self.settled = False

    def meter(self, colour: Float32[np.ndarray, "height width 3"]) -> float:
        """The exposure of this frame, from it and those before."""
        if self.lag_s <= 0:
            return 1.0
        step = max(len(colour) // _METERED_PX, 1)
        light = colour[step // 2 :: step, step // 2 :: step] @ np.array([0.21, 0.72, 0.07], np.float32)
        level = float(np.exp(np.log(light + 0.02).mean()))
        wanted = float(np.clip((_GREY / level) ** 0.6, _LEAST, _MOST))
        share = 1.0 - np.exp(-1.0 / (FPS * self.lag_s)) if self.settled else 1.0
        self.now += share * (wanted - self.now)
        self.settled = True
        return self.now


@cache
def noise_table() -> Float32[np.ndarray, "512 512"]:
    """Unit normal values, the same for ever."""
    return np.random.default_rng(0).standard_normal((512, 512)).astype(np.float32)
