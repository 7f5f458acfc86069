"""Sets of coordinates, and signs, as one bit a coordinate; bit j is bit j % 8 of byte j // 8."""

from __future__ import annotations

import numpy as np
from numba import njit

from pmom_mpi.kernels.bits import as_float32, count_ones, load64, trailing_zeros

_ONE = np.uint64(1)


@njit(cache=True)
def bitmap_write(indices, out):
    """Set the bits of the ascending ``indices`` in ``out`` and clear all others."""
    out[:] = 0
    for j in range(indices.size):
        index = np.int64(indices[j])
        out[index >> 3] |= np.uint8(1) << np.uint8(index & 7)


@njit(cache=True)
def _word_at(bitmap, byte):
    if byte + 8 <= bitmap.size:
        return load64(bitmap, byte)
    word = np.uint64(0)
    for b in range(byte, bitmap.size):
        word |= np.uint64(bitmap[b]) << np.uint64(8 * (b - byte))
    return word


@njit(cache=True)
def bitmap_count(bitmap):
    """How many bits are set."""
    ones = np.int64(0)
    for byte in range(0, bitmap.size, 8):
        ones += count_ones(_word_at(bitmap, byte))
    return ones


@njit(cache=True)
def bitmap_indices(bitmap, out):
    """The positions of the set bits, ascending; ``out`` has room for `bitmap_count` of them."""
    done = 0
    for byte in range(0, bitmap.size, 8):
        word = _word_at(bitmap, byte)
        ones = count_ones(word)
        for j in range(done, done + ones):
            out[np.uint64(j)] = 8 * byte + trailing_zeros(word)
            word &= word - _ONE
        done += ones


@njit(cache=True, inline="always")
def _signed(pattern, packed, b):
    return as_float32(np.uint32(pattern ^ (((packed >> np.uint32(b)) & np.uint32(1)) << np.uint32(31))))


@njit(cache=True)
def signs_add(bits, first, last, scale, total):
    """``total[j] += -scale if bit j else scale`` for first <= j < last."""
    kind = total.dtype.type
    pattern = np.array([scale], np.float32).view(np.uint32)[0]
    head = min(last, (first + 7) & ~7)
    tail = max(head, last & ~7)
    for j in range(first, head):
        total[j] += kind(_signed(pattern, np.uint32(bits[j >> 3]), j & 7))
    for byte in range(head >> 3, tail >> 3):
        packed = np.uint32(bits[byte])
        for b in range(8):
            total[8 * byte + b] += kind(_signed(pattern, packed, b))
    for j in range(tail, last):
        total[j] += kind(_signed(pattern, np.uint32(bits[j >> 3]), j & 7))
