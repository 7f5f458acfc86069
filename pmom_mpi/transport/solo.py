"""The star in one process: the server hosts every node itself, and no MPI library is needed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pmom_mpi.transport.base import Hands, Order
from pmom_mpi.transport.signals import Signals
from pmom_mpi.words.report import Report


class Solo:
    """Calls the worker as the payloads are asked for; bytes go through one buffer instead of a network."""

    def __init__(self, worker: Hands, capacity: int, signals: Signals) -> None:
        self._worker = worker
        self._buffer = np.empty(capacity, np.uint8)
        self._signals = signals
        self._pending: Iterator[np.ndarray] = iter(())
        self.sent_bytes = 0
        self.received_bytes = 0

    def broadcast(self, order: Order, model: np.ndarray) -> None:
        self._signals.check()
        self._pending = self._worker.work(order, model, lambda: self._buffer)

    def payloads(self) -> Iterator[np.ndarray]:
        for payload in self._pending:
            self._signals.check()
            yield payload

    def report(self) -> Report:
        for _ in self._pending:  # an order without gradients still has its evaluation to do
            pass
        return self._worker.report
