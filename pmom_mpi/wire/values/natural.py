"""Natural compression: powers of two, a sign and an exponent each, 9 bits a coordinate."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from pmom_mpi.kernels.pack import powers_add
from pmom_mpi.wire.bytes import expect
from pmom_mpi.wire.message import WireError
from pmom_mpi.wire.values.base import Values, register


@register
@dataclass(slots=True)
class Natural(Values):
    """``(-1)**sign * 2**(exponent - 127)``; exponent 0 is zero, 255 infinity. NaN has no code: send infinity for it.

    Horvath, Ho, Horvath, Sahu, Canini, Richtarik 2022, "Natural compression for distributed deep learning".
    On the wire the exponents come first, a byte each, then the signs, eight a byte.

    Attributes
    ----------
    codes : ndarray of uint16, shape (count,)
        ``sign << 8 | exponent``: the upper 9 bits of the float32 number.
    """

    codes: np.ndarray = field(repr=False)

    value_codes: ClassVar[tuple[int, ...]] = (9,)

    def __post_init__(self) -> None:
        if self.codes.dtype != np.uint16 or self.codes.ndim != 1 or (self.count and self.codes.max() > 511):
            raise ValueError("Natural holds a vector of uint16 below 512")

    @property
    def count(self) -> int:
        return self.codes.size

    def size(self) -> int:
        return self.max_size(self.count)

    @classmethod
    def max_size(cls, count: int) -> int:
        """Bytes of ``count`` values."""
        return count + (count + 7) // 8

    def nominal_bits(self) -> float:
        return 9.0 * self.count

    def write(self, out: np.ndarray) -> None:
        out[: self.count], out[self.count :] = self._planes()

    @classmethod
    def read(cls, code: int, section: np.ndarray, count: int) -> Natural:
        exponents, signs = _split(section, count)
        unpacked = np.unpackbits(signs, count=count, bitorder="little")
        return cls(exponents | unpacked.astype(np.uint16) << 8)

    def add(self, total: np.ndarray) -> None:
        powers_add(*self._planes(), total)

    @classmethod
    def add_section(cls, code: int, section: np.ndarray, count: int, total: np.ndarray) -> None:
        powers_add(*_split(section, count), total)

    def _planes(self) -> tuple[np.ndarray, np.ndarray]:
        return self.codes.astype(np.uint8), np.packbits(self.codes >= 256, bitorder="little")


def _split(section: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    expect(section, Natural.max_size(count), "value")
    if count % 8 and section[-1] >> (count % 8):
        raise WireError("spare bits of the signs are not zero")
    return section[:count], section[count:]
