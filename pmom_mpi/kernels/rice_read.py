"""Reading the Golomb-Rice sections of `pmom_mpi.kernels.rice`, whose docstring describes them.

`rice_check` comes first, on bytes from anywhere; afterwards the other kernels stay inside the section and the PADDING
readable bytes that they want behind it. Numbers are read a block at a time: first the quotients, by walking the set
bits of whole words, then the remainders, at positions that depend on no number before.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pmom_mpi.kernels.bits import count_ones, load64, trailing_zeros
from pmom_mpi.kernels.rice import BLOCK, HEAD, MAX_PARAMETER

PADDING = 8
_ONE = np.uint64(1)


@njit(cache=True)
def rice_check(section, size, count):
    """How many of the first ``size`` bytes are a section of ``count`` numbers; -1 when they cannot be one.

    Checked are the parameters, the streams' sizes, the number of set bits, and that spare bits are zero: afterwards
    reading ``count`` numbers stays inside.
    """
    blocks = (count + BLOCK - 1) // BLOCK
    if size < HEAD + blocks:
        return -1
    unary_bytes = np.int64(0)
    for byte in range(HEAD):
        unary_bytes |= np.int64(section[byte]) << (8 * byte)
    remainder_bits = np.int64(0)
    for block in range(blocks):
        if section[HEAD + block] > MAX_PARAMETER:
            return -1
        remainder_bits += np.int64(section[HEAD + block]) * min(BLOCK, count - block * BLOCK)
    unary = HEAD + blocks + (remainder_bits + 7) // 8
    if unary + unary_bytes > size:
        return -1
    if remainder_bits % 8 and section[unary - 1] >> (remainder_bits % 8):
        return -1
    if unary_bytes and section[unary + unary_bytes - 1] == 0:
        return -1
    ones = np.int64(0)
    words = unary_bytes // 8
    for w in range(words):
        ones += count_ones(load64(section, unary + 8 * w))
    for byte in range(unary + 8 * words, unary + unary_bytes):
        ones += count_ones(np.uint64(section[byte]))
    return unary + unary_bytes if ones == count else -1


@njit(cache=True)
def _streams(section, count):
    """Where the remainders and the quotients of a checked section begin."""
    blocks = (count + BLOCK - 1) // BLOCK
    bits = np.int64(0)
    for block in range(blocks):
        bits += np.int64(section[HEAD + block]) * min(BLOCK, count - block * BLOCK)
    return HEAD + blocks, HEAD + blocks + (bits + 7) // 8


@njit(cache=True)
def _walk(section, unary, bit, count, quotients):
    """``quotients[j]`` = sum of the next j + 1 quotients, from ``bit`` of their stream on; returns the bit after."""
    skipped = bit & 7
    base = -skipped
    position = unary + (bit >> 3)
    word = load64(section, position) >> np.uint64(skipped) << np.uint64(skipped)
    done = 0
    while True:
        ones = min(count_ones(word), count - done)
        for j in range(done, done + ones):
            quotients[np.uint64(j)] = base + trailing_zeros(word) - j  # unsigned: no test for a negative index
            word &= word - _ONE
        done += ones
        if done == count:
            return bit + quotients[count - 1] + count
        position += 8
        base += 64
        word = load64(section, position)


@njit(cache=True)
def _unpack(section, remainders, bit, k, group, first, last, total, quotients, out):
    """Indices ``first`` to ``last`` of a block, ``group`` remainders from one load (group * k <= 56)."""
    mask = np.uint64((1 << k) - 1)
    shift = np.uint64(k)
    for start in range(first, last, group):
        at = bit + start * k
        word = load64(section, remainders + (at >> 3)) >> np.uint64(at & 7)
        for g in range(group):
            j = np.uint64(start + g)
            total += (word >> np.uint64(g * k)) & mask
            out[j] = total + j + (np.uint64(quotients[j]) << shift)
    return total


@njit(cache=True)
def _indices_of_block(section, remainders, bit, k, quotients, count, after, out):
    """Turn the walked quotients into ``count`` indices above ``after``; returns the last."""
    total = np.uint64(after + 1)
    even = count - count % 8 if k <= 14 else 0
    if k <= 7:
        total = _unpack(section, remainders, bit, k, 8, 0, even, total, quotients, out)
    elif k <= 14:
        total = _unpack(section, remainders, bit, k, 4, 0, even, total, quotients, out)
    _unpack(section, remainders, bit, k, 1, even, count, total, quotients, out)
    return np.int64(out[count - 1])


@njit(cache=True)
def rice_indices(section, dimension, out):
    """Read the gaps of a checked section as ascending indices; False when they do not stay below ``dimension``."""
    remainders, unary = _streams(section, out.size)
    quotients = np.empty(BLOCK, np.int64)
    decoded = np.empty(BLOCK, np.uint64)
    bit, unary_bit, last = np.int64(0), np.int64(0), np.int64(-1)
    for first in range(0, out.size, BLOCK):
        count = min(BLOCK, out.size - first)
        k = np.int64(section[HEAD + first // BLOCK])
        unary_bit = _walk(section, unary, unary_bit, count, quotients)
        if quotients[count - 1] > dimension >> k:
            return False
        last = _indices_of_block(section, remainders, bit, k, quotients, count, last, decoded)
        if last >= dimension:
            return False
        part = out[first : first + count]
        for j in range(count):
            part[j] = decoded[j]
        bit += k * count
    return True


@njit(cache=True)
def rice_scatter_add(section, values, total):
    """`rice_indices` and ``total[indices] += values`` in one pass; False, the total half done, when they do not fit."""
    kind = total.dtype.type
    remainders, unary = _streams(section, values.size)
    quotients = np.empty(BLOCK, np.int64)
    decoded = np.empty(BLOCK, np.uint64)
    bit, unary_bit, last = np.int64(0), np.int64(0), np.int64(-1)
    for first in range(0, values.size, BLOCK):
        count = min(BLOCK, values.size - first)
        k = np.int64(section[HEAD + first // BLOCK])
        unary_bit = _walk(section, unary, unary_bit, count, quotients)
        if quotients[count - 1] > total.size >> k:
            return False
        last = _indices_of_block(section, remainders, bit, k, quotients, count, last, decoded)
        if last >= total.size:
            return False
        part = values[first : first + count]
        for j in range(count):
            total[decoded[j]] += kind(part[j])
        bit += k * count
    return True


@njit(cache=True)
def _remainders_of_block(section, remainders, bit, k, count, out):
    """The ``count`` remainders of ``k`` bits from ``bit`` on; eight from one load where they fit."""
    mask = np.uint64((1 << k) - 1)
    even = 0
    if k <= 7:
        even = count - count % 8
        for start in range(0, even, 8):
            at = bit + start * k
            word = load64(section, remainders + (at >> 3)) >> np.uint64(at & 7)
            for g in range(8):
                out[np.uint64(start + g)] = (word >> np.uint64(g * k)) & mask
    for j in range(even, count):
        at = bit + j * k
        out[np.uint64(j)] = (load64(section, remainders + (at >> 3)) >> np.uint64(at & 7)) & mask


@njit(cache=True)
def rice_numbers(section, limit, out):
    """Read a checked section's numbers; False when one is not below ``limit`` (at most 2**32)."""
    remainders, unary = _streams(section, out.size)
    ends = np.zeros(BLOCK + 1, np.int64)  # what `_walk` finds, behind a zero
    low = np.empty(BLOCK, np.uint64)
    bit, unary_bit = np.int64(0), np.int64(0)
    for first in range(0, out.size, BLOCK):
        count = min(BLOCK, out.size - first)
        k = np.int64(section[HEAD + first // BLOCK])
        unary_bit = _walk(section, unary, unary_bit, count, ends[1:])
        _remainders_of_block(section, remainders, bit, k, count, low)
        part = out[first : first + count]
        highest = np.int64(0)
        for j in range(count):
            # a hostile quotient is cut to what cannot overflow and is still too large
            number = (min(ends[j + 1] - ends[j], limit) << k) | np.int64(low[j])
            highest = max(highest, number)
            part[j] = number
        if highest >= limit:
            return False
        bit += k * count
    return True
