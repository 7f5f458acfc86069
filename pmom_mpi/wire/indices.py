"""The index codecs: a class a way of writing which coordinates a message talks about; `supports` chooses among them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pmom_mpi.kernels import bitmap, rice, rice_read
from pmom_mpi.kernels.random import seeded_indices
from pmom_mpi.kernels.rice_read import rice_scatter_add
from pmom_mpi.kernels.scatter import ascending_below
from pmom_mpi.wire.bytes import aligned, copy_bytes
from pmom_mpi.wire.message import Everything, Indices, Seeded, Support, WireError
from pmom_mpi.wire.rice import Plan, rice_plan, rice_section
from pmom_mpi.wire.values.base import Values
from pmom_mpi.wire.values.raw import Raw


def indices_of(support: Support, dimension: int) -> np.ndarray:
    """The coordinates, uint32, ascending."""
    if isinstance(support, Indices):
        return support.indices
    if isinstance(support, Everything):
        return np.arange(dimension, dtype=np.uint32)
    drawn = np.empty(support.count, np.uint32)
    seeded_indices(np.uint64(support.key), dimension, support.count, drawn)
    return drawn


@dataclass(frozen=True, slots=True)
class Section:
    """A support as found in a payload, its bytes checked so far that its length is known.

    Attributes
    ----------
    dimension, count : int
        From the header.
    size : int
        Its bytes; the values follow.
    data : ndarray of uint8
        These bytes; a Rice section is followed by at least ``rice_read.PADDING`` more.
    """

    dimension: int
    count: int
    size: int
    data: np.ndarray


class IndexCodec(ABC):
    """One way to write a support. Its classes hold no data: what they work on is a support or a `Section`."""

    code: ClassVar[int]
    """The number that stands for it in a payload's header: part of the format, never to be used again."""

    name: ClassVar[str]

    @classmethod
    @abstractmethod
    def plan(cls, support: Support, dimension: int) -> Plan:
        """How this (checked) support will be written."""

    @classmethod
    @abstractmethod
    def max_size(cls, dimension: int, count: int) -> int:
        """The most bytes that ``count`` or fewer coordinates of R^d can take."""

    @classmethod
    def find(cls, dimension: int, count: int, body: np.ndarray) -> Section:
        """The section at the beginning of ``body``; its size follows from d and m unless a codec knows better."""
        size = cls.max_size(dimension, count)
        return Section(dimension, count, size, body[:size])

    @classmethod
    @abstractmethod
    def indices(cls, section: Section) -> np.ndarray:
        """The coordinates, uint32, ascending, all below d; `WireError` where they are not."""

    @classmethod
    def support(cls, section: Section) -> Support:
        """The support as its sender described it."""
        return Indices(cls.indices(section))

    @classmethod
    def add(cls, section: Section, codec: type[Values], code: int, coded: np.ndarray, total: np.ndarray) -> None:
        """``total += `` the values of ``coded`` at the section's coordinates."""
        codec.read(code, coded, section.count).add_at(cls.indices(section), total)


class EverythingCodec(IndexCodec):
    """All coordinates: no bytes."""

    code = 0
    name = "everything"

    @classmethod
    def plan(cls, support: Support, dimension: int) -> Plan:
        return Plan(0, lambda out: None)

    @classmethod
    def max_size(cls, dimension: int, count: int) -> int:
        return 0

    @classmethod
    def find(cls, dimension: int, count: int, body: np.ndarray) -> Section:
        if count != dimension:
            raise WireError(f"{count} values cannot belong to d = {dimension} coordinates")
        return Section(dimension, count, 0, body[:0])

    @classmethod
    def indices(cls, section: Section) -> np.ndarray:
        return np.arange(section.dimension, dtype=np.uint32)

    @classmethod
    def support(cls, section: Section) -> Support:
        return Everything()

    @classmethod
    def add(cls, section: Section, codec: type[Values], code: int, coded: np.ndarray, total: np.ndarray) -> None:
        codec.add_section(code, coded, section.count, total)


