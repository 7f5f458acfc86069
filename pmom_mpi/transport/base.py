"""The ranks of a job and the star between them, as a run sees them: one interface, with or without MPI behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import IntFlag
from typing import Protocol, TypeVar

import numpy as np

from pmom_mpi.transport.patience import Patience
from pmom_mpi.transport.signals import Signals
from pmom_mpi.words.memory import Memory
from pmom_mpi.words.nodes import Hosting
from pmom_mpi.words.report import Report

T = TypeVar("T")

SERVER = 0
"""The server's rank."""


class Task(IntFlag):
    """What the server asks for with a broadcast."""

    GRADIENT = 1
    EVALUATE = 2
    STOP = 4
    SAVE = 8
    DIAGNOSE = 16
    REPEAT = 32

    @property
    def messages(self) -> int:
        """How many each node answers with: before its payload its exact gradient, and the mean of repeated draws."""
        return 1 + bool(self & Task.DIAGNOSE) + bool(self & Task.REPEAT)


@dataclass(frozen=True)
class Order:
    """The head of every broadcast: what to do at x^k."""

    iteration: int
    task: Task


class WorkerFailed(Exception):
    """Another rank raised; the message is that rank's own."""

    def __init__(self, rank: int, host: str, text: str, is_user_error: bool) -> None:
        super().__init__(text)
        self.rank = rank
        self.host = host
        self.is_user_error = is_user_error


class RanksLost(Exception):
    """Ranks of this job are dead; `Ranks.recover` makes a smaller job of the others."""


@dataclass(frozen=True)
class Place:
    """Where a rank is.

    Attributes
    ----------
    rank : int
        The number that its launcher gave it.
    host : str
    process : int
        Its number there.
    """

    rank: int
    host: str
    process: int


class Star(Protocol):
    """The server's side: one centre, all nodes around it."""

    sent_bytes: int
    received_bytes: int

    def broadcast(self, order: Order, model: np.ndarray) -> None:
        """Send ``order`` and the bytes of the model (or of its compressed change) to every worker."""

    def payloads(self) -> Iterator[np.ndarray]:
        """The nodes' payloads in their `turns`, `Task.messages` of each, as uint8 arrays.

        Each is valid until the next one is asked for.
        """

    def memories(self) -> Iterator[tuple[int, Memory]]:
        """After an order to save: the nodes and their memories in their `turns`, each valid until the next."""

    def report(self) -> Report:
        """The workers' reports of this iteration, after its payloads."""


class NodeHost(Protocol):
    """What a transport needs of a worker: it lets the nodes that live on its rank work."""

    report: Report

    def memory(self, node: int) -> Memory:
        """What is remembered of a node, the arrays themselves; of every node the same names, shapes and types."""

    def work(self, order: Order, model: np.ndarray, buffer: Callable[[], np.ndarray]) -> Iterator[np.ndarray]:
        """Do what is ordered; yield the hosted nodes' payloads in their `turns`, in uint8 arrays from ``buffer``."""


class Ranks(Protocol):
    """The ranks of a job: who this one is, and what all of them do together.

    Attributes
    ----------
    rank, size : int
    workers : int
        How many ranks host nodes.
    worker : int or None
        Which of the workers this rank is; None on a server that hosts no nodes.
    serves : bool
        Whether this rank is the server.
    hosts : list of str
        The host of every rank.
    survives : bool
        Whether the launcher lets the others go on when a rank dies.
    library : str
        The MPI library.
    """

    rank: int
    size: int
    workers: int
    worker: int | None
    serves: bool
    hosts: list[str]
    survives: bool

    @property
    def library(self) -> str: ...

    def share(self, value: T | None) -> T:
        """The server's ``value``, on every rank."""

    def gather(self, value: T) -> list[T]:
        """Every rank's ``value``, by rank, on every rank."""

    def link_speed(self) -> float:
        """Bytes a second from a worker to the server; NaN without a link."""

    def clocks(self) -> np.ndarray:
        """What to add to each worker's `time.perf_counter` to get the server's, and how wrong that may be.

        float64, shape (workers, 2), in seconds. On one host there is one clock, and both are 0.
        """

    def star(self, host: NodeHost, hosting: Hosting, capacity: int, signals: Signals, patience: Patience) -> Star:
        """The server's side of the star. ``capacity`` is the size of the largest payload."""

    def serve(self, host: NodeHost, hosting: Hosting, capacity: int) -> None:
        """A worker's side of the star: do what is ordered until the server says stop."""

    def tell_failure(self, text: str, is_user_error: bool) -> None:
        """Tell the server that this worker failed, and give it a few seconds to end the job."""

    def losses(self, may_kill: bool = False) -> AbstractContextManager[None]:
        """Within this context ranks that have died raise `RanksLost`, where the launcher lets the others go on.

        With ``may_kill`` ranks of this host that let a deadline pass are killed, and lost.
        """

    def recover(self) -> list[Place]:
        """Be a smaller job without the ranks that are lost, on which all others call this; says who they were."""

    def abort(self, code: int) -> None:
        """End every rank of the job at once."""

    def close(self, code: int = 0) -> None:
        """Free what was opened; all ranks together, and with the job's exit status."""
