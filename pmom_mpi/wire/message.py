"""What a node tells the server in one iteration, before it becomes bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pmom_mpi.wire.values.base import Values


class WireError(Exception):
    """These bytes are no payload: damaged, truncated, overlong, or of another version. One line says what is wrong."""


@dataclass(frozen=True, slots=True)
class Everything:
    """All d coordinates, in order."""


@dataclass(frozen=True, slots=True)
class Indices:
    """These coordinates and no others.

    Attributes
    ----------
    indices : ndarray of uint32, shape (m,)
        Strictly ascending, below the message's dimension.
    """

    indices: np.ndarray = field(repr=False)


@dataclass(frozen=True, slots=True)
class Seeded:
    """A uniformly random subset that the receiver draws again from the key, so that no indices travel.

    The coordinates are ``kernels.random.seeded_indices(key, dimension, count)``.
    """

    key: np.uint64
    count: int


Support = Everything | Indices | Seeded


@dataclass(slots=True)
class Message:
    """A vector of R^d as its sender describes it: which coordinates carry values, and these values, coded.

    Attributes
    ----------
    dimension : int
        d, below 2**32.
    support : Everything, Indices or Seeded
        Which coordinates; all others are zero.
    values : Values
        One of the classes of ``wire.values``, with one value for each coordinate of the support, in its order.

    Examples
    --------
    >>> from pmom_mpi.wire.values.raw import Raw
    >>> indices = np.array([1, 4], np.uint32)
    >>> message = Message(6, Indices(indices), Raw(np.array([0.5, -2.0], np.float32)))
    """

    dimension: int
    support: Support
    values: Values
