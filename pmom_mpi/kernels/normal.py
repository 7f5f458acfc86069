"""Normal random numbers for any (key, coordinate): Box and Muller's transform in loops that vectorise.

Box, Muller 1958, "A note on the generation of random normal deviates". Logarithm, sine and cosine are the polynomials
of the Cephes library's logf, sinf and cosf (Moshier 1989), good to 7 digits, evaluated in float64 without fused
operations: a key gives the same numbers on every machine.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from pmom_mpi.kernels.random import uniform_bits

CHUNK = 1024
"""Pairs made at a time: they stay in the first-level cache."""

# A word of 64 bits: 38 for the radius (hence at most 7.3 standard deviations), 24 for the angle, 2 for the quadrant.
_RADIUS_BITS, _ANGLE_BITS = 38, 24
_ANGLE_MASK = np.uint64((1 << _ANGLE_BITS) - 1)
_ANGLE_UNIT = 0.5 * math.pi / (1 << _ANGLE_BITS)
_SQRT_HALF = np.float64(math.sqrt(0.5)).view(np.int64)


@njit(cache=True, inline="always")
def _log1p(x):
    """log(1 + x) for sqrt(1/2) <= 1 + x < sqrt(2)."""
    y = 7.0376836292e-2
    y = y * x - 1.1514610310e-1
    y = y * x + 1.1676998740e-1
    y = y * x - 1.2420140846e-1
    y = y * x + 1.4249322787e-1
    y = y * x - 1.6668057665e-1
    y = y * x + 2.0000714765e-1
    y = y * x - 2.4999993993e-1
    y = y * x + 3.3333331174e-1
    return x - 0.5 * x * x + y * x * x * x


@njit(cache=True, inline="always")
def _sine(x):
    """sin x for |x| <= pi / 4."""
    z = x * x
    return ((-1.9515295891e-4 * z + 8.3321608736e-3) * z - 1.6666654611e-1) * z * x + x


@njit(cache=True, inline="always")
def _cosine(x):
    """cos x for |x| <= pi / 4."""
    z = x * x
    return ((2.443315711809948e-5 * z - 1.388731625493765e-3) * z + 4.166664568298827e-2) * z * z - 0.5 * z + 1.0


@njit(cache=True)
def _radii(words, radii):
    """sqrt(-2 log u) with u = (the words' upper bits + 1) / 2**38, in (0, 1]."""
    patterns = radii.view(np.int64)
    for i in range(words.size):
        radii[i] = np.float64(np.int64(words[i] >> np.uint64(64 - _RADIUS_BITS)) + 1)
    for i in range(words.size):
        exponent = (patterns[i] - _SQRT_HALF) >> 52
        patterns[i] -= exponent << 52  # now radii[i] is in [sqrt(1/2), sqrt(2))
        logarithm = _log1p(radii[i] - 1.0) + (exponent - _RADIUS_BITS) * math.log(2.0)
        radii[i] = math.sqrt(-2.0 * logarithm)


@njit(cache=True)
def _pairs(words, cosines, sines):
    """Independent standard normal numbers, one of each pair in either array."""
    _radii(words, cosines)
    for i in range(words.size):
        x = (np.int64(words[i] & _ANGLE_MASK) + 0.5) * _ANGLE_UNIT - 0.25 * math.pi
        quadrant = np.int64(words[i] >> np.uint64(_ANGLE_BITS)) & 3
        radius = cosines[i] if quadrant < 2 else -cosines[i]
        s, c = radius * _sine(x), radius * _cosine(x)
        quarter = (quadrant & 1) == 1
        cosines[i] = -s if quarter else c
        sines[i] = c if quarter else s


@njit(cache=True)
def add_normal(key, sigma, vector):
    """``vector += sigma xi`` with xi standard normal; the numbers depend on the key and the vector's size only.

    Parameters
    ----------
    key : uint64
    sigma : float
    vector : ndarray of float32 or float64, shape (d,)
    """
    kind = vector.dtype.type
    half = (vector.size + 1) // 2
    words, cosines, sines = np.empty(CHUNK, np.uint64), np.empty(CHUNK), np.empty(CHUNK)
    for first in range(0, half, CHUNK):
        size = min(CHUNK, half - first)
        for i in range(size):
            words[i] = uniform_bits(key, first + i)
        _pairs(words[:size], cosines[:size], sines[:size])
        for i in range(size):
            vector[first + i] += kind(sigma * cosines[i])
        for i in range(min(size, vector.size - half - first)):
            vector[half + first + i] += kind(sigma * sines[i])
