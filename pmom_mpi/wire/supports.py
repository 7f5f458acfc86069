"""Which coordinates a message talks about, as bytes: the index codecs.

Of the three ways to send indices the cheapest is taken, message by message, from their exact sizes:

====== ==================== ===========================================================
code   name                 bytes
====== ==================== ===========================================================
0      everything           0
1      raw                  4 m
2      bitmap               ceil(d / 8)
3      rice                 about log2(binomial(d, m)) / 8 for random supports, less for clustered ones
4      seeded               8: the receiver draws the indices again
====== ==================== ===========================================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pmom_mpi.kernels import bitmap, rice, rice_read
from pmom_mpi.kernels.random import seeded_indices
from pmom_mpi.kernels.scatter import ascending_below
from pmom_mpi.wire.bytes import aligned, copy_bytes
from pmom_mpi.wire.message import Everything, Indices, Seeded, WireError

EVERYTHING, RAW, BITMAP, RICE, SEEDED = range(5)
NAMES = {EVERYTHING: "everything", RAW: "raw", BITMAP: "bitmap", RICE: "rice", SEEDED: "seeded"}


@dataclass(frozen=True, slots=True)
class Plan:
    """How a support will be written: its code, exact size, and the function that fills that many bytes."""

    code: int
    size: int
    write: Callable[[np.ndarray], None]


def count(support: Everything | Indices | Seeded, dimension: int) -> int:
    """m, how many coordinates the support has."""
    if isinstance(support, Indices):
        return support.indices.size
    return dimension if isinstance(support, Everything) else support.count


def check(support: Everything | Indices | Seeded, dimension: int) -> None:
    """Raise ValueError when a sender's own support is not one of R^d."""
    if isinstance(support, Indices):
        indices = support.indices
        if indices.dtype != np.uint32 or indices.ndim != 1 or not ascending_below(indices, dimension):
            raise ValueError(f"indices must be uint32, strictly ascending and below d = {dimension}")
    elif isinstance(support, Seeded) and not 0 <= support.count <= dimension:
        raise ValueError(f"a seeded support of {support.count} coordinates does not fit d = {dimension}")


def indices_of(support: Indices | Seeded, dimension: int) -> np.ndarray:
    """The coordinates, uint32, ascending."""
    if isinstance(support, Indices):
        return support.indices
    drawn = np.empty(support.count, np.uint32)
    seeded_indices(np.uint64(support.key), dimension, support.count, drawn)
    return drawn


def plan(support: Everything | Indices | Seeded, dimension: int) -> Plan:
    """The cheapest way to write this (checked) support."""
    if isinstance(support, Everything):
        return Plan(EVERYTHING, 0, lambda out: None)
    if isinstance(support, Seeded):
        return Plan(SEEDED, 8, lambda out: copy_bytes(np.array([support.key], "<u8"), out))
    return min(_index_plans(support.indices, dimension), key=lambda p: p.size)


def _index_plans(indices: np.ndarray, dimension: int) -> list[Plan]:
    gaps = np.empty(indices.size, np.uint32)
    rice.gaps(indices, gaps)
    coded = rice_plan(gaps)
    return [
        Plan(RAW, indices.nbytes, lambda out: copy_bytes(indices, out)),
        Plan(BITMAP, (dimension + 7) // 8, lambda out: bitmap.bitmap_write(indices, out)),
        Plan(RICE, coded.size, coded.write),
    ]


def rice_plan(numbers: np.ndarray) -> Plan:
    """A Rice section of these uint32 numbers; value codecs use it too."""
    parameters = np.empty(-(-numbers.size // rice.BLOCK), np.uint8)
    remainder, unary = rice.rice_plan(numbers, parameters)
    size = rice.rice_size(parameters.size, remainder, unary)
    return Plan(RICE, size, lambda out: rice.rice_write(numbers, parameters, remainder, unary, out))


@dataclass(frozen=True, slots=True)
class Section:
    """A support as found in a payload, its bytes checked so far that its length is known.

    Attributes
    ----------
    code, dimension, count : int
        From the header.
    size : int
        Its bytes; the values follow.
    data : ndarray of uint8
        These bytes; a Rice section is followed by at least ``rice_read.PADDING`` more.
    """

    code: int
    dimension: int
    count: int
    size: int
    data: np.ndarray

    @classmethod
    def find(cls, code: int, dimension: int, count: int, body: np.ndarray) -> Section:
        """The support at the beginning of ``body``."""
        if count > dimension or (code == EVERYTHING and count != dimension):
            raise WireError(f"{count} values cannot belong to d = {dimension} coordinates")
        if code == RICE:
            size, data = rice_section(body, count)
        else:
            sizes = {EVERYTHING: 0, RAW: 4 * count, BITMAP: (dimension + 7) // 8, SEEDED: 8}
            if code not in sizes:
                raise WireError(f"unknown support code {code}")
            size = sizes[code]
            data = body[:size]
        if size > body.size:
            raise WireError(f"support section needs {size} bytes, {body.size} are left")
        return cls(code, dimension, count, size, data)

    def support(self) -> Everything | Indices | Seeded:
        """The support as its sender described it."""
        if self.code == EVERYTHING:
            return Everything()
        if self.code == SEEDED:
            return Seeded(aligned(self.data, "<u8")[0], self.count)
        return Indices(self.indices())

    def indices(self) -> np.ndarray:
        """The coordinates, uint32, ascending, all below d; `WireError` where they are not."""
        if self.code == RAW:
            found = aligned(self.data, "<u4")
            good = ascending_below(found, self.dimension)
        elif self.code == SEEDED:
            return indices_of(Seeded(aligned(self.data, "<u8")[0], self.count), self.dimension)
        else:
            found = np.empty(self.count, np.uint32)
            good = self._unpack(found)
        if not good:
            raise WireError(f"indices are not {self.count} ascending numbers below d = {self.dimension}")
        return found

    def _unpack(self, out: np.ndarray) -> bool:
        if self.code == RICE:
            return rice_read.rice_indices(self.data, self.dimension, out)
        spare = self.dimension % 8
        if bitmap.bitmap_count(self.data) != self.count or (spare and self.data[-1] >> spare):
            return False
        bitmap.bitmap_indices(self.data, out)
        return True


def rice_section(body: np.ndarray, count: int) -> tuple[int, np.ndarray]:
    """Size and padded bytes of the Rice section of ``count`` numbers at the beginning of ``body``."""
    size = rice_read.rice_check(body, body.size, count)
    if size < 0:
        raise WireError(f"no Rice section of {count} numbers")
    if size + rice_read.PADDING <= body.size:
        return size, body
    return size, np.concatenate([body[:size], np.zeros(rice_read.PADDING, np.uint8)])
