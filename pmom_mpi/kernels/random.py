"""Counter-based random numbers: draw j of a key depends on (key, j) and on nothing else.

splitmix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators") evaluated at any counter. Keys
come from `pmom_mpi.words.streams.key`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pmom_mpi.kernels.bits import trailing_zeros

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_ONE = np.uint64(1)
_LOW = np.uint64(0xFFFFFFFF)


@njit(cache=True, inline="always")
def uniform_bits(key, counter):
    """64 random bits, a uint64.

    Parameters
    ----------
    key : uint64
    counter : any integer
    """
    z = np.uint64(key) + (np.uint64(counter) + _ONE) * _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * _MIX1
    z = (z ^ (z >> np.uint64(27))) * _MIX2
    return z ^ (z >> np.uint64(31))


@njit(cache=True, inline="always")
def uniform(key, counter):
    """A float64 in [0, 1), a multiple of 2**-53."""
    return np.int64(uniform_bits(key, counter) >> np.uint64(11)) * 2.0**-53


@njit(cache=True, inline="always")
def uniform32(key, counter):
    """A float32 in [0, 1), a multiple of 2**-24."""
    return np.float32(np.int32(uniform_bits(key, counter) >> np.uint64(40))) * np.float32(2.0**-24)


@njit(cache=True)
def _mark_distinct(key, bound, count, words):
    """Set ``count`` bits below ``bound`` in ``words`` (zeroed), drawn one after the other, those already set drawn
    again.

    A draw is the high half of ``bound`` times 32 random bits; products whose low half falls into the uneven rest are
    rejected (Lemire 2019, "Fast random integer generation in an interval"), so that every coordinate is equally likely.
    """
    span = np.uint64(bound)
    uneven = (np.uint64(1 << 32) - span) % span
    counter = np.uint64(0)
    marked = 0
    while marked < count:
        product = (uniform_bits(key, counter) >> np.uint64(32)) * span
        counter += _ONE
        if (product & _LOW) < uneven:
            continue
        drawn = product >> np.uint64(32)
        bit = _ONE << (drawn & np.uint64(63))
        word = words[drawn >> np.uint64(6)]
        words[drawn >> np.uint64(6)] = word | bit
        marked += np.int64((word & bit) == 0)


@njit(cache=True)
def seeded_indices(key, dimension, count, out):
    """Fill ``out`` with ``count`` distinct indices below ``dimension``, ascending; every subset is equally likely.

    The same (key, dimension, count) give the same indices on every machine. O(count + dimension / 64).

    Parameters
    ----------
    key : uint64
    dimension : int
        d, below 2**32.
    count : int
        At most d.
    out : ndarray of uint32, shape (count,)
    """
    words = np.zeros((dimension + 63) // 64, np.uint64)
    complement = 2 * count > dimension
    if dimension > 0:
        _mark_distinct(key, dimension, dimension - count if complement else count, words)
    if complement:
        for w in range(words.size):
            words[w] = ~words[w]
        if dimension % 64:
            words[words.size - 1] &= (_ONE << np.uint64(dimension % 64)) - _ONE
    filled = 0
    for w in range(words.size):
        if filled == count:
            break
        word = words[w]
        # the first bit without a branch, which would be guessed wrong every other time: what it writes for a word
        # without bits is overwritten
        out[filled] = np.uint32(64 * w + trailing_zeros(word))
        filled += word != 0
        word &= word - _ONE
        while word != 0:
            out[filled] = np.uint32(64 * w + trailing_zeros(word))
            filled += 1
            word &= word - _ONE
