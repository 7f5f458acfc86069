"""The star as server and worker see it: one interface, with or without MPI behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntFlag
from typing import Protocol

import numpy as np

from pmom_mpi.words.report import Report

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
