"""A place: flat surfaces that never move, each with its own picture, and the light that falls on them.

All that can be known before the clip runs is painted into the pictures once: textures, the lamp's or the sun's shadows
of the furniture, and the darkness of corners. A frame then only looks colours up.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from jaxtyping import Float32, UInt8, UInt32

from egoreact.hrd.simulate.solids import Colour, Solid, f32

Paint = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Linear colours (h, w, 3) of a surface from metres along its two sides, (h, w) each."""


@dataclass(frozen=True)
class Panel:
    """A rectangle: corner + s·across + t·up, seen from both sides; across × up points at who looks."""

    corner_m: np.ndarray
    across_m: np.ndarray
    up_m: np.ndarray
    paint: Paint
    texel_m: float = 0.04
    glow: float = 0.0
    """Light it gives off, added to what falls on it."""


@dataclass(frozen=True)
class Light:
    """One lamp or the sun, and the light from all around."""

    towards: np.ndarray
    """(3,) unit vector to the sun; for a lamp, its place in m."""
    is_lamp: bool
    strength: float
    ambient: float
    colour: Colour = (1.0, 0.97, 0.92)
    ambient_colour: Colour = (0.93, 0.97, 1.0)

    def direction(self, points_m: np.ndarray) -> np.ndarray:
        """Unit vectors (..., 3) from points to the light."""
        if not self.is_lamp:
            return np.broadcast_to(self.towards.astype(np.float32), points_m.shape)
        away = self.towards.astype(np.float32) - points_m
        return away / np.linalg.norm(away, axis=-1, keepdims=True)


@dataclass(frozen=True)
class Place:
    panels: tuple[Panel, ...]
    light: Light
    sky: tuple[Colour, Colour]
    """Linear colours at the horizon and overhead; what a ray sees that meets nothing."""
    haze_per_m: float = 0.0
    """How fast the far fades to the horizon's colour."""
    things: tuple[Solid, ...] = ()
    """What stands there and is not flat."""
    details: dict = field(default_factory=dict)

    @cached_property
    def scene(self) -> EmbreeScene:
        """Two triangles a panel, in order."""
        corners = np.stack(
            [
                [p.corner_m, p.corner_m + p.across_m, p.corner_m + p.across_m + p.up_m, p.corner_m + p.up_m]
                for p in self.panels
            ]
        )
        base = 4 * np.arange(len(self.panels))[:, None, None]
        faces = (base + np.array([[0, 1, 2], [0, 2, 3]])).reshape(-1, 3)
        scene = EmbreeScene()
        TriangleMesh(scene, corners.reshape(-1, 3).astype(np.float32), faces.astype(np.int32))
        return scene

    @cached_property
    def normals(self) -> Float32[np.ndarray, "panels 3"]:
        normals = np.stack([np.cross(p.across_m, p.up_m) for p in self.panels])
        return (normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32)

    @cached_property
    def sky_table(self) -> UInt8[np.ndarray, "heights 3"]:
        """Display colours by the sine of the height over the horizon, evenly from 0 to 1."""
        up = np.linspace(0.0, 1.0, 256)[:, None] ** 0.6
        low, high = (255 * to_display(f32(colour)) for colour in self.sky)
        return np.rint(low + up * (high - low)).astype(np.uint8)

    @cached_property
    def corners_m(self) -> np.ndarray:
        """(panels, 3)."""
        return np.stack([p.corner_m for p in self.panels])

    @cached_property
    def axes(self) -> np.ndarray:
        """(panels, 3, 3): each panel's normal, and the vectors that give 0…1 along its two sides."""
        across, up = np.stack([p.across_m for p in self.panels]), np.stack([p.up_m for p in self.panels])
        dual = (side / np.sum(side**2, axis=1, keepdims=True) for side in (across, up))
        return np.stack([self.normals, *dual], axis=1)


MIP_LEVELS = 5


@dataclass(frozen=True)
class Atlas:
    """All panels' pictures, lit, at several sizes, end to end."""

    texels: UInt32[np.ndarray, " texels"]
    """Display colours: red, green, blue and an empty byte."""
    start: np.ndarray
    """(levels, panels) first texel."""
    width: np.ndarray
    height: np.ndarray
    texel_m: Float32[np.ndarray, " panels"]


def to_display(linear: np.ndarray) -> np.ndarray:
    """Linear light to display values 0…1: a film's curve, dark in the shadows and soft in the lights (Narkowicz's ACES fit)."""
    x = 0.62 * np.maximum(linear, 0.0)
    return np.clip(x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14), 0.0, 1.0) ** (1 / 2.2)


