"""The ranks and the star when there is one process: server and worker at once, and no MPI library is needed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import numpy as np

from pmom_mpi.transport.base import NodeHost, Order, Place
from pmom_mpi.transport.patience import Patience
from pmom_mpi.transport.signals import Signals
from pmom_mpi.words.memory import Memory
from pmom_mpi.words.nodes import Hosting, turns
from pmom_mpi.words.report import Report

T = TypeVar("T")


class OneProcess:
    """One rank that serves and hosts every node; see `pmom_mpi.transport.base.Ranks`."""

    library = "none (one process)"

    def __init__(self) -> None:
        self.rank, self.size, self.workers = 0, 1, 1
        self.worker: int | None = 0
        self.serves = True
        self.survives = False
        self.hosts = [socket.gethostname()]

    def share(self, value: T | None) -> T:
        return value  # type: ignore[return-value]

    def gather(self, value: T) -> list[T]:
        return [value]

    def link_speed(self) -> float:
        return float("nan")

    def clocks(self) -> np.ndarray:
        return np.zeros((1, 2))

    def star(self, host: NodeHost, hosting: Hosting, capacity: int, signals: Signals, patience: Patience) -> LocalStar:
        """There is nobody to wait for."""
        return LocalStar(host, hosting.nodes, capacity, signals)

    def serve(self, host: NodeHost, hosting: Hosting, capacity: int) -> None:
        """The star lets the nodes work."""

    def tell_failure(self, text: str, is_user_error: bool) -> None:
        """Nobody else is there."""

    def losses(self, may_kill: bool = False) -> AbstractContextManager[None]:
        return nullcontext()

    def recover(self) -> list[Place]:
        return []

    def abort(self, code: int) -> None:
        raise SystemExit(code)

    def close(self, code: int = 0) -> None:
        """Nothing was opened."""


class LocalStar:
    """Calls the worker as the payloads are asked for; bytes go through one buffer instead of a network."""

    def __init__(self, host: NodeHost, nodes: int, capacity: int, signals: Signals) -> None:
        self._host = host
        self._nodes = nodes
        self._buffer = np.empty(capacity, np.uint8)
        self._signals = signals
        self._pending: Iterator[np.ndarray] = iter(())
        self.sent_bytes = 0
        self.received_bytes = 0

    def memories(self) -> Iterator[tuple[int, Memory]]:
        for node in turns(self._nodes):
            yield node, self._host.memory(node)

    def broadcast(self, order: Order, model: np.ndarray) -> None:
        self._pending = self._host.work(order, model, lambda: self._buffer)

    def payloads(self) -> Iterator[np.ndarray]:
        for payload in self._pending:
            self._signals.check()
            yield payload

    def report(self) -> Report:
        for _ in self._pending:  # an order without gradients still has its evaluation to do
            pass
        return self._host.report
