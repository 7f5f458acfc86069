"""Values as they are: float32 or float64, every bit kept, NaN and infinities included."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from pmom_mpi.kernels.scatter import scatter_add
from pmom_mpi.wire.bytes import aligned, copy_bytes, expect
from pmom_mpi.wire.values.base import Values, register

_DTYPES: dict[int, np.dtype] = {1: np.dtype("<f4"), 2: np.dtype("<f8")}


@register
@dataclass(slots=True)
class Raw(Values):
    """Unchanged values.

    Attributes
    ----------
    array : ndarray of float32 or float64, shape (count,)
    """

    array: np.ndarray = field(repr=False)

    value_codes: ClassVar[tuple[int, ...]] = tuple(_DTYPES)

    def __post_init__(self) -> None:
        if self.array.dtype not in _DTYPES.values() or self.array.ndim != 1:
            raise ValueError(f"Raw holds float32 or float64 vectors, not {self.array.dtype} of {self.array.ndim} axes")

    @property
    def code(self) -> int:
        return 1 if self.array.dtype == np.float32 else 2

    @property
    def count(self) -> int:
        return self.array.size

    def size(self) -> int:
        return self.array.nbytes

    @classmethod
    def max_size(cls, count: int, dtype: np.dtype | type) -> int:
        """Bytes of ``count`` values of this type."""
        return count * np.dtype(dtype).itemsize

    def nominal_bits(self) -> float:
        return 8.0 * self.array.nbytes

    def write(self, out: np.ndarray) -> None:
        copy_bytes(self.array, out)

    @classmethod
    def read(cls, code: int, section: np.ndarray, count: int) -> Raw:
        dtype = _DTYPES[code]
        expect(section, count * dtype.itemsize, "value")
        return cls(aligned(section, dtype))

    def add(self, total: np.ndarray) -> None:
        # dtype=: the values are rounded to the total's type before they are added, not after
        np.add(total, self.array, out=total, dtype=total.dtype, casting="same_kind")

    def add_at(self, indices: np.ndarray, total: np.ndarray) -> None:
        scatter_add(indices, self.array, total)
