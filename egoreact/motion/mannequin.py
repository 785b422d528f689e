# ruff: noqa: RUF005 - an array plus a tuple is their sum here
"""A mannequin: a smooth human body in SMPL-X's own format, made from a formula, so that no licence-gated file is needed.

The body is a signed distance: round cones and ellipsoids about the joints of a T pose, blended smoothly. Its zero surface is
meshed with surface nets, then moved onto the exact surface. The reference bone lengths are HumanML3D's, the eyes are those of
`camera`, and like SMPL-X the pelvis lies 0.351 m below the origin. Hands are mittens; the 55 joints are all there.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, UInt8

from egoreact.files import sha256_bytes, whole_file
from egoreact.motion.camera import EYES_IN_HEAD_M
from egoreact.motion.skeleton import NUM_JOINTS, PARENTS, T_POSE_OFFSETS_M

NUM_VERTICES = 10_475
"""SMPL-X's count. Its landmark vertex numbers, which `smplx` reads, go up to 9929."""
LOW_POLY_CELL_M = 0.0475
PARTS = ("skin", "hair", "shirt", "trousers", "shoes")
"""What a vertex is dressed in, for colouring: `Mannequin.parts` holds indices into this."""

SMPLX_PARENTS = (
    *PARENTS, 15, 15, 15,
    20, 25, 26, 20, 28, 29, 20, 31, 32, 20, 34, 35, 20, 37, 38,
    21, 40, 41, 21, 43, 44, 21, 46, 47, 21, 49, 50, 21, 52, 53,
)  # fmt: skip
"""Parents of SMPL-X's 55 joints: the 22, jaw, left and right eye, then index, middle, pinky, ring, thumb of each hand."""

_PELVIS_M = np.array([0.0, -0.351, 0.012])
_HALF_EYE_DISTANCE_M = 0.0315
_ARMS_BEYOND_M = 0.3
_FINGERS_X_Z_M = ((0.095, 0.026), (0.100, 0.004), (0.082, -0.034), (0.093, -0.016))
"""Where index, middle, pinky and ring leave the palm: along the hand and across it, from the wrist."""


@dataclass(frozen=True)
class Mannequin:
    """A mesh with its skeleton at rest: arms spread, facing +z, y up, left at +x."""

    vertices_m: Float32[np.ndarray, "vertices 3"]
    faces: Int32[np.ndarray, "faces 3"]
    weights: Float32[np.ndarray, "vertices 55"]
    """Skinning weights; rows add up to one."""
    rest_joints_m: Float32[np.ndarray, "55 3"]
    girth_m: Float32[np.ndarray, "vertices 3"]
    """Displacements that make the body a tenth stouter."""
    parts: UInt8[np.ndarray, "vertices"]

    @property
    def face_parts(self) -> UInt8[np.ndarray, "faces"]:
        """What most of a face's corners are dressed in, an index into PARTS."""
        return np.sort(self.parts[self.faces], axis=1)[:, 1]

    @property
    def head_faces(self) -> Bool[np.ndarray, "faces"]:
        """Faces of head and neck: what a camera at the wearer's eyes must not see."""
        head = self.weights[:, [12, 15, 22, 23, 24]].sum(1) > 0.5
        return head[self.faces].any(1)


@lru_cache(maxsize=2)
def build(*, low_poly: bool = False) -> Mannequin:
    """The mannequin: 10,475 vertices, or at most 2,500 faces. The same numbers every time; about a second."""
    joints_m = _rest_joints()
    parts = _parts(joints_m)
    if low_poly:
        vertices_m, faces = _surface(_distance_to(parts), LOW_POLY_CELL_M, inflate_m=0.007)
    else:
        cell_m = 0.0157
        vertices_m, faces = _surface(_distance_to(parts), cell_m)
        while len(vertices_m) > NUM_VERTICES:
            cell_m *= 1.005
            vertices_m, faces = _surface(_distance_to(parts), cell_m)
        vertices_m, faces = _split_largest(vertices_m, faces, NUM_VERTICES)
    weights = _skinning_weights(parts, vertices_m)
    return Mannequin(
        vertices_m=vertices_m.astype(np.float32),
        faces=faces.astype(np.int32),
        weights=weights.astype(np.float32),
        rest_joints_m=joints_m.astype(np.float32),
        girth_m=_girth(vertices_m, joints_m, weights).astype(np.float32),
        parts=_dress(vertices_m, joints_m, weights),
    )


