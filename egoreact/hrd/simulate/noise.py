"""Smooth randomness for surfaces."""

import numpy as np
from numba import njit

from egoreact.hrd.simulate.solids import f32


class Noise:
    """Smooth random values, mean 0, about -1 to 1, that repeat only after 64 cells."""

    def __init__(self, rng: np.random.Generator, cell_m: float, stretch: float = 1.0):
        self.grid = rng.uniform(-1.0, 1.0, (64, 64)).astype(np.float32)
        self.cells_a_metre = 1.0 / cell_m
        self.stretch = stretch

    def __call__(self, across: np.ndarray, up: np.ndarray) -> np.ndarray:
        out = np.empty(across.shape, np.float32)
        cells = self.cells_a_metre
        _smooth(self.grid, f32(across), f32(up), np.float32(cells / self.stretch), np.float32(cells), out)
        return out


@njit(cache=True, nogil=True, error_model="numpy")
def _smooth(grid, across, up, cells_across, cells_up, out):
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            x, y = across[row, column] * cells_across, up[row, column] * cells_up
            left, low = np.floor(x), np.floor(y)
            u, v = x - left, y - low
            i, j = int(left) & 63, int(low) & 63
            k, m = (i + 1) & 63, (j + 1) & 63
            first = grid[j, i] + u * (grid[j, k] - grid[j, i])
            second = grid[m, i] + u * (grid[m, k] - grid[m, i])
            out[row, column] = first + v * (second - first)
