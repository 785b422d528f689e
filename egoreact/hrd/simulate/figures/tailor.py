"""The mannequin cut along the hems of its clothes, so that colours end in clean lines."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from egoreact.motion.mannequin import build
from egoreact.motion.skeleton import HEAD

SKIN, HAIR, SHIRT, SLEEVES, TROUSERS, SHINS, SHOES = range(7)
"""Regions: sleeves are what long ones cover more than short ones do, shins what shorts leave bare."""
_NECK, _WRIST, _ELBOW, _SHOULDER, _HIP, _KNEE, _ANKLE = 12, 20, 18, 16, 1, 4, 7


@dataclass(frozen=True)
class Tailored:
    """A body at rest: arms spread, facing +z, y up, left at +x."""

    vertices_m: Float32[np.ndarray, "vertices 3"]
    weights: Float32[np.ndarray, "vertices 55"]
    rest_joints_m: Float32[np.ndarray, "55 3"]
    faces: Int32[np.ndarray, "faces 3"]
    regions: UInt8[np.ndarray, " faces"]
    head: Int32[np.ndarray, "faces 3"]
    """Head and neck alone."""
    headless: Int32[np.ndarray, "faces 3"]
    """All else, the neck's hole closed, and the regions of these."""
    headless_regions: UInt8[np.ndarray, " faces"]


@cache
def tailored() -> Tailored:
    """The mannequin, cut. The same numbers every time."""
    body = build(low_poly=True)
    vertices, weights, faces = body.vertices_m.astype(np.float64), body.weights.astype(np.float64), body.faces
    for level in range(len(_levels(vertices, body.rest_joints_m))):
        vertices, weights, faces = _cut(vertices, weights, faces, _levels(vertices, body.rest_joints_m)[level])
    regions, head = _regions(vertices[faces].mean(axis=1), body.rest_joints_m)
    rim = _boundary(faces[~head])
    lid = np.stack([rim[:, 1], rim[:, 0], np.full(len(rim), len(vertices))], axis=1)
    ring = np.unique(rim)
    vertices = np.concatenate([vertices, vertices[ring].mean(axis=0)[None]])
    weights = np.concatenate([weights, weights[ring].mean(axis=0)[None]])
    return Tailored(
        vertices_m=vertices.astype(np.float32),
        weights=weights.astype(np.float32),
        rest_joints_m=body.rest_joints_m,
        faces=faces.astype(np.int32),
        regions=regions,
        head=faces[head].astype(np.int32),
        headless=np.concatenate([faces[~head], lid]).astype(np.int32),
        headless_regions=np.concatenate([regions[~head], np.full(len(lid), SHIRT, np.uint8)]),
    )


def _levels(points: np.ndarray, j: np.ndarray) -> list[np.ndarray]:
    """Of points (..., 3): heights over each hem, which is where a height is 0."""
    out, y = np.abs(points[..., 0]), points[..., 1]
    neck = np.linalg.norm(points - (j[_NECK] + [0.0, 0.055, 0.012]), axis=-1) - 0.098
    head = points - j[HEAD]
    # The hairline falls from the forehead to the nape; far below the head there is none.
    hair = np.where(head[..., 1] > -0.06, head[..., 1] - 0.078 - 0.8 * head[..., 2], -1.0)
    return [
        neck,
        hair,
        out - (0.3 * j[_SHOULDER, 0] + 0.7 * j[_ELBOW, 0]),
        out - (j[_WRIST, 0] - 0.015),
        y - (j[_HIP, 1] + 0.06),
        y - (j[_KNEE, 1] + 0.05),
        y - (j[_ANKLE, 1] + 0.05),
        y - (j[_ANKLE, 1] + 0.02),
    ]


def _regions(points: np.ndarray, j: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of faces by their middles: the region, and whether they belong to head and neck."""
    neck, hair, sleeve, wrist, hem, knee, ankle, shoe = _levels(points, j)
    # Chin and jaw hang out of the neck's ball, over the collar.
    over = points - j[_NECK]
    jaw = (np.abs(over[:, 0]) < 0.12) & (over[:, 1] > np.where(over[:, 2] > 0.01, 0.005, 0.045))
    head = (neck < 0) | jaw | (points[:, 1] > j[HEAD, 1] - 0.03)
    conditions = [head & (hair > 0), head, wrist > 0, sleeve > 0, hem > 0, knee > 0, ankle > 0, shoe > 0]
    regions = np.select(conditions, [HAIR, SKIN, SKIN, SLEEVES, SHIRT, TROUSERS, SHINS, SKIN], SHOES)
    return regions.astype(np.uint8), head


def _cut(
    vertices: np.ndarray, weights: np.ndarray, faces: np.ndarray, level: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Splits the triangles that a level's zero line crosses; vertices near it move no further than onto it."""
    level = np.where(np.abs(level) < 1e-6, 1e-6, level)
    above = level > 0
    odd = above[faces].sum(axis=1)
    whole, crossed = faces[(odd == 0) | (odd == 3)], faces[(odd == 1) | (odd == 2)]
    if not len(crossed):
        return vertices, weights, faces
    # Turn each so that its first corner is alone on its side.
    lone = np.where(above[crossed].sum(axis=1) == 1, above[crossed].argmax(axis=1), (~above[crossed]).argmax(axis=1))
    a, b, c = (np.take_along_axis(crossed, (lone[:, None] + k) % 3, axis=1)[:, 0] for k in range(3))
    edges = np.sort(np.concatenate([np.stack([a, b], 1), np.stack([a, c], 1)]), axis=1)
    unique, index = np.unique(edges, axis=0, return_inverse=True)
    first, second = unique.T
    share = (level[first] / (level[first] - level[second]))[:, None]
    ab, ac = len(vertices) + index.reshape(2, -1)
    vertices = np.concatenate([vertices, vertices[first] + share * (vertices[second] - vertices[first])])
    weights = np.concatenate([weights, weights[first] + share * (weights[second] - weights[first])])
    parts = [np.stack(corners, axis=1) for corners in ((a, ab, ac), (ab, b, c), (ab, c, ac))]
    return vertices, weights, np.concatenate([whole, *parts])


def _boundary(faces: np.ndarray) -> np.ndarray:
    """(edges, 2) of edges that only one triangle has, in its direction."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    _, index, counts = np.unique(np.sort(edges, axis=1), axis=0, return_inverse=True, return_counts=True)
    return edges[counts[index.reshape(-1)] == 1]
