"""The star as server and worker see it: one interface, with or without MPI behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntFlag
from typing import Protocol

import numpy as np

SERVER = 0
"""The server's rank."""


class Task(IntFlag):
    """What the server asks for with a broadcast."""

    GRADIENT = 1
    EVALUATE = 2
    STOP = 4


@dataclass(frozen=True)
class Order:
    """The head of every broadcast: what to do at x^k."""

    iteration: int
    task: Task


@dataclass
class Report:
    """What workers tell beside their payloads: telemetry, not part of the method and not counted as its bits.

    Attributes
    ----------
    nodes : ndarray of float64, shape (nodes, values)
        One row a node: the problem's metrics, the bias pipeline's statistics, its share in the problem's state if any.
    chunks : ndarray of float64, shape (chunks, sums)
        One row a chunk of the evaluation; meaningful after an order to evaluate.
    seconds : ndarray of float64, shape (workers, stations)
        Time spent by each worker in each of `pmom_mpi.worker.STATIONS`.
    """

    nodes: np.ndarray
    chunks: np.ndarray
    seconds: np.ndarray


class WorkerFailed(Exception):
    """Another rank raised; the message is that rank's own."""

    def __init__(self, rank: int, host: str, text: str, is_user_error: bool) -> None:
        super().__init__(text)
        self.rank = rank
        self.host = host
        self.is_user_error = is_user_error


class Interrupted(Exception):
    """SIGINT or SIGTERM arrived; ``signal`` is its number."""

    def __init__(self, signal: int) -> None:
        super().__init__(f"interrupted by signal {signal}")
        self.signal = signal


class Star(Protocol):
    """The server's side: one centre, all nodes around it."""

    def broadcast(self, order: Order, model: np.ndarray) -> None:
        """Send ``order`` and the bytes of the model (or of its compressed change) to every worker."""

    def payloads(self) -> Iterator[np.ndarray]:
        """The nodes' payloads in their `turns`, each a uint8 array that is valid until the next one is asked for."""

    def report(self) -> Report:
        """The workers' reports of this iteration, after its payloads."""


class Hands(Protocol):
    """What a transport needs of a worker: the nodes that live on its rank."""

    hosted: range
    hosted_chunks: range
    report: Report

    def work(self, order: Order, model: np.ndarray, buffer: Callable[[], np.ndarray]) -> Iterator[np.ndarray]:
        """Do what is ordered; yield the hosted nodes' payloads in their `turns`, in uint8 arrays from ``buffer``."""


def turns(total: int, hosted: range | None = None) -> list[int]:
    """The order in which nodes work and in which the server adds what they send: that of their reversed binary digits.

    It depends on the number of nodes alone, so a sum has the same bits on any number of ranks. Every stretch of it is
    spread evenly over all nodes, so blocks of nodes on equally fast ranks come forward side by side, and the server can
    add nearly everything as it arrives. In the plain order it would have to keep all of one rank's payloads until those
    of the ranks before were through. With ``hosted`` only the turns of these nodes.

    Examples
    --------
    >>> turns(10)
    [0, 8, 4, 2, 6, 1, 9, 5, 3, 7]
    """
    digits = max(1, (total - 1).bit_length())
    return sorted(range(total) if hosted is None else hosted, key=lambda node: f"{node:0{digits}b}"[::-1])


def block(total: int, parts: int, part: int) -> range:
    """The ``part``-th of ``parts`` contiguous, nearly equal blocks of ``range(total)``.

    Examples
    --------
    >>> [block(5, 2, part) for part in range(2)]
    [range(0, 3), range(3, 5)]
    """
    size, rest = divmod(total, parts)
    start = part * size + min(part, rest)
    return range(start, start + size + (part < rest))
