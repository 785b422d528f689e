"""Bodies to be seen: a person's limbs as solids around the joints of a performance."""

from dataclasses import dataclass

import numpy as np

from egoreact.hrd.simulate.kinematics import ARMS, LEGS, Body
from egoreact.hrd.simulate.solids import Colour, Mesh, Solid, along_bone, ellipsoid, joined, lathe, limb, moved, poses

_SKINS: tuple[Colour, ...] = (
    (0.68, 0.44, 0.32),
    (0.58, 0.36, 0.25),
    (0.36, 0.21, 0.14),
    (0.78, 0.54, 0.42),
    (0.20, 0.11, 0.07),
)
_SHIRTS: tuple[Colour, ...] = (
    (0.55, 0.10, 0.10), (0.10, 0.22, 0.50), (0.80, 0.80, 0.78), (0.65, 0.45, 0.08), (0.12, 0.36, 0.22), (0.30, 0.14, 0.36),
)  # fmt: skip
_TROUSERS: tuple[Colour, ...] = ((0.06, 0.08, 0.16), (0.10, 0.10, 0.10), (0.32, 0.26, 0.18), (0.16, 0.18, 0.22))
_HAIR: tuple[Colour, ...] = ((0.03, 0.02, 0.02), (0.12, 0.06, 0.03), (0.40, 0.28, 0.12), (0.30, 0.29, 0.28))


@dataclass(frozen=True)
class Clothes:
    skin: Colour
    shirt: Colour
    trousers: Colour
    hair: Colour
    long_sleeves: bool

    @property
    def sleeve(self) -> Colour:
        return self.shirt if self.long_sleeves else self.skin


def sample_clothes(rng: np.random.Generator) -> Clothes:
    def pick(choices: tuple[Colour, ...]) -> Colour:
        return choices[rng.integers(len(choices))]

    return Clothes(pick(_SKINS), pick(_SHIRTS), pick(_TROUSERS), pick(_HAIR), bool(rng.random() < 0.6))


def dress(body: Body, clothes: Clothes, segment: int, scale: float, *, wearer: bool = False) -> list[Solid]:
    """Solids of a body. The wearer's own head, neck and shoulders are unseen: the camera is inside."""
    joints = body.joints_m
    k = scale
    forward = body.pelvis_rotation[:, :, 2]
    solids = [
        Solid(_hips(clothes, k), poses(joints[:, 0], body.pelvis_rotation), segment, name="hips"),
        Solid(_chest(clothes, k), poses(joints[:, 6], body.chest_rotation), segment, seen=not wearer, name="chest"),
        Solid(_head(clothes, k), poses(joints[:, 15], body.head_rotation), segment, seen=not wearer, name="head"),
        _bone(
            limb(_length(joints, 12, 15), 0.055 * k, 0.052 * k, clothes.skin),
            joints[:, 12],
            joints[:, 15],
            forward,
            segment,
            not wearer,
        ),
    ]
    for side, (_, knee, ankle, _) in enumerate(LEGS):
        hip = LEGS[side][0]
        front = body.foot_rotation[:, side, :, 2]
        thigh = limb(_length(joints, hip, knee), 0.088 * k, 0.058 * k, clothes.trousers, bulge_m=0.006 * k)
        shin = limb(_length(joints, knee, ankle), 0.058 * k, 0.040 * k, clothes.trousers, bulge_m=0.014 * k)
        solids += [
            _bone(thigh, joints[:, hip], joints[:, knee], front, segment),
            _bone(shin, joints[:, knee], joints[:, ankle], front, segment),
            Solid(_shoe(k), poses(joints[:, ankle], body.foot_rotation[:, side]), segment, name="shoe"),
        ]
    for _, shoulder, elbow, wrist in ARMS:
        front = body.chest_rotation[:, :, 2]
        upper = limb(_length(joints, shoulder, elbow), 0.056 * k, 0.042 * k, clothes.shirt)
        fore = limb(_length(joints, elbow, wrist), 0.042 * k, 0.028 * k, clothes.sleeve, bulge_m=0.004 * k)
        hand = _hand(clothes, k)
        solids += [
            _bone(upper, joints[:, shoulder], joints[:, elbow], front, segment),
            _bone(fore, joints[:, elbow], joints[:, wrist], front, segment),
            _bone(hand, joints[:, wrist], 2 * joints[:, wrist] - joints[:, elbow], front, segment),
        ]
    return solids


def _length(joints: np.ndarray, start: int, end: int) -> float:
    return float(np.linalg.norm(joints[0, end] - joints[0, start]))


def _bone(mesh: Mesh, start: np.ndarray, end: np.ndarray, front: np.ndarray, segment: int, seen: bool = True) -> Solid:
    return Solid(mesh, along_bone(start, end, front), segment, seen=seen, name="limb")


def _hips(clothes: Clothes, k: float) -> Mesh:
    profile = [(0.0, -0.14), (0.09, -0.13), (0.145, -0.07), (0.155, 0.0), (0.14, 0.08), (0.13, 0.14), (0.0, 0.16)]
    return lathe([(r * k, h * k) for r, h in profile], clothes.trousers, squash=(1.0, 0.72))


def _chest(clothes: Clothes, k: float) -> Mesh:
    profile = [
        (0.0, -0.20), (0.13, -0.19), (0.135, -0.08), (0.15, 0.04), (0.172, 0.16), (0.175, 0.22), (0.15, 0.28), (0.07, 0.325), (0.0, 0.33),
    ]  # fmt: skip
    return moved(lathe([(r * k, h * k) for r, h in profile], clothes.shirt, squash=(1.0, 0.66)), (0, 0, 0.01 * k))


def _head(clothes: Clothes, k: float) -> Mesh:
    skull = moved(ellipsoid((0.078 * k, 0.118 * k, 0.098 * k), clothes.skin, rings=11), (0, 0.075 * k, 0.022 * k))
    hair = moved(ellipsoid((0.085 * k, 0.105 * k, 0.098 * k), clothes.hair, rings=9), (0, 0.108 * k, -0.005 * k))
    nose = moved(
        ellipsoid((0.014 * k, 0.024 * k, 0.02 * k), clothes.skin, rings=5, sections=8), (0, 0.05 * k, 0.118 * k)
    )
    eyes = [
        moved(
            ellipsoid((0.014 * k, 0.010 * k, 0.010 * k), (0.04, 0.03, 0.03), rings=5, sections=8),
            (x * k, 0.075 * k, 0.108 * k),
        )
        for x in (-0.032, 0.032)
    ]
    return joined([skull, hair, nose, *eyes])


def _hand(clothes: Clothes, k: float) -> Mesh:
    palm = moved(ellipsoid((0.024 * k, 0.085 * k, 0.042 * k), clothes.skin, rings=7, sections=10), (0, 0.075 * k, 0))
    thumb = moved(
        ellipsoid((0.014 * k, 0.04 * k, 0.014 * k), clothes.skin, rings=5, sections=8), (0, 0.055 * k, 0.045 * k)
    )
    return joined([palm, thumb])


def _shoe(k: float) -> Mesh:
    dark: Colour = (0.07, 0.06, 0.06)
    body = moved(ellipsoid((0.046 * k, 0.04 * k, 0.135 * k), dark, rings=8, sections=12), (0, -0.028 * k, 0.065 * k))
    return joined(
        [
            body,
            moved(ellipsoid((0.044 * k, 0.05 * k, 0.05 * k), dark, rings=7, sections=10), (0, -0.012 * k, -0.005 * k)),
        ]
    )
