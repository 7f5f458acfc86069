"""Norms and scalings of flat vectors, each in one pass over memory."""

from __future__ import annotations

import math

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


@numba.njit(cache=True)  # without arcp: 1 / peak may overflow where value / peak does not
def _scaled_norm(vector):
    """|vector| of numbers whose squares leave the range of float64, in two passes."""
    peak = 0.0
    for j in range(vector.size):
        peak = max(peak, abs(np.float64(vector[j])))
    if peak == 0.0 or not math.isfinite(peak):
        return peak
    total = 0.0
    for j in range(vector.size):
        value = np.float64(vector[j]) / peak
        total += value * value
    return peak * math.sqrt(total)


@numba.njit(cache=True, fastmath=FASTMATH)
def scale_in_place(vector, factor):
    """Multiply ``vector`` by ``factor``, rounded to the vector's type first."""
    f = vector.dtype.type(factor)
    for j in range(vector.size):
        vector[j] *= f


@numba.njit(cache=True)
def divide_in_place(vector, divisor):
    """Divide ``vector`` by ``divisor``, in the wider of the two types; each quotient is rounded once."""
    for j in range(vector.size):
        vector[j] = vector[j] / divisor


@numba.njit(cache=True)
def clamp_in_place(vector, bound):
    """Clamp every finite entry to [-bound, bound]; return how many were outside. NaN and infinities stay.

    Parameters
    ----------
    vector : ndarray, shape (d,)
    bound : float
    """
    high = vector.dtype.type(bound)
    low, infinity = -high, vector.dtype.type(np.inf)
    outside = 0
    for j in range(vector.size):
        value = vector[j]
        above = (value > high) & (value < infinity)
        below = (value < low) & (value > -infinity)
        outside += np.int32(above | below)
        vector[j] = high if above else (low if below else value)
    return outside


@numba.njit(cache=True, fastmath=FASTMATH)
def mean_in_place(total, count):
    """Divide a sum by ``count``, in place."""
    divisor = total.dtype.type(count)
    for j in range(total.size):
        total[j] /= divisor


@numba.njit(cache=True)
def norm(vector):
    """The 2-norm of a flat vector, as a float64; infinite or NaN only when an entry is.

    Parameters
    ----------
    vector : ndarray, shape (d,), float32 or float64
    """
    squared = squared_norm(vector)
    if math.isnan(squared) or 1e-280 < squared < 1e300:
        return math.sqrt(squared)
    return _scaled_norm(vector)


@numba.njit(cache=True)  # no fastmath: the order of the additions is the point
def norm_in_four_lanes(vector):
    """The 2-norm with squares summed in the vector's own type, entry j in lane j mod 4, then the lanes one by one.

    What a float32 norm on one core with four-wide registers gives: for hundreds of thousands of entries it is too small
    by parts in 10^5.

    Parameters
    ----------
    vector : ndarray, shape (d,), float32 or float64
    """
    zero = vector.dtype.type(0)
    a, b, c, d = zero, zero, zero, zero
    whole = vector.size - vector.size % 4
    for j in range(0, whole, 4):
        a += vector[j] * vector[j]
        b += vector[j + 1] * vector[j + 1]
        c += vector[j + 2] * vector[j + 2]
        d += vector[j + 3] * vector[j + 3]
    total = a + b + c + d
    for j in range(whole, vector.size):
        total += vector[j] * vector[j]
    return math.sqrt(total)
