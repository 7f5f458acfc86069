"""Narrow floating-point numbers: IEEE float16, bfloat16 and 8-bit E4M3 with a scale.

All three carry NaN; float16 and bfloat16 carry infinities, E4M3 has none (its compressor must saturate or send NaN).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import ClassVar

import numpy as np

from pmom_mpi.kernels.pack import bfloat16_add, half_add, table_add
from pmom_mpi.wire.bytes import aligned, copy_bytes, expect
from pmom_mpi.wire.values.base import Values, register


@dataclass(slots=True)
class _Words(Values):
    """16 bits a coordinate."""

    bits: np.ndarray = field(repr=False)

    def __post_init__(self) -> None:
        if self.bits.dtype != np.uint16 or self.bits.ndim != 1:
            raise ValueError(f"{type(self).__name__} holds a uint16 vector, not {self.bits.dtype}")

    @property
    def count(self) -> int:
        return self.bits.size

    def size(self) -> int:
        return self.max_size(self.count)

    @classmethod
    def max_size(cls, count: int) -> int:
        """Bytes of ``count`` values."""
        return 2 * count

    def nominal_bits(self) -> float:
        return 16.0 * self.count

    def write(self, out: np.ndarray) -> None:
        copy_bytes(self.bits, out)

    @classmethod
    def read(cls, code: int, section: np.ndarray, count: int) -> _Words:
        expect(section, cls.max_size(count), "value")
        return cls(aligned(section, "<u2"))


@register
@dataclass(slots=True)
class Half(_Words):
    """IEEE 754 binary16.

    Attributes
    ----------
    bits : ndarray of uint16, shape (count,)
        ``array.astype(np.float16).view(np.uint16)``
    """

    value_codes: ClassVar[tuple[int, ...]] = (3,)

    def add(self, total: np.ndarray) -> None:
        half_add(self.bits, total)


@register
@dataclass(slots=True)
class BFloat16(_Words):
    """The upper 16 bits of float32.

    Attributes
    ----------
    bits : ndarray of uint16, shape (count,)
        Rounded by the compressor, to nearest even as a rule.
    """

    value_codes: ClassVar[tuple[int, ...]] = (4,)

    def add(self, total: np.ndarray) -> None:
        bfloat16_add(self.bits, total)


@register
@dataclass(slots=True)
class FP8(_Words):
    """OCP 8-bit floating point E4M3 (no infinities, 0x7F and 0xFF are NaN, largest 448), times a scale a message.

    Micikevicius et al. 2022, "FP8 formats for deep learning".

    Attributes
    ----------
    bits : ndarray of uint8, shape (count,)
    scale : float
        Rounded to float32, as it travels. A value is ``scale * E4M3(bits)``.
    """

    scale: float = 1.0

    value_codes: ClassVar[tuple[int, ...]] = (5,)

    def __post_init__(self) -> None:
        if self.bits.dtype != np.uint8 or self.bits.ndim != 1:
            raise ValueError(f"FP8 holds a uint8 vector, not {self.bits.dtype}")
        self.scale = float(np.float32(self.scale))

    @classmethod
    def max_size(cls, count: int) -> int:
        return 4 + count

    def nominal_bits(self) -> float:
        return 8.0 * self.count

    def write(self, out: np.ndarray) -> None:
        copy_bytes(np.array([self.scale], "<f4"), out[:4])
        out[4:] = self.bits

    @classmethod
    def read(cls, code: int, section: np.ndarray, count: int) -> FP8:
        expect(section, cls.max_size(count), "value")
        return cls(section[4:], float(aligned(section[:4], "<f4")[0]))

    def add(self, total: np.ndarray) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            table = e4m3() * np.float32(self.scale)
        table_add(self.bits, table, total)


@cache
def e4m3() -> np.ndarray:
    """The 256 values of E4M3 as float32: sign, 4 exponent bits of bias 7, 3 bits of mantissa."""
    codes = np.arange(256)
    exponent, mantissa = (codes >> 3) & 15, codes & 7
    magnitude = np.where(exponent == 0, mantissa * 2.0**-9, (8 + mantissa) * 2.0 ** (exponent - 10.0))
    magnitude[(codes & 0x7F) == 0x7F] = np.nan
    table = np.where(codes < 128, magnitude, -magnitude).astype(np.float32)
    table.flags.writeable = False
    return table
