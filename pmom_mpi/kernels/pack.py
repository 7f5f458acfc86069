"""Small integers in few bits, read and added without an unpacked copy.

A code of b bits at position j fills bits j b ... (j + 1) b - 1, counted from the lowest bit of the first byte; spare
bits of the last byte are zero.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pmom_mpi.kernels.bits import as_float32, load64, store64, store_tail

_BASE = 3
_TRITS = 5


@njit(cache=True)
def bits_write(codes, offset, width, out):
    """Pack ``codes + offset`` (each below 2**width, width <= 16) into ``out``."""
    word = np.uint64(0)
    fill = 0
    position = 0
    for j in range(codes.size):
        code = np.uint64(np.int64(codes[j]) + offset)
        word |= code << np.uint64(fill)
        fill += width
        if fill >= 64:
            store64(out, position, word)
            position += 8
            fill -= 64
            word = code >> np.uint64(width - fill)
    store_tail(out, position, word, (fill + 7) // 8)


@njit(cache=True)
def _bits_at(packed, bit, width):
    """The code at ``bit`` when fewer than eight bytes may follow."""
    word = np.uint64(0)
    byte = bit >> 3
    for b in range(byte, min(byte + 4, packed.size)):
        word |= np.uint64(packed[b]) << np.uint64(8 * (b - byte))
    return np.int64((word >> np.uint64(bit & 7)) & np.uint64((1 << width) - 1))


@njit(cache=True)
def bits_read(packed, offset, width, limit, out):
    """Unpack ``out.size`` codes minus ``offset``; False when one is above ``limit``."""
    fast = max(0, (8 * packed.size - 64) // width)
    mask = np.uint64((1 << width) - 1)
    highest = np.int64(0)
    for j in range(min(fast, out.size)):
        at = j * width
        code = np.int64((load64(packed, at >> 3) >> np.uint64(at & 7)) & mask)
        highest = max(highest, code)
        out[j] = code - offset
    for j in range(min(fast, out.size), out.size):
        code = _bits_at(packed, j * width, width)
        highest = max(highest, code)
        out[j] = code - offset
    spare = (out.size * width) % 8
    return highest <= limit and not (spare and packed[packed.size - 1] >> spare)


@njit(cache=True)
def levels_add(codes, norms, bucket, levels, total):
    """``total += norms[j // bucket] / levels * codes[j]``, one float32 unit a bucket."""
    kind = total.dtype.type
    for b in range(norms.size):
        unit = norms[b] / np.float32(levels)
        part = codes[b * bucket : (b + 1) * bucket]
        target = total[b * bucket : (b + 1) * bucket]
        for j in range(part.size):
            target[j] += kind(unit * np.float32(part[j]))


@njit(cache=True)
def _add_codes(packed, first, last, levels, unit, width, total):
    """``total[first:last] += unit * (code - levels)``, one code after the other; returns the highest code."""
    kind = total.dtype.type
    mask = np.uint64((1 << width) - 1)
    highest = np.int64(0)
    fast = max(first, min(last, (8 * packed.size - 64) // width))
    for j in range(first, fast):
        at = j * width
        code = np.int64((load64(packed, at >> 3) >> np.uint64(at & 7)) & mask)
        highest = max(highest, code)
        total[j] += kind(unit * np.float32(code - levels))
    for j in range(fast, last):
        code = _bits_at(packed, j * width, width)
        highest = max(highest, code)
        total[j] += kind(unit * np.float32(code - levels))
    return highest


@njit(cache=True)
def _add_eights(packed, first, groups, levels, unit, width, total):
    """The same for ``groups`` groups of eight codes from ``first`` on, each exactly ``width`` <= 8 bytes."""
    kind = total.dtype.type
    mask = np.uint64((1 << width) - 1)
    highest = np.zeros(8, np.int64)
    offset = first // 8 * width
    target = total[first : first + 8 * groups]
    for g in range(groups):
        word = load64(packed, offset + g * width)
        for i in range(8):
            code = np.int64((word >> np.uint64(i * width)) & mask)
            highest[i] = max(highest[i], code)
            target[np.uint64(8 * g + i)] += kind(unit * np.float32(code - levels))
    return highest.max()


@njit(cache=True)
def levels_add_packed(packed, norms, bucket, levels, width, total):
    """`bits_read` and `levels_add` in one pass; False, the total half done, when a code is above ``2 * levels``."""
    highest = np.int64(0)
    for b in range(norms.size):
        unit = norms[b] / np.float32(levels)
        first, last = b * bucket, min((b + 1) * bucket, total.size)
        middle = first
        if width <= 8 and first % 8 == 0:
            groups = min((last - first) // 8, max(0, (packed.size - 8) // width + 1 - first // 8))
            highest = max(highest, _add_eights(packed, first, groups, levels, unit, width, total))
            middle = first + 8 * groups
        highest = max(highest, _add_codes(packed, middle, last, levels, unit, width, total))
    spare = (total.size * width) % 8
    return highest <= 2 * levels and not (spare and packed[packed.size - 1] >> spare)


@njit(cache=True)
def zigzag(codes, out):
    """0, -1, 1, -2, 2, ... as 0, 1, 2, 3, 4, ...: small magnitudes become small numbers."""
    for j in range(codes.size):
        code = np.int32(codes[j])
        out[j] = (code << 1) ^ (code >> 31)


@njit(cache=True)
def unzigzag(numbers, out):
    """The inverse of `zigzag`."""
    for j in range(numbers.size):
        number = np.int32(numbers[j])
        out[j] = (number >> 1) ^ -(number & 1)


@njit(cache=True)
def ternary_write(codes, out):
    """Five of {0, 1, -1} a byte, as digits 0, 1, 2 of a number in base 3, the first the lowest."""
    for byte in range(out.size):
        number = 0
        for j in range(min((byte + 1) * _TRITS, codes.size) - 1, byte * _TRITS - 1, -1):
            number = number * _BASE + (2 if codes[j] < 0 else codes[j])
        out[byte] = number


@njit(cache=True)
def ternary_read(packed, out):
    """The inverse of `ternary_write`; False for bytes that it does not write."""
    good = True
    for byte in range(packed.size):
        number = np.int64(packed[byte])
        for j in range(byte * _TRITS, min((byte + 1) * _TRITS, out.size)):
            digit = number % _BASE
            number //= _BASE
            out[j] = digit - _BASE * (digit == 2)
        good &= number == 0
    return good


@njit(cache=True)
def ternary_add(codes, scale, total):
    """``total += scale * codes``."""
    kind = total.dtype.type
    for j in range(codes.size):
        total[j] += kind(scale * np.float32(codes[j]))


@njit(cache=True)
def ternary_add_packed(packed, count, scale, total):
    """`ternary_read` and `ternary_add` in one pass; False, the total half done, for bytes that cannot be."""
    kind = total.dtype.type
    digits = np.array([0.0, 1.0, -1.0], np.float32)
    table = np.empty((_BASE**_TRITS, _TRITS), np.float32)
    for number in range(table.shape[0]):
        for t in range(_TRITS):
            table[number, t] = scale * digits[number // _BASE**t % _BASE]
    whole = count // _TRITS
    good = True
    for byte in range(whole):
        number = min(np.int64(packed[byte]), table.shape[0] - 1)
        good &= number == packed[byte]
        for t in range(_TRITS):
            total[byte * _TRITS + t] += kind(table[number, t])
    if whole < packed.size:
        last = np.empty(count - whole * _TRITS, np.int8)
        good &= ternary_read(packed[whole:], last)
        ternary_add(last, scale, total[whole * _TRITS :])
    return good


@njit(cache=True)
def half_add(bits, total):
    """Add IEEE binary16 numbers, NaN and infinities included."""
    kind = total.dtype.type
    rescale = np.float32(2.0**112)
    for j in range(bits.size):
        half = np.uint32(bits[j])
        magnitude = (half & np.uint32(0x7FFF)) << np.uint32(13)
        # the exponent's bias is 112 more in float32; a product moves denormals along
        finite = as_float32(np.uint32(magnitude)) * rescale
        special = as_float32(np.uint32(magnitude | np.uint32(0x7F800000)))
        value = special if magnitude >= np.uint32(0x0F800000) else finite
        total[j] += kind(-value if half & np.uint32(0x8000) else value)


@njit(cache=True)
def bfloat16_add(bits, total):
    """Add bfloat16 numbers: the upper halves of float32 numbers."""
    kind = total.dtype.type
    for j in range(bits.size):
        total[j] += kind(as_float32(np.uint32(np.uint32(bits[j]) << np.uint32(16))))


@njit(cache=True)
def table_add(codes, table, total):
    """``total += table[codes]`` for uint8 codes and 256 float32 values."""
    kind = total.dtype.type
    for j in range(codes.size):
        total[j] += kind(table[codes[j]])


@njit(cache=True)
def powers_add(exponents, signs, total):
    """``total += (-1)**sign * 2**(exponent - 127)``, a byte and a bit a coordinate; exponent 0 is zero, 255 inf."""
    kind = total.dtype.type
    for j in range(exponents.size):
        sign = np.uint32(signs[j >> 3] >> np.uint8(j & 7)) & np.uint32(1)
        total[j] += kind(as_float32(np.uint32((sign << np.uint32(31)) | (np.uint32(exponents[j]) << np.uint32(23)))))


@njit(cache=True)
def outer_add(left, right, total):
    """``total += left @ right``, row by row, the rank's terms summed in order before they are added.

    Parameters
    ----------
    left, right : ndarray of float32 or float64, shapes (rows, rank) and (rank, columns)
    total : ndarray, shape (rows * columns,)
    """
    kind = total.dtype.type
    columns = right.shape[1]
    line = np.empty(columns, left.dtype)
    for i in range(left.shape[0]):
        line[:] = left[i, 0] * right[0]
        for r in range(1, left.shape[1]):
            factor = left[i, r]
            for j in range(columns):
                line[j] += factor * right[r, j]
        for j in range(columns):
            total[i * columns + j] += kind(line[j])
