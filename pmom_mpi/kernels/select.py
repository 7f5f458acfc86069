"""Exact selection of the largest magnitudes.

Magnitudes are compared as integers: the bit pattern of a floating-point number without its sign grows with its absolute
value, and NaN lies above infinity. So kernels take the signed integer view of a vector and work for float32 and
float64 alike, and a NaN is always among the largest.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from pmom_mpi.kernels.bits import trailing_zeros

CHUNK = 4096
"""Entries compared at a time: their mask stays in the first-level cache."""

GATHER = np.uint64(0x0102040810204080)
"""Multiplying eight bytes of 0 or 1 by it brings them together in the product's top byte."""

SAMPLE_STRIDE = 61
"""A prime, so that the sample meets every row and column of a weight matrix."""

SAMPLE_MARGIN = 4
"""Standard deviations by which the sampled threshold is set too low: it misleads in a few of 100,000 cases."""


@numba.njit(cache=True)
def _absolute_mask(bits):
    """All bits but the sign, in the type of ``bits``."""
    one = bits.dtype.type(1)
    return bits.dtype.type((one << bits.dtype.type(8 * bits.itemsize - 1)) - one)


@numba.njit(cache=True)
def _mark_at_least(bits, floor, mask):
    """mask_j = 1 where the magnitude bits reach ``floor``; a loop of its own, so that it is vectorised."""
    absolute = _absolute_mask(bits)
    for j in range(bits.size):
        mask[j] = np.int8((bits[j] & absolute) >= floor)


@numba.njit(cache=True)
def _gather_bits(words, packed):
    """Eight bytes of 0 or 1 to one byte, the first to its lowest bit."""
    for w in range(words.size):
        packed[w] = np.uint8((words[w] * GATHER) >> np.uint64(56))


@numba.njit(cache=True)
def collect_at_least(bits, floor, indices):
    """Write the indices of all entries whose magnitude bits are at least ``floor``, ascending; return how many.

    Parameters
    ----------
    bits : ndarray of int32 or int64, shape (d,)
        The vector's bit patterns, sign included.
    floor : integer of the same type, not negative
    indices : ndarray of uint32, shape (d,)
    """
    mask = np.empty(CHUNK, np.int8)
    packed = np.empty(CHUNK // 8, np.uint8)
    words = packed.view(np.uint64)
    count = 0
    for start in range(0, bits.size, CHUNK):
        chunk = bits[start : start + CHUNK]
        _mark_at_least(chunk, floor, mask)
        mask[chunk.size :] = 0
        _gather_bits(mask.view(np.uint64), packed)
        for w in range(words.size):
            word, base = words[w], start + 64 * w
            while word != 0:
                indices[count] = base + trailing_zeros(word)
                count += 1
                word &= word - np.uint64(1)
    return count


@numba.njit(cache=True)
def magnitudes_at(bits, indices, out):
    """The magnitude bits of the entries at ``indices``, into ``out``."""
    absolute = _absolute_mask(bits)
    for i in range(indices.size):
        out[i] = bits[indices[i]] & absolute


@numba.njit(cache=True)
def keep_at_least(bits, floor, indices):
    """Drop the indices whose entry is below ``floor``, keep the order; return how many stay."""
    absolute = _absolute_mask(bits)
    kept = 0
    for i in range(indices.size):
        index = indices[i]
        indices[kept] = index
        kept += (bits[index] & absolute) >= floor
    return kept


@numba.njit(cache=True)
def gather(vector, indices, out):
    """out_i = vector at indices_i."""
    for i in range(indices.size):
        out[i] = vector[indices[i]]


def select_largest(vector: np.ndarray, k: int, indices: np.ndarray, work: np.ndarray) -> int:
    """The indices of every non-zero entry whose magnitude is at least the k-th largest, ascending.

    Ties stay, as in the published code, so more than k may be kept; zeros are never kept, since sending them says
    nothing. NaN counts as larger than everything.

    A strided sample suggests a threshold somewhat too low; the one pass over the vector collects what lies above it, and
    the exact threshold is found among those. When the sample misled (fewer than k above), the exact threshold is found
    among all entries: the result never depends on the sample.

    Parameters
    ----------
    vector : ndarray, shape (d,), float32 or float64, contiguous
    k : int
        1 <= k <= d.
    indices : ndarray of uint32, shape (d,)
        Where the result goes.
    work : ndarray, shape (d,), int32 or int64, as wide as the vector's entries
        Working space.

    Returns
    -------
    int
        How many were kept.
    """
    bits = vector.view(work.dtype)
    floor = _sampled_floor(bits, k)
    count = collect_at_least(bits, floor, indices)
    if count < k and floor > 1:
        count = collect_at_least(bits, work.dtype.type(1), indices)
    if count <= k:
        return count
    candidates = work[:count]
    magnitudes_at(bits, indices[:count], candidates)
    candidates.partition(count - k)
    return keep_at_least(bits, candidates[count - k], indices[:count])


def _sampled_floor(bits: np.ndarray, k: int) -> np.signedinteger:
    """Magnitude bits, at least 1, that almost surely k entries or more reach, and not many more."""
    kind = bits.dtype.type
    sample = bits[::SAMPLE_STRIDE] & kind(np.iinfo(kind).max)
    expected = k * sample.size / bits.size
    rank = math.ceil(expected + SAMPLE_MARGIN * math.sqrt(expected) + SAMPLE_MARGIN)
    if rank >= sample.size:
        return kind(1)
    sample.partition(sample.size - rank)
    return max(sample[sample.size - rank], kind(1))
