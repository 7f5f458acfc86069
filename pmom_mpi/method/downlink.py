"""How the model travels to the nodes: the server packs x^k into bytes, every worker unpacks them.

Each rank has a downlink of its own; `pack` is the server's half, `unpack` the nodes'.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from pmom_mpi.bias.pipeline import Pipeline
from pmom_mpi.kernels.norms import norm
from pmom_mpi.problems.base import Stateful
from pmom_mpi.wire import codec
from pmom_mpi.words.memory import Memory


class Downlink(Protocol):
    """The way of the model.

    Attributes
    ----------
    memory : Memory
        What must be remembered between broadcasts: nothing, or the model that the nodes hold.
    """

    memory: Memory

    def pack(self, x: np.ndarray, iteration: int) -> np.ndarray:
        """The bytes (uint8) to broadcast for x^k, valid until the next call."""

    def unpack(self, payload: np.ndarray) -> np.ndarray:
        """The point, shape (d,), at which nodes work after these bytes; an empty payload changes nothing."""

    def point(self, x: np.ndarray) -> np.ndarray:
        """On the server: where nodes work after the last `pack`, of x."""

    def lag(self, x: np.ndarray) -> float | None:
        """|x - w|, how far x is from the point w at which nodes work; None where w = x always."""


class Dense:
    """The model as it is."""

    def __init__(self, dtype: np.dtype | type) -> None:
        self.memory: Memory = {}
        self._dtype = np.dtype(dtype)

    def pack(self, x: np.ndarray, iteration: int) -> np.ndarray:
        return x.view(np.uint8)

    def unpack(self, payload: np.ndarray) -> np.ndarray:
        return payload.view(self._dtype)

    def point(self, x: np.ndarray) -> np.ndarray:
        return x

    def lag(self, x: np.ndarray) -> None:
        return None


class Compressed:
    """Compressed differences: EF21-P.

    The server keeps x and w, the model that all workers hold. It sends C(x - w), and everybody, the server included,
    adds what the payload's bytes stand for to w: every copy of w is the same, bit for bit. Gradients are taken at w.

    Gruntkowska, Tyurin, Richtarik 2023, "EF21-P and friends: improved theoretical communication complexity for
    distributed optimization with bidirectional compression".

    Parameters
    ----------
    start : ndarray, shape (d,)
        w^0 = x^0, which every rank can compute.
    pipeline : Pipeline
        Compresses differences.
    node : int
        As whose its random draws are made and its memory is kept.
    checksum : bool
        Whether payloads end with a checksum.

    Attributes
    ----------
    memory : Memory
        ``w``, and what the pipeline remembers.

    Examples
    --------
    >>> from pmom_mpi.words.layout import Layout
    >>> x, whole = np.array([1.0, 2.0]), Pipeline([], Layout.flat(2), np.float64, where="downlink")
    >>> server, node = Compressed(x, whole, 1), Compressed(x, whole, 1)
    >>> x += 1.0
    >>> node.unpack(server.pack(x, 0))
    array([2., 3.])
    """

    def __init__(self, start: np.ndarray, pipeline: Pipeline, node: int, checksum: bool = False) -> None:
        self.memory: Memory = {"w": start.copy()} | pipeline.save(node)
        self._pipeline = pipeline
        self._node = node
        self._checksum = checksum
        self._difference = np.empty_like(start)
        self._buffer = np.empty(pipeline.max_bytes(), np.uint8)

    def pack(self, x: np.ndarray, iteration: int) -> np.ndarray:
        np.subtract(x, self.memory["w"], out=self._difference)
        message, _ = self._pipeline.apply(self._difference, self._node, iteration)
        payload = self._buffer[: codec.encode(message, self._buffer, self._checksum)]
        self.unpack(payload)
        return payload

    def unpack(self, payload: np.ndarray) -> np.ndarray:
        w = self.memory["w"]
        if payload.size:
            codec.add(payload, w)
        return w

    def point(self, x: np.ndarray) -> np.ndarray:
        return self.memory["w"]

    def lag(self, x: np.ndarray) -> float:
        np.subtract(x, self.memory["w"], out=self._difference)
        return norm(self._difference)


class Companion:
    """Another downlink's payload, and behind it what an evaluation needs besides the model.

    A problem that is `pmom_mpi.problems.base.Stateful` has its state moved on by the server, from the shares that the
    nodes report; nodes need it only where they evaluate, and get it with every broadcast.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> server, node = SimpleNamespace(state=np.array([1.0, 2.0])), SimpleNamespace(state=np.zeros(2))
    >>> payload = Companion(Dense(np.float64), server).pack(np.array([7.0]), 0)
    >>> Companion(Dense(np.float64), node).unpack(payload), node.state
    (array([7.]), array([1., 2.]))
    """

    def __init__(self, model: Downlink, problem: Stateful) -> None:
        self.memory = model.memory
        self._model = model
        self._problem = problem

    def pack(self, x: np.ndarray, iteration: int) -> np.ndarray:
        return np.concatenate([self._model.pack(x, iteration), self._problem.state.view(np.uint8)])

    def unpack(self, payload: np.ndarray) -> np.ndarray:
        if not payload.size:
            return self._model.unpack(payload)
        state = self._problem.state.view(np.uint8)
        end = payload.size - state.size
        state[:] = payload[end:]
        return self._model.unpack(payload[:end])

    def point(self, x: np.ndarray) -> np.ndarray:
        return self._model.point(x)

    def lag(self, x: np.ndarray) -> float | None:
        return self._model.lag(x)
