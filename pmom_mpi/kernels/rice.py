"""Golomb-Rice codes in two streams, written and read without a bit-by-bit dependency.

A number v is coded with a parameter k as quotient v >> k in unary and the k low bits as they are (Rice 1979). Textbook
coders interleave the two, so that where a number begins is known only after the number before it. Here the remainders
of all numbers lie in one stream, at positions known in advance, and the quotients in another, where number j ends at
the j-th set bit: as many bits, but whole words at a time. Blocks of BLOCK numbers have a parameter each.

Section layout: unary bytes (uint32) | one parameter a block (uint8) | remainders | quotients; bits fill bytes from the
lowest; each stream ends at a whole byte, its spare bits zero.

Reading kernels want PADDING readable bytes after the section; `rice_check` first makes every later access safe.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pmom_mpi.kernels.bits import count_ones, load64, store64, store_tail, trailing_zeros

BLOCK = 512
PADDING = 8
MAX_PARAMETER = 31
_HEAD = 4
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
    return _HEAD + blocks + remainder_bytes + unary_bytes


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
    for byte in range(_HEAD):
        out[byte] = (unary_bytes >> (8 * byte)) & 255
    position = _HEAD
    for block in range(parameters.size):
        out[position + block] = parameters[block]
    position += parameters.size
    _write_remainders(numbers, parameters, out, position)
    _write_quotients(numbers, parameters, out, position + remainder_bytes)


@njit(cache=True)
def rice_check(section, size, count):
    """How many of the first ``size`` bytes are a section of ``count`` numbers; -1 when they cannot be one.

    Checked are the parameters, the streams' sizes, the number of set bits, and that spare bits are zero: afterwards
    reading ``count`` numbers stays inside.
    """
    blocks = (count + BLOCK - 1) // BLOCK
    if size < _HEAD + blocks:
        return -1
    unary_bytes = np.int64(0)
    for byte in range(_HEAD):
        unary_bytes |= np.int64(section[byte]) << (8 * byte)
    remainder_bits = np.int64(0)
    for block in range(blocks):
        if section[_HEAD + block] > MAX_PARAMETER:
            return -1
        remainder_bits += np.int64(section[_HEAD + block]) * min(BLOCK, count - block * BLOCK)
    unary = _HEAD + blocks + (remainder_bits + 7) // 8
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
        bits += np.int64(section[_HEAD + block]) * min(BLOCK, count - block * BLOCK)
    return _HEAD + blocks, _HEAD + blocks + (bits + 7) // 8


@njit(cache=True)
def _walk(section, unary, bit, count, quotients):
    """``quotients[j]`` = sum of the next j + 1 quotients, from ``bit`` of the unary stream on; returns the bit after."""
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
        k = np.int64(section[_HEAD + first // BLOCK])
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
        k = np.int64(section[_HEAD + first // BLOCK])
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
def rice_numbers(section, limit, out):
    """Read a checked section's numbers; False when one is not below ``limit`` (at most 2**32)."""
    remainders, unary = _streams(section, out.size)
    quotients = np.empty(BLOCK, np.int64)
    bit, unary_bit = np.int64(0), np.int64(0)
    for first in range(0, out.size, BLOCK):
        count = min(BLOCK, out.size - first)
        k = np.int64(section[_HEAD + first // BLOCK])
        mask = np.uint64((1 << k) - 1)
        unary_bit = _walk(section, unary, unary_bit, count, quotients)
        part = out[first : first + count]
        before = np.int64(0)
        highest = np.int64(0)
        for j in range(count):
            at = bit + j * k
            quotient = quotients[j] - before
            before = quotients[j]
            remainder = (load64(section, remainders + (at >> 3)) >> np.uint64(at & 7)) & mask
            # a hostile quotient is cut to what cannot overflow and is still too large
            number = (min(quotient, limit) << k) | np.int64(remainder)
            highest = max(highest, number)
            part[j] = number
        if highest >= limit:
            return False
        bit += k * count
    return True
