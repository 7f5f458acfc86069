"""The star over MPI: rank 0 is the centre, every other rank hosts a contiguous block of nodes.

Protocol of one iteration, all on one private communicator:

1. broadcast: a head of three int64 (iteration, task, length), then ``length`` bytes;
2. each worker sends one PAYLOAD message a hosted node, in the nodes' turns, as it is ready; the server takes them as
   they come and hands them on in the turns of all nodes;
3. each worker sends one REPORT of float64, its length known to both.

A rank that fails sends FAILURE instead. Messages longer than ``piece`` bytes travel in pieces, since counts of many MPI
libraries are 32-bit; a message whose length is a multiple of ``piece`` ends with an empty one.
"""

from __future__ import annotations

import json
import socket
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import mpi4py
import numpy as np

mpi4py.rc.thread_level = "funneled"
from mpi4py import MPI  # noqa: E402 - the thread level must be set first

from pmom_mpi.transport.base import SERVER, Hands, Order, Task, WorkerFailed  # noqa: E402
from pmom_mpi.transport.placement import cores_available, keeping_to, oversubscribed, own_core  # noqa: E402
from pmom_mpi.transport.signals import Signals  # noqa: E402
from pmom_mpi.transport.waiting import Waiter  # noqa: E402
from pmom_mpi.words.nodes import block, turns  # noqa: E402
from pmom_mpi.words.report import Report  # noqa: E402

PAYLOAD, REPORT, FAILURE, LINK = 1, 2, 3, 4
LINK_BYTES, LINK_MESSAGES = 1 << 22, 5
PIECE = 1 << 30
SEND_SLOTS = 3
GRACE_SECONDS = 5.0
"""How long a failing rank waits for the server to note its failure before it ends the job by itself."""


class Group:
    """The ranks of one job on a private communicator, before and after the iterations."""

    def __init__(self, parent: MPI.Comm | None = None) -> None:
        self.comm = (parent or MPI.COMM_WORLD).Dup()
        self.rank, self.size = self.comm.rank, self.comm.size
        self.workers = self.size - 1
        local = self.comm.Split_type(MPI.COMM_TYPE_SHARED)
        self.cores = cores_available()
        neighbours = local.allgather((self.rank, self.cores))
        self.polite = oversubscribed([cores for _, cores in neighbours])
        if self.rank != SERVER and neighbours[0][0] == SERVER:
            self.cores = own_core([cores for _, cores in neighbours], local.rank)
        local.Free()
        self.hosts: list[str] = self.comm.allgather(socket.gethostname())

    @property
    def library(self) -> str:
        return MPI.Get_library_version().split("\n")[0].strip("\0 ")

    def share(self, value: Any) -> Any:
        """The server's ``value``, on every rank."""
        return self.comm.bcast(value, root=SERVER)

    def gather(self, value: Any) -> list[Any]:
        """Every rank's ``value``, by rank, on every rank."""
        return self.comm.allgather(value)

    def hosted(self, total: int) -> range:
        """The block of ``range(total)`` that lives on this rank; the server hosts nothing."""
        return range(0) if self.rank == SERVER else block(total, self.workers, self.rank - 1)

    def link_speed(self) -> float:
        """Bytes a second from a worker to the server: the best of a few large messages from the last worker.

        Launchers fill host after host, so that one is on another host if any is.
        """
        last = self.size - 1
        data = np.zeros(LINK_BYTES, np.uint8)
        best = 0.0
        for _ in range(LINK_MESSAGES if self.rank in (SERVER, last) else 0):
            if self.rank == last:
                self.comm.Send([data, MPI.BYTE], dest=SERVER, tag=LINK)
                continue
            self.comm.Probe(last, LINK)
            began = time.perf_counter()
            self.comm.Recv([data, MPI.BYTE], source=last, tag=LINK)
            best = max(best, data.size / (time.perf_counter() - began))
        return self.share(best)

    def centre(self, worker: Hands, report: Report, nodes: int, capacity: int, signals: Signals) -> Centre:
        """The server's side of the star; it hosts no node, so worker and capacity are not used."""
        return Centre(self, nodes, report, signals)

    def edge(self, worker: Hands, capacity: int) -> Edge:
        """This worker's side of the star; ``capacity`` is the size of the largest payload."""
        return Edge(self, worker, capacity)

    def close(self) -> None:
        self.comm.Free()

    def abort(self, code: int) -> None:
        """End every rank of the job at once."""
        MPI.COMM_WORLD.Abort(code)

    def report_failure(self, text: str, is_user_error: bool) -> None:
        """Tell the server that this worker failed, wait for it to end the job, and end it if it does not."""
        message = json.dumps([self.hosts[self.rank], text, is_user_error]).encode()
        request = self.comm.Isend([message, MPI.BYTE], dest=SERVER, tag=FAILURE)
        deadline = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < deadline:
            request.Test()
            time.sleep(0.01)
        self.abort(1)


