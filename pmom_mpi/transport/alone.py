"""The group of ranks when there is only one: the same questions, answered without MPI."""

from __future__ import annotations

import socket
from typing import Any

from pmom_mpi.transport.base import Hands
from pmom_mpi.transport.signals import Signals
from pmom_mpi.transport.solo import Solo
from pmom_mpi.words.report import Report


class Alone:
    """One process that is server and worker at once; see `pmom_mpi.transport.mpi.Group`."""

    rank, size, workers = 0, 1, 1
    library = "none (one process)"

    def __init__(self) -> None:
        self.hosts = [socket.gethostname()]

    def share(self, value: Any) -> Any:
        return value

    def gather(self, value: Any) -> list[Any]:
        return [value]

    def hosted(self, total: int) -> range:
        return range(total)

    def link_speed(self) -> float:
        return float("nan")

    def centre(self, worker: Hands, report: Report, nodes: int, capacity: int, signals: Signals) -> Solo:
        return Solo(worker, capacity, signals)

    def close(self) -> None:
        """Nothing was opened."""
