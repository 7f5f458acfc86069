"""The server's side of the star over MPI.

Protocol of one iteration, all on one private communicator:

1. broadcast: a head of three int64 (iteration, task, length), then ``length`` bytes;
2. each worker sends one PAYLOAD message a hosted node (after an order to diagnose two, of which the first is the exact
   gradient), in the nodes' turns, as it is ready; the server takes them as
   they come and hands them on in the turns of all nodes;
3. each worker sends one REPORT of float64, its length known to both.

After an order to save, before the payloads, each worker sends one MEMORY message a hosted node, in the nodes' turns,
and the next one only when the server has taken it: the server takes them in the turns of all nodes and holds one.

A rank that fails sends FAILURE instead.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator

import numpy as np

from pmom_mpi.transport.base import SERVER, NodeHost, Order, Task, WorkerFailed
from pmom_mpi.transport.messages import FAILURE, MEMORY, MPI, REPORT, Link, pieces
from pmom_mpi.transport.patience import Patience
from pmom_mpi.transport.signals import Signals
from pmom_mpi.transport.waiting import Waiter
from pmom_mpi.words.memory import Memory, unpack
from pmom_mpi.words.nodes import Hosting, repeated
from pmom_mpi.words.report import Report


class MpiStar:
    """The centre; see `pmom_mpi.transport.base.Star`."""

    def __init__(self, link: Link, host: NodeHost, hosting: Hosting, signals: Signals, patience: Patience) -> None:
        self._comm = link.comm
        self._piece = link.piece
        self._hosting = hosting
        self._host = host
        self._report = host.report
        self._signals = signals
        self._patience = patience
        self._missing: set[int] = set()
        """Ranks whose answers are awaited; empty in a broadcast, where nobody knows who hangs."""
        self._waiter = Waiter(link.polite, self._between)
        self._free: list[np.ndarray] = []
        self._arrived: dict[int, deque[tuple[np.ndarray, int]]] = {node: deque() for node in range(hosting.nodes)}
        self._messages = 1
        self._turns = hosting.turns
        self._turns_of = [hosting.turns_of(worker) for worker in range(hosting.workers)]
        self._due: list[Iterator[int]] = []
        """Of each worker the nodes whose payloads are still to come in this iteration."""
        self.sent_bytes = 0
        self.received_bytes = 0

    def broadcast(self, order: Order, model: np.ndarray) -> None:
        self._patience.begin(order.iteration)
        data = model.view(np.uint8)
        head = np.array([order.iteration, order.task, data.size], np.int64)
        self._waiter.until(self._comm.Ibcast(head, SERVER).Test)
        for piece in pieces(data, self._piece):
            self._waiter.until(self._comm.Ibcast([piece, MPI.BYTE], SERVER).Test)
        self.sent_bytes += data.size
        if order.task & (Task.GRADIENT | Task.EVALUATE):
            self._missing.update(range(1, self._hosting.workers + 1))
        self._messages = order.task.messages
        self._due = [iter(repeated(nodes, self._messages)) for nodes in self._turns_of]

    def memories(self) -> Iterator[tuple[int, Memory]]:
        memory, working = self._host.memory(0), self._missing
        for node in self._turns:
            source = self._hosting.worker_of(node) + 1
            self._missing = {source}
            buffer, size = self._take_from(source, MEMORY)
            unpack(buffer[:size], memory)
            self._free.append(buffer)
            yield node, memory
        self._missing = working

    def _take_from(self, source: int, tag: int) -> tuple[np.ndarray, int]:
        """The next message with this tag of one rank."""
        status = MPI.Status()
        message = self._waiter.until(lambda: self._comm.Improbe(source, tag, status))
        return self._receive(message, status, source)

    def payloads(self) -> Iterator[np.ndarray]:
        for node in repeated(self._turns, self._messages):
            while not self._arrived[node]:
                self._take()
            buffer, size = self._arrived[node].popleft()
            yield buffer[:size]
            self._free.append(buffer)

    def report(self) -> Report:
        while self._missing:
            self._take()
        return self._report

    def _take(self) -> None:
        """Take one message, whoever sent it, and put it where it belongs."""
        status = MPI.Status()
        message = self._waiter.until(lambda: self._comm.Improbe(MPI.ANY_SOURCE, MPI.ANY_TAG, status))
        source, tag = status.source, status.tag
        if tag == FAILURE:
            self._raise(message, status)
        buffer, size = self._receive(message, status, source)
        worker = source - 1
        if tag == REPORT:
            self._report.unpack(buffer[:size], self._hosting, worker)
            self._missing.discard(source)
            self._free.append(buffer)
        else:
            self._arrived[next(self._due[worker])].append((buffer, size))
            self.received_bytes += size

    def _receive(self, message: MPI.Message, status: MPI.Status, source: int) -> tuple[np.ndarray, int]:
        """A whole message, from all its pieces: a buffer and how much of it is filled."""
        count = status.Get_count(MPI.BYTE)
        buffer = self._buffer(count)
        message.Recv([buffer[:count], MPI.BYTE])
        total = count
        while count == self._piece:
            message = self._waiter.until(lambda: self._comm.Improbe(source, status.tag, status))
            count = status.Get_count(MPI.BYTE)
            if buffer.size < total + count:
                buffer = np.concatenate([buffer[:total], np.empty(count, np.uint8)])
            message.Recv([buffer[total : total + count], MPI.BYTE])
            total += count
        return buffer, total

    def _buffer(self, size: int) -> np.ndarray:
        """A free buffer that is large enough; buffers are kept for the next iteration."""
        for place, buffer in enumerate(self._free):
            if buffer.size >= size:
                return self._free.pop(place)
        if self._free:
            self._free.pop()  # too small from now on: let it go
        return np.empty(size + size // 8 + 64, np.uint8)

    def _between(self) -> None:
        self._signals.check()
        status = MPI.Status()
        message = self._comm.Improbe(MPI.ANY_SOURCE, FAILURE, status)
        if message is not None:
            self._raise(message, status)
        self._patience.check(self._missing)

    def _raise(self, message: MPI.Message, status: MPI.Status) -> None:
        data = bytearray(status.Get_count(MPI.BYTE))
        message.Recv([data, MPI.BYTE])
        host, text, is_user_error = json.loads(data)
        raise WorkerFailed(status.source, host, text, is_user_error)
