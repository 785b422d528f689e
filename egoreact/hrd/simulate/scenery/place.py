"""A place: flat surfaces that never move, each with its own picture, what stands among them, and the light."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from jaxtyping import Float32, Float64

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
    clouds: float = 0.0
    """Up to 1: how much of the sky they cover."""
    things: tuple[Solid, ...] = ()
    """What stands there and is not flat."""
    details: dict = field(default_factory=dict)

    @cached_property
    def rectangles_m(self) -> Float64[np.ndarray, "panels 4 3"]:
        """The panels' corners, once around."""
        across, up = (np.stack([getattr(p, side) for p in self.panels]) for side in ("across_m", "up_m"))
        return self.corners_m[:, None] + np.stack([0 * across, across, across + up, up], axis=1)

    @cached_property
    def scene(self) -> EmbreeScene:
        """All that stands here and never moves: two triangles a panel, in order, then the things."""
        scene = EmbreeScene()
        base = 4 * np.arange(len(self.panels))[:, None, None]
        faces = (base + np.array([[0, 1, 2], [0, 2, 3]])).reshape(-1, 3)
        TriangleMesh(scene, self.rectangles_m.reshape(-1, 3).astype(np.float32), faces.astype(np.int32))
        for thing in self.things:
            T = thing.T_world_solid[0]
            TriangleMesh(scene, f32(thing.mesh.vertices_m @ T[:3, :3].T + T[:3, 3]), thing.mesh.faces)
        return scene

    @cached_property
    def normals(self) -> Float32[np.ndarray, "panels 3"]:
        normals = np.stack([np.cross(p.across_m, p.up_m) for p in self.panels])
        return (normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32)

    @cached_property
    def corners_m(self) -> np.ndarray:
        """(panels, 3)."""
        return np.stack([p.corner_m for p in self.panels])


def cut_out(panel: Panel, hole_m: tuple[float, float, float, float]) -> list[Panel]:
    """What is left of a level panel near the floor beside a hole (x from, x to, z from, z to); other panels as they are."""
    if abs(panel.corner_m[1]) > 0.2 or panel.across_m[1] or panel.up_m[1]:
        return [panel]
    sides = np.stack([panel.across_m, panel.up_m])
    lengths = np.linalg.norm(sides, axis=1)
    hole = np.array([(hole_m[0], 0.0, hole_m[2]), (hole_m[1], 0.0, hole_m[3])]) - panel.corner_m * [1, 0, 1]
    along = np.sort(hole @ sides.T / lengths, axis=0)  # metres along across and up
    (s0, t0), (s1, t1) = np.clip(along, 0.0, lengths)
    if s1 - s0 < 1e-6 or t1 - t0 < 1e-6:
        return [panel]
    width, height = lengths
    pieces = [(0.0, 0.0, s0, height), (s1, 0.0, width, height), (s0, 0.0, s1, t0), (s0, t1, s1, height)]
    return [_piece(panel, *piece) for piece in pieces if piece[2] - piece[0] > 1e-6 and piece[3] - piece[1] > 1e-6]


def _piece(panel: Panel, s0: float, t0: float, s1: float, t1: float) -> Panel:
    """The part of a panel between metres along its sides, its picture where it was."""
    across, up = (side / np.linalg.norm(side) for side in (panel.across_m, panel.up_m))
    return replace(
        panel,
        corner_m=panel.corner_m + s0 * across + t0 * up,
        across_m=(s1 - s0) * across,
        up_m=(t1 - t0) * up,
        paint=lambda s, t: panel.paint(s + f32(s0), t + f32(t0)),
    )
