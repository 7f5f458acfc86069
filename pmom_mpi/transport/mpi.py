"""The ranks of a job over MPI: rank 0 is the server, every other rank hosts a contiguous block of nodes."""

from __future__ import annotations

import json
import socket
import time
from typing import TypeVar

import numpy as np

from pmom_mpi.transport.base import SERVER, NodeHost
from pmom_mpi.transport.edge import MpiEdge
from pmom_mpi.transport.messages import FAILURE, LINK, MPI, Link
from pmom_mpi.transport.patience import Patience
from pmom_mpi.transport.placement import cores_available, keeping_to, oversubscribed, own_core
from pmom_mpi.transport.signals import Signals
from pmom_mpi.transport.star import MpiStar
from pmom_mpi.words.nodes import Hosting

T = TypeVar("T")

LINK_BYTES, LINK_MESSAGES = 1 << 22, 5
CLOCK_MESSAGES = 100
GRACE_SECONDS = 5.0
"""How long a failing worker waits for the server to note its failure before it ends the job by itself."""


class MpiRanks:
    """See `pmom_mpi.transport.base.Ranks`; a private communicator."""

    def __init__(self, parent: MPI.Comm | None = None) -> None:
        self.comm = (parent or MPI.COMM_WORLD).Dup()
        self.rank, self.size = self.comm.rank, self.comm.size
        self.serves = self.rank == SERVER
        self.workers = self.size - 1
        self.worker = None if self.serves else self.rank - 1
        local = self.comm.Split_type(MPI.COMM_TYPE_SHARED)
        self._cores = cores_available()
        neighbours = local.allgather((self.rank, self._cores))
        self._link = Link(self.comm, oversubscribed([cores for _, cores in neighbours]))
        if not self.serves and neighbours[0][0] == SERVER:
            self._cores = own_core([cores for _, cores in neighbours], local.rank)
        local.Free()
        self.hosts: list[str] = self.comm.allgather(socket.gethostname())

    @property
    def library(self) -> str:
        return MPI.Get_library_version().split("\n")[0].strip("\0 ")

    def share(self, value: T | None) -> T:
        return self.comm.bcast(value, root=SERVER)

    def gather(self, value: T) -> list[T]:
        return self.comm.allgather(value)

    def link_speed(self) -> float:
        """The best of a few large messages from the last worker.

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

    def clocks(self) -> np.ndarray:
        """Of many exchanges the one that came back first: the answer was given in the middle of it, or nearly so."""
        found, data = np.zeros((self.workers, 2)), np.zeros(1)
        for rank in range(1, self.size):
            if self.hosts[rank] == self.hosts[SERVER] or self.rank not in (SERVER, rank):
                continue
            best = np.inf
            for _ in range(CLOCK_MESSAGES):
                if self.rank == rank:
                    self.comm.Recv(data, source=SERVER, tag=LINK)
                    data[0] = time.perf_counter()
                    self.comm.Send(data, dest=SERVER, tag=LINK)
                    continue
                began = time.perf_counter()
                self.comm.Send(data, dest=rank, tag=LINK)
                self.comm.Recv(data, source=rank, tag=LINK)
                ended = time.perf_counter()
                if ended - began < best:
                    best = ended - began
                    found[rank - 1] = (began + ended) / 2 - data[0], best / 2
        return self.share(found)

    def star(self, host: NodeHost, hosting: Hosting, capacity: int, signals: Signals, patience: Patience) -> MpiStar:
        """The server hosts no node; the workers' reports and memories are taken in those of ``host``."""
        return MpiStar(self._link, host, hosting, signals, patience)

    def serve(self, host: NodeHost, hosting: Hosting, capacity: int) -> None:
        """Where workers share the server's host, on a core of this one's own."""
        assert self.worker is not None
        with keeping_to(self._cores), Signals(ignore=True):
            MpiEdge(self._link, host, hosting, self.worker, capacity).serve()

    def tell_failure(self, text: str, is_user_error: bool) -> None:
        message = json.dumps([self.hosts[self.rank], text, is_user_error]).encode()
        request = self.comm.Isend([message, MPI.BYTE], dest=SERVER, tag=FAILURE)
        deadline = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < deadline:
            request.Test()
            time.sleep(0.01)

    def abort(self, code: int) -> None:
        MPI.COMM_WORLD.Abort(code)

    def close(self) -> None:
        self.comm.Free()
