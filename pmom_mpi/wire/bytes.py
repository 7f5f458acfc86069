"""Numbers as bytes and back."""

from __future__ import annotations

import numpy as np

from pmom_mpi.wire.message import WireError


def copy_bytes(numbers: np.ndarray, out: np.ndarray) -> None:
    """Fill ``out`` (uint8) with the bytes of ``numbers``, unless they are its memory."""
    source = np.ascontiguousarray(numbers).view(np.uint8)
    if source.ctypes.data != out.ctypes.data:
        out[:] = source


def aligned(section: np.ndarray, dtype: np.dtype | type | str) -> np.ndarray:
    """Bytes as numbers: a view where the memory's alignment allows it, else a copy."""
    numbers = section.view(dtype)
    return numbers if numbers.flags.aligned else numbers.copy()


def expect(section: np.ndarray, size: int, what: str) -> None:
    """Raise `WireError` unless the section has exactly this many bytes."""
    if section.size != size:
        raise WireError(f"{what} section has {section.size} bytes where {size} are due")
