"""From the nodes' payloads to g^k."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pmom_mpi.kernels.norms import mean_in_place
from pmom_mpi.wire import codec
from pmom_mpi.words.memory import Memory


class Aggregate:
    """The mean of what the nodes send, added straight from the bytes: no dense vector per payload exists.

    Parameters
    ----------
    dimension : int
    dtype : numpy dtype
        float32 or float64: the type of the sum.
    nodes : int
        n; payloads are to be added in the nodes' turns, since sums depend on their order.
    integrates : bool
        Whether payloads are differences that are added up over the iterations (EF21).
    combine : callable, optional
        What becomes of the mean, in place (a majority vote).

    Attributes
    ----------
    memory : Memory
        With ``integrates``: ``average``, the sum of all means, in float64 so that it stays the mean of the nodes' own.

    Examples
    --------
    >>> from pmom_mpi.wire.message import Everything, Message
    >>> from pmom_mpi.wire.values.raw import Raw
    >>> aggregate, payload = Aggregate(2, np.float32, nodes=2), np.empty(64, np.uint8)
    >>> aggregate.begin()
    >>> for values in ([1.0, 2.0], [3.0, 6.0]):
    ...     size = codec.encode(Message(2, Everything(), Raw(np.array(values))), payload)
    ...     aggregate.add(payload[:size])
    >>> aggregate.finish()
    array([2., 4.], dtype=float32)
    """

    def __init__(
        self,
        dimension: int,
        dtype: np.dtype | type | str,
        nodes: int,
        integrates: bool = False,
        combine: Callable[[np.ndarray], None] = lambda mean: None,
    ) -> None:
        self._nodes = nodes
        self._combine = combine
        self._sum = np.zeros(dimension, dtype)
        self.memory: Memory = {"average": np.zeros(dimension)} if integrates else {}

    def begin(self) -> None:
        """Forget the sum of the last iteration."""
        self._sum[:] = 0

    def add(self, payload: np.ndarray) -> None:
        """Add what a payload's bytes stand for; raises `WireError` for bytes that are no payload."""
        codec.add(payload, self._sum)

    def finish(self) -> np.ndarray:
        """g^k of the payloads added since `begin`, shape (d,), valid until the next `begin`."""
        mean_in_place(self._sum, self._nodes)
        self._combine(self._sum)
        if self.memory:
            average = self.memory["average"]
            average += self._sum
            np.copyto(self._sum, average, casting="same_kind")
        return self._sum
