"""Norms and scalings of flat vectors, each in one pass over memory."""

from __future__ import annotations

import numba
import numpy as np

from pmom_mpi.kernels.layers import FASTMATH


@numba.njit(cache=True, fastmath=FASTMATH)
def squared_norm(vector):
    """|vector|^2, summed in float64 so that float32 squares neither overflow nor lose digits; NaN propagates.

    Parameters
    ----------
    vector : ndarray, shape (d,), float32 or float64
    """
    total = 0.0
    for j in range(vector.size):
        value = np.float64(vector[j])
        total += value * value
    return total


@numba.njit(cache=True, fastmath=FASTMATH)
def scale_in_place(vector, factor):
    """Multiply ``vector`` by ``factor``, rounded to the vector's type first."""
    f = vector.dtype.type(factor)
    for j in range(vector.size):
        vector[j] *= f


@numba.njit(cache=True, fastmath=FASTMATH)
def clamp_in_place(vector, bound):
    """Clamp every entry to [-bound, bound]; return how many were outside. NaN stays NaN and is not counted."""
    high = vector.dtype.type(bound)
    low = -high
    outside = 0
    for j in range(vector.size):
        value = vector[j]
        above, below = value > high, value < low
        outside += above or below
        vector[j] = high if above else (low if below else value)
    return outside


@numba.njit(cache=True, fastmath=FASTMATH)
def mean_in_place(total, count):
    """Divide a sum by ``count``, in place."""
    divisor = total.dtype.type(count)
    for j in range(total.size):
        total[j] /= divisor


def norm(vector: np.ndarray) -> float:
    """The 2-norm of a flat vector, as a float64."""
    return float(np.sqrt(squared_norm(vector)))
