"""The ranks of a job over MPI: rank 0 is the server, every other rank hosts a contiguous block of nodes."""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn, TypeVar

import numpy as np

from pmom_mpi.cluster.environment import survives_losses
from pmom_mpi.transport import guard
from pmom_mpi.transport.base import SERVER, NodeHost, Place, RanksLost
from pmom_mpi.transport.edge import MpiEdge
from pmom_mpi.transport.messages import FAILURE, LINK, MPI, Link
from pmom_mpi.transport.patience import DeadlinePassed, Patience
from pmom_mpi.transport.placement import cores_available, keeping_to, oversubscribed, own_core
from pmom_mpi.transport.signals import Signals
from pmom_mpi.transport.star import MpiStar
from pmom_mpi.words.nodes import Hosting

T = TypeVar("T")

LINK_BYTES, LINK_MESSAGES = 1 << 22, 5
CLOCK_MESSAGES = 100
GRACE_SECONDS = 5.0
"""How long a failing worker waits for the server to note its failure before it ends the job by itself."""

HEARD_SECONDS = 0.2
"""What the launcher gets to pass on what was said before the job is aborted; it drops what it has not read by then."""

LOST = (MPI.ERR_PROC_FAILED, MPI.ERR_PROC_FAILED_PENDING, MPI.ERR_REVOKED)
"""Classes of errors that mean that a rank is dead, or that another one has noticed so."""


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
        self._code = 1
        self.survives = survives_losses()
        here = Place(self.rank, socket.gethostname(), os.getpid())
        self.places: list[Place] = self.comm.allgather(here)
        self.hosts = [place.host for place in self.places]
        if self.survives:
            guard.join()
            atexit.register(self._depart)

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

    @contextmanager
    def losses(self, may_kill: bool = False) -> Iterator[None]:
        try:
            yield
        except MPI.Exception as error:
            if not self.survives or error.Get_error_class() not in LOST:
                raise
            raise RanksLost(self._gone()) from None
        except DeadlinePassed as error:
            here = self.places[self.rank].host
            late = [self.places[rank] for rank in error.missing]
            if not (self.survives and may_kill and late) or any(place.host != here for place in late):
                raise
            for place in late:
                _kill(place)
            raise RanksLost(str(error)) from None

    def _gone(self) -> str:
        """Who of this host is gone, in words."""
        here = self.places[self.rank].host
        gone = [place for place in self.places if place.host == here and not _kill(place, 0)]
        return ", ".join(f"rank {place.rank} on {place.host}" for place in gone) or "a rank"

    def recover(self) -> list[Place]:
        """Revoking wakes all ranks that wait for each other; a rank that computes notices when it sends."""
        self.comm.Revoke()
        smaller = self.comm.Shrink()
        group = self.comm.Get_group()
        stay = MPI.Group.Translate_ranks(smaller.Get_group(), range(smaller.size), group)
        lost = [place for rank, place in enumerate(self.places) if rank not in stay]
        here = self.places[self.rank].host
        for place in lost:  # one that was only stopped would keep the launcher waiting
            if place.host == here:
                _kill(place)
        if SERVER not in stay:
            if smaller.rank == 0:
                words = f"pmom: the server, rank 0 on {self.hosts[SERVER]}, is lost; pmom resume goes on with the run"
                print(words, file=sys.stderr, flush=True)
            _leave(1)
        self.places = [self.places[rank] for rank in stay]
        self.hosts = [place.host for place in self.places]
        self.comm, self.rank, self.size = smaller, smaller.rank, smaller.size
        self.workers = self.size - 1
        self.worker = None if self.serves else self.rank - 1
        self._link = Link(self.comm, self._link.polite)
        return lost

    def abort(self, code: int) -> None:
        """With ULFM, Open MPI's Abort may end only the rank that calls it, and mpirun's exit status was often 0 then.

        So the others of this host are killed, and this rank leaves with the status, which mpirun takes over. Those of
        other hosts are told of a rank that is missed, and find that the server is gone; the status is 137 then.
        """
        time.sleep(HEARD_SECONDS)
        if not self.survives:
            MPI.COMM_WORLD.Abort(code)
        for rank, place in enumerate(self.places):
            if rank != self.rank and place.host == self.hosts[self.rank]:
                _kill(place)
        _leave(code, missed=len(set(self.hosts)) > 1)

    def close(self, code: int = 0) -> None:
        """Where the others go on without a rank that is gone, none leaves before all have come here."""
        self._code = code
        if self.survives:
            with suppress(MPI.Exception):  # the run is over, whoever is lost now
                self.comm.Agree(1)
        else:
            self.comm.Free()

    def _depart(self) -> None:
        """At the end of Python, with ULFM: after a loss Open MPI's Finalize may wait forever, so it is passed by."""
        _leave(self._code)


def _kill(place: Place, number: int = signal.SIGKILL) -> bool:
    """Signal a process of this host (0: nothing happens to it); whether it is there."""
    try:
        os.kill(place.process, number)
    except ProcessLookupError:
        return False
    return True


def all_ranks() -> MpiRanks:
    """The ranks of this job. Where one is lost before they know each other, the shell that started it ends the job."""
    try:
        return MpiRanks()
    except MPI.Exception as error:
        if not survives_losses():
            raise
        print(f"pmom: error: a rank was lost while the job was starting: {error}", file=sys.stderr, flush=True)
        _leave(1, missed=True)  # Abort may end this rank only, and others would wait on


def _leave(code: int, missed: bool = False) -> NoReturn:
    """End this process without MPI's Finalize; where it is ``missed``, others that still wait for it are told."""
    sys.stdout.flush()
    sys.stderr.flush()
    if not missed:
        guard.leave()
    os._exit(code)
