"""The parameter server: broadcast x^k, average what the nodes send, take the momentum step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from pmom_mpi.config import Config
from pmom_mpi.kernels.norms import norm
from pmom_mpi.method.aggregate import Aggregate
from pmom_mpi.method.diagnosis import Diagnosis
from pmom_mpi.method.downlink import Downlink
from pmom_mpi.method.errands import Errand
from pmom_mpi.method.ledger import Ledger
from pmom_mpi.problems.base import Problem, Stateful
from pmom_mpi.transport.base import Order, Star, Task
from pmom_mpi.words.memory import Memory
from pmom_mpi.words.nodes import repeated, turns
from pmom_mpi.words.report import Report, Row
from pmom_mpi.words.snapshot import Snapshot, restore

NOTHING = np.empty(0, np.uint8)


class Saver(Protocol):
    """Who keeps snapshots: asked between two iterations, after step k - 1 and before broadcast k.

    Attributes
    ----------
    asks_nodes : bool
        Whether nodes remember anything.
    """

    asks_nodes: bool

    def due(self, iteration: int) -> bool:
        """Whether a snapshot is to be kept before this iteration."""

    def due_at_the_end(self, status: str) -> bool:
        """Whether one is to be kept after the last iteration."""

    def begin(self, snapshot: Snapshot) -> None:
        """Keep the server's side; nothing of it has moved on yet."""

    def add(self, node: int, memory: Memory) -> None:
        """Keep what is remembered of a node."""

    def end(self) -> None:
        """The snapshot is complete."""


