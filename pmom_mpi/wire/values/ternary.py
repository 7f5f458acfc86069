"""Ternary gradients: a scale times -1, 0 or 1, five coordinates a byte (1.6 bits each; log2(3) = 1.585)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from pmom_mpi.kernels.pack import ternary_add, ternary_add_packed, ternary_read, ternary_write
from pmom_mpi.wire.bytes import aligned, copy_bytes, expect
from pmom_mpi.wire.message import WireError
from pmom_mpi.wire.values.base import Values, register


@register
@dataclass(slots=True)
class Ternary(Values):
    """``scale * code``. A scale of NaN or infinity travels as it is; the trits are finite.

    Wen et al. 2017, "TernGrad: ternary gradients to reduce communication in distributed deep learning".

    Attributes
    ----------
    codes : ndarray of int8, shape (count,)
        -1, 0 or 1.
    scale : float
        Rounded to float32, as it travels.
    """

    codes: np.ndarray = field(repr=False)
    scale: float = 1.0

    value_codes: ClassVar[tuple[int, ...]] = (10,)

    def __post_init__(self) -> None:
        self.scale = float(np.float32(self.scale))
        if self.codes.dtype != np.int8 or self.codes.ndim != 1:
            raise ValueError(f"Ternary holds an int8 vector, not {self.codes.dtype}")
        if self.count and not -1 <= int(self.codes.min()) <= int(self.codes.max()) <= 1:
            raise ValueError("Ternary holds -1, 0 and 1 only")

    @property
    def count(self) -> int:
        return self.codes.size

    def size(self) -> int:
        return self.max_size(self.count)

    @classmethod
    def max_size(cls, count: int) -> int:
        """Bytes of ``count`` values."""
        return 4 + -(-count // 5)

    def nominal_bits(self) -> float:
        return math.log2(3) * self.count

    def write(self, out: np.ndarray) -> None:
        copy_bytes(np.array([self.scale], "<f4"), out[:4])
        ternary_write(self.codes, out[4:])

    @classmethod
    def read(cls, code: int, section: np.ndarray, count: int) -> Ternary:
        scale, packed = _split(section, count)
        trits = np.empty(count, np.int8)
        if not ternary_read(packed, trits):
            raise WireError("a byte is no five ternary digits")
        return cls(trits, float(scale))

    def add(self, total: np.ndarray) -> None:
        ternary_add(self.codes, np.float32(self.scale), total)

    @classmethod
    def add_section(cls, code: int, section: np.ndarray, count: int, total: np.ndarray) -> None:
        scale, packed = _split(section, count)
        if not ternary_add_packed(packed, count, scale, total):
            raise WireError("a byte is no five ternary digits")


def _split(section: np.ndarray, count: int) -> tuple[np.float32, np.ndarray]:
    expect(section, Ternary.max_size(count), "value")
    return aligned(section[:4], "<f4")[0], section[4:]
