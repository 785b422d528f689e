"""Meshes that move: what each is made of, and where it is in each frame."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
from jaxtyping import Float32, Float64, Int32
from numpy.typing import ArrayLike

Colour = tuple[float, float, float]
"""Linear red, green, blue, 0 to 1."""


def f32(values: ArrayLike) -> np.ndarray:
    """Single precision: of a colour, of a number in arithmetic that is to stay single."""
    return np.asarray(values, dtype=np.float32)


@dataclass(frozen=True)
class Mesh:
    """Triangles with the normals of the smooth surface they stand for."""

    vertices_m: Float32[np.ndarray, "vertices 3"]
    faces: Int32[np.ndarray, "faces 3"]
    normals: Float32[np.ndarray, "vertices 3"]
    face_colours: Float32[np.ndarray, "faces 3"]

    @cached_property
    def ball_m(self) -> tuple[np.ndarray, float]:
        """Centre (3,) and radius of a ball around the mesh."""
        centre = 0.5 * (self.vertices_m.min(axis=0) + self.vertices_m.max(axis=0))
        return centre, float(np.linalg.norm(self.vertices_m - centre, axis=1).max())


@dataclass(frozen=True)
class Solid:
    """A mesh on its way through the clip."""

    mesh: Mesh
    T_world_solid: Float32[np.ndarray, "frames 4 4"]
    segment: int
    """Index into SEGMENTATION_CLASSES."""
    seen: bool = True
    """Whether the camera sees it; unseen solids still cast shadows."""
    shadow: bool = True
    """Whether it throws one that moves; that of what stands in the place is painted there."""
    gloss: float = 0.0
    """Strength of a highlight."""
    glow: float = 0.0
    """Light it gives off, added to what falls on it: fire, lamps."""
    grain: tuple[float, float] = (0.05, 25.0)
    """Contrast of the mottling of its colours, and how many cells of it there are to a metre."""
    skin_m: Float32[np.ndarray, "frames vertices 3"] | None = field(default=None, compare=False)
    """Where the mesh's vertices are in each frame, in the solid's axes, for a body that bends; else they stay. Such a body's
    inside is never seen: its triangles' corners go anticlockwise from outside."""
    name: str = field(default="", compare=False)

    @property
    def balls_m(self) -> Float64[np.ndarray, "frames 4"]:
        """In the world, centre and radius of a ball around it, which holds all of it."""
        if self.skin_m is None:
            centre, radius = self.mesh.ball_m
            centre = np.broadcast_to(centre, (len(self.T_world_solid), 3))
            radii = np.full(len(centre), radius)
        else:
            # Many vertices, three coordinates: the least and the greatest come fastest along the contiguous axis.
            along = np.ascontiguousarray(self.skin_m.transpose(0, 2, 1))
            low, high = along.min(axis=2), along.max(axis=2)
            centre, radii = 0.5 * (low + high), 0.5 * np.linalg.norm(high - low, axis=1)
        T = self.T_world_solid.astype(np.float64)
        return np.concatenate([np.einsum("tij,tj->ti", T[:, :3, :3], centre) + T[:, :3, 3], radii[:, None]], axis=1)


