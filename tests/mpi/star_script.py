"""Run under mpirun by test_transport.py: random payloads through a star whose pieces are tiny; checks every byte.

star_script.py NODES ITERATIONS PIECE ...
"""

from __future__ import annotations

import sys

import numpy as np

from pmom_mpi.transport.base import Order, Task
from pmom_mpi.transport.edge import MpiEdge
from pmom_mpi.transport.messages import Link
from pmom_mpi.transport.mpi import MpiRanks
from pmom_mpi.transport.patience import Patience
from pmom_mpi.transport.signals import Signals
from pmom_mpi.transport.star import MpiStar
from pmom_mpi.words.nodes import Hosting, turns
from pmom_mpi.words.report import Metric, Report, Schema

MODEL = 1000


def payload(node: int, iteration: int) -> np.ndarray:
    """What a node sends: its length changes every time, and is often a multiple of the piece."""
    rng = np.random.default_rng([node, iteration])
    return rng.integers(0, 256, size=int(rng.choice([1, 64, 128, 100, 1000, 4096])), dtype=np.uint8)


def model(iteration: int) -> np.ndarray:
    return np.random.default_rng(iteration).integers(0, 256, size=MODEL, dtype=np.uint8)


class Nodes:
    """Stands in for a worker: yields known payloads and fills its part of the report."""

    def __init__(self, hosting: Hosting, worker: int, report: Report) -> None:
        self.hosting, self.worker, self.report = hosting, worker, report

    def memory(self, node):
        return {"h": np.full(50, float(node)), "seen": np.array([node])}

    def work(self, order, received, buffer):
        assert (received == model(order.iteration)).all()
        self.report.seconds[self.worker] = order.iteration
        if order.task & Task.GRADIENT:
            for node in self.hosting.turns_of(self.worker):
                data = payload(node, order.iteration)
                out = buffer()
                out[: data.size] = data
                self.report.metrics[node] = node + order.iteration
                self.report.statistics[node] = -node
                yield out[: data.size]


def main() -> None:
    nodes, iterations, *pieces = map(int, sys.argv[1:])
    ranks = MpiRanks()
    for piece in pieces:
        through_a_star(ranks, nodes, iterations, piece)
    ranks.close()


def through_a_star(ranks: MpiRanks, nodes: int, iterations: int, piece: int) -> None:
    hosting = Hosting(nodes, 0, ranks.workers)
    report = Report.blank(Schema((Metric("loss", ""), Metric("accuracy", "")), (Metric("kept", ""),), ()), hosting)
    link = Link(ranks.comm, polite=True, piece=piece)
    if not ranks.serves:
        MpiEdge(link, Nodes(hosting, ranks.worker, report), hosting, ranks.worker, 4096).serve()
        return
    with Signals() as signals:
        star = MpiStar(link, Nodes(hosting, 0, report), hosting, signals, Patience(ranks.hosts, 0, print))
        expected = 0
        for k in range(iterations):
            star.broadcast(Order(k, Task.GRADIENT | (Task.SAVE if k % 5 == 2 else Task(0))), model(k))
            if k % 5 == 2:
                for node, (saved, memory) in zip(turns(nodes), star.memories(), strict=True):
                    assert saved == node and (memory["h"] == node).all() and memory["seen"] == node
            for node, got in zip(turns(nodes), star.payloads(), strict=True):
                want = payload(node, k)
                expected += want.size
                assert got.tobytes() == want.tobytes(), (node, k)
            told = star.report()
            assert (told.metrics == (np.arange(nodes) + k)[:, None]).all()
            assert (told.statistics == -np.arange(nodes)[:, None]).all()
            assert (told.seconds == k).all()
        star.broadcast(Order(iterations, Task.STOP), model(iterations))
        assert star.received_bytes == expected
    print("every byte arrived")


if __name__ == "__main__":
    main()
