"""A place and its solids as the flat arrays that the kernels read."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit

from egoreact.hrd.simulate.scenery.place import Place
from egoreact.hrd.simulate.solids import Solid


@dataclass(frozen=True)
class Packed:
    """Solid 0 is the place: panel p's triangles are faces 2p and 2p + 1. What is skinned is filled in frame by frame."""

    vertices_m: np.ndarray
    normals: np.ndarray
    rest_m: np.ndarray
    faces: np.ndarray
    colours: np.ndarray
    owner: np.ndarray
    vertex_ranges: np.ndarray
    face_ranges: np.ndarray
    T_world_solid: np.ndarray
    """(frames, solids, 4, 4) float64."""
    balls_m: np.ndarray
    """(frames, solids, 4) centre in the world and radius of a ball around each."""
    one_sided: np.ndarray
    """(solids,) whose inside nobody sees."""
    solids: tuple[Solid, ...]
    """Without the place: solids[k] has the number k + 1."""

    def pose_skins(self, frame: int, wanted: np.ndarray) -> None:
        """Puts the skins' vertices of a frame in place, and the normals of solids that are wanted."""
        for number, solid in enumerate(self.solids, start=1):
            if solid.skin_m is None:
                continue
            first, last = self.vertex_ranges[number]
            self.vertices_m[first:last] = solid.skin_m[frame]
            if wanted[number]:
                first_face, last_face = self.face_ranges[number]
                smooth_normals(self.vertices_m, self.faces, first, last, first_face, last_face, self.normals)


def pack(place: Place, solids: Sequence[Solid], frames: int) -> Packed:
    corners = place.rectangles_m.reshape(-1, 3)
    base = 4 * np.arange(len(place.panels))[:, None, None]
    meshes = [solid.mesh for solid in solids]
    vertices = [corners, *(mesh.vertices_m for mesh in meshes)]
    faces = [(base + np.array([[0, 1, 2], [0, 2, 3]])).reshape(-1, 3), *(mesh.faces for mesh in meshes)]
    vertex_ends, face_ends = np.cumsum([len(v) for v in vertices]), np.cumsum([len(f) for f in faces])
    vertex_ranges = np.stack([np.r_[0, vertex_ends[:-1]], vertex_ends], axis=1).astype(np.int32)
    face_ranges = np.stack([np.r_[0, face_ends[:-1]], face_ends], axis=1).astype(np.int32)
    T = np.tile(np.eye(4), (frames, len(solids) + 1, 1, 1))
    balls = np.full((frames, len(solids) + 1, 4), np.inf)
    for number, solid in enumerate(solids, start=1):
        T[:, number] = solid.T_world_solid
        balls[:, number] = solid.balls_m
    every = np.concatenate(vertices).astype(np.float32)
    return Packed(
        vertices_m=every.copy(),
        normals=np.concatenate([np.zeros_like(corners), *(mesh.normals for mesh in meshes)]).astype(np.float32),
        rest_m=every,
        faces=np.concatenate([f + v for f, v in zip(faces, vertex_ranges[:, 0], strict=True)]).astype(np.int32),
        colours=np.concatenate([np.zeros((len(faces[0]), 3)), *(mesh.face_colours for mesh in meshes)]).astype(
            np.float32
        ),
        owner=np.repeat(np.arange(len(faces)), np.diff(face_ranges).ravel()).astype(np.int32),
        vertex_ranges=vertex_ranges,
        face_ranges=face_ranges,
        T_world_solid=T,
        balls_m=balls,
        one_sided=np.array([False, *(solid.skin_m is not None for solid in solids)]),
        solids=tuple(solids),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def smooth_normals(vertices, faces, first_vertex, last_vertex, first_face, last_face, normals):
    """Unit normals of a part of the vertices: their triangles' means, weighted by area."""
    for k in range(first_vertex, last_vertex):
        normals[k, 0] = normals[k, 1] = normals[k, 2] = 0.0
    for f in range(first_face, last_face):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        for k in (a, b, c):
            normals[k, 0] += uy * vz - uz * vy
            normals[k, 1] += uz * vx - ux * vz
            normals[k, 2] += ux * vy - uy * vx
    for k in range(first_vertex, last_vertex):
        size = np.sqrt(normals[k, 0] ** 2 + normals[k, 1] ** 2 + normals[k, 2] ** 2)
        for i in range(3):
            normals[k, i] /= max(size, np.float32(1e-12))