def lathe(
    profile_m: Sequence[tuple[float, float]],
    colour: Colour,
    *,
    sections: int = 14,
    squash: tuple[float, float] = (1.0, 1.0),
) -> Mesh:
    """(radius, height) pairs from bottom to top, turned about y; squash scales x and z. Radius 0 closes an end."""
    radius, height = np.asarray(profile_m, dtype=np.float64).T
    angles = np.arange(sections) * (2 * np.pi / sections)
    around = np.stack([np.cos(angles) * squash[0], np.sin(angles) * squash[1]], axis=-1)
    vertices = np.empty((len(radius), sections, 3))
    vertices[..., ::2] = radius[:, None, None] * around
    vertices[..., 1] = height[:, None]
    slope_r, slope_h = np.gradient(radius), np.gradient(height)
    normals = np.empty_like(vertices)
    normals[..., 0] = slope_h[:, None] * np.cos(angles) / squash[0]
    normals[..., 2] = slope_h[:, None] * np.sin(angles) / squash[1]
    normals[..., 1] = -slope_r[:, None]
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
    ring = np.arange(sections)
    after = (ring + 1) % sections
    faces = []
    for k in range(len(radius) - 1):
        low, high = k * sections, (k + 1) * sections
        if radius[k] > 0:
            faces.append(np.stack([low + ring, high + after, low + after], axis=-1))
        if radius[k + 1] > 0:
            faces.append(np.stack([low + ring, high + ring, high + after], axis=-1))
    triangles = np.concatenate(faces).astype(np.int32)
    colours = np.broadcast_to(np.asarray(colour, dtype=np.float32), (len(triangles), 3))
    return Mesh(
        vertices.reshape(-1, 3).astype(np.float32), triangles, normals.reshape(-1, 3).astype(np.float32), colours
    )


def ellipsoid(radii_m: tuple[float, float, float], colour: Colour, *, rings: int = 9, sections: int = 14) -> Mesh:
    ball, radii = _unit_ball(rings, sections), f32(radii_m)
    normals = ball.normals / radii
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    colours = np.broadcast_to(f32(colour), (len(ball.faces), 3))
    return Mesh(ball.vertices_m * radii, ball.faces, normals, colours)


@lru_cache(maxsize=32)
def _unit_ball(rings: int, sections: int) -> Mesh:
    angles = np.linspace(-np.pi / 2, np.pi / 2, rings)
    profile = [(float(np.cos(a)), float(np.sin(a))) for a in angles]
    profile[0], profile[-1] = (0.0, -1.0), (0.0, 1.0)
    return lathe(profile, (1.0, 1.0, 1.0), sections=sections)


def limb(
    length_m: float, start_m: float, end_m: float, colour: Colour, *, bulge_m: float = 0.0,
    squash: tuple[float, float] = (1.0, 1.0), sections: int = 12,
) -> Mesh:  # fmt: skip
    """A round cone from the origin to (0, length, 0) with radii start and end, round at both ends, thicker in between."""
    angles = np.linspace(-np.pi / 2, 0, 4)
    bottom = [(start_m * float(np.cos(a)), start_m * float(np.sin(a))) for a in angles]
    top = [(end_m * float(np.cos(a)), length_m - end_m * float(np.sin(a))) for a in angles[::-1]]
    between = [
        (start_m + (end_m - start_m) * s + bulge_m * np.sin(np.pi * s) ** 2, length_m * s) for s in (0.2, 0.4, 0.6, 0.8)
    ]
    profile = [(0.0, -start_m), *bottom[1:], *between, *top[:-1], (0.0, length_m + end_m)]
    return lathe(profile, colour, sections=sections, squash=squash)


def box(
    size_m: tuple[float, float, float], colour: Colour, *, centre_m: tuple[float, float, float] = (0, 0, 0)
) -> Mesh:
    vertices, faces, normals = [], [], []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            u, v = (axis + 1) % 3, (axis + 2) % 3
            for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
                corner = np.zeros(3)
                corner[axis], corner[u], corner[v] = sign, a, b
                vertices.append(0.5 * corner * size_m + centre_m)
                normals.append(np.eye(3)[axis] * sign)
            start = len(vertices) - 4
            faces += [(start, start + 1, start + 2), (start, start + 2, start + 3)]
    colours = np.broadcast_to(np.asarray(colour, dtype=np.float32), (12, 3))
    return Mesh(np.array(vertices, np.float32), np.array(faces, np.int32), np.array(normals, np.float32), colours)


