"""What every value codec can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, TypeVar

import numpy as np

from pmom_mpi.kernels.scatter import scatter_add
from pmom_mpi.words.errors import UserError

OWN_CODES = range(128, 256)
"""The value codes that no built-in codec will ever use: they are for codecs of users' own."""


class Values(ABC):
    """Coded values of ``count`` coordinates.

    A codec is made from data that its compressor has already rounded; it only turns them into bytes and back, exactly.
    Decoding computes in float32 (Raw float64 apart), rounds to the total's type, then adds: sender and receiver see
    the same bits.

    A codec says besides what the most bytes are that its values can take, by a class method ``max_size`` of their count
    and its own parameters, which never falls as the count rises: the stages that make such values hand it on, so that
    buffers fit.
    """

    value_codes: ClassVar[tuple[int, ...]]
    """The numbers that stand for this codec in a payload's header. They are part of the format: never reuse one."""

    dense_only: ClassVar[bool] = False
    """True for values that make sense for `Everything` only."""

    @property
    def code(self) -> int:
        """Which of `value_codes` these values are written as."""
        return self.value_codes[0]

    @property
    @abstractmethod
    def count(self) -> int:
        """How many coordinates have a value."""

    @abstractmethod
    def size(self) -> int:
        """Exactly how many bytes `write` fills."""

    @abstractmethod
    def nominal_bits(self) -> float:
        """What the values would take without any overhead: scales, padding, shapes."""

    @abstractmethod
    def write(self, out: np.ndarray) -> None:
        """Fill ``out`` (uint8, shape (size(),))."""

    @classmethod
    @abstractmethod
    def read(cls, code: int, section: np.ndarray, count: int) -> Values:
        """The values that `write` wrote, often as views of ``section``; `WireError` for anything else."""

    @abstractmethod
    def add(self, total: np.ndarray) -> None:
        """``total += values``, coordinate by coordinate; ``total`` is float32 or float64, shape (count,)."""

    def add_at(self, indices: np.ndarray, total: np.ndarray) -> None:
        """``total[indices] += values``; the indices are distinct and inside ``total``."""
        decoded = np.zeros(self.count, total.dtype)
        self.add(decoded)
        scatter_add(indices, decoded, total)

    @classmethod
    def add_section(cls, code: int, section: np.ndarray, count: int, total: np.ndarray) -> None:
        """``read`` and ``add`` in one go, for codecs that can spare the unpacked copy."""
        cls.read(code, section, count).add(total)


CODECS: dict[int, type[Values]] = {}
"""From the value code of a header to the class that reads it."""

Codec = TypeVar("Codec", bound=type[Values])


def register(codec: Codec) -> Codec:
    """Make a value codec known to readers, under each of its codes; a decorator, or called once.

    Raises
    ------
    UserError
        When a code is another codec's, or not one that a codec of one's own may have.
    """
    name = f"{codec.__module__}:{codec.__qualname__}"
    own = not codec.__module__.startswith(f"{__name__.rpartition('.')[0]}.")
    for code in codec.value_codes:
        holder = CODECS.get(code, codec)
        if own and code not in OWN_CODES:
            raise UserError(f"{name}: value code {code} is not one of {OWN_CODES[0]} to {OWN_CODES[-1]}, users' own")
        if f"{holder.__module__}:{holder.__qualname__}" != name:
            raise UserError(f"{name}: value code {code} is that of {holder.__module__}:{holder.__qualname__}")
        CODECS[code] = codec
    return codec
