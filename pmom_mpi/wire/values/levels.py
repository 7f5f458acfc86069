"""Quantised levels with a norm a bucket: QSGD and other dithering.

Packed, a level takes ceil(log2(2 s + 1)) bits. Entropy-coded, the zigzag numbers 0, -1, 1, -2, ... go through the Rice
coder of the indices: fewer bits where most levels are small, more time. A norm that
is NaN or infinite travels as it is and spoils its bucket; levels themselves are finite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from pmom_mpi.kernels.pack import bits_read, bits_write, levels_add, levels_add_packed, unzigzag, zigzag
from pmom_mpi.kernels.rice_read import rice_numbers
from pmom_mpi.wire.bytes import aligned, copy_bytes, expect
from pmom_mpi.wire.message import WireError
from pmom_mpi.wire.rice import Plan, rice_plan, rice_section
from pmom_mpi.wire.values.base import Values, register

MAX_LEVELS = 32767
_PACKED, _RICE = 7, 8
_HEAD = 8


@register
@dataclass(slots=True)
class Levels(Values):
    """``norms[j // bucket] / levels * codes[j]``, in float32.

    Alistarh, Grubic, Li, Tomioka, Vojnovic 2017, "QSGD: communication-efficient SGD via gradient quantization and
    encoding".

    Attributes
    ----------
    codes : ndarray of int8 or int16, shape (count,)
        Signed, from -levels to levels.
    norms : ndarray of float32, shape (ceil(count / bucket),)
    bucket : int
        How many coordinates share a norm.
    levels : int
        s, at most 32767.
    entropy : bool
        Rice-code the levels when that is smaller.
    """

    codes: np.ndarray = field(repr=False)
    norms: np.ndarray = field(repr=False)
    bucket: int
    levels: int
    entropy: bool = field(default=False, compare=False)
    _plan: Plan | None = field(init=False, repr=False, compare=False, default=None)

    value_codes: ClassVar[tuple[int, ...]] = (_PACKED, _RICE)

    def __post_init__(self) -> None:
        _check_shape(self.bucket, self.levels, ValueError)
        if self.codes.dtype not in (np.int8, np.int16) or self.norms.dtype != np.float32:
            raise ValueError(f"levels are int8 or int16 and norms float32, not {self.codes.dtype}, {self.norms.dtype}")
        if self.norms.size != -(-self.count // self.bucket):
            raise ValueError(
                f"{self.count} coordinates in buckets of {self.bucket} do not have {self.norms.size} norms"
            )
        if self.count and not -self.levels <= int(self.codes.min()) <= int(self.codes.max()) <= self.levels:
            raise ValueError(f"levels must lie in -{self.levels} ... {self.levels}")
        if self.entropy:
            numbers = np.empty(self.count, np.uint32)
            zigzag(self.codes, numbers)
            plan = rice_plan(numbers)
            if plan.size < _packed_size(self.count, self.levels):
                self._plan = plan

    @property
    def code(self) -> int:
        return _RICE if self._plan else _PACKED

    @property
    def count(self) -> int:
        return self.codes.size

    def size(self) -> int:
        coded = self._plan.size if self._plan else _packed_size(self.count, self.levels)
        return _HEAD + self.norms.nbytes + coded

    @classmethod
    def max_size(cls, count: int, bucket: int, levels: int) -> int:
        """Bytes of ``count`` packed levels; entropy-coded they never take more."""
        return _HEAD + 4 * -(-count // bucket) + _packed_size(count, levels)

    def nominal_bits(self) -> float:
        return self.count * math.log2(2 * self.levels + 1) + 8 * self.norms.nbytes

    def write(self, out: np.ndarray) -> None:
        copy_bytes(np.array([self.bucket, self.levels], "<u4"), out[:_HEAD])
        start = _HEAD + self.norms.nbytes
        copy_bytes(self.norms, out[_HEAD:start])
        if self._plan:
            self._plan.write(out[start:])
        else:
            bits_write(self.codes, self.levels, width(self.levels), out[start:])

    @classmethod
    def read(cls, code: int, section: np.ndarray, count: int) -> Levels:
        bucket, levels, norms, coded = _split(section, count)
        return cls(_unpack(code, coded, count, levels), norms, bucket, levels, code == _RICE)

    def add(self, total: np.ndarray) -> None:
        levels_add(self.codes, self.norms, self.bucket, self.levels, total)

    @classmethod
    def add_section(cls, code: int, section: np.ndarray, count: int, total: np.ndarray) -> None:
        bucket, levels, norms, coded = _split(section, count)
        if code == _RICE:
            levels_add(_unpack(code, coded, count, levels), norms, bucket, levels, total)
            return
        expect(coded, _packed_size(count, levels), "level")
        if not levels_add_packed(coded, norms, bucket, levels, width(levels), total):
            raise _outside(levels)


def _unpack(code: int, coded: np.ndarray, count: int, levels: int) -> np.ndarray:
    found = np.empty(count, np.int8 if levels <= 127 else np.int16)
    if code == _PACKED:
        expect(coded, _packed_size(count, levels), "level")
        good = bits_read(coded, levels, width(levels), 2 * levels, found)
    else:
        size, padded = rice_section(coded, count)
        expect(coded, size, "level")
        numbers = np.empty(count, np.uint32)
        good = rice_numbers(padded, 2 * levels + 1, numbers)
        unzigzag(numbers, found)
    if not good:
        raise _outside(levels)
    return found


def _outside(levels: int) -> WireError:
    return WireError(f"levels outside -{levels} ... {levels}")


def width(levels: int) -> int:
    """Bits of a packed level: ceil(log2(2 s + 1))."""
    return (2 * levels).bit_length()


def _packed_size(count: int, levels: int) -> int:
    return (count * width(levels) + 7) // 8


def _check_shape(bucket: int, levels: int, error: type[Exception]) -> None:
    if not (1 <= levels <= MAX_LEVELS and 1 <= bucket < 2**32):
        raise error(f"{levels} levels in buckets of {bucket}: 1 to {MAX_LEVELS} levels, buckets from 1 on")


def _split(section: np.ndarray, count: int) -> tuple[int, int, np.ndarray, np.ndarray]:
    """Bucket, levels, norms and the coded levels of a section."""
    if section.size < _HEAD:
        raise WireError(f"value section of {section.size} bytes has no room for levels")
    bucket, levels = aligned(section[:_HEAD], "<u4").tolist()
    _check_shape(bucket, levels, WireError)
    start = _HEAD + 4 * -(-count // bucket)
    if section.size < start:
        raise WireError(f"value section of {section.size} bytes has no room for the norms")
    return bucket, levels, aligned(section[_HEAD:start], "<f4"), section[start:]