def extrude(outline_m: Sequence[tuple[float, float]], width_m: float, colour: Colour, *, taper: float = 1.0) -> Mesh:
    """A convex outline in (z, y), anticlockwise, drawn out along x; taper narrows what is above the outline's middle."""
    points = np.asarray(outline_m, dtype=np.float64)
    count, middle = len(points), points[:, 1].mean()
    half = np.where(points[:, 1] > middle, 0.5 * width_m * taper, 0.5 * width_m)
    rims = [np.stack([sign * half, points[:, 1], points[:, 0]], axis=-1) for sign in (1.0, -1.0)]
    vertices: list[np.ndarray] = []
    normals: list[np.ndarray] = []
    faces = []
    for k in range(count):
        j = (k + 1) % count
        quad = np.stack([rims[0][k], rims[0][j], rims[1][j], rims[1][k]])
        normal = np.cross(quad[1] - quad[0], quad[3] - quad[0])
        start = len(vertices)
        vertices += list(quad)
        normals += [_outward(normal, quad.mean(axis=0), points)] * 4
        faces += [(start, start + 1, start + 2), (start, start + 2, start + 3)]
    for rim, sign in zip(rims, (1.0, -1.0), strict=True):
        start = len(vertices)
        vertices += list(rim)
        normals += [np.array([sign, 0.15, 0.0])] * count
        faces += [(start, start + k, start + k + 1) for k in range(1, count - 1)]
    colours = np.broadcast_to(np.asarray(colour, dtype=np.float32), (len(faces), 3))
    normal_array = np.array(normals)
    normal_array /= np.linalg.norm(normal_array, axis=1, keepdims=True)
    return Mesh(np.array(vertices, np.float32), np.array(faces, np.int32), normal_array.astype(np.float32), colours)


def _outward(normal: np.ndarray, at: np.ndarray, outline: np.ndarray) -> np.ndarray:
    centre = np.array([0.0, outline[:, 1].mean(), outline[:, 0].mean()])
    normal = normal / np.linalg.norm(normal)
    return normal if np.dot(normal, at - centre) > 0 else -normal


def joined(parts: Sequence[Mesh]) -> Mesh:
    """One mesh of several in the same frame."""
    counts = np.cumsum([0] + [len(part.vertices_m) for part in parts[:-1]])
    return Mesh(
        np.concatenate([part.vertices_m for part in parts]),
        np.concatenate([part.faces + np.int32(start) for part, start in zip(parts, counts, strict=True)]),
        np.concatenate([part.normals for part in parts]),
        np.concatenate([part.face_colours for part in parts]),
    )


def moved(mesh: Mesh, offset_m: tuple[float, float, float], turn: np.ndarray | None = None) -> Mesh:
    """The mesh elsewhere in its own frame."""
    turn = (np.eye(3) if turn is None else turn).astype(np.float32)
    return Mesh(
        mesh.vertices_m @ turn.T + np.asarray(offset_m, np.float32),
        mesh.faces,
        mesh.normals @ turn.T,
        mesh.face_colours,
    )


def poses(positions_m: np.ndarray, rotations: np.ndarray) -> Float32[np.ndarray, "frames 4 4"]:
    """(frames, 4, 4) of positions (frames, 3) and rotations, (frames, 3, 3) or one."""
    T_world_solid = np.zeros((len(positions_m), 4, 4), dtype=np.float32)
    T_world_solid[:, :3, :3], T_world_solid[:, :3, 3], T_world_solid[:, 3, 3] = rotations, positions_m, 1.0
    return T_world_solid


def along_bone(start_m: np.ndarray, end_m: np.ndarray, front: np.ndarray) -> Float32[np.ndarray, "frames 4 4"]:
    """Poses with the origin at start, y towards end and z as near to front as can be."""
    y = end_m - start_m
    y /= np.maximum(np.linalg.norm(y, axis=-1, keepdims=True), 1e-9)
    x = np.cross(y, front)
    x /= np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-9)
    return poses(start_m, np.stack([x, y, np.cross(x, y)], axis=-1))
