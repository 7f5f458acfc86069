"""Scaled signs: one bit a coordinate, and one float32 a message or a tensor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from pmom_mpi.kernels.bitmap import signs_add
from pmom_mpi.wire.bytes import aligned, copy_bytes, expect
from pmom_mpi.wire.message import WireError
from pmom_mpi.wire.values.base import Values, register


@register
@dataclass(slots=True)
class Signs(Values):
    """``-scale`` where the bit is set, else ``scale``; a bit has no zero and no NaN, so the scale carries them.

    Attributes
    ----------
    bits : ndarray of uint8, shape (ceil(count / 8),)
        Bit j % 8 of byte j // 8 is set for a negative coordinate j; spare bits are zero
        (``np.packbits(array < 0, bitorder="little")``).
    count : int
    scale : float or ndarray of float32, shape (groups,)
        One for all, or one for each of the consecutive groups (tensors).
    sizes : ndarray of uint32, shape (groups,), optional
        How many coordinates each group has, when there are several.

    Examples
    --------
    >>> signs = Signs(np.array([0b00000101], np.uint8), 3, 0.5)
    >>> total = np.zeros(3, np.float32)
    >>> signs.add(total)
    >>> total.tolist()
    [-0.5, 0.5, -0.5]
    """

    bits: np.ndarray = field(repr=False)
    count: int = 0
    scale: Any = 1.0
    sizes: Any = None

    value_codes: ClassVar[tuple[int, ...]] = (6,)

    def __post_init__(self) -> None:
        self.scale = np.atleast_1d(np.asarray(self.scale, np.float32))
        if self.sizes is None:
            self.sizes = np.array([self.count], np.uint32)
        self.sizes = np.asarray(self.sizes, np.uint32)
        if self.bits.dtype != np.uint8 or self.bits.size != (self.count + 7) // 8:
            raise ValueError(f"{self.count} signs need {(self.count + 7) // 8} uint8, not {self.bits.size}")
        if self.sizes.shape != self.scale.shape or int(self.sizes.sum(dtype=np.int64)) != self.count:
            raise ValueError(f"{self.scale.size} groups of sizes {self.sizes} do not make {self.count} coordinates")
        if self.count % 8 and self.bits[-1] >> (self.count % 8):
            raise ValueError("spare bits of the last byte must be zero")

    def size(self) -> int:
        return self.max_size(self.count, self.scale.size)

    @classmethod
    def max_size(cls, count: int, groups: int = 1) -> int:
        """Bytes of ``count`` signs with so many scales."""
        return 4 + (4 if groups == 1 else 8) * groups + (count + 7) // 8

    def nominal_bits(self) -> float:
        return 1.0 * self.count

    def write(self, out: np.ndarray) -> None:
        groups = self.scale.size
        copy_bytes(np.array([groups], "<u4"), out[:4])
        copy_bytes(self.scale, out[4 : 4 + 4 * groups])
        if groups > 1:
            copy_bytes(self.sizes, out[4 + 4 * groups : 4 + 8 * groups])
        out[out.size - self.bits.size :] = self.bits

    @classmethod
    def read(cls, code: int, section: np.ndarray, count: int) -> Signs:
        packed = (count + 7) // 8
        groups = int(aligned(section[:4], "<u4")[0]) if section.size >= 4 else 0
        if groups == 0:
            raise WireError("signs without a scale")
        expect(section, cls.max_size(count, groups), "value")
        scale = aligned(section[4 : 4 + 4 * groups], "<f4")
        sizes = aligned(section[4 + 4 * groups : 4 + 8 * groups], "<u4") if groups > 1 else None
        try:
            return cls(section[section.size - packed :], count, scale, sizes)
        except ValueError as error:
            raise WireError(str(error)) from None

    def add(self, total: np.ndarray) -> None:
        first = 0
        for size, scale in zip(self.sizes.tolist(), self.scale, strict=True):
            signs_add(self.bits, first, first + size, scale, total)
            first += size
