"""Golomb-Rice codes in two streams, written and read without a bit-by-bit dependency.

A number v is coded with a parameter k as quotient v >> k in unary and the k low bits as they are (Rice 1979). Textbook
coders interleave the two, so that where a number begins is known only after the number before it. Here the remainders
of all numbers lie in one stream, at positions known in advance, and the quotients in another, where number j ends at
the j-th set bit: as many bits, but whole words at a time. Blocks of BLOCK numbers have a parameter each.

Section layout: unary bytes (uint32) | one parameter a block (uint8) | remainders | quotients; bits fill bytes from the
lowest; each stream ends at a whole byte, its spare bits zero.

`pmom_mpi.kernels.rice_read` is the way back.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pmom_mpi.kernels.bits import store64, store_tail

BLOCK = 128
"""Small enough to follow the clusters of a gradient's large entries, large enough for a byte to be next to nothing."""
MAX_PARAMETER = 31
HEAD = 4
_ONE = np.uint64(1)


@njit(cache=True)
def gaps(indices, out):
    """How many coordinates are skipped before each of the ascending ``indices``, as uint32."""
    if indices.size:
        out[0] = indices[0]
    for j in range(1, indices.size):
        out[j] = indices[j] - indices[j - 1] - np.uint32(1)


@njit(cache=True)
def _quotient_sum(numbers, k, zero):
    """Sum of ``numbers >> k``, accumulated in the type of ``zero``: uint32 is twice as fast where it is wide enough."""
    total = zero
    for j in range(numbers.size):
        total = type(zero)(total + (numbers[j] >> np.uint32(k)))
    return np.int64(total)


@njit(cache=True)
def _best_parameter(numbers, mean, zero):
    """The cheapest k and its sum of quotients."""
    k = 0
    while k < MAX_PARAMETER and (mean >> (k + 1)) > 0:
        k += 1
    quotients = _quotient_sum(numbers, k, zero)
    # each step down doubles the quotients, roughly, and saves a bit a number: walk while that pays
    while k > 0:
        lower = _quotient_sum(numbers, k - 1, zero)
        if lower - quotients >= numbers.size:
            break
        k, quotients = k - 1, lower
    return k, quotients


@njit(cache=True)
def rice_plan(numbers, parameters):
    """Choose the cheapest parameter of each block; returns how many bytes remainders and quotients take.

    Parameters
    ----------
    numbers : ndarray of uint32, shape (m,)
    parameters : ndarray of uint8, shape (ceil(m / BLOCK),)
        Filled.
    """
    remainder_bits = np.int64(0)
    unary_bits = np.int64(numbers.size)
    for block in range(parameters.size):
        part = numbers[block * BLOCK : (block + 1) * BLOCK]
        total = _quotient_sum(part, 0, np.uint64(0))
        if total < 1 << 32:
            k, quotients = _best_parameter(part, total // part.size, np.uint32(0))
        else:
            k, quotients = _best_parameter(part, total // part.size, np.uint64(0))
        parameters[block] = k
        remainder_bits += k * part.size
        unary_bits += quotients
    return (remainder_bits + 7) // 8, (unary_bits + 7) // 8


@njit(cache=True)
def rice_size(blocks, remainder_bytes, unary_bytes):
    """Bytes of the whole section."""
    return HEAD + blocks + remainder_bytes + unary_bytes


@njit(cache=True)
def _pack(numbers, k, group, out, position, word, fill):
    """Append ``k`` low bits of ``group`` numbers at a time (group * k <= 56); returns the stream's new end."""
    mask = np.uint64((1 << k) - 1)
    bits = group * k
    for start in range(0, numbers.size, group):
        packed = np.uint64(0)
        for g in range(group):
            packed |= (np.uint64(numbers[start + g]) & mask) << np.uint64(g * k)
        word |= packed << np.uint64(fill)
        fill += bits
        if fill >= 64:
            store64(out, position, word)
            position += 8
            fill -= 64
            word = packed >> np.uint64(bits - fill)
    return position, word, fill


@njit(cache=True)
def _write_remainders(numbers, parameters, out, position):
    word = np.uint64(0)
    fill = np.int64(0)
    for block in range(parameters.size):
        k = np.int64(parameters[block])
        if k == 0:
            continue
        part = numbers[block * BLOCK : (block + 1) * BLOCK]
        even = part.size - part.size % 8 if k <= 14 else 0
        if k <= 7:
            position, word, fill = _pack(part[:even], k, 8, out, position, word, fill)
        elif k <= 14:
            position, word, fill = _pack(part[:even], k, 4, out, position, word, fill)
        position, word, fill = _pack(part[even:], k, 1, out, position, word, fill)
    store_tail(out, position, word, (fill + 7) // 8)


@njit(cache=True)
def _write_quotients(numbers, parameters, out, position):
    word = np.uint64(0)
    current = np.int64(0)
    end = np.int64(0)
    for block in range(parameters.size):
        k = np.uint32(parameters[block])
        part = numbers[block * BLOCK : (block + 1) * BLOCK]
        for j in range(part.size):
            end += np.int64(part[j] >> k) + 1
            # only this one addition depends on the number before; the bit is set in the word that the sum names
            target = (end - 1) >> 6
            while current != target:
                store64(out, position + 8 * current, word)
                word = np.uint64(0)
                current += 1
            word |= _ONE << np.uint64((end - 1) & 63)
    store_tail(out, position + 8 * current, word, (end + 7) // 8 - 8 * current)


@njit(cache=True)
def rice_write(numbers, parameters, remainder_bytes, unary_bytes, out):
    """Fill ``out`` (uint8) with the section that `rice_plan` planned; its size must be exactly `rice_size`."""
    for byte in range(HEAD):
        out[byte] = (unary_bytes >> (8 * byte)) & 255
    position = HEAD
    for block in range(parameters.size):
        out[position + block] = parameters[block]
    position += parameters.size
    _write_remainders(numbers, parameters, out, position)
    _write_quotients(numbers, parameters, out, position + remainder_bytes)
