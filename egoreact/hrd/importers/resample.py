"""Motion at other moments than it was recorded at: positions linearly, rotations by slerp."""

import numpy as np
import roma
import torch
from jaxtyping import Float

from egoreact.motion.skeleton import FPS


def moments(first_s: float, last_s: float) -> Float[np.ndarray, "frames"]:
    """Seconds from `first_s` to `last_s` at 20 fps. Half a millisecond of slack: recordings round their frame times."""
    return first_s + np.arange(int((last_s - first_s) * FPS + 0.01) + 1) / FPS


class Resampler:
    """Values at `times_s` of a recording whose frame k was taken at k / fps seconds; before and after it, its ends."""

    def __init__(self, times_s: Float[np.ndarray, "times"], *, fps: float, num_frames: int):
        place = np.clip(times_s * fps, 0, num_frames - 1)
        # Rates are written rounded (0.0083333 s): within a twentieth of a frame it is that frame, untouched.
        place = np.where(np.abs(place - np.rint(place)) < 0.05, np.rint(place), place)
        self._before = np.minimum(place.astype(int), num_frames - 1)
        self._after = np.minimum(self._before + 1, num_frames - 1)
        self._share = place - self._before

    def values(self, values: Float[np.ndarray, "frames *any"]) -> Float[np.ndarray, "times *any"]:
        before, after = values[self._before].astype(np.float64), values[self._after].astype(np.float64)
        return before + self._share.reshape(-1, *[1] * (values.ndim - 1)) * (after - before)

    def rotations(self, rotations: Float[np.ndarray, "frames *any 3 3"]) -> Float[np.ndarray, "times *any 3 3"]:
        before, after = rotations[self._before].astype(np.float64), rotations[self._after].astype(np.float64)
        turn = roma.rotmat_to_rotvec(torch.from_numpy(np.swapaxes(before, -1, -2) @ after)).numpy()
        part = self._share.reshape(-1, *[1] * (turn.ndim - 1)) * turn
        return before @ roma.rotvec_to_rotmat(torch.from_numpy(part)).numpy()
