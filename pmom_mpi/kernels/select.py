"""Exact selection of the largest magnitudes.

Magnitudes are compared as integers: the bit pattern of a floating-point number without its sign grows with its absolute
value, and NaN lies above infinity. So kernels work on the unsigned integer view of a vector, float32 and float64 alike,
and a NaN is always among the largest.
"""

from __future__ import annotations

import numba
import numpy as np

from pmom_mpi.kernels.lanes import LANES, POSITIONS, append8
from pmom_mpi.kernels.random import uniform_bits

DIGIT = 11
"""Bits a pass of the radix selection: its histogram of 2048 counters stays in the first-level cache."""

SAMPLE = 4.0
"""Entries looked at to guess a threshold, per square root of d: more would cost more than they save candidates.

A bad guess costs time, never exactness.
"""

SAFETY = 4.0
"""How many standard deviations of the sample's rank the guess keeps away from the sought rank."""

_SAMPLE_KEY = np.uint64(0)
_TABLE = POSITIONS.reshape(-1)


@numba.njit(cache=True)
def magnitude_mask(bits):
    """All ones but the sign, in the type of ``bits``."""
    one = bits.dtype.type(1)
    return (one << bits.dtype.type(8 * bits.itemsize - 1)) - one


@numba.njit(cache=True)
def collect_above(bits, below, indices, table):
    """Write the indices of all entries whose magnitude bits exceed ``below``, ascending; return how many.

    Parameters
    ----------
    bits : ndarray of uint32 or uint64, shape (d,)
        The vector's bit patterns, sign included.
    below : unsigned integer of the same type
    indices : ndarray of uint32, shape (d,) at least
        What lies behind those found is overwritten too.
    table : ndarray of uint8
        `pmom_mpi.kernels.lanes.POSITIONS` flattened.
    """
    absolute = magnitude_mask(bits)
    count = 0
    even = bits.size // LANES * LANES
    for start in range(0, even, LANES):
        count = append8(bits, start, absolute, below, table, indices, count)
    for j in range(even, bits.size):
        indices[count] = j
        count += (bits[j] & absolute) > below
    return count


@numba.njit(cache=True)
def gather(vector, indices, out):
    """out_i = vector at indices_i."""
    for i in range(indices.size):
        out[i] = vector[indices[i]]


@numba.njit(cache=True)
def kth_largest(magnitudes, k):
    """The k-th largest of unsigned integers whose top bit is clear; ``magnitudes`` is used up as working space.

    Radix selection from the most significant digit down: each pass keeps the candidates that share the sought number's
    digits so far. Digits are those of the distance to the least number: numbers that lie close together then differ in
    the first digit already, and counting them does not wait for one and the same counter.
    """
    kind = magnitudes.dtype.type
    least = magnitudes.min()
    span = magnitudes.max() - least
    width = 0
    while span >> kind(width):
        width += 1
    passes = (width + DIGIT - 1) // DIGIT
    counts = np.empty(1 << DIGIT, np.int64)
    left, size = k, magnitudes.size
    found = least
    before = width
    for step in range(passes):
        shift = width * (passes - 1 - step) // passes
        digits = 1 << (before - shift)
        before = shift
        counts[:digits] = 0
        for i in range(size):
            counts[((magnitudes[i] - least) >> kind(shift)) & kind(digits - 1)] += 1
        digit = digits - 1
        while counts[digit] < left:
            left -= counts[digit]
            digit -= 1
        kept = 0
        for i in range(size):
            value = magnitudes[i]
            magnitudes[kept] = value
            kept += (((value - least) >> kind(shift)) & kind(digits - 1)) == kind(digit)
        size = kept
        found += kind(digit) << kind(shift)
    return found


@numba.njit(cache=True)
def draw_sample(bits, key, out):
    """Fill ``out`` with the magnitude bits of one entry of each of ``out.size`` equal stretches, wherever a hash says.

    Drawn within a stretch, not at a fixed stride, which would see a few columns of a weight matrix only.
    """
    absolute = magnitude_mask(bits)
    stretch = bits.size / out.size
    for i in range(out.size):
        begin = np.int64(i * stretch)
        length = np.uint64(np.int64((i + 1) * stretch) - begin)
        place = begin + np.int64(((uniform_bits(key, i) >> np.uint64(32)) * length) >> np.uint64(32))
        out[i] = bits[place] & absolute


