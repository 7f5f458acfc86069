"""Messages between ranks: their tags, and how long ones travel in pieces.

Counts of many MPI libraries are 32-bit, so messages longer than ``PIECE`` bytes are sent as several; one whose length
is a multiple of it ends with an empty piece. `pmom_mpi.transport.star` has the protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import mpi4py
import numpy as np

mpi4py.rc.thread_level = "funneled"
from mpi4py import MPI  # noqa: E402 - the thread level must be set first

__all__ = ["FAILURE", "LINK", "MEMORY", "MPI", "PAYLOAD", "PIECE", "REPORT", "Link", "pieces"]

PAYLOAD, REPORT, FAILURE, LINK, MEMORY = 1, 2, 3, 4, 5
PIECE = 1 << 30


@dataclass(frozen=True)
class Link:
    """What both ends of the star know of the ranks.

    Attributes
    ----------
    comm : MPI.Comm
        The job's private communicator.
    polite : bool
        Whether waits sleep (`pmom_mpi.transport.waiting`).
    piece : int
        The longest piece of a message, in bytes.
    """

    comm: MPI.Comm
    polite: bool
    piece: int = PIECE


def pieces(data: np.ndarray, piece: int) -> Iterator[np.ndarray]:
    """``data`` (uint8) cut into stretches of ``piece`` bytes and a last shorter one; nothing for no data."""
    for start in range(0, data.size, piece):
        yield data[start : start + piece]
