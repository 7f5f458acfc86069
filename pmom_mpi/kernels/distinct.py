"""Drawing without replacement, many small draws at once."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True)
def distinct(uniforms, sizes, out):
    """out[i] is a uniform ordered sample, without replacement, of 0..sizes[i]-1; O(count^2) a row, whatever its size.

    Parameters
    ----------
    uniforms : ndarray of float64, shape (draws, count)
        Independent, uniform on [0, 1).
    sizes : ndarray of int64, shape (draws,)
        Each at least ``count``: not checked here.
    out : ndarray of int64, shape (draws, count)
    """
    draws, count = uniforms.shape
    taken = np.empty(count, np.int64)  # what the row has so far, ascending
    for i in range(draws):
        for j in range(count):
            left = sizes[i] - j
            value = min(np.int64(uniforms[i, j] * left), left - 1)
            place = 0
            while place < j and taken[place] <= value:  # the value-th of those not yet taken
                value += 1
                place += 1
            for later in range(j, place, -1):
                taken[later] = taken[later - 1]
            taken[place] = value
            out[i, j] = value
