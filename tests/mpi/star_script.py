"""Run under mpirun by test_transport.py: random payloads through a star whose pieces are tiny; checks every byte.

star_script.py NODES ITERATIONS PIECE
"""

from __future__ import annotations

import sys

import numpy as np

from pmom_mpi.transport.base import Order, Task
from pmom_mpi.transport.mpi import Centre, Edge, Group
from pmom_mpi.transport.signals import Signals
from pmom_mpi.words.nodes import turns
from pmom_mpi.words.report import Report

MODEL = 1000


def payload(node: int, iteration: int) -> np.ndarray:
    """What a node sends: its length changes every time, and is often a multiple of the piece."""
    rng = np.random.default_rng([node, iteration])
    return rng.integers(0, 256, size=int(rng.choice([1, 64, 128, 100, 1000, 4096])), dtype=np.uint8)


def model(iteration: int) -> np.ndarray:
    return np.random.default_rng(iteration).integers(0, 256, size=MODEL, dtype=np.uint8)


class Nodes:
    """Stands in for a worker: yields known payloads and fills its part of the report."""

    def __init__(self, hosted: range, report: Report) -> None:
        self.hosted, self.hosted_chunks, self.report = hosted, range(0), report

    def work(self, order, received, buffer):
        assert (received == model(order.iteration)).all()
        self.report.seconds[0] = order.iteration
        if order.task & Task.GRADIENT:
            for node in turns(len(self.report.nodes), self.hosted):
                data = payload(node, order.iteration)
                out = buffer()
                out[: data.size] = data
                self.report.nodes[node] = node + order.iteration
                yield out[: data.size]


def main() -> None:
    nodes, iterations, piece = map(int, sys.argv[1:])
    group = Group()
    report = Report(np.zeros((nodes, 2)), np.zeros((0, 1)), np.zeros((group.workers if group.rank == 0 else 1, 5)))
    if group.rank > 0:
        Edge(group, Nodes(group.hosted(nodes), report), 4096, piece).serve()
        group.close()
        return
    with Signals() as signals:
        centre = Centre(group, nodes, report, signals, piece)
        expected = 0
        for k in range(iterations):
            centre.broadcast(Order(k, Task.GRADIENT), model(k))
            for node, got in zip(turns(nodes), centre.payloads(), strict=True):
                want = payload(node, k)
                expected += want.size
                assert got.tobytes() == want.tobytes(), (node, k)
            told = centre.report()
            assert (told.nodes == (np.arange(nodes) + k)[:, None]).all()
            assert (told.seconds == k).all()
        centre.broadcast(Order(iterations, Task.STOP), model(iterations))
        assert centre.received_bytes == expected
    group.close()
    print("every byte arrived")


if __name__ == "__main__":
    main()
