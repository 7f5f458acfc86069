"""The parameter server: broadcast x, collect and average what the nodes send, take the momentum step, record."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Protocol

import numpy as np

from pmom_mpi.bias.pipeline import Pipeline
from pmom_mpi.config import Config
from pmom_mpi.kernels.norms import mean_in_place, norm
from pmom_mpi.problems.base import Problem, Stateful
from pmom_mpi.transport.base import Order, Star, Task
from pmom_mpi.wire import codec
from pmom_mpi.words.nodes import turns
from pmom_mpi.words.report import STATIONS, Report

Row = dict[str, float]
NodeRow = dict[str, np.ndarray]
"""A value a node, by the name of the metric whose mean (for bits: sum) is in the row."""
NOTHING = np.empty(0, np.uint8)


class Downlink(Protocol):
    """How the model travels to the nodes."""

    def payload(self, x: np.ndarray, iteration: int) -> np.ndarray:
        """The bytes to broadcast for x^k, valid until the next call."""


class Dense:
    """The model as it is."""

    def payload(self, x: np.ndarray, iteration: int) -> np.ndarray:
        return x.view(np.uint8)


class Server:
    """Runs the method of the paper over a star.

    Parameters
    ----------
    config : Config
        Step size, momentum rule, number of iterations, when to evaluate.
    problem : Problem
        For x^0, d and the names of its metrics.
    pipeline : Pipeline
        What the nodes' bias asks of the server: names of statistics, whether payloads are differences to be added up
        over the iterations (EF21), what becomes of their mean (majority vote).
    star : Star
        The way to the nodes.
    downlink : Downlink
        Turns x^k into what is broadcast.
    append : callable
        Takes each iteration's row as soon as it is complete, with its nodes' values (empty unless ``record.nodes``).
    """

    def __init__(
        self,
        config: Config,
        problem: Problem,
        pipeline: Pipeline,
        star: Star,
        downlink: Downlink,
        append: Callable[[Row, NodeRow], None],
    ) -> None:
        self._config = config
        self._problem = problem
        self._stateful = problem if isinstance(problem, Stateful) else None
        self._names = tuple(f"train_{name}" for name in problem.metrics)
        self._names += tuple(metric.name for metric in pipeline.statistics)
        self._star = star
        self._downlink = downlink
        self._append = append
        self.x = problem.initial_point()
        self.state = config.momentum.init(self.x.size, self.x.dtype)
        self._turns = turns(config.nodes)
        self._sum = np.zeros_like(self.x)
        self._average = np.zeros_like(self.x) if pipeline.integrates else self._sum
        self._combine = pipeline.combine
        self._pending: Row | None = None
        self._nodes: NodeRow = {}
        self._pending_nodes: NodeRow = {}
        self._clock = 0.0

    @staticmethod
    def node_columns(problem: Problem, statistics: tuple[str, ...]) -> tuple[str, ...]:
        """The names of a `NodeRow`."""
        return (*(f"train_{name}" for name in problem.metrics), *statistics, "uplink_bits")

    @staticmethod
    def columns(problem: Problem, statistics: tuple[str, ...]) -> tuple[str, ...]:
        """The names of a row, in the order of the run file."""
        return (
            "iteration",
            *(f"train_{name}" for name in problem.metrics),
            *(f"test_{name}" for name in problem.evaluation),
            *statistics,
            *("gradient_norm", "uplink_bits", "downlink_bits", "overhead_bits", "time_total"),
            *(f"time_{name}" for name in (*STATIONS, "broadcast", "wait", "decode", "momentum", "record")),
        )

    def run(self) -> str:
        """Iterate; return ``"finished"`` or ``"diverged"``."""
        config, total, status = self._config, self._config.iterations, "finished"
        self._clock = perf_counter()
        for k in range(total):
            row = self._exchange(Order(k, Task.GRADIENT | self._evaluation(k)))
            if not np.isfinite(row["gradient_norm"] + row[self._names[0]]):
                status = "diverged"
                if config.on_divergence == "stop":
                    self._complete(row, self._nodes)
                    self._star.broadcast(Order(k, Task.STOP), NOTHING)
                    return status
            began = perf_counter()
            config.momentum.step(self.x, self._average, self.state, config.step_size(k, total), k)
            row["time_momentum"] = perf_counter() - began
            self._pending, self._pending_nodes = row, self._nodes
        self._finish(row, total)
        return status

    def _finish(self, row: Row, total: int) -> None:
        """The last round: no gradient any more, but x^K may have to be evaluated for the last row."""
        if self._evaluation(total):
            self._star.broadcast(Order(total, Task.EVALUATE | Task.STOP), self._downlink.payload(self.x, total))
            row |= self._evaluated(self._star.report())
        else:
            self._star.broadcast(Order(total, Task.STOP), NOTHING)
        self._complete(row, self._nodes)

    def _exchange(self, order: Order) -> Row:
        """One round: x to all nodes, the average of what they send back in ``self._average``."""
        began = perf_counter()
        model = self._downlink.payload(self.x, order.iteration)
        self._star.broadcast(order, model)
        broadcast = perf_counter() - began
        bits, decode = self._collect()
        report = self._star.report()
        collected = perf_counter() - began
        if self._pending is not None:
            if order.task & Task.EVALUATE:
                self._pending |= self._evaluated(report)
            self._complete(self._pending, self._pending_nodes)
        record = perf_counter() - began - collected
        nodes, shares = np.split(report.nodes, [len(self._names)], axis=1)
        if self._stateful is not None:
            self._stateful.advance(shares)
        seconds = report.seconds.max(axis=0)
        if self._config.record.nodes:
            self._nodes = dict(zip(self._names, nodes.T.copy(), strict=True)) | {"uplink_bits": bits}
        return {
            "iteration": order.iteration,
            **dict(zip(self._names, nodes.mean(axis=0).tolist(), strict=True)),
            "gradient_norm": self._mean(len(nodes)),
            "uplink_bits": int(bits.sum()),
            "downlink_bits": 8 * model.size,
            "overhead_bits": 64 * (report.nodes.size + seconds.size * len(report.seconds)),
            **{f"time_{name}": value for name, value in zip(STATIONS, seconds.tolist(), strict=True)},
            "time_broadcast": broadcast,
            "time_wait": collected - broadcast - decode,
            "time_decode": decode,
            "time_record": record,
        }

    def _collect(self) -> tuple[np.ndarray, float]:
        """Sum the payloads in the nodes' turns; return each one's bits and the seconds spent decoding them."""
        self._sum[:] = 0
        bits, seconds = np.zeros(self._config.nodes, np.int64), 0.0
        for node, payload in zip(self._turns, self._star.payloads(), strict=True):
            began = perf_counter()
            codec.add(payload, self._sum)
            bits[node] = 8 * payload.size
            seconds += perf_counter() - began
        return bits, seconds

    def _mean(self, nodes: int) -> float:
        """Turn the sum into g^k and return its norm."""
        mean_in_place(self._sum, nodes)
        self._combine(self._sum)
        if self._average is not self._sum:
            self._average += self._sum
        return norm(self._average)

    def _evaluation(self, iteration: int) -> Task:
        """Whether the nodes evaluate x^iteration: it belongs to the row of the step that made it."""
        due = (
            iteration > 0 and self._problem.chunks > 0 and self._config.evaluate.due(iteration, self._config.iterations)
        )
        return Task.EVALUATE if due else Task(0)

    def _evaluated(self, report: Report) -> Row:
        """Means over all chunks, added in the order of the chunks."""
        *sums, weight = report.chunks.sum(axis=0).tolist()
        return {f"test_{name}": value / weight for name, value in zip(self._problem.evaluation, sums, strict=True)}

    def _complete(self, row: Row, nodes: NodeRow) -> None:
        now = perf_counter()
        row["time_total"] = now - self._clock
        self._clock = now
        self._append(row, nodes)