class Server:
    """Runs the method of the paper over a star.

    Parameters
    ----------
    config : Config
        Step size, momentum rule, number of iterations.
    problem : Problem
        For x^0 and d, and its state if it has one.
    star : Star
        The way to the nodes.
    downlink : Downlink
        Turns x^k into what is broadcast.
    aggregate : Aggregate
        Turns payloads into g^k.
    ledger : Ledger
        Takes in what is measured.
    errands : sequence of Errand
        What rides on broadcasts.
    saver : Saver
        Keeps snapshots.
    stop : callable
        Asked between two iterations: the number of a signal that wants the run to end, or None.
    loss : str
        The column that diverges where the run does.
    diagnosis : Diagnosis, optional
        Measures the bias.

    Attributes
    ----------
    x : ndarray, shape (d,)
    """

    def __init__(
        self,
        config: Config,
        problem: Problem,
        star: Star,
        downlink: Downlink,
        aggregate: Aggregate,
        ledger: Ledger,
        errands: tuple[Errand, ...],
        saver: Saver,
        stop: Callable[[], int | None],
        loss: str,
        diagnosis: Diagnosis | None = None,
    ) -> None:
        self._diagnosis = diagnosis
        self._config = config
        self._problem = problem
        self._companion = {"state": problem.state} if isinstance(problem, Stateful) else {}
        self._star = star
        self._downlink = downlink
        self._aggregate = aggregate
        self._ledger = ledger
        self._errands = errands
        self._saver = saver
        self._stop = stop
        self._loss = loss
        self._turns = turns(config.nodes)
        self.x = problem.initial_point()
        self._momentum = config.momentum.init(self.x.size, self.x.dtype)
        self._next = 0

    def run(self) -> str:
        """Iterate; return ``"finished"``, ``"diverged"`` or ``"interrupted"``."""
        config, total, status = self._config, self._config.iterations, "finished"
        first = self._next
        for k in range(first, total):
            if self._stop() is not None:
                status = "interrupted"
                break
            saving = k > first and self._saver.due(k) and self._begin_saving()
            self._ledger.begin(k)
            g = self._round(k, saving)
            if self._away():
                status = "diverged"
                if config.on_divergence == "stop":
                    self._star.broadcast(Order(k, Task.STOP), NOTHING)
                    self._ledger.close({})
                    return status
            config.momentum.step(self.x, g, self._momentum, config.step_size(k, total), k)
            if self._diagnosis is not None and self._diagnosis.due(k):
                self._ledger.entry.row.update(self._diagnosis.finish(g, self._momentum))
            self._ledger.lap("momentum")
            self._next = k + 1
        self._last_round(self._next > first and self._saver.due_at_the_end(status) and self._begin_saving())
        return status

    def _round(self, k: int, saving: bool) -> np.ndarray:
        """x^k to all nodes, and g^k, the average of what they send back."""
        due = [errand for errand in self._errands if errand.due(k)]
        diagnosis = self._diagnosis if self._diagnosis is not None and self._diagnosis.due(k) else None
        self._broadcast(k, _tasks(due) | Task.GRADIENT | (diagnosis.task if diagnosis else Task(0)), saving)
        bits = self._collect(diagnosis)
        report = self._star.report()
        self._ledger.lap("wait")
        self._ledger.complete(_collected(due, report))
        self._ledger.lap("record")
        self._ledger.note(report, bits)
        if diagnosis is not None:
            diagnosis.note(report)
            self._ledger.entry.row["overhead_bits"] += diagnosis.bits
        if isinstance(self._problem, Stateful):
            self._problem.advance(report.shares)
        g = self._aggregate.finish()
        self._ledger.entry.row["gradient_norm"] = norm(g)
        return g

    def _broadcast(self, k: int, task: Task, saving: bool) -> None:
        """x^k with what is to be done there; nodes that are asked for their memories answer first."""
        asked = saving and self._saver.asks_nodes
        model = self._downlink.pack(self.x, k)
        self._star.broadcast(Order(k, task | Task.SAVE if asked else task), model)
        if task & Task.GRADIENT:
            self._ledger.entry.row["downlink_bits"] = 8 * model.size
            lag = self._downlink.lag(self.x)
            if lag is not None:
                self._ledger.entry.row["model_lag"] = lag
        self._ledger.lap("broadcast")
        for node, memory in self._star.memories() if asked else ():
            self._saver.add(node, memory)
        if saving:
            self._saver.end()
            self._ledger.lap("record")

    def _begin_saving(self) -> bool:
        self._saver.begin(self.snapshot())
        self._ledger.lap("record")
        return True

    def _collect(self, diagnosis: Diagnosis | None) -> np.ndarray:
        """Sum the payloads in the nodes' turns; the bits of each, int64, shape (nodes,)."""
        self._aggregate.begin()
        bits = np.zeros(self._config.nodes, np.int64)
        if diagnosis is not None:
            diagnosis.begin()
        messages = 1 if diagnosis is None else diagnosis.task.messages
        nodes = repeated(self._turns, messages)
        for place, (node, payload) in enumerate(zip(nodes, self._star.payloads(), strict=True), 1):
            self._ledger.lap("wait")
            if diagnosis is not None and place % messages:  # of each node's messages the last is its payload
                diagnosis.add(payload)
            else:
                self._aggregate.add(payload)
                bits[node] = 8 * payload.size
            self._ledger.lap("decode")
        return bits

    def _away(self) -> bool:
        """Whether g^k or the loss is not finite any more."""
        row = self._ledger.entry.row
        return not np.isfinite(row["gradient_norm"] + row[self._loss])

    def _last_round(self, saving: bool) -> None:
        """No gradient any more, but the last point may have to be evaluated for the last row."""
        due = [errand for errand in self._errands if errand.due(self._next)]
        found = Row()
        if due or saving:
            self._broadcast(self._next, _tasks(due) | Task.STOP, saving)
        else:
            self._star.broadcast(Order(self._next, Task.STOP), NOTHING)
        if due:
            found = _collected(due, self._star.report())
            self._ledger.lap("wait")
        self._ledger.close(found)

    def snapshot(self) -> Snapshot:
        """All of this between two iterations; the arrays are the server's own and change with its next step."""
        return Snapshot(
            self._next, self._config.iterations, self.x, self._momentum, self._aggregate.memory, self._downlink.memory,
            self._companion, self._ledger.entry,
        )  # fmt: skip

    def resume(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot; raises ValueError when it is of another run."""
        restore({"x": self.x}, {"x": snapshot.x})
        restore(self._momentum, snapshot.momentum)
        restore(self._aggregate.memory, snapshot.aggregate)
        restore(self._downlink.memory, snapshot.downlink)
        restore(self._companion, snapshot.companion)
        self._ledger.entry = snapshot.entry
        self._next = snapshot.iteration


def _tasks(errands: list[Errand]) -> Task:
    tasks = Task(0)
    for errand in errands:
        tasks |= errand.task
    return tasks


def _collected(errands: list[Errand], report: Report) -> Row:
    """What the errands found; row k - 1 is complete with it."""
    found = Row()
    for errand in errands:
        found |= errand.collect(report)
    return found
