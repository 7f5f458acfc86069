"""What each stage of a pipeline does to what it is given: |Q(v) - v|^2 / |v|^2 by the values that are sent."""

from __future__ import annotations

import numpy as np

from pmom_mpi.kernels.norms import norm
from pmom_mpi.wire import codec
from pmom_mpi.wire.message import Message

_DIVERGING = np.errstate(over="ignore", invalid="ignore")


class Drops:
    """Looks at a vector before and after each stage.

    For a contraction it finds at most 1 - alpha, for an unbiased operator at most omega on average.

    Parameters
    ----------
    stages, dimension : int
    dtype : numpy dtype

    Attributes
    ----------
    shares : ndarray of float64, shape (stages,)
        Of the last pass; NaN for stages that had no part in it, as those that wrap others, and for v = 0.

    Examples
    --------
    >>> drops = Drops(1, 2, np.float64)
    >>> drops.before(np.array([3.0, 4.0]), None)
    >>> drops.after(0, np.array([0.0, 4.0]), None)
    >>> drops.shares
    array([0.36])
    """

    def __init__(self, stages: int, dimension: int, dtype: np.dtype | type | str) -> None:
        self.shares = np.full(stages, np.nan)
        self._given, self._made = np.empty((2, dimension), dtype)

    def begin(self) -> None:
        """Of another pass nothing is known yet."""
        self.shares[:] = np.nan

    def before(self, vector: np.ndarray, message: Message | None) -> None:
        """What a stage is given: a message, or a vector where none has been made yet."""
        _fill(self._given, vector, message)

    @_DIVERGING
    def after(self, place: int, vector: np.ndarray, message: Message | None) -> None:
        """What the stage at ``place`` has made of it."""
        length = norm(self._given) ** 2
        _fill(self._made, vector, message)
        self._made -= self._given
        self.shares[place] = norm(self._made) ** 2 / length if length else np.nan


def _fill(out: np.ndarray, vector: np.ndarray, message: Message | None) -> None:
    if message is None:
        out[:] = vector
    else:
        codec.to_dense(message, out)
