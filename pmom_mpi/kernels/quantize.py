"""Rounding numbers to few bits: levels, powers of two, narrow floating point, signs.

All work on float32 and its bit patterns (uint32), which is what the value codecs carry. Random roundings take draw j
of a key for coordinate j, 32 bits each, so that a result depends on the key and on nothing else.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pmom_mpi.kernels.layers import FASTMATH
from pmom_mpi.kernels.random import uniform_bits

CHUNK = 2048
"""Coordinates whose random bits are drawn at a time: they stay in the first-level cache. Even: draws come in pairs."""

_ABSOLUTE = np.uint32(0x7FFFFFFF)
_INFINITY = np.uint32(0x7F800000)
_ONE = np.uint32(1)
_TOP_POWER, _TOP_BFLOAT16 = np.uint32(254), np.uint32(0x7F7F)
_UNIT = np.float32(2.0**-24)

# Numbers below the narrow formats' smallest normal one are rounded by adding a number whose last place is the formats'
# last place: 2**-24 is that of 0.5, 2**-9 that of 2**14. The sum's bits minus that number's bits are the code.
_HALF_BIAS, _HALF_NORMAL, _HALF_OVERFLOW = np.uint32(112 << 23), np.uint32(113 << 23), np.uint32(143 << 23)
_HALF_INFINITY, _HALF_NAN = np.uint32(0x7C00), np.uint32(0x7E00)
_HALF_SHIFT, _HALF_SHIFT_BITS = np.float32(0.5), np.uint32(126 << 23)
_E4M3_BIAS, _E4M3_NORMAL, _E4M3_MAX = np.uint32(120 << 23), np.uint32(121 << 23), np.float32(448.0)
_E4M3_SHIFT, _E4M3_SHIFT_BITS = np.float32(2.0**14), np.uint32(141 << 23)

_SMALL, _BOOST = np.float32(2.0**-60), np.float32(2.0**64)


@njit(cache=True)
def _draw(key, first, words):
    """Random bits for the coordinates from ``first`` (even) on, two a word."""
    start = np.uint64(first >> 1)
    for i in range(words.size):
        words[i] = uniform_bits(key, start + np.uint64(i))


@njit(cache=True)
def largest(bits):
    """The bit pattern of the largest magnitude; NaN is larger than infinity."""
    found = np.uint32(0)
    for j in range(bits.size):
        found = max(found, bits[j] & _ABSOLUTE)
    return found


@njit(cache=True, fastmath=FASTMATH)
def absolute_sum(vector):
    """|vector|_1 in float64; NaN and infinities propagate."""
    total = 0.0
    for j in range(vector.size):
        total += abs(np.float64(vector[j]))
    return total


@njit(cache=True, fastmath=FASTMATH)
def bucket_norms(vector, bucket, norms):
    """The 2-norm of every ``bucket`` consecutive coordinates, rounded to float32."""
    for b in range(norms.size):
        part = vector[b * bucket : (b + 1) * bucket]
        total = 0.0
        for j in range(part.size):
            value = np.float64(part[j])
            total += value * value
        norms[b] = np.sqrt(total)


@njit(cache=True)
def bucket_maxima(bits, bucket, norms):
    """The bit pattern of the largest magnitude of every ``bucket`` consecutive coordinates."""
    for b in range(norms.size):
        norms[b] = largest(bits[b * bucket : (b + 1) * bucket])


@njit(cache=True)
def _round_levels(vector, draws, norm, levels, codes):
    """``codes = sign floor(|vector| levels / norm + u)``, at most ``levels``."""
    # a norm near the smallest float32 is lifted first, so that its reciprocal does not overflow
    boost = _BOOST if norm < _SMALL else np.float32(1.0)
    top = np.float32(levels)
    inverse = top / (norm * boost) if norm != 0.0 else np.float32(0.0)
    for i in range(vector.size):
        value = vector[i]
        uniform = np.float32(np.int32(draws[i] >> np.uint32(8))) * _UNIT
        level = abs(value) * boost * inverse + uniform
        level = level if level < top else top  # also where it is NaN: the norm says so
        signed = np.int32(level)
        codes[i] = signed if value >= 0 else -signed


@njit(cache=True)
def dither(vector, key, norms, bucket, levels, codes):
    """Round every |v_j| / norm of its bucket to a multiple of 1 / levels, up with the probability that keeps the mean.

    Parameters
    ----------
    vector : ndarray of float32, shape (d,)
    key : uint64
    norms : ndarray of float32, shape (ceil(d / bucket),)
        A norm that is NaN or infinite leaves finite codes; it spoils its bucket where they are decoded.
    bucket, levels : int
    codes : ndarray of int8 or int16, shape (d,)
        Signed, from -levels to levels.
    """
    words = np.empty(CHUNK // 2, np.uint64)
    draws = words.view(np.uint32)
    for first in range(0, vector.size, CHUNK):
        last = min(first + CHUNK, vector.size)
        _draw(key, first, words)
        begin = first
        while begin < last:
            b = begin // bucket
            end = min((b + 1) * bucket, last)
            _round_levels(vector[begin:end], draws[begin - first :], norms[b], levels, codes[begin:end])
            begin = end


@njit(cache=True)
def powers_random(bits, key, codes):
    """Sign and exponent of each number rounded to a power of two, up with the probability that keeps the mean.

    A random number below 2**23 is added to the 23 bits of the mantissa: it carries into the exponent with probability
    mantissa / 2**23, for denormals too. Above 2**127, the largest power, all that is finite becomes that power. Codes
    are ``sign << 8 | exponent``; NaN becomes infinity.
    """
    words = np.empty(CHUNK // 2, np.uint64)
    draws = words.view(np.uint32)
    for first in range(0, bits.size, CHUNK):
        _draw(key, first, words)
        chunk = bits[first : first + CHUNK]
        out = codes[first : first + CHUNK]
        for i in range(chunk.size):
            magnitude = min(chunk[i] & _ABSOLUTE, _INFINITY)
            exponent = (magnitude + (draws[i] >> np.uint32(9))) >> np.uint32(23)
            exponent = exponent if magnitude == _INFINITY else min(exponent, _TOP_POWER)
            out[i] = exponent | (chunk[i] >> np.uint32(31)) << np.uint32(8)


@njit(cache=True)
def powers_nearest(bits, codes):
    """As `powers_random`, to the nearer power of two, up at the middle."""
    half = np.uint32(1 << 22)
    for j in range(bits.size):
        magnitude = min(bits[j] & _ABSOLUTE, _INFINITY)
        exponent = (magnitude + half) >> np.uint32(23)
        exponent = exponent if magnitude == _INFINITY else min(exponent, _TOP_POWER)
        codes[j] = exponent | (bits[j] >> np.uint32(31)) << np.uint32(8)


@njit(cache=True)
def to_bfloat16(bits, out):
    """The upper 16 bits, rounded to nearest, ties to even, at most to the largest finite number; NaN stays NaN."""
    for j in range(bits.size):
        word = bits[j]
        upper = word >> np.uint32(16)
        rounded = ((word & _ABSOLUTE) + np.uint32(0x7FFF) + (upper & _ONE)) >> np.uint32(16)
        rounded = rounded if word & _ABSOLUTE >= _INFINITY else min(rounded, _TOP_BFLOAT16)
        signed = rounded | (upper & np.uint32(0x8000))
        out[j] = upper | np.uint32(0x40) if word & _ABSOLUTE > _INFINITY else signed


@njit(cache=True)
def to_float16(vector, out):
    """IEEE binary16, rounded to nearest, ties to even; beyond 65504 infinity, NaN stays NaN.

    Parameters
    ----------
    vector : ndarray of float32
    out : ndarray of uint16
    """
    shifted = np.empty(CHUNK, np.float32)
    fixed = shifted.view(np.uint32)
    for first in range(0, vector.size, CHUNK):
        chunk, codes = vector[first : first + CHUNK], out[first : first + CHUNK]
        words = chunk.view(np.uint32)
        for i in range(chunk.size):
            shifted[i] = abs(chunk[i]) + _HALF_SHIFT
        for i in range(words.size):
            word = words[i] & _ABSOLUTE
            odd = (word >> np.uint32(13)) & _ONE
            code = (word - _HALF_BIAS + np.uint32(0x0FFF) + odd) >> np.uint32(13)
            code = fixed[i] - _HALF_SHIFT_BITS if word < _HALF_NORMAL else code
            code = code if word < _HALF_OVERFLOW else _HALF_INFINITY
            code = code if word <= _INFINITY else _HALF_NAN
            codes[i] = code | (words[i] >> np.uint32(31)) << np.uint32(15)


@njit(cache=True)
def to_e4m3(vector, scale, out):
    """``vector / scale`` as OCP E4M3, rounded to nearest, ties to even, and to 448 beyond.

    Parameters
    ----------
    vector : ndarray of float32
    scale : float32
        0 or NaN leave finite codes.
    out : ndarray of uint8
    """
    boost = _BOOST if scale < _SMALL else np.float32(1.0)
    inverse = np.float32(1.0) / (scale * boost) if scale != 0.0 else np.float32(0.0)
    scaled = np.empty(CHUNK, np.float32)
    shifted = np.empty(CHUNK, np.float32)
    words, fixed = scaled.view(np.uint32), shifted.view(np.uint32)
    for first in range(0, vector.size, CHUNK):
        chunk, codes = vector[first : first + CHUNK], out[first : first + CHUNK]
        signs = chunk.view(np.uint32)
        for i in range(chunk.size):
            value = abs(chunk[i]) * boost * inverse
            value = value if value < _E4M3_MAX else _E4M3_MAX
            scaled[i] = value
            shifted[i] = value + _E4M3_SHIFT
        for i in range(signs.size):
            odd = (words[i] >> np.uint32(20)) & _ONE
            code = (words[i] - _E4M3_BIAS + np.uint32(0x7FFFF) + odd) >> np.uint32(20)
            code = fixed[i] - _E4M3_SHIFT_BITS if words[i] < _E4M3_NORMAL else code
            codes[i] = code | (signs[i] >> np.uint32(31)) << np.uint32(7)
