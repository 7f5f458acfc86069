"""Whether something fits into this machine's memory, asked before it is allocated."""

from __future__ import annotations

import os

import numpy as np

from pmom_mpi.words.errors import UserError


def check_room(count: int, dtype: np.dtype | type, what: str) -> None:
    """Raise `UserError` when ``count`` numbers are more than the whole memory of this machine.

    Examples
    --------
    >>> check_room(1000, "float32", "a vector")
    """
    needed = count * np.dtype(dtype).itemsize
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise UserError(f"data: {what} need {needed / 1e9:,.1f} GB; this machine has {there / 1e9:,.1f} GB")
