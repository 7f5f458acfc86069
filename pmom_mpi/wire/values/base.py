"""What every value codec can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from pmom_mpi.kernels.scatter import scatter_add


class Values(ABC):
    """Coded values of ``count`` coordinates.

    A codec is made from data that its compressor has already rounded; it only turns them into bytes and back, exactly.
    Decoding computes in float32 (Raw float64 apart), rounds to the total's type, then adds: sender and receiver see
    the same bits.
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