def write_mannequin(path: Path) -> Path:
    """Writes the mannequin as an SMPL-X model file (npz) that `smplx` loads. The same bytes every time.

    Beta 0 makes the body 4 % larger per unit, beta 1 a tenth stouter; other betas, expressions and pose correctives do nothing.
    """
    body = build()
    vertices_m = body.vertices_m.astype(np.float64)
    shapedirs = np.zeros((NUM_VERTICES, 3, 400), np.float32)
    shapedirs[:, :, 0] = 0.04 * (vertices_m - _PELVIS_M)
    shapedirs[:, :, 1] = body.girth_m
    arrays = {
        "v_template": body.vertices_m,
        "f": body.faces.astype(np.uint32),
        "weights": body.weights,
        "J_regressor": _joint_regressor(vertices_m, body.rest_joints_m, body.girth_m).astype(np.float32),
        "kintree_table": np.stack([np.asarray(SMPLX_PARENTS), np.arange(55)]).astype(np.int64),
        "shapedirs": shapedirs,
        "posedirs": np.zeros((NUM_VERTICES, 3, 486), np.float32),
        "hands_componentsl": np.eye(45, dtype=np.float32),
        "hands_componentsr": np.eye(45, dtype=np.float32),
        "hands_meanl": np.zeros(45, np.float32),
        "hands_meanr": np.zeros(45, np.float32),
        "lmk_faces_idx": np.arange(51, dtype=np.int64),
        "lmk_bary_coords": np.full((51, 3), 1 / 3, np.float32),
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    with whole_file(path) as beside:
        beside.write_bytes(buffer.getvalue())
    return Path(path)


def digest() -> str:
    """Hex digest of what makes the mannequin: this file and the skeleton. Names the cached model file."""
    here = Path(__file__)
    sources = (here, here.with_name("skeleton.py"), here.with_name("camera.py"))
    return sha256_bytes(b"\0".join(source.read_bytes() for source in sources))[:16]


def _rest_joints() -> Float64[np.ndarray, "55 3"]:
    joints_m = np.zeros((55, 3))
    joints_m[0] = _PELVIS_M
    for joint in range(1, NUM_JOINTS):
        joints_m[joint] = joints_m[PARENTS[joint]] + T_POSE_OFFSETS_M[joint]
    head_m = joints_m[15]
    joints_m[22] = head_m + (0.0, -0.005, 0.02)
    joints_m[23] = head_m + EYES_IN_HEAD_M + (_HALF_EYE_DISTANCE_M, 0, 0)
    joints_m[24] = head_m + EYES_IN_HEAD_M - (_HALF_EYE_DISTANCE_M, 0, 0)
    for side, wrist, first in ((1.0, 20, 25), (-1.0, 21, 40)):
        for finger, (x, z) in enumerate(_FINGERS_X_Z_M):
            for knuckle in range(3):
                joints_m[first + 3 * finger + knuckle] = joints_m[wrist] + (side * (x + 0.026 * knuckle), -0.004, z)
        for knuckle in range(3):
            joints_m[first + 12 + knuckle] = joints_m[wrist] + (
                side * (0.028 + 0.022 * knuckle),
                -0.008,
                0.028 + 0.015 * knuckle,
            )
    return joints_m


@dataclass(frozen=True)
class _Part:
    """A solid that moves with one joint. Points are divided by `stretch` first: cones become elliptical, spheres ellipsoids."""

    joint: int
    limb: str
    start_m: np.ndarray
    end_m: np.ndarray
    start_radius_m: float
    end_radius_m: float
    stretch: np.ndarray

    def distance(self, points_m: np.ndarray) -> np.ndarray:
        """Approximate signed distance, negative inside."""
        points, start, end = points_m / self.stretch, self.start_m / self.stretch, self.end_m / self.stretch
        axis, offset = end - start, points - start
        radius = self.start_radius_m
        if axis.any():
            along = np.clip(offset @ axis / (axis @ axis), 0.0, 1.0)
            offset -= along[..., None] * axis
            radius = radius + along * (self.end_radius_m - radius)
        length = np.sqrt(np.einsum("...i,...i->...", offset, offset))
        if (self.stretch == 1).all():
            return length - radius
        # How much a step across the surface was shortened by the stretch: keeps the distance one in metres.
        stretched = np.sqrt(np.einsum("...i,...i,i->...", offset, offset, self.stretch**-2.0))
        return (length - radius) * np.maximum(length, 1e-9) / np.maximum(stretched, 1e-9)


def _parts(j: np.ndarray) -> list[_Part]:
    parts: list[_Part] = []

    def add(joint, limb, start, end, start_radius, end_radius, stretch=(1.0, 1.0, 1.0)):
        points = np.asarray(start, float), np.asarray(end, float)
        parts.append(_Part(joint, limb, *points, start_radius, end_radius, np.asarray(stretch, float)))

    def ball(joint, limb, centre, radii):
        add(joint, limb, centre, centre, 1.0, 1.0, radii)

    hips = (j[1] + j[2]) / 2
    ball(0, "torso", hips + (0, 0.045, -0.010), (0.150, 0.125, 0.105))
    ball(3, "torso", j[3] + (0, 0.02, 0.010), (0.135, 0.15, 0.098))
    ball(6, "torso", j[6] + (0, 0.03, 0.010), (0.147, 0.13, 0.108))
    ball(9, "torso", j[9] + (0, 0.075, -0.012), (0.165, 0.17, 0.112))
    for side, collar, shoulder in ((1, 13, 16), (-1, 14, 17)):
        ball(9, "torso", j[9] + (side * 0.072, 0.075, 0.052), (0.082, 0.066, 0.052))
        ball(0, "torso", hips + (side * 0.068, -0.015, -0.050), (0.078, 0.09, 0.070))
        add(collar, "torso", j[12] + (side * 0.03, -0.06, -0.005), j[shoulder] + (side * -0.02, 0.0, 0.0), 0.055, 0.058)
    add(12, "head", j[12] + (0, -0.05, 0.0), j[15] + (0, 0.01, 0.002), 0.058, 0.052)
    head = j[15]
    ball(15, "head", head + (0, 0.098, 0.004), (0.076, 0.098, 0.096))
    ball(15, "head", head + (0, 0.035, 0.045), (0.061, 0.078, 0.064))
    ball(15, "head", head + (0, -0.018, 0.075), (0.032, 0.026, 0.032))
    add(15, "face", head + (0, 0.066, 0.100), head + (0, 0.026, 0.118), 0.008, 0.014)
    for side in (1, -1):
        ball(15, "face", head + (side * 0.077, 0.048, 0.0), (0.008, 0.030, 0.018))
    for side, hip, knee, ankle, foot in ((1, 1, 4, 7, 10), (-1, 2, 5, 8, 11)):
        limb = f"leg{side}"
        add(hip, limb, j[hip] + (side * 0.010, -0.02, -0.002), j[knee] + (0, 0.01, 0.006), 0.084, 0.055)
        add(knee, limb, j[knee] + (0, 0, 0.004), j[ankle], 0.053, 0.035)
        calf = j[knee] + 0.30 * (j[ankle] - j[knee]) + (0, 0, -0.022)
        ball(knee, limb, calf, (0.046, 0.115, 0.044))
        heel = j[ankle] + (0, -0.05, -0.030)
        ball_of_foot = j[foot] + (side * 0.004, 0.004, 0.0)
        add(ankle, limb, j[ankle] + (0, 0.01, 0), heel, 0.037, 0.036)
        add(ankle, limb, j[ankle] + (0, -0.012, 0.012), ball_of_foot, 0.040, 0.032, (1.12, 1, 1))
        ball(foot, limb, ball_of_foot + (side * 0.006, -0.004, 0.038), (0.046, 0.026, 0.058))
    for side, shoulder, elbow, wrist, first in ((1, 16, 18, 20, 25), (-1, 17, 19, 21, 40)):
        limb = f"arm{side}"
        ball(shoulder, limb, j[shoulder] + (side * 0.012, 0.002, 0.0), (0.066, 0.062, 0.062))
        add(shoulder, limb, j[shoulder], j[elbow], 0.054, 0.041)
        add(elbow, limb, j[elbow], j[wrist], 0.042, 0.027, (1, 1, 1.08))
        forearm = j[elbow] + 0.25 * (j[wrist] - j[elbow])
        ball(elbow, limb, forearm, (0.095, 0.044, 0.047))
        ball(wrist, limb, j[wrist] + (side * 0.052, -0.003, 0.002), (0.062, 0.020, 0.042))
        for knuckle, x, length in ((0, 0.105, 0.034), (1, 0.128, 0.034), (2, 0.150, 0.032)):
            middle = first + 3 + knuckle
            ball(
                middle,
                limb,
                j[wrist] + (side * x, -0.006 - 0.002 * knuckle, -0.003),
                (length, 0.014, 0.039 - 0.005 * knuckle),
            )
        for knuckle, radius in ((0, 0.016), (1, 0.014)):
            thumb = first + 12 + knuckle
            add(
                thumb,
                limb,
                j[thumb],
                j[thumb + 1] + (side * 0.008 * knuckle, 0, 0.004 * knuckle),
                radius,
                radius - 0.002,
            )
    return parts


def _smooth_min(one: np.ndarray, other: np.ndarray, blend_m: float) -> np.ndarray:
    overlap = np.maximum(blend_m - np.abs(one - other), 0.0) / blend_m
    return np.minimum(one, other) - overlap**2 * blend_m / 4


def _distance_to(parts: list[_Part]) -> Callable[[np.ndarray], np.ndarray]:
    """The body's signed distance: limbs melt into the torso, never into each other."""
    blends_m = {"torso": 0.05, "head": 0.025, "face": 0.012}

    def distance(points_m: np.ndarray) -> np.ndarray:
        limbs: dict[str, np.ndarray] = {}
        for part in parts:
            to_part = part.distance(points_m)
            blend_m = blends_m.get(part.limb, 0.022)
            limbs[part.limb] = to_part if part.limb not in limbs else _smooth_min(limbs[part.limb], to_part, blend_m)
        head = _smooth_min(limbs["head"], limbs["face"], 0.012)
        whole = _smooth_min(limbs["torso"], head, 0.04)
        body = whole
        for side in (1, -1):
            for limb, blend_m in ((f"leg{side}", 0.045), (f"arm{side}", 0.035)):
                body = np.minimum(body, _smooth_min(whole, limbs[limb], blend_m))
        sole_m = min(part.start_m[1] for part in parts) - 0.030
        return np.maximum(body, sole_m - points_m[..., 1])

    return distance


def _surface(
    distance: Callable[[np.ndarray], np.ndarray], cell_m: float, *, inflate_m: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Naive surface nets over a grid, then Newton steps onto the surface. `inflate_m` keeps thin arms and hands on a coarse grid."""
    low, high = np.array([-0.92, -1.36, -0.24]), np.array([0.92, 0.66, 0.34])
    shape = np.ceil((high - low) / cell_m).astype(int) + 1
    # Symmetric in x with corners in the middle: left and right mirror each other, and thighs do not grow together.
    shape[0] += 1 - shape[0] % 2
    low[0] = -cell_m * (shape[0] - 1) / 2
    corners = np.stack(np.meshgrid(*[low[i] + cell_m * np.arange(shape[i]) for i in range(3)], indexing="ij"), axis=-1)
    values = _near_surface(distance, corners) - inflate_m * (np.abs(corners[..., 0]) > _ARMS_BEYOND_M)
    inside = values < 0

    # A vertex in each cell that the surface crosses: the mean of the crossings on its edges.
    sums, counts = np.zeros((*(shape - 1), 3)), np.zeros(shape - 1)
    crossings = []
    for axis in range(3):
        first = tuple(slice(0, -1) if i == axis else slice(None) for i in range(3))
        second = tuple(slice(1, None) if i == axis else slice(None) for i in range(3))
        crossed = np.argwhere(inside[first] != inside[second])
        crossings.append(crossed)
        start, end = crossed, crossed + np.eye(3, dtype=int)[axis]
        a, b = values[tuple(start.T)], values[tuple(end.T)]
        point = start + (a / (a - b))[:, None] * np.eye(3)[axis]
        others = [i for i in range(3) if i != axis]
        for du in (0, 1):
            for dv in (0, 1):
                cell = start.copy()
                cell[:, others[0]] -= du
                cell[:, others[1]] -= dv
                np.add.at(sums, tuple(cell.T), point)
                np.add.at(counts, tuple(cell.T), 1)
    used = counts > 0
    index = np.full(used.shape, -1)
    index[used] = np.arange(used.sum())
    vertices_m = low + cell_m * sums[used] / counts[used][:, None]

    # A quad around each crossed edge, wound so that it faces outwards.
    quads = []
    for axis, crossed in enumerate(crossings):
        u, v = np.eye(3, dtype=int)[(axis + 1) % 3], np.eye(3, dtype=int)[(axis + 2) % 3]
        ring = [index[tuple((crossed - shift).T)] for shift in (u + v, v, 0 * u, u)]
        quad = np.stack(ring, axis=-1)
        leaving = inside[tuple(crossed.T)]
        quads.append(np.where(leaving[:, None], quad, quad[:, ::-1]))
    quads_array = np.concatenate(quads)
    for _ in range(3):
        vertices_m = _onto_surface(distance, vertices_m)
    vertices_m = np.round(vertices_m, 5)
    a, b, c, d = (vertices_m[quads_array[:, i]] for i in range(4))
    shorter = (np.linalg.norm(a - c, axis=1) <= np.linalg.norm(b - d, axis=1) + 1e-6)[:, None]
    one = np.where(shorter, quads_array[:, [0, 1, 2]], quads_array[:, [0, 1, 3]])
    two = np.where(shorter, quads_array[:, [0, 2, 3]], quads_array[:, [1, 2, 3]])
    return vertices_m, np.concatenate([one, two])


def _near_surface(distance: Callable[[np.ndarray], np.ndarray], corners_m: np.ndarray) -> np.ndarray:
    """Distances at grid corners: exact near the surface, the sign alone elsewhere (a coarse grid decides which is which)."""
    coarse = distance(corners_m[::4, ::4, ::4])
    spread = coarse.repeat(4, 0).repeat(4, 1).repeat(4, 2)[tuple(slice(n) for n in corners_m.shape[:3])]
    values = np.where(spread < 0, -1.0, 1.0)
    # No corner is farther than 5.2 cells from its coarse one; the distance is approximate, hence the margin.
    near = np.abs(spread) < 8 * (corners_m[1, 0, 0, 0] - corners_m[0, 0, 0, 0])
    values[near] = distance(corners_m[near])
    return values


def _onto_surface(distance: Callable[[np.ndarray], np.ndarray], points_m: np.ndarray) -> np.ndarray:
    here_m, step_m = distance(points_m), 1e-5
    gradient = np.stack([(distance(points_m + step_m * e) - here_m) / step_m for e in np.eye(3)], axis=-1)
    squared = np.maximum((gradient**2).sum(-1), 0.25)
    move_m = -(here_m / squared)[:, None] * gradient
    length_m = np.linalg.norm(move_m, axis=-1, keepdims=True)
    return points_m + move_m * np.minimum(1.0, 0.01 / np.maximum(length_m, 1e-9))


def _split_largest(vertices_m: np.ndarray, faces: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Puts a vertex in the middle of the largest faces until there are `count`."""
    missing = count - len(vertices_m)
    corners = vertices_m[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    largest = np.sort(np.argsort(-area, kind="stable")[:missing])
    middle = len(vertices_m) + np.arange(missing)
    a, b, c = faces[largest].T
    split = [np.stack([a, b, middle], 1), np.stack([b, c, middle], 1), np.stack([c, a, middle], 1)]
    kept = np.delete(faces, largest, axis=0)
    return np.concatenate([vertices_m, corners[largest].mean(1)]), np.concatenate([kept, *split])


def _skinning_weights(parts: list[_Part], vertices_m: np.ndarray) -> np.ndarray:
    """Soft nearest part, among the joint of the nearest part and its neighbours in the skeleton."""
    nearest_m = np.full((len(vertices_m), 55), np.inf)
    for part in parts:
        nearest_m[:, part.joint] = np.minimum(nearest_m[:, part.joint], part.distance(vertices_m))
    parents = np.array(SMPLX_PARENTS)
    neighbours = np.eye(55, dtype=bool)
    for joint in range(1, 55):
        neighbours[joint, parents[joint]] = neighbours[parents[joint], joint] = True
    closest = nearest_m.argmin(1)
    nearest_m[~neighbours[closest]] = np.inf
    weights = np.exp(-(nearest_m - nearest_m.min(1, keepdims=True)) / 0.012)
    weights[weights < 0.01] = 0
    return weights / weights.sum(1, keepdims=True)


def _bone_ends(joints_m: np.ndarray) -> np.ndarray:
    """(55, 3) where the bone that a joint moves ends: its first child in the body, or the joint itself."""
    ends = joints_m.copy()
    for joint in reversed(range(1, 55)):
        ends[SMPLX_PARENTS[joint]] = joints_m[joint]
    ends[[0, 9]] = joints_m[[3, 12]]
    ends[15] = joints_m[15] + (0, 0.1, 0)
    return ends


def _girth(vertices_m: np.ndarray, joints_m: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A tenth of the way out from the bone; heads and hands stay."""
    starts, axes = joints_m, _bone_ends(joints_m) - joints_m
    squared = np.maximum((axes**2).sum(-1), 1e-9)
    along = ((vertices_m[:, None] - starts) * axes).sum(-1) / squared
    out = vertices_m[:, None] - starts - np.clip(along, 0, 1)[..., None] * axes
    grows = np.ones(55)
    grows[[15, 20, 21, *range(22, 55)]] = 0
    return 0.1 * ((weights * grows)[..., None] * out).sum(1)


def _joint_regressor(vertices_m: np.ndarray, joints_m: np.ndarray, girth_m: np.ndarray) -> np.ndarray:
    """(55, V) smallest weights on the nearest 120 vertices that give the joint, add up to one and ignore girth."""
    regressor = np.zeros((55, len(vertices_m)))
    for joint in range(55):
        near = np.argsort(np.linalg.norm(vertices_m - joints_m[joint], axis=1), kind="stable")[:120]
        rows = np.concatenate(
            [np.ones((1, 120)), (vertices_m[near] - joints_m[joint]).T, girth_m[near].T.astype(float)]
        )
        regressor[joint, near] = np.linalg.lstsq(rows, np.array([1.0, 0, 0, 0, 0, 0, 0]), rcond=1e-9)[0]
    return regressor


def _dress(vertices_m: np.ndarray, joints_m: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(V,) indices into PARTS: short sleeves, long trousers."""
    skin, hair, shirt, trousers, shoes = range(len(PARTS))
    main = weights.argmax(1)
    parts = np.full(len(vertices_m), skin, np.uint8)
    parts[np.isin(main, [3, 6, 9, 13, 14])] = shirt
    upper_arm = np.isin(main, [16, 17]) & (
        np.abs(vertices_m[:, 0]) < 0.75 * abs(joints_m[18, 0]) + 0.25 * abs(joints_m[16, 0])
    )
    parts[upper_arm] = shirt
    neck = vertices_m - joints_m[12]
    parts[(main == 12) & (neck[:, 1] + 0.5 * neck[:, 2] < 0.0)] = shirt
    parts[np.isin(main, [0, 1, 2, 4, 5])] = trousers
    parts[np.isin(main, [7, 8, 10, 11]) & (vertices_m[:, 1] < joints_m[7, 1] + 0.015)] = shoes
    parts[np.isin(main, [7, 8, 4, 5]) & (vertices_m[:, 1] >= joints_m[7, 1] + 0.015)] = trousers
    head = vertices_m - joints_m[15]
    crown = (main == 15) & (head[:, 1] > 0.125 - 0.9 * np.minimum(head[:, 2] + 0.0, 0.06) * (head[:, 2] < 0.02))
    back = (main == 15) & (head[:, 2] < -0.005) & (head[:, 1] > 0.01) & (np.abs(head[:, 0]) < 0.083)
    forehead = (head[:, 2] > 0.055) & (head[:, 1] < 0.150)
    parts[(crown | back) & ~forehead] = hair
    return parts
