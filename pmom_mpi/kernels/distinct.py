"""Drawing without replacement, many small draws at once."""

from __future__ import annotations

import numba


@numba.njit(cache=True)
def distinct(uniforms, sizes, out):
    """out[i] are different integers of 0..sizes[i]-1, every subset equally likely (Floyd's algorithm).

    The order within a row is not uniform: that of a set, not of a permutation.

    Parameters
    ----------
    uniforms : ndarray of float64, shape (draws, count)
        Uniform on [0, 1).
    sizes : ndarray of int64, shape (draws,)
        Each at least ``count``: not checked here.
    out : ndarray of int64, shape (draws, count)
    """
    draws, count = uniforms.shape
    for i in range(draws):
        for j in range(count):
            top = sizes[i] - count + j
            chosen = min(int(uniforms[i, j] * (top + 1)), top)
            for earlier in range(j):
                if out[i, earlier] == chosen:
                    chosen = top
                    break
            out[i, j] = chosen
