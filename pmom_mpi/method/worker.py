"""A worker: for each of its nodes gradient -> bias -> encode, and its part of the evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter

import numpy as np

from pmom_mpi.bias.pipeline import Pipeline
from pmom_mpi.problems.base import Problem, Stateful
from pmom_mpi.transport.base import Order, Task
from pmom_mpi.wire import codec
from pmom_mpi.words.nodes import turns
from pmom_mpi.words.report import STATIONS, Report


def blank_report(problem: Problem, pipeline: Pipeline, nodes: int, workers: int) -> Report:
    """A report with room for every node, every chunk of the evaluation and every worker."""
    state = problem.state.size if isinstance(problem, Stateful) else 0
    return Report(
        nodes=np.zeros((nodes, len(problem.metrics) + len(pipeline.statistics) + state)),
        chunks=np.zeros((problem.chunks, len(problem.evaluation) + 1)),
        seconds=np.zeros((workers, len(STATIONS))),
    )


class Worker:
    """Hosts a contiguous block of nodes.

    Parameters
    ----------
    problem : Problem
        Set up for the hosted nodes.
    pipeline : Pipeline
        The bias of every node; holds the nodes' memories.
    receive : callable
        Turns the broadcast's bytes into x (a view, or the decoded sum of compressed differences).
    hosted, hosted_chunks : range
        The nodes and the chunks of the evaluation that live here.
    report : Report
        Where the rows of this worker go.
    checksum : bool
        Whether payloads end with a checksum.
    """

    def __init__(
        self,
        problem: Problem,
        pipeline: Pipeline,
        receive: Callable[[np.ndarray], np.ndarray],
        hosted: range,
        hosted_chunks: range,
        report: Report,
        checksum: bool = False,
    ) -> None:
        self.hosted = hosted
        self.hosted_chunks = hosted_chunks
        self.report = report
        self._turns = turns(len(report.nodes), hosted)
        self._problem = problem
        self._stateful = problem if isinstance(problem, Stateful) else None
        self._pipeline = pipeline
        self._receive = receive
        self._checksum = checksum
        # Without compression the gradient is made where its payload's values belong, and never copied.
        self._gradient = None if pipeline.dense else np.empty(problem.layout.dimension, pipeline.dtype)

    def work(self, order: Order, model: np.ndarray, buffer: Callable[[], np.ndarray]) -> Iterator[np.ndarray]:
        """Evaluate and compute as ordered; yield the hosted nodes' payloads in their turns."""
        x = self._receive(model)
        seconds = self.report.seconds[0]
        seconds[:] = 0.0
        clock = perf_counter()
        if order.task & Task.EVALUATE:
            for chunk in self.hosted_chunks:
                self.report.chunks[chunk] = self._problem.evaluate(x, chunk)
            seconds[0] = perf_counter() - clock
        if order.task & Task.GRADIENT:
            for node in self._turns:
                t0 = perf_counter()
                out = buffer()
                gradient = self._gradient if self._gradient is not None else codec.dense_values(out, x.size, x.dtype)
                t1 = perf_counter()
                metrics = self._problem.gradient(x, node, order.iteration, gradient)
                t2 = perf_counter()
                message, statistics = self._pipeline.apply(gradient, node, order.iteration)
                t3 = perf_counter()
                size = codec.encode(message, out, self._checksum)
                t4 = perf_counter()
                row = self.report.nodes[node]
                row[: len(metrics) + len(statistics)] = metrics + statistics
                if self._stateful is not None:
                    row[len(metrics) + len(statistics) :] = self._stateful.share
                yield out[:size]
                seconds[1:] += (t2 - t1, t3 - t2, t4 - t3, perf_counter() - t4 + t1 - t0)
