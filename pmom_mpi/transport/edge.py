"""A worker's side of the star over MPI; `pmom_mpi.transport.star` has the protocol."""

from __future__ import annotations

from collections import deque

import numpy as np

from pmom_mpi.transport.base import SERVER, NodeHost, Order, Task
from pmom_mpi.transport.messages import MEMORY, MPI, PAYLOAD, REPORT, Link, pieces
from pmom_mpi.transport.waiting import Waiter
from pmom_mpi.words.memory import pack
from pmom_mpi.words.nodes import Hosting

SEND_SLOTS = 3


class MpiEdge:
    """Takes orders, lets the nodes work, sends what they yield.

    Parameters
    ----------
    link : Link
    host : NodeHost
    hosting : Hosting
    worker : int
        Which of its workers this one is.
    capacity : int
        The size of the largest payload, in bytes.
    """

    def __init__(self, link: Link, host: NodeHost, hosting: Hosting, worker: int, capacity: int) -> None:
        self._comm = link.comm
        self._piece = link.piece
        self._host = host
        self._hosting = hosting
        self._worker = worker
        self._waiter = Waiter(link.polite, lambda: None)
        self._model = np.empty(0, np.uint8)
        self._slots = deque(np.empty(capacity, np.uint8) for _ in range(SEND_SLOTS))
        self._requests: deque[list[MPI.Request]] = deque([] for _ in range(SEND_SLOTS))

    def serve(self) -> None:
        """Work until the server says stop."""
        while True:
            order, model = self._receive()
            if order.task & Task.SAVE:
                for node in self._hosting.turns_of(self._worker):
                    self._wait(self._send(pack(self._host.memory(node)), MEMORY))
            for payload in self._host.work(order, model, self._slot):
                self._requests[-1] = self._send(payload, PAYLOAD)
            if order.task & (Task.GRADIENT | Task.EVALUATE):
                packed = self._host.report.pack(self._hosting, self._worker)
                self._wait([self._comm.Isend([packed, MPI.BYTE], dest=SERVER, tag=REPORT)])
            if order.task & Task.STOP:
                for requests in self._requests:
                    self._wait(requests)
                return

    def _receive(self) -> tuple[Order, np.ndarray]:
        head = np.empty(3, np.int64)
        self._waiter.until(self._comm.Ibcast(head, SERVER).Test)
        iteration, task, length = (int(value) for value in head)
        if length > self._model.size:
            self._model = np.empty(length, np.uint8)
        data = self._model[:length]
        for piece in pieces(data, self._piece):
            self._waiter.until(self._comm.Ibcast([piece, MPI.BYTE], SERVER).Test)
        return Order(iteration, Task(task)), data

    def _slot(self) -> np.ndarray:
        """The send buffer used longest ago, once its message has left."""
        self._wait(self._requests[0])
        self._slots.rotate(-1)
        self._requests.rotate(-1)
        return self._slots[-1]

    def _send(self, data: np.ndarray, tag: int) -> list[MPI.Request]:
        parts = list(pieces(data, self._piece))
        if data.size % self._piece == 0:
            parts.append(data[:0])
        return [self._comm.Isend([part, MPI.BYTE], dest=SERVER, tag=tag) for part in parts]

    def _wait(self, requests: list[MPI.Request]) -> None:
        for request in requests:
            self._waiter.until(request.Test)
        requests.clear()