def bake(place: Place, *, detail: float = 1.0) -> Atlas:
    """Paints and lights every panel. Detail divides the size of texels."""
    pictures, texel_m = [], []
    lightings = _lightings(place)
    for panel, lighting in zip(place.panels, lightings, strict=True):
        width_m, height_m = (float(np.linalg.norm(side)) for side in (panel.across_m, panel.up_m))
        texel = panel.texel_m / detail
        w, h = (int(np.clip(round(side / texel), 2, 1024)) for side in (width_m, height_m))
        s, t = (np.arange(w, dtype=np.float32) + 0.5) / w, (np.arange(h, dtype=np.float32) + 0.5) / h
        across, up = np.meshgrid(s * f32(width_m), t * f32(height_m))
        albedo = panel.paint(across, up)
        light = cv2.resize(lighting, (w, h), interpolation=cv2.INTER_LINEAR)
        pictures.append((albedo * (light + f32(panel.glow))).astype(np.float32))
        texel_m.append(max(width_m / w, height_m / h))
    sizes: list[list[tuple[int, int]]] = []
    texels = []
    for level in range(MIP_LEVELS):
        if level:
            pictures = [
                cv2.resize(p, (max(p.shape[1] // 2, 1), max(p.shape[0] // 2, 1)), interpolation=cv2.INTER_AREA)
                for p in pictures
            ]
        sizes.append([(p.shape[0], p.shape[1]) for p in pictures])
        texels += [_displayed(p).reshape(-1, 3) for p in pictures]
    height, width = np.moveaxis(np.array(sizes, np.int32), -1, 0)
    ends = np.cumsum(height * width)
    packed = np.zeros((ends[-1], 4), np.uint8)
    packed[:, :3] = np.concatenate(texels)
    start = (ends - (height * width).ravel()).reshape(height.shape).astype(np.int32)
    return Atlas(packed.view(np.uint32).ravel(), start, width, height, np.array(texel_m, np.float32))


_TABLE = np.rint(255 * to_display(np.linspace(0.0, 4.0, 4096))).astype(np.uint8)


def _displayed(linear: np.ndarray) -> np.ndarray:
    return _TABLE[np.clip(linear * (4095 / 4.0), 0, 4095).astype(np.int16)]


def _lightings(place: Place) -> list[np.ndarray]:
    """(h, w, 3) linear light on a coarse grid of each panel: the lamp where it reaches, and the open part of the sky."""
    grids = []
    for panel in place.panels:
        width_m, height_m = (float(np.linalg.norm(side)) for side in (panel.across_m, panel.up_m))
        cell = np.clip(6 * panel.texel_m, 0.12, 1.5)
        w, h = (int(np.clip(np.ceil(side / cell), 2, 80)) for side in (width_m, height_m))
        grids.append((h, w))
    points, normals = [], []
    for panel, normal, (h, w) in zip(place.panels, place.normals, grids, strict=True):
        s, t = np.meshgrid((np.arange(w) + 0.5) / w, (np.arange(h) + 0.5) / h)
        points.append(
            (panel.corner_m + s[..., None] * panel.across_m + t[..., None] * panel.up_m + 2e-3 * normal).reshape(-1, 3)
        )
        normals.append(np.broadcast_to(normal, (h * w, 3)))
    light = _light_at(place, np.concatenate(points).astype(np.float32), np.concatenate(normals).astype(np.float32))
    ends = np.cumsum([h * w for h, w in grids])[:-1]
    return [part.reshape(h, w, 3) for part, (h, w) in zip(np.split(light, ends), grids, strict=True)]


_AROUND = np.array([
    [np.sqrt(r) * np.cos(a), np.sqrt(r) * np.sin(a), np.sqrt(1 - r)]
    for r, a in ((0.1, 0.4), (0.3, 2.3), (0.5, 4.1), (0.7, 0.9), (0.85, 3.2), (0.6, 5.4), (0.92, 1.7), (0.25, 5.0))
], dtype=np.float32)  # fmt: skip
_OPEN_M = 1.4


def _light_at(place: Place, points_m: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """(n, 3) linear light at points of the panels."""
    helper = np.where(np.abs(normals[:, 1:2]) > 0.9, f32([[1, 0, 0]]), f32([[0, 1, 0]]))
    tangent = np.cross(helper, normals)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    other = np.cross(normals, tangent)
    openness = np.zeros(len(points_m), dtype=np.float32)
    for x, y, z in _AROUND:
        away = place.scene.run(points_m, np.ascontiguousarray(x * tangent + y * other + z * normals), query="DISTANCE")
        openness += np.minimum(away, _OPEN_M) / (_OPEN_M * len(_AROUND))
    towards = np.ascontiguousarray(place.light.direction(points_m), dtype=np.float32)
    facing = np.maximum(np.sum(towards * normals, axis=1), 0.0)
    lit = np.zeros(len(points_m), dtype=np.float32)
    spread = 0.12 if place.light.is_lamp else 0.02
    for x, z in ((1, 0.3), (-0.3, 1), (-1, -0.3), (0.3, -1)):
        jittered = towards + f32([x * spread, 0, z * spread])
        distance = np.linalg.norm(place.light.towards - points_m, axis=1) - 0.15 if place.light.is_lamp else 1e6
        lit += 0.25 * (place.scene.run(points_m, jittered, query="DISTANCE") >= distance)
    light = f32(place.light.ambient) * (0.25 + 0.75 * openness)[:, None] * f32(place.light.ambient_colour)
    return light + f32(place.light.strength) * (facing * lit)[:, None] * f32(place.light.colour)
