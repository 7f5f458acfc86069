"""Compressed broadcasts: EF21-P.

The server keeps x and w, the model that all workers hold. It sends C(x - w), and everybody, the server included, adds
what the payload's bytes stand for to w: every copy of w is the same, bit for bit. Gradients are taken at w.

Gruntkowska, Tyurin, Richtarik 2023, "EF21-P and friends: improved theoretical communication complexity for distributed
optimization with bidirectional compression".
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pmom_mpi.wire import codec
from pmom_mpi.wire.message import Message


class Receiver:
    """A copy of w that follows the payloads.

    Parameters
    ----------
    start : ndarray, shape (d,)
        w^0 = x^0, which every rank can compute.

    Attributes
    ----------
    model : ndarray, shape (d,)
        w, all there is to save and restore.
    """

    def __init__(self, start: np.ndarray) -> None:
        self.model = start.copy()

    def __call__(self, payload: np.ndarray) -> np.ndarray:
        """w after the payload (uint8), or as it was when the payload is empty."""
        if payload.size:
            codec.add(payload, self.model)
        return self.model


class Sender:
    """The server's side: turns x into payloads and keeps the workers' w.

    Parameters
    ----------
    start : ndarray, shape (d,)
        w^0 = x^0.
    compress : callable
        Makes the message for a difference (which it may change) and an iteration, as ``Pipeline.apply`` does.
    checksum : bool
        Whether payloads end with a checksum.
    capacity : int, optional
        The size of the largest payload; enough for values as they are, when it is not given.

    Examples
    --------
    >>> from pmom_mpi.wire.message import Everything
    >>> from pmom_mpi.wire.values.raw import Raw
    >>> x = np.array([1.0, 2.0])
    >>> sender, receiver = Sender(x, lambda difference, k: Message(2, Everything(), Raw(difference))), Receiver(x)
    >>> x += 1.0
    >>> receiver(sender.payload(x, 0))
    array([2., 3.])
    """

    def __init__(
        self,
        start: np.ndarray,
        compress: Callable[[np.ndarray, int], Message],
        checksum: bool = False,
        capacity: int | None = None,
    ) -> None:
        self._follow = Receiver(start)
        self._compress = compress
        self._checksum = checksum
        self._difference = np.empty_like(start)
        largest = codec.max_bytes(start.size, start.dtype) if capacity is None else capacity
        self._buffer = np.empty(largest, np.uint8)

    @property
    def model(self) -> np.ndarray:
        """w, what the workers hold."""
        return self._follow.model

    def payload(self, x: np.ndarray, iteration: int) -> np.ndarray:
        """The bytes of C(x - w), valid until the next call; w moves on."""
        np.subtract(x, self.model, out=self._difference)
        message = self._compress(self._difference, iteration)
        payload = self._buffer[: codec.encode(message, self._buffer, self._checksum)]
        self._follow(payload)
        return payload
