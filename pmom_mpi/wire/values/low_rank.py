"""Matrices as products of two thin factors, and the tensors that are none as they are: PowerSGD."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from pmom_mpi.kernels.pack import outer_add
from pmom_mpi.wire.bytes import aligned, copy_bytes, expect
from pmom_mpi.wire.message import WireError
from pmom_mpi.wire.values.base import Values, register

_DTYPES: dict[int, np.dtype] = {11: np.dtype("<f4"), 12: np.dtype("<f8")}

Shape = tuple[int, int, int]
"""Rows, columns and rank of a part; a vector has rank 0 and one column."""

Part = np.ndarray | tuple[np.ndarray, np.ndarray]


@register
@dataclass(slots=True)
class LowRank(Values):
    """The flat vector as consecutive parts, for the support of everything only.

    Vogels, Karimireddy, Jaggi 2019, "PowerSGD: practical low-rank gradient compression for distributed optimization".
    Receivers add ``P @ Q.T`` line by line; no dense matrix is built. Every bit of the numbers is kept.

    Attributes
    ----------
    parts : list
        In the vector's order: a pair (P, Q) of arrays of shapes (rows, rank) and (columns, rank) for the matrix
        P @ Q.T, or a vector of values as they are; all of them float32, or all float64. Factors must not be larger than
        what they stand for, rank (rows + columns) <= rows columns: send such a matrix as a vector.

    Examples
    --------
    >>> P, Q = np.ones((3, 1), np.float32), np.ones((2, 1), np.float32)
    >>> total = np.zeros(7, np.float32)
    >>> LowRank([(P, Q), np.array([5], np.float32)]).add(total)
    >>> total.tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 5.0]
    """

    parts: list[Part] = field(repr=False)

    value_codes: ClassVar[tuple[int, ...]] = tuple(_DTYPES)
    dense_only: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for part in self.parts:
            arrays = part if isinstance(part, tuple) else (part,)
            if any(array.dtype != self._dtype or array.ndim != len(arrays) for array in arrays):
                raise ValueError("parts are vectors or pairs of matrices, all of them float32 or all float64")
        _check(self._shapes(), ValueError)

    @property
    def _dtype(self) -> np.dtype:
        first = self.parts[0] if self.parts else np.empty(0, np.float32)
        dtype = first[0].dtype if isinstance(first, tuple) else first.dtype
        return dtype if dtype == np.float64 else np.dtype(np.float32)

    @property
    def code(self) -> int:
        return next(code for code, dtype in _DTYPES.items() if dtype == self._dtype)

    def _shapes(self) -> list[Shape]:
        shapes: list[Shape] = []
        for part in self.parts:
            if isinstance(part, tuple):
                left, right = part
                if left.shape[1] != right.shape[1]:
                    raise ValueError(f"factors of shapes {left.shape} and {right.shape} have different ranks")
                shapes.append((left.shape[0], right.shape[0], left.shape[1]))
            else:
                shapes.append((part.size, 1, 0))
        return shapes

    @property
    def count(self) -> int:
        return sum(rows * columns for rows, columns, _ in self._shapes())

    def size(self) -> int:
        return self.max_size(self._shapes(), self._dtype)

    @classmethod
    def max_size(cls, shapes: Sequence[Shape], dtype: np.dtype | type) -> int:
        """Bytes of parts of these shapes and this type."""
        return 4 + 12 * len(shapes) + np.dtype(dtype).itemsize * sum(_numbers(*shape) for shape in shapes)

    def nominal_bits(self) -> float:
        return 8.0 * self._dtype.itemsize * sum(_numbers(*shape) for shape in self._shapes())

    def write(self, out: np.ndarray) -> None:
        shapes = np.array(self._shapes(), "<u4").reshape(-1)
        copy_bytes(np.array([len(self.parts)], "<u4"), out[:4])
        position = 4 + shapes.nbytes
        copy_bytes(shapes, out[4:position])
        for part in self.parts:
            for array in part if isinstance(part, tuple) else (part,):
                copy_bytes(array.reshape(-1), out[position : position + array.nbytes])
                position += array.nbytes

    @classmethod
    def read(cls, code: int, section: np.ndarray, count: int) -> LowRank:
        parts = int(aligned(section[:4], "<u4")[0]) if section.size >= 4 else 0
        position = 4 + 12 * parts
        if section.size < position:
            raise WireError(f"value section of {section.size} bytes has no room for {parts} shapes")
        shapes = [tuple(shape) for shape in aligned(section[4:position], "<u4").reshape(-1, 3).tolist()]
        _check(shapes, WireError)
        if sum(rows * columns for rows, columns, _ in shapes) != count:
            raise WireError(f"the parts do not make {count} coordinates")
        expect(section, cls.max_size(shapes, _DTYPES[code]), "value")
        numbers = aligned(section[position:], _DTYPES[code])
        found: list[Part] = []
        position = 0
        for rows, columns, rank in shapes:
            if rank == 0:
                found.append(numbers[position : position + rows])
                position += rows
            else:
                middle, end = position + rows * rank, position + (rows + columns) * rank
                left, right = numbers[position:middle], numbers[middle:end]
                found.append((left.reshape(rows, rank), right.reshape(columns, rank)))
                position = end
        return cls(found)

    def add(self, total: np.ndarray) -> None:
        position = 0
        for part in self.parts:
            if isinstance(part, tuple):
                left, right = part
                end = position + left.shape[0] * right.shape[0]
                outer_add(np.ascontiguousarray(left), np.ascontiguousarray(right.T), total[position:end])
            else:
                end = position + part.size
                target = total[position:end]
                np.add(target, part, out=target, dtype=total.dtype, casting="same_kind")
            position = end


def _numbers(rows: int, columns: int, rank: int) -> int:
    return rank * (rows + columns) if rank else rows


def _check(shapes: Sequence[Shape], error: type[Exception]) -> None:
    for rows, columns, rank in shapes:
        if rank == 0 and columns != 1:
            raise error(f"a part of {rows} x {columns} has rank 0")
        if rank * (rows + columns) > rows * columns:
            raise error(f"factors of rank {rank} are larger than their {rows} x {columns} matrix: send it as a vector")
