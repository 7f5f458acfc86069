"""A worker: for each of its nodes gradient -> bias -> encode, and its part of what rides on the broadcast."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Protocol

import numpy as np

from pmom_mpi.bias.pipeline import Pipeline
from pmom_mpi.method.downlink import Downlink
from pmom_mpi.method.errands import Errand
from pmom_mpi.method.exactly import Exactly
from pmom_mpi.problems.base import Problem, Stateful
from pmom_mpi.transport.base import Order, Task
from pmom_mpi.wire import codec
from pmom_mpi.words.memory import Memory
from pmom_mpi.words.nodes import Hosting
from pmom_mpi.words.report import WORKER_TIMES, Report
from pmom_mpi.words.snapshot import restore

EVALUATE, GRADIENT, BIAS, ENCODE, SEND, WAIT = range(len(WORKER_TIMES))


class Saved(Protocol):
    """Where memories come back from."""

    def downlink(self) -> Memory:
        """What is remembered of the broadcasts."""

    def node(self, node: int) -> Memory:
        """What is remembered of a node."""


class Worker:
    """Hosts a contiguous block of nodes; implements `pmom_mpi.transport.base.NodeHost`.

    Parameters
    ----------
    problem : Problem
        Set up for the hosted nodes.
    pipeline : Pipeline
        The bias of every node; holds the nodes' memories.
    downlink : Downlink
        Turns the broadcast's bytes into x.
    hosting : Hosting
        Which nodes and chunks are whose.
    worker : int
        Which of its workers this one is.
    report : Report
        Where the rows of this worker go.
    errands : tuple of Errand
        What may ride on a broadcast.
    checksum : bool
        Whether payloads end with a checksum.
    exactly : Exactly, optional
        Answers orders to diagnose.
    """

    def __init__(
        self,
        problem: Problem,
        pipeline: Pipeline,
        downlink: Downlink,
        hosting: Hosting,
        worker: int,
        report: Report,
        errands: tuple[Errand, ...] = (),
        checksum: bool = False,
        exactly: Exactly | None = None,
    ) -> None:
        self._exactly = exactly
        self._diagnosing = False
        self.report = report
        self._turns = hosting.turns_of(worker)
        self._chunks = hosting.chunks_of(worker)
        self._seconds = report.seconds[worker]
        self._answered: float | None = None
        """When the last order had been done; the wait for the first is the server's set-up."""
        self._intervals, self._known = report.intervals[worker], 0
        self._problem = problem
        self._stateful = problem if isinstance(problem, Stateful) else None
        self._pipeline = pipeline
        self._downlink = downlink
        self._errands = errands
        self._checksum = checksum
        # Without compression the gradient is made where its payload's values belong, and never copied.
        self._gradient = None if pipeline.dense else np.empty(problem.layout.dimension, pipeline.dtype)

    def memory(self, node: int) -> Memory:
        return self._pipeline.save(node)

    def restore(self, checkpoint: Saved) -> None:
        """Put back what was saved of the hosted nodes and of the broadcasts."""
        restore(self._downlink.memory, checkpoint.downlink())
        for node in self._turns:
            self._pipeline.restore(node, checkpoint.node(node))

    def work(self, order: Order, model: np.ndarray, buffer: Callable[[], np.ndarray]) -> Iterator[np.ndarray]:
        """Evaluate and compute as ordered; yield the hosted nodes' payloads in their turns."""
        came = perf_counter()
        x = self._downlink.unpack(model)
        self._seconds[:] = 0.0
        self._seconds[WAIT] = 0.0 if self._answered is None else came - self._answered
        self._intervals[:, 0], self._known = -1, 0
        clock = perf_counter()
        for errand in self._errands:
            if order.task & errand.task:
                errand.work(x, self._chunks, self.report)
        self._spend(EVALUATE, -1, clock, perf_counter())
        if order.task & Task.GRADIENT:
            self._diagnosing = bool(order.task & Task.DIAGNOSE)
            for node in self._turns:
                if self._exactly is not None and self._diagnosing:
                    yield from self._diagnosed(self._exactly, order, x, node, buffer)
                began = perf_counter()
                out = buffer()
                self._spend(SEND, node, began, perf_counter())
                size = self.payload(x, node, order.iteration, out)
                sent = perf_counter()
                yield out[:size]
                self._spend(SEND, node, sent, perf_counter())
        self._answered = perf_counter()

    def _spend(self, station: int, node: int, start: float, stop: float) -> None:
        """This stretch of time went to a station."""
        self._seconds[station] += stop - start
        if self._known < len(self._intervals):  # there are none in a run that is not traced
            self._intervals[self._known] = station, node, start, stop
            self._known += 1

    def _diagnosed(
        self, exactly: Exactly, order: Order, x: np.ndarray, node: int, buffer: Callable[[], np.ndarray]
    ) -> Iterator[np.ndarray]:
        """What a node sends before its payload, after an order to diagnose."""
        out = buffer()
        began = perf_counter()
        size = exactly.payload(x, node, out)
        self._spend(EVALUATE, node, began, perf_counter())
        yield out[:size]
        if order.task & Task.REPEAT:
            out = buffer()
            began = perf_counter()
            size = exactly.repeat(x, node, order.iteration, out)
            self._spend(EVALUATE, node, began, perf_counter())
            yield out[:size]

    def payload(self, x: np.ndarray, node: int, iteration: int, out: np.ndarray) -> int:
        """Write a node's payload into ``out`` (uint8) and its rows into the report; how many bytes it takes."""
        gradient = self._gradient if self._gradient is not None else codec.dense_values(out, x.size, x.dtype)
        began = perf_counter()
        self.report.metrics[node] = self._problem.gradient(x, node, iteration, gradient)
        made = perf_counter()
        exactly = self._exactly if self._diagnosing else None
        if exactly is not None:
            exactly.compare(gradient, node)
        drops = None if exactly is None else exactly.drops
        message, self.report.statistics[node] = self._pipeline.apply(gradient, node, iteration, drops)
        if exactly is not None:
            exactly.conclude(node)
        biased = perf_counter()
        size = codec.encode(message, out, self._checksum)
        encoded = perf_counter()
        if self._stateful is not None:
            self.report.shares[node] = self._stateful.share
        self._spend(GRADIENT, node, began, made)
        self._spend(BIAS, node, made, biased)
        self._spend(ENCODE, node, biased, encoded)
        return size
