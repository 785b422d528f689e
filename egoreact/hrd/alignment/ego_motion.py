"""How the camera moved from one frame to another, from the pixels alone, and how far that is from a supposed motion.

With depth, tracked points are lifted to metres and PnP (RANSAC, then refinement on the inliers) gives rotation and translation.
Without, the essential matrix gives the rotation, and a supposed motion can still be judged: the direction in which a point is
seen afterwards must lie on the arc from where it would be infinitely far away to where it would be at arm's length.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import cv2
import numpy as np
from jaxtyping import Float, Int

from egoreact.hrd.alignment.tracks import Tracks

MIN_INLIERS = 10
MIN_INLIER_SHARE = 0.4
POINTS = 24
"""Points that a pair keeps."""
NEAREST_M = 0.5
"""Nothing that stands still is nearer than this where there is no depth to tell."""


@dataclass(frozen=True)
class Pairs:
    """P pairs of frames between which the pixels tell how the camera moved: X_second = rotation · X_first + translation."""

    first: Int[np.ndarray, "pairs"]
    second: Int[np.ndarray, "pairs"]
    rotation: Float[np.ndarray, "pairs 3 3"]
    translation_m: Float[np.ndarray, "pairs 3"]
    """NaN without depth."""
    points_m: Float[np.ndarray, "pairs 24 3"]
    """Things that stand still, in the first camera; without depth their directions."""
    seen: Float[np.ndarray, "pairs 24 3"]
    """Their directions in the second camera, unit length; with depth as the estimate carries them, less single tracks' noise."""

    def __len__(self) -> int:
        return len(self.first)

    @property
    def has_depth(self) -> bool:
        return bool(np.isfinite(self.translation_m).all())

    def errors(
        self, rotation: Float[np.ndarray, "*n pairs 3 3"], translation_m: Float[np.ndarray, "*n pairs 3"]
    ) -> Float[np.ndarray, "*n pairs 24 3"]:
        """From where a supposed motion carries the points to where they were seen, on the unit sphere."""
        moved, shift = self.points_m @ np.swapaxes(rotation, -1, -2), translation_m[..., None, :]
        if self.has_depth:
            return self.seen - unit(moved + shift)
        far, near = unit(moved), unit(NEAREST_M * moved + shift)
        arc = near - far
        along = np.sum((self.seen - far) * arc, axis=-1) / np.maximum(np.sum(arc * arc, axis=-1), 1e-12)
        return self.seen - (far + np.clip(along, 0.0, 1.0)[..., None] * arc)

    def disagreement_deg(
        self, rotation: Float[np.ndarray, "*n pairs 3 3"], translation_m: Float[np.ndarray, "*n pairs 3"]
    ) -> Float[np.ndarray, "*n pairs"]:
        """The median of the points' errors: rotation and translation weigh as the video shows them."""
        return np.degrees(np.median(np.linalg.norm(self.errors(rotation, translation_m), axis=-1), axis=-1))


def unit(vectors: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def estimate(tracks: Tracks, apart_frames: int, *, every_frames: int = 4) -> Pairs:
    """Ego-motion over pairs of frames `apart_frames` apart; pairs that show too few points are left out."""
    has_depth = bool(np.isfinite(tracks.depth_m).any())
    step = int(tracks.frames[1] - tracks.frames[0])
    visible = np.isfinite(tracks.rays[..., 0])
    found = []
    for a in range(0, len(tracks.frames) - apart_frames // step, every_frames // step):
        b = a + apart_frames // step
        both = visible[a] & visible[b]
        if has_depth:
            both &= np.isfinite(tracks.depth_m[a])
        if both.sum() < MIN_INLIERS:
            continue
        before, after = tracks.rays[a, both], tracks.rays[b, both]
        if has_depth:
            motion = _by_points(before * tracks.depth_m[a, both, None], after, tracks.pixel_rad)
        else:
            motion = _by_directions(before, after, tracks.pixel_rad)
        if motion is not None:
            found.append((int(tracks.frames[a]), int(tracks.frames[b]), *motion))
    if not found:
        none, points = np.zeros(0, int), np.zeros((0, POINTS, 3))
        return Pairs(none, none, np.zeros((0, 3, 3)), np.zeros((0, 3)), points, points)
    return Pairs(*(np.array(column) for column in zip(*found, strict=True)))


def joined(*pairs: Pairs) -> Pairs:
    return Pairs(*(np.concatenate([getattr(p, f.name) for p in pairs]) for f in fields(Pairs)))


_Motion = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _by_points(points_m: np.ndarray, after: np.ndarray, pixel_rad: float) -> _Motion | None:
    camera, pixels = np.eye(3), np.ascontiguousarray(after[:, :2])
    solved = _or_none(
        lambda: cv2.solvePnPRansac(
            points_m, pixels, camera, None,
            iterationsCount=60, reprojectionError=1.2 * pixel_rad, confidence=0.99, flags=cv2.SOLVEPNP_SQPNP,
        )
    )  # fmt: skip
    if solved is None or not solved[0] or solved[3] is None or len(solved[3]) < _enough(points_m):
        return None
    _, turn, shift, inliers = solved
    inliers = inliers.ravel()
    for _ in range(2):
        turn, shift = cv2.solvePnPRefineLM(points_m[inliers], pixels[inliers], camera, None, turn, shift)
        rotation = cv2.Rodrigues(turn)[0]
        carried = points_m @ rotation.T + shift.ravel()
        error = np.linalg.norm(carried[:, :2] / np.maximum(carried[:, 2:], 1e-3) - pixels, axis=1)
        inliers = np.flatnonzero(error < max(2.5 * np.median(error[inliers]), 0.3 * pixel_rad))
        if len(inliers) < MIN_INLIERS:
            return None
    kept = _spread(inliers)
    return rotation, shift.ravel(), points_m[kept], unit(carried[kept])


def _by_directions(before: np.ndarray, after: np.ndarray, pixel_rad: float) -> _Motion | None:
    first, second = np.ascontiguousarray(before[:, :2]), np.ascontiguousarray(after[:, :2])
    solved = _or_none(lambda: cv2.findEssentialMat(first, second, np.eye(3), cv2.RANSAC, 0.99, pixel_rad, 200))
    if solved is None or solved[0] is None or solved[0].shape != (3, 3):
        return None
    essential, inliers = solved[0], solved[1].ravel().astype(bool)
    if inliers.sum() < _enough(before):
        return None
    # Of the two rotations that fit it is the smaller: nobody turns by half a circle between the frames of a pair.
    turns = cv2.decomposeEssentialMat(essential)[:2]
    rotation = max(turns, key=lambda R: float(np.trace(R)))
    kept = _spread(np.flatnonzero(inliers))
    return rotation, np.full(3, np.nan), unit(before[kept]), unit(after[kept])


def _or_none(solve: Callable[[], tuple]) -> tuple | None:
    """OpenCV raises where points lie such that its equations have no solution."""
    try:
        return solve()
    except cv2.error:
        return None


def _enough(points: np.ndarray) -> float:
    return max(MIN_INLIERS, MIN_INLIER_SHARE * len(points))


def _spread(inliers: np.ndarray) -> np.ndarray:
    """`POINTS` of them; some twice where there are fewer."""
    return inliers[np.linspace(0, len(inliers) - 1, POINTS).round().astype(int)]