class Centre:
    """The server's side of the star; see `pmom_mpi.transport.base.Star`."""

    def __init__(self, group: Group, nodes: int, report: Report, signals: Signals, piece: int = PIECE) -> None:
        self._comm = group.comm
        self._workers = group.workers
        self._signals = signals
        self._piece = piece
        self._waiter = Waiter(group.polite, self._between)
        self._blocks = [block(nodes, self._workers, w) for w in range(self._workers)]
        self._chunks = [block(len(report.chunks), self._workers, w) for w in range(self._workers)]
        self._report = report
        self._free: list[np.ndarray] = []
        self._reports: dict[int, np.ndarray] = {}
        self._arrived: dict[int, tuple[np.ndarray, int]] = {}
        self._turns = turns(nodes)
        self._turns_of = [turns(nodes, hosted) for hosted in self._blocks]
        self._due: list[Iterator[int]] = []
        """Of each worker the nodes whose payloads are still to come in this iteration."""
        self.sent_bytes = 0
        self.received_bytes = 0

    def broadcast(self, order: Order, model: np.ndarray) -> None:
        self._signals.check()
        data = model.view(np.uint8)
        head = np.array([order.iteration, order.task, data.size], np.int64)
        self._waiter.until(self._comm.Ibcast(head, SERVER).Test)
        for piece in _pieces(data, self._piece):
            self._waiter.until(self._comm.Ibcast([piece, MPI.BYTE], SERVER).Test)
        self.sent_bytes += data.size
        self._due = [iter(nodes) for nodes in self._turns_of]

    def payloads(self) -> Iterator[np.ndarray]:
        for node in self._turns:
            while node not in self._arrived:
                self._take()
            buffer, size = self._arrived.pop(node)
            yield buffer[:size]
            self._free.append(buffer)

    def report(self) -> Report:
        while len(self._reports) < self._workers:
            self._take()
        for worker, row in self._reports.items():
            _unpack(row, self._report, self._blocks[worker], self._chunks[worker], worker)
        self._reports.clear()
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
            self._reports[worker] = buffer[:size].view(np.float64).copy()
            self._free.append(buffer)
        else:
            self._arrived[next(self._due[worker])] = buffer, size
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

    def _raise(self, message: MPI.Message, status: MPI.Status) -> None:
        data = bytearray(status.Get_count(MPI.BYTE))
        message.Recv([data, MPI.BYTE])
        host, text, is_user_error = json.loads(data)
        raise WorkerFailed(status.source, host, text, is_user_error)


class Edge:
    """A worker's side of the star: takes orders, lets its nodes work, sends what they yield."""

    def __init__(self, group: Group, worker: Hands, capacity: int, piece: int = PIECE) -> None:
        self._comm = group.comm
        self._worker = worker
        self._piece = piece
        self._cores = group.cores
        self._waiter = Waiter(group.polite, lambda: None)
        self._model = np.empty(0, np.uint8)
        self._slots = deque(np.empty(capacity, np.uint8) for _ in range(SEND_SLOTS))
        self._requests: deque[list[MPI.Request]] = deque([] for _ in range(SEND_SLOTS))

    def serve(self) -> None:
        """Work until the server says stop."""
        with keeping_to(self._cores):
            self._serve()

    def _serve(self) -> None:
        worker = self._worker
        while True:
            order, model = self._receive()
            for payload in worker.work(order, model, self._slot):
                self._send(payload, PAYLOAD)
            if order.task & (Task.GRADIENT | Task.EVALUATE):
                row = _pack(worker.report, worker.hosted, worker.hosted_chunks)
                self._wait([self._comm.Isend([row, MPI.BYTE], dest=SERVER, tag=REPORT)])
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
        for piece in _pieces(data, self._piece):
            self._waiter.until(self._comm.Ibcast([piece, MPI.BYTE], SERVER).Test)
        return Order(iteration, Task(task)), data

    def _slot(self) -> np.ndarray:
        """The send buffer used longest ago, once its message has left."""
        self._wait(self._requests[0])
        self._slots.rotate(-1)
        self._requests.rotate(-1)
        return self._slots[-1]

    def _send(self, payload: np.ndarray, tag: int) -> None:
        pieces = list(_pieces(payload, self._piece))
        if payload.size % self._piece == 0:
            pieces.append(payload[:0])
        self._requests[-1] = [self._comm.Isend([piece, MPI.BYTE], dest=SERVER, tag=tag) for piece in pieces]

    def _wait(self, requests: list[MPI.Request]) -> None:
        for request in requests:
            self._waiter.until(request.Test)
        requests.clear()


def _pieces(data: np.ndarray, piece: int) -> Iterator[np.ndarray]:
    for start in range(0, data.size, piece):
        yield data[start : start + piece]


def _pack(report: Report, hosted: range, chunks: range) -> np.ndarray:
    """This worker's part of a report as bytes: its nodes' rows, its chunks' rows, its times."""
    parts = [report.nodes[hosted.start : hosted.stop], report.chunks[chunks.start : chunks.stop], report.seconds[:1]]
    return np.concatenate([part.ravel() for part in parts]).view(np.uint8)


def _unpack(row: np.ndarray, report: Report, hosted: range, chunks: range, worker: int) -> None:
    nodes = report.nodes[hosted.start : hosted.stop]
    sums = report.chunks[chunks.start : chunks.stop]
    nodes[:] = row[: nodes.size].reshape(nodes.shape)
    sums[:] = row[nodes.size : nodes.size + sums.size].reshape(sums.shape)
    report.seconds[worker] = row[nodes.size + sums.size :]
