"""Exact selection of the largest magnitudes.

Magnitudes are compared as integers: the bit pattern of a floating-point number without its sign grows with its absolute
value, and NaN lies above infinity. So kernels take the unsigned integer view of a vector and work for float32 and
float64 alike, and a NaN is always among the largest.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from pmom_mpi.kernels.bits import trailing_zeros

CHUNK = 4096
"""Entries compared at a time: their mask stays in the first-level cache."""

DIGIT = 11
"""Bits a pass of the radix selection: its histogram of 2048 counters stays in the first-level cache."""

SAMPLE_STRIDE = 61
"""A prime, so that the sample meets every row and column of a weight matrix."""

SAMPLE_FROM = 1 << 14
"""Vectors shorter than this are selected from directly."""


@numba.njit(cache=True)
def collect_at_least(bits, floor, indices):
    """Write the indices of all entries whose magnitude bits are at least ``floor``, ascending; return how many.

    Parameters
    ----------
    bits : ndarray of uint32 or uint64, shape (d,)
        The vector's bit patterns, sign included.
    floor : unsigned integer of the same type
    indices : ndarray of uint32, shape (d,)
    """
    one = bits.dtype.type(1)
    absolute = (one << bits.dtype.type(8 * bits.itemsize - 1)) - one
    mask = np.empty(CHUNK, np.uint8)
    words = mask.view(np.uint64)
    count = 0
    for start in range(0, bits.size, CHUNK):
        chunk = bits[start : start + CHUNK]
        for j in range(chunk.size):
            mask[j] = (chunk[j] & absolute) >= floor
        for j in range(chunk.size, (chunk.size + 7) // 8 * 8):
            mask[j] = 0
        for w in range((chunk.size + 7) // 8):
            word = words[w]
            while word != 0:
                indices[count] = start + 8 * w + (trailing_zeros(word) >> 3)
                count += 1
                word &= word - np.uint64(1)
    return count


@numba.njit(cache=True)
def magnitudes_at(bits, indices, out):
    """The magnitude bits of the entries at ``indices``, into ``out``."""
    one = bits.dtype.type(1)
    absolute = (one << bits.dtype.type(8 * bits.itemsize - 1)) - one
    for i in range(indices.size):
        out[i] = bits[indices[i]] & absolute


@numba.njit(cache=True)
def kth_largest(magnitudes, k):
    """The k-th largest of unsigned integers whose top bit is clear; ``magnitudes`` is used up as working space.

    Radix selection from the most significant digit down: each pass keeps the candidates that share the sought number's
    digits so far.
    """
    counts = np.empty(1 << DIGIT, np.int64)
    width = 8 * magnitudes.itemsize - 1
    passes = (width + DIGIT - 1) // DIGIT
    left, size = k, magnitudes.size
    found = magnitudes.dtype.type(0)
    digit_mask = magnitudes.dtype.type((1 << DIGIT) - 1)
    for step in range(passes):
        shift = magnitudes.dtype.type(DIGIT * (passes - 1 - step))
        counts[:] = 0
        for i in range(size):
            counts[(magnitudes[i] >> shift) & digit_mask] += 1
        digit = counts.size - 1
        while counts[digit] < left:
            left -= counts[digit]
            digit -= 1
        kept = 0
        for i in range(size):
            value = magnitudes[i]
            magnitudes[kept] = value
            kept += ((value >> shift) & digit_mask) == digit
        size = kept
        found |= magnitudes.dtype.type(digit) << shift
    return found


@numba.njit(cache=True)
def keep_at_least(magnitudes_bits, floor, indices, count):
    """Drop from the first ``count`` indices those whose entry is below ``floor``; return how many stay."""
    one = magnitudes_bits.dtype.type(1)
    absolute = (one << magnitudes_bits.dtype.type(8 * magnitudes_bits.itemsize - 1)) - one
    kept = 0
    for i in range(count):
        index = indices[i]
        indices[kept] = index
        kept += (magnitudes_bits[index] & absolute) >= floor
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
    work : ndarray, shape (d,), unsigned integers as wide as the vector's entries
        Working space.

    Returns
    -------
    int
        How many were kept.
    """
    bits = vector.view(work.dtype)
    floor = _sampled_floor(bits, k, work) if vector.size >= SAMPLE_FROM else work.dtype.type(1)
    count = collect_at_least(bits, floor, indices)
    if count < k and floor > 1:
        floor = work.dtype.type(1)
        count = collect_at_least(bits, floor, indices)
    if count <= k:
        return count
    magnitudes_at(bits, indices[:count], work)
    return keep_at_least(bits, kth_largest(work[:count], k), indices, count)


def _sampled_floor(bits: np.ndarray, k: int, work: np.ndarray) -> np.unsignedinteger:
    """A magnitude that almost surely at least k entries reach, and not many more; never 0."""
    sample = np.ascontiguousarray(bits[::SAMPLE_STRIDE])
    expected = k * sample.size / bits.size
    rank = math.ceil(expected + 4 * math.sqrt(expected) + 4)
    if rank >= sample.size:
        return work.dtype.type(1)
    absolute = work.dtype.type(np.iinfo(work.dtype).max >> 1)
    return max(kth_largest(sample & absolute, rank), work.dtype.type(1))
