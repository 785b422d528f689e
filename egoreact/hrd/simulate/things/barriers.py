"""Something low and something high in the way."""

import numpy as np

from egoreact.hrd.simulate.acting.kinematics import rotation
from egoreact.hrd.simulate.arrival import BAR, OBSTACLE, Arrival, Parameters, bright, still
from egoreact.hrd.simulate.solids import Colour, Mesh, Solid, box, ellipsoid, f32, joined, limb, moved, poses


def low_obstacle(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    wide, high, deep = 2.4, parameters["height_m"], parameters["depth_m"]
    if rng.random() < 0.5:
        wood: Colour = (0.36 * rng.uniform(0.8, 1.2), 0.20, 0.09)
        bark = limb(wide, high / 2, high / 2, wood, sections=18)
        mesh = moved(bark, (-wide / 2, high / 2, 0), rotation(0.0, 0.0, -np.pi / 2))
        ends = [
            moved(
                ellipsoid((0.02, high * 0.44, high * 0.44), (0.66, 0.48, 0.28)),
                (s * (wide / 2 + high / 2 - 0.01), high / 2, 0),
            )
            for s in (-1, 1)
        ]
        mesh = joined([mesh, *ends])
        mesh = Mesh(mesh.vertices_m * f32([1, 1, min(deep / high, 1.0)]), mesh.faces, mesh.normals, mesh.face_colours)
    else:
        body, trim = bright(rng), (0.85, 0.84, 0.80)
        count = 6
        pieces = [
            box(
                (wide / count, high, deep),
                body if k % 2 else trim,
                centre_m=((k + 0.5) * wide / count - wide / 2, high / 2, 0),
            )
            for k in range(count)
        ]
        mesh = joined(pieces)
    position = (0.0, 0.0, parameters["distance_m"])
    watched = still(len(times_s), (0.0, high, parameters["distance_m"]))
    solid = Solid(mesh, poses(still(len(times_s), position), np.eye(3)), OBSTACLE, name="obstacle")
    return Arrival([solid], watched)


def head_bar(parameters: Parameters, rng: np.random.Generator, times_s: np.ndarray) -> Arrival:
    bottom, distance, thick, wide = parameters["bottom_m"], parameters["distance_m"], 0.13, 2.6
    warning, count = bright(rng), 9
    pieces = [
        box(
            (wide / count, thick, thick), warning if k % 2 == 0 else (0.85, 0.84, 0.8),
            centre_m=((k + 0.5) * wide / count - wide / 2, bottom + thick / 2, 0),
        )
        for k in range(count)
    ]  # fmt: skip
    for side in (-1, 1):
        pieces.append(
            box((0.09, bottom + 0.35, 0.09), (0.25, 0.26, 0.28), centre_m=(side * wide / 2, bottom / 2 + 0.175, 0))
        )
        pieces.append(box((0.32, 0.05, 0.5), (0.2, 0.2, 0.22), centre_m=(side * wide / 2, 0.025, 0)))
    solid = Solid(joined(pieces), poses(still(len(times_s), (0, 0, distance)), np.eye(3)), BAR, name="bar")
    watched = still(len(times_s), (0.0, bottom, distance))
    return Arrival([solid], watched)
