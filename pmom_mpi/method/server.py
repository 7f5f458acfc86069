"""The parameter server: broadcast x^k, average what the nodes send, take the momentum step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pmom_mpi.kernels.norms import norm
from pmom_mpi.method.aggregate import Aggregate
from pmom_mpi.method.diagnosis import Diagnosis
from pmom_mpi.method.divergence import Origin, origin
from pmom_mpi.method.downlink import Downlink
from pmom_mpi.method.errands import Errand
from pmom_mpi.method.ledger import Ledger
from pmom_mpi.method.momentum import MomentumRule
from pmom_mpi.method.schedules import Schedule
from pmom_mpi.problems.base import Problem, Stateful
from pmom_mpi.transport.base import Order, Star, Task
from pmom_mpi.words.memory import Memory
from pmom_mpi.words.nodes import repeated, turns
from pmom_mpi.words.report import Report, Row
from pmom_mpi.words.snapshot import Snapshot, restore

NOTHING = np.empty(0, np.uint8)


@dataclass(frozen=True)
class Method:
    """What the server does.

    Attributes
    ----------
    momentum : MomentumRule
    step_size : Schedule
        gamma_k.
    iterations, nodes : int
        K and n.
    stops_away : bool
        Whether a run ends whose g^k or loss is not finite.
    dropped : tuple of int
        Nodes that are lost and send nothing any more.
    """

    momentum: MomentumRule
    step_size: Schedule
    iterations: int
    nodes: int
    stops_away: bool = True
    dropped: tuple[int, ...] = ()


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
    method : Method
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
    names : tuple of str
        What nodes report: their metrics, of which the first diverges where the run does, then their statistics.
    tell : callable
        Takes where the first NaN or infinity was seen.
    diagnosis : Diagnosis, optional
        Measures the bias.

    Attributes
    ----------
    x : ndarray, shape (d,)
    origin : Origin or None
        Where this leg's first NaN or infinity was seen.
    """

    def __init__(
        self,
        method: Method,
        problem: Problem,
        star: Star,
        downlink: Downlink,
        aggregate: Aggregate,
        ledger: Ledger,
        errands: tuple[Errand, ...],
        saver: Saver,
        stop: Callable[[], int | None],
        names: tuple[str, ...],
        tell: Callable[[Origin], None],
        diagnosis: Diagnosis | None = None,
    ) -> None:
        self._diagnosis = diagnosis
        self._method = method
        self._problem = problem
        self._companion = {"state": problem.state} if isinstance(problem, Stateful) else {}
        if diagnosis is not None:
            self._companion |= diagnosis.memory
        self._star = star
        self._downlink = downlink
        self._aggregate = aggregate
        self._ledger = ledger
        self._errands = errands
        self._saver = saver
        self._stop = stop
        self._names = names
        self._tell = tell
        self.origin: Origin | None = None
        self._turns = [node for node in turns(method.nodes) if node not in method.dropped]
        self.x = problem.initial_point()
        self._momentum = method.momentum.init(self.x.size, self.x.dtype)
        self._next = 0

    @property
    def next(self) -> int:
        """The iteration that is going on, or comes next."""
        return self._next

    def run(self) -> str:
        """Iterate; return ``"finished"``, ``"diverged"`` or ``"interrupted"``."""
        method, total, status = self._method, self._method.iterations, "finished"
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
                self._look(k, g)
                if method.stops_away:
                    self._star.broadcast(Order(k, Task.STOP), NOTHING)
                    self._ledger.close({})
                    return status
            method.momentum.step(self.x, g, self._momentum, method.step_size(k, total), k)
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
        report = self._report = self._star.report()
        self._ledger.lap("wait")
        self._ledger.complete(_collected(due, report))
        self._ledger.lap("record")
        self._ledger.note(report, bits)
        if diagnosis is not None:
            diagnosis.note(report, self._downlink.point(self.x), self._ledger.entry)
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
        bits = np.zeros(self._method.nodes, np.int64)
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
            self._ledger.lap("decode", node)
        return bits

    def _away(self) -> bool:
        """Whether g^k or the loss is not finite any more."""
        row = self._ledger.entry.row
        return not np.isfinite(row["gradient_norm"] + row[self._names[0]])

    def _look(self, k: int, g: np.ndarray) -> None:
        """Find out where the first NaN or infinity is, and tell it once."""
        if self.origin is None:
            self.origin = origin(k, self.x, g, self._report, self._names)
            self._tell(self.origin)

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
        """All of this between two iterations; the arrays are the server's own and change with its next step.

        Also of an iteration whose answers did not all come, as it was before: only its end changes anything, unless
        broadcasts or the average are remembered.
        """
        return Snapshot(
            self._next, self._method.iterations, self.x, self._momentum, self._aggregate.memory, self._downlink.memory,
            self._companion, self._ledger.before(self._next),
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