@numba.njit(cache=True)
def sample_size(dimension):
    """How many entries a guess looks at."""
    return max(1, min(np.int64(SAMPLE * np.sqrt(dimension)), dimension // LANES))


@numba.njit(cache=True)
def guess_bracket(bits, k, work):
    """Two magnitudes, the lower at least 1, between which the k-th largest of ``bits`` almost surely lies."""
    highest = magnitude_mask(bits)
    size = sample_size(bits.size)
    middle = k * (size / bits.size)
    margin = SAFETY * np.sqrt(middle * (1.0 - k / bits.size)) + SAFETY
    low, high = bits.dtype.type(1), highest
    sample, used = work[:size], work[size : 2 * size]
    draw_sample(bits, _SAMPLE_KEY, sample)
    if middle + margin < size:
        used[:] = sample
        low = max(low, kth_largest(used, np.int64(np.ceil(middle + margin))))
    if middle - margin >= 1.0:
        high = kth_largest(sample, np.int64(middle - margin))
    return low, high


@numba.njit(cache=True)
def _gather_up_to(bits, indices, high, values, work):
    """values_i = bits at indices_i; magnitudes up to ``high`` also go into ``work``; returns how many these are."""
    absolute = magnitude_mask(bits)
    inside = 0
    for i in range(indices.size):
        value = bits[indices[i]]
        values[i] = value
        work[inside] = value & absolute
        inside += work[inside] <= high
    return inside


@numba.njit(cache=True)
def _select(bits, k, indices, values, work, table):
    one = bits.dtype.type(1)
    absolute = magnitude_mask(bits)
    low, high = guess_bracket(bits, k, work)
    count = collect_above(bits, low - one, indices, table)
    if count < k and low > one:
        count = collect_above(bits, bits.dtype.type(0), indices, table)
    inside = _gather_up_to(bits, indices[:count], high, values, work)
    if count <= k:
        return count
    if count - inside >= k:
        inside = _gather_up_to(bits, indices[:count], absolute, values, work)
    least = kth_largest(work[:inside], k - (count - inside))
    kept = 0
    for i in range(count):
        index, value = indices[i], values[i]
        indices[kept] = index
        values[kept] = value
        kept += (value & absolute) >= least
    return kept


def select_largest(vector: np.ndarray, k: int, indices: np.ndarray, values: np.ndarray, work: np.ndarray) -> int:
    """Every non-zero entry whose magnitude is at least the k-th largest, by ascending index.

    Ties stay, as in the published code, so more than k may be kept; zeros are never kept, since sending them says
    nothing. NaN counts as larger than everything.

    A sample brackets the threshold; one pass over the vector collects what may lie above it; the exact threshold is
    then found by radix selection among the few inside the bracket. When the sample misled, all candidates or all
    entries are sought through: the result never depends on the sample.

    Parameters
    ----------
    vector : ndarray, shape (d,), float32 or float64, contiguous
    k : int
        1 <= k <= d.
    indices : ndarray of uint32, shape (d,) at least
    values : ndarray of the vector's type, shape (d,) at least
        Where indices and entries go; what lies behind the result is overwritten.
    work : ndarray of unsigned integers as wide as the vector's entries, shape (d,) at least
        Working space.

    Returns
    -------
    int
        How many were kept.
    """
    return _select(vector.view(work.dtype), k, indices, values.view(work.dtype), work, _TABLE)


def select_at_least(vector: np.ndarray, tau: float, indices: np.ndarray, values: np.ndarray) -> int:
    """Every entry with |entry| >= tau > 0, or NaN, by ascending index; arguments and result as `select_largest`."""
    unsigned = np.dtype(f"u{vector.itemsize}")
    least = vector.dtype.type(tau)
    if float(least) < tau:
        least = np.nextafter(least, vector.dtype.type(np.inf))
    below = least.view(unsigned) - unsigned.type(1)
    return _above(vector.view(unsigned), below, indices, values.view(unsigned), _TABLE)


def select_about(
    vector: np.ndarray, k: int, sample: int, key: np.uint64, indices: np.ndarray, values: np.ndarray
) -> int:
    """As `select_largest`, but with the threshold that a random sample of the entries suggests."""
    bits = vector.view(f"u{vector.itemsize}")
    size = min(sample, vector.size)
    drawn = np.empty(size, bits.dtype)
    draw_sample(bits, key, drawn)
    rank = max(1, round(k * size / vector.size))
    least = max(kth_largest(drawn, rank), 1)
    return _above(bits, bits.dtype.type(least - 1), indices, values.view(bits.dtype), _TABLE)


@numba.njit(cache=True)
def _above(bits, below, indices, values, table):
    count = collect_above(bits, below, indices, table)
    gather(bits, indices[:count], values)
    return count
