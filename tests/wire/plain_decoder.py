"""A decoder of payloads written from docs/wire.md alone: no code of pmom_mpi, no arrays, one bit at a time."""

from __future__ import annotations

import math
import struct
import zlib

import numpy as np

MASK64 = 2**64 - 1


def decode(payload: bytes) -> list[float]:
    """The vector that a payload stands for."""
    magic, version, flags, support, code, reserved, d, m = struct.unpack_from("<2sBBBBHII", payload)
    assert (magic, version, reserved) == (b"pm", 1, 0)
    if flags & 1:
        assert struct.unpack("<I", payload[-4:])[0] == zlib.crc32(payload[:-4])
        payload = payload[:-4]
    indices, values_start = read_support(support, payload[16:], d, m)
    values = VALUES[code](payload[16 + values_start :], m)
    vector = [0.0] * d
    for index, value in zip(indices, values, strict=True):
        vector[index] = float(value)
    return vector


def bit(data: bytes, position: int) -> int:
    return data[position // 8] >> (position % 8) & 1


def bits(data: bytes, position: int, width: int) -> int:
    return sum(bit(data, position + i) << i for i in range(width))


def read_support(code: int, body: bytes, d: int, m: int) -> tuple[list[int], int]:
    """The coordinates and the section's size."""
    if code == 0:
        return list(range(d)), 0
    if code == 1:
        return list(struct.unpack_from(f"<{m}I", body)), 4 * m
    if code == 2:
        return [j for j in range(d) if bit(body, j)], (d + 7) // 8
    if code == 3:
        gaps, size = read_rice(body, m)
        indices, after = [], 0
        for gap in gaps:
            indices.append(after + gap)
            after += gap + 1
        return indices, size
    return draw(struct.unpack_from("<Q", body)[0], d, m), 8


def read_rice(section: bytes, count: int) -> tuple[list[int], int]:
    """The numbers and the section's size."""
    blocks = -(-count // 128)
    unary_bytes = struct.unpack_from("<I", section)[0]
    parameters = section[4 : 4 + blocks]
    remainder_bits = sum(parameters[j // 128] for j in range(count))
    remainders = section[4 + blocks :]
    unary_start = (remainder_bits + 7) // 8
    quotients = remainders[unary_start : unary_start + unary_bytes]
    numbers, at, place = [], 0, 0
    for j in range(count):
        k = parameters[j // 128]
        quotient = 0
        while not bit(quotients, place):
            quotient, place = quotient + 1, place + 1
        place += 1
        numbers.append(quotient << k | bits(remainders, at, k))
        at += k
    return numbers, 4 + blocks + unary_start + unary_bytes


def random_word(key: int, counter: int) -> int:
    z = (key + (counter + 1) * 0x9E3779B97F4A7C15) & MASK64
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & MASK64
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK64
    return z ^ z >> 31


def draw(key: int, d: int, m: int) -> list[int]:
    """The subset of a seeded support."""
    left_out = 2 * m > d
    wanted = d - m if left_out else m
    drawn: set[int] = set()
    counter = 0
    while len(drawn) < wanted:
        product = (random_word(key, counter) >> 32) * d
        counter += 1
        if product % 2**32 >= 2**32 % d:
            drawn.add(product >> 32)
    return [j for j in range(d) if (j in drawn) != left_out]


def read_half(word: int) -> float:
    return struct.unpack("<e", struct.pack("<H", word))[0]


def read_bfloat16(word: int) -> float:
    return struct.unpack("<f", struct.pack("<I", word << 16))[0]


def read_e4m3(code: int) -> float:
    sign, exponent, mantissa = code >> 7, code >> 3 & 15, code & 7
    if exponent == 15 and mantissa == 7:
        return math.nan
    size = mantissa * 2.0**-9 if exponent == 0 else (8 + mantissa) * 2.0 ** (exponent - 10)
    return -size if sign else size


def read_fp8(section: bytes, m: int) -> list[np.float32]:
    scale = np.float32(struct.unpack_from("<f", section)[0])
    return [np.float32(read_e4m3(code)) * scale for code in section[4 : 4 + m]]


def read_signs(section: bytes, m: int) -> list[float]:
    groups = struct.unpack_from("<I", section)[0]
    scales = struct.unpack_from(f"<{groups}f", section, 4)
    sizes = struct.unpack_from(f"<{groups}I", section, 4 + 4 * groups) if groups > 1 else (m,)
    packed = section[len(section) - (m + 7) // 8 :]
    scale_of = [scale for scale, size in zip(scales, sizes, strict=True) for _ in range(size)]
    return [-scale_of[j] if bit(packed, j) else scale_of[j] for j in range(m)]


def read_levels(section: bytes, m: int, coded: bool) -> list[np.float32]:
    bucket, s = struct.unpack_from("<II", section)
    count = -(-m // bucket)
    norms = struct.unpack_from(f"<{count}f", section, 8)
    rest = section[8 + 4 * count :]
    if coded:
        levels = [number // 2 if number % 2 == 0 else -(number + 1) // 2 for number in read_rice(rest, m)[0]]
    else:
        width = (2 * s).bit_length()
        levels = [bits(rest, j * width, width) - s for j in range(m)]
    return [np.float32(norms[j // bucket]) / np.float32(s) * np.float32(levels[j]) for j in range(m)]


def read_natural(section: bytes, m: int) -> list[float]:
    words = [bit(section[m:], j) << 31 | section[j] << 23 for j in range(m)]
    return [struct.unpack("<f", struct.pack("<I", word))[0] for word in words]


def read_ternary(section: bytes, m: int) -> list[np.float32]:
    scale = np.float32(struct.unpack_from("<f", section)[0])
    digits = [section[4 + j // 5] // 3 ** (j % 5) % 3 for j in range(m)]
    return [scale * np.float32((0, 1, -1)[digit]) for digit in digits]


def read_low_rank(section: bytes, m: int, dtype: str) -> list[np.floating]:
    parts = struct.unpack_from("<I", section)[0]
    shapes = [struct.unpack_from("<III", section, 4 + 12 * p) for p in range(parts)]
    numbers = iter(np.frombuffer(section, dtype, offset=4 + 12 * parts))
    values: list[np.floating] = []
    for rows, columns, rank in shapes:
        if rank == 0:
            values += [next(numbers) for _ in range(rows)]
            continue
        left = [[next(numbers) for _ in range(rank)] for _ in range(rows)]
        right = [[next(numbers) for _ in range(rank)] for _ in range(columns)]
        for row in left:
            for column in right:
                total = row[0] * column[0]
                for r in range(1, rank):
                    total += row[r] * column[r]
                values.append(total)
    return values


VALUES = {
    1: lambda section, m: struct.unpack(f"<{m}f", section),
    2: lambda section, m: struct.unpack(f"<{m}d", section),
    3: lambda section, m: [read_half(word) for word in struct.unpack(f"<{m}H", section)],
    4: lambda section, m: [read_bfloat16(word) for word in struct.unpack(f"<{m}H", section)],
    5: read_fp8,
    6: read_signs,
    7: lambda section, m: read_levels(section, m, coded=False),
    8: lambda section, m: read_levels(section, m, coded=True),
    9: read_natural,
    10: read_ternary,
    11: lambda section, m: read_low_rank(section, m, "<f4"),
    12: lambda section, m: read_low_rank(section, m, "<f8"),
}