class RawCodec(IndexCodec):
    """Every index as uint32."""

    code = 1
    name = "raw"

    @classmethod
    def plan(cls, support: Support, dimension: int) -> Plan:
        indices = indices_of(support, dimension)
        return Plan(indices.nbytes, lambda out: copy_bytes(indices, out))

    @classmethod
    def max_size(cls, dimension: int, count: int) -> int:
        return 4 * count

    @classmethod
    def indices(cls, section: Section) -> np.ndarray:
        found = aligned(section.data, "<u4")
        if not ascending_below(found, section.dimension):
            raise _not_ascending(section)
        return found


class BitmapCodec(IndexCodec):
    """A bit a coordinate."""

    code = 2
    name = "bitmap"

    @classmethod
    def plan(cls, support: Support, dimension: int) -> Plan:
        indices = indices_of(support, dimension)
        return Plan(cls.max_size(dimension, indices.size), lambda out: bitmap.bitmap_write(indices, out))

    @classmethod
    def max_size(cls, dimension: int, count: int) -> int:
        return (dimension + 7) // 8

    @classmethod
    def indices(cls, section: Section) -> np.ndarray:
        spare = section.dimension % 8
        if bitmap.bitmap_count(section.data) != section.count or (spare and section.data[-1] >> spare):
            raise _not_ascending(section)
        found = np.empty(section.count, np.uint32)
        bitmap.bitmap_indices(section.data, found)
        return found


class RiceCodec(IndexCodec):
    """The gaps between indices, Rice-coded."""

    code = 3
    name = "rice"

    @classmethod
    def plan(cls, support: Support, dimension: int) -> Plan:
        indices = indices_of(support, dimension)
        gaps = np.empty(indices.size, np.uint32)
        rice.gaps(indices, gaps)
        return rice_plan(gaps)

    @classmethod
    def max_size(cls, dimension: int, count: int) -> int:
        """Taken only where it is smaller than the others."""
        return min(RawCodec.max_size(dimension, count), BitmapCodec.max_size(dimension, count))

    @classmethod
    def find(cls, dimension: int, count: int, body: np.ndarray) -> Section:
        size, data = rice_section(body, count)
        return Section(dimension, count, size, data)

    @classmethod
    def indices(cls, section: Section) -> np.ndarray:
        found = np.empty(section.count, np.uint32)
        if not rice_read.rice_indices(section.data, section.dimension, found):
            raise _not_ascending(section)
        return found

    @classmethod
    def add(cls, section: Section, codec: type[Values], code: int, coded: np.ndarray, total: np.ndarray) -> None:
        values = codec.read(code, coded, section.count)
        if not isinstance(values, Raw):
            values.add_at(cls.indices(section), total)
        elif not rice_scatter_add(section.data, values.array, total):
            raise WireError(f"indices do not stay below d = {section.dimension}")


class SeededCodec(IndexCodec):
    """A key from which the receiver draws the indices again."""

    code = 4
    name = "seeded"

    @classmethod
    def plan(cls, support: Support, dimension: int) -> Plan:
        if not isinstance(support, Seeded):
            raise ValueError("only a seeded support has a key to send")
        return Plan(8, lambda out: copy_bytes(np.array([support.key], "<u8"), out))

    @classmethod
    def max_size(cls, dimension: int, count: int) -> int:
        return 8

    @classmethod
    def indices(cls, section: Section) -> np.ndarray:
        return indices_of(cls.support(section), section.dimension)

    @classmethod
    def support(cls, section: Section) -> Support:
        return Seeded(aligned(section.data, "<u8")[0], section.count)


CODECS: dict[int, type[IndexCodec]] = {}
"""From the support code of a header to the class that reads it."""


def register(codec: type[IndexCodec]) -> None:
    """Make an index codec known to readers."""
    if CODECS.setdefault(codec.code, codec) is not codec:
        raise ValueError(f"support code {codec.code} is that of {CODECS[codec.code].__name__}")


for _codec in (EverythingCodec, RawCodec, BitmapCodec, RiceCodec, SeededCodec):
    register(_codec)


def _not_ascending(section: Section) -> WireError:
    return WireError(f"indices are not {section.count} ascending numbers below d = {section.dimension}")
