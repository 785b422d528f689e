"""A person's skin: the mannequin's, carried along by the joints and turns of a solved body."""

from functools import cache

import numpy as np
from jaxtyping import Float32, Float64, Int32
from numba import njit

from egoreact.hrd.simulate.acting.kinematics import ARMS, LEGS, Body
from egoreact.hrd.simulate.figures.tailor import tailored
from egoreact.motion.mannequin import SMPLX_PARENTS
from egoreact.motion.skeleton import HEAD, NUM_JOINTS

_BONES = 6
"""Joints that move a vertex, at most."""
_HANDS = {20: range(25, 40), 21: range(40, 55)}
_CHILDREN_HAVE_LARGE_HEADS = 0.5
"""How much less than the body a head shrinks."""


def head_size(scale: float) -> float:
    """Against the reference head's."""
    return scale + _CHILDREN_HAVE_LARGE_HEADS * max(0.0, 1.0 - scale)


def skin_of(body: Body, scale: float) -> Float32[np.ndarray, "frames vertices 3"]:
    """Vertices of the mannequin around a body whose bones are `scale` times the reference's."""
    rest = tailored().rest_joints_m.astype(np.float64)
    turns = joint_turns(body, rest)
    carriers = np.arange(55)
    carriers[NUM_JOINTS : NUM_JOINTS + 3] = HEAD
    for wrist, fingers in _HANDS.items():
        carriers[list(fingers)] = wrist
    sizes = np.full(NUM_JOINTS, scale)
    sizes[HEAD] = head_size(scale)
    carried = turns * sizes[:, None, None]
    moved_m = body.joints_m - np.einsum("tjab,jb->tja", carried, rest[:NUM_JOINTS])
    transforms = np.concatenate([carried, moved_m[..., None]], axis=-1).astype(np.float32)
    joints, weights = _sparse_weights()
    skin_m = np.empty((len(transforms), len(joints), 3), np.float32)
    _blend(tailored().vertices_m, carriers[joints].astype(np.int32), weights, transforms, skin_m)
    return skin_m


def joint_turns(body: Body, rest_m: Float64[np.ndarray, "55 3"]) -> Float64[np.ndarray, "frames 22 3 3"]:
    """World rotations of the joints: the body's own where it has them, else the shortest way from the parent's."""
    joints = body.joints_m
    turns = np.empty((*joints.shape, 3))
    turns[:, 0], turns[:, 9], turns[:, HEAD] = body.pelvis_rotation, body.chest_rotation, body.head_rotation
    turns[:, 3], turns[:, 6] = (_between(body.pelvis_rotation, body.chest_rotation, share) for share in (1 / 3, 2 / 3))
    bones = [
        (12, 15),
        *((arm[k], arm[k + 1]) for arm in ARMS for k in range(3)),
        *((leg[k], leg[k + 1]) for leg in LEGS for k in range(2)),
    ]
    for joint, child in bones:
        before = turns[:, SMPLX_PARENTS[joint]]
        carried = np.einsum("tij,j->ti", before, rest_m[child] - rest_m[joint])
        turns[:, joint] = shortest_turn(carried, joints[:, child] - joints[:, joint]) @ before
    for side, (arm, leg) in enumerate(zip(ARMS, LEGS, strict=True)):
        turns[:, arm[3]] = turns[:, arm[2]]
        turns[:, leg[2]] = turns[:, leg[3]] = body.foot_rotation[:, side]
    return turns


def shortest_turn(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(..., 3, 3) rotations that turn vectors onto others' directions; opposite ones about any axis across."""
    a = source / np.linalg.norm(source, axis=-1, keepdims=True)
    b = target / np.linalg.norm(target, axis=-1, keepdims=True)
    # Two reflections: in the plane across a + b, and in that across b.
    half = a + b
    across = np.cross(a, np.eye(3)[np.argmin(np.abs(a), axis=-1)])
    half = np.where(np.linalg.norm(half, axis=-1, keepdims=True) < 1e-6, across, half)
    half /= np.linalg.norm(half, axis=-1, keepdims=True)

    def mirror(n: np.ndarray) -> np.ndarray:
        return np.eye(3) - 2 * n[..., :, None] * n[..., None, :]

    return mirror(b) @ mirror(half)


def _between(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    """Rotations a share of the way from one to another; the way is short."""
    left, _, right = np.linalg.svd((1 - share) * first + share * second)
    return left @ right


@cache
def _sparse_weights() -> tuple[Int32[np.ndarray, "vertices 6"], Float32[np.ndarray, "vertices 6"]]:
    full = tailored().weights
    joints = np.argsort(-full, axis=1, kind="stable")[:, :_BONES].astype(np.int32)
    weights = np.take_along_axis(full, joints, axis=1)
    return joints, weights / weights.sum(axis=1, keepdims=True)


@njit(cache=True, nogil=True, error_model="numpy")
def _blend(rest, joints, weights, transforms, skin):
    for frame in range(len(transforms)):
        for k in range(len(rest)):
            x, y, z = rest[k, 0], rest[k, 1], rest[k, 2]
            for i in range(3):
                value = np.float32(0.0)
                for b in range(joints.shape[1]):
                    if weights[k, b] == 0:
                        break
                    T = transforms[frame, joints[k, b], i]
                    value += weights[k, b] * (T[0] * x + T[1] * y + T[2] * z + T[3])
                skin[frame, k, i] = value
