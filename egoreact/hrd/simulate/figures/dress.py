"""Bodies to be seen: the mannequin in somebody's clothes, one way to draw a person."""

from dataclasses import dataclass

import numpy as np

from egoreact.hrd.simulate.acting.kinematics import Body
from egoreact.hrd.simulate.figures.skin import head_size, skin_of
from egoreact.hrd.simulate.figures.tailor import SKIN, tailored
from egoreact.hrd.simulate.solids import Colour, Mesh, Solid, ellipsoid, joined, moved, poses
from egoreact.motion.skeleton import HEAD

_SKINS: tuple[Colour, ...] = (
    (0.68, 0.44, 0.32), (0.58, 0.36, 0.25), (0.36, 0.21, 0.14), (0.78, 0.54, 0.42), (0.20, 0.11, 0.07),
)  # fmt: skip
_SHIRTS: tuple[Colour, ...] = (
    (0.55, 0.10, 0.10), (0.10, 0.22, 0.50), (0.80, 0.80, 0.78), (0.65, 0.45, 0.08), (0.12, 0.36, 0.22), (0.30, 0.14, 0.36),
    (0.08, 0.08, 0.09), (0.70, 0.36, 0.30), (0.20, 0.42, 0.48), (0.45, 0.43, 0.38),
)  # fmt: skip
_TROUSERS: tuple[Colour, ...] = (
    (0.06, 0.08, 0.16), (0.10, 0.10, 0.10), (0.32, 0.26, 0.18), (0.16, 0.18, 0.22), (0.10, 0.16, 0.30), (0.22, 0.22, 0.14),
)  # fmt: skip
_HAIR: tuple[Colour, ...] = ((0.03, 0.02, 0.02), (0.12, 0.06, 0.03), (0.40, 0.28, 0.12), (0.30, 0.29, 0.28))
_SHOES: tuple[Colour, ...] = ((0.05, 0.05, 0.05), (0.16, 0.09, 0.05), (0.62, 0.62, 0.60), (0.30, 0.06, 0.06))


@dataclass(frozen=True)
class Clothes:
    skin: Colour
    shirt: Colour
    trousers: Colour
    hair: Colour
    shoes: Colour = (0.07, 0.06, 0.06)
    long_sleeves: bool = True
    shorts: bool = False

    @property
    def by_region(self) -> list[Colour]:
        """Colours of `tailor`'s regions."""
        sleeves = self.shirt if self.long_sleeves else self.skin
        shins = self.skin if self.shorts else self.trousers
        return [self.skin, self.hair, self.shirt, sleeves, self.trousers, shins, self.shoes]


def sample_clothes(rng: np.random.Generator) -> Clothes:
    def pick(choices: tuple[Colour, ...]) -> Colour:
        return choices[rng.integers(len(choices))]

    return Clothes(
        pick(_SKINS), pick(_SHIRTS), pick(_TROUSERS), pick(_HAIR), pick(_SHOES),
        long_sleeves=bool(rng.random() < 0.5), shorts=bool(rng.random() < 0.15),
    )  # fmt: skip


def dress(body: Body, clothes: Clothes, segment: int, scale: float, *, wearer: bool = False) -> list[Solid]:
    """Solids of a body whose bones are `scale` times the reference's; a small one has a child's large head.

    The wearer's own head and neck are unseen, as the camera is inside, but throw their shadow.
    """
    cut, skin_m = tailored(), skin_of(body, scale)
    colours = np.array(clothes.by_region, np.float32)
    here = poses(np.zeros((len(skin_m), 3)), np.eye(3))

    def part(faces: np.ndarray, regions: np.ndarray, name: str, *, seen: bool = True) -> Solid:
        mesh = Mesh(cut.vertices_m, faces, np.zeros_like(cut.vertices_m), colours[regions])
        return Solid(mesh, here, segment, seen=seen, grain=(0.07, 40.0), skin_m=skin_m, name=name)

    if wearer:
        unseen = np.full(len(cut.head), SKIN)
        return [part(cut.headless, cut.headless_regions, "body"), part(cut.head, unseen, "head", seen=False)]
    features = _face(clothes, head_size(scale))
    at_head = poses(body.joints_m[:, HEAD], body.head_rotation)
    return [part(cut.faces, cut.regions, "body"), Solid(features, at_head, segment, shadow=False, name="face")]


def _face(clothes: Clothes, k: float) -> Mesh:
    """Eyes, brows and mouth, in the head's axes."""
    dark, lips = (0.03, 0.02, 0.02), _darker(clothes.skin)
    parts = [moved(ellipsoid((0.026 * k, 0.007 * k, 0.008 * k), lips, rings=5, sections=8), (0, -0.012 * k, 0.104 * k))]
    for side in (-1.0, 1.0):
        eye = ellipsoid((0.013 * k, 0.009 * k, 0.009 * k), (0.7, 0.68, 0.65), rings=5, sections=8)
        pupil = ellipsoid((0.006 * k, 0.007 * k, 0.006 * k), dark, rings=5, sections=8)
        brow = ellipsoid((0.019 * k, 0.005 * k, 0.006 * k), clothes.hair, rings=5, sections=8)
        parts += [
            moved(eye, (side * 0.031 * k, 0.070 * k, 0.089 * k)),
            moved(pupil, (side * 0.031 * k, 0.070 * k, 0.095 * k)),
            moved(brow, (side * 0.032 * k, 0.092 * k, 0.093 * k)),
        ]
    return joined(parts)


def _darker(colour: Colour) -> Colour:
    return (0.75 * colour[0], 0.5 * colour[1], 0.5 * colour[2])
