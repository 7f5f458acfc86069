"""What is measured, by name, and what workers tell beside their payloads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from pmom_mpi.words.nodes import Hosting

Role = Literal["", "train", "test", "statistic", "step", "bits", "time", "diagnosis"]
"""What a column of a run file is about: measured on nodes with the gradient, evaluated after the step, of the bias, of
the server's step, of what was sent, of time, of the exact gradient; or none of these."""


@dataclass(frozen=True)
class Metric:
    """Something that is measured, declared where it arises: by a problem, a stage of the bias, the server.

    Attributes
    ----------
    name : str
        ``"loss"``; in the run file, where what is measured on nodes is set apart from what is evaluated, it stands as
        ``train_loss`` or ``test_loss``.
    description : str
        One sentence for people who read the file.
    unit : str
        ``"1"`` where there is none.
    rises : bool or None
        Whether more is better; None where neither more nor less is.
    dtype : str
        The numpy type it is stored as.
    headline : bool
        Whether it is what people look at first, beside the loss: the accuracy, f - f*.
    role : Role
        Given to columns of run files, by whoever composes them.

    Examples
    --------
    >>> Metric("accuracy", "accuracy on the node's batch", rises=True).named("train_accuracy", "mean over nodes").name
    'train_accuracy'
    """

    name: str
    description: str
    unit: str = "1"
    rises: bool | None = None
    dtype: str = "float64"
    headline: bool = False
    role: Role = ""

    def named(self, name: str, description: str, role: Role = "") -> Metric:
        """The same thing under another name."""
        return replace(self, name=name, description=description, role=role or self.role)


@dataclass(frozen=True)
class Schema:
    """What the rows of a `Report` hold, by name, and the columns that a run file makes of it.

    Attributes
    ----------
    metrics, statistics : tuple of Metric
        What every node tells with its gradient: the problem's metrics, then the bias pipeline's statistics.
    evaluation : tuple of Metric
        What every chunk of the evaluation tells, before its weight.
    share : int
        How many numbers of the problem's state follow in a node's row.
    point : str
        Where the nodes are: ``"x"``, or ``"w"`` with a compressed downlink.
    diagnosis : tuple of Metric
        The columns of what the server finds where it has the exact gradient.
    diagnosed : tuple of Metric
        The columns of what each node then says; they stand in /nodes.
    traced : bool
        Whether workers also tell when they did what.

    Examples
    --------
    >>> loss = Metric("loss", "loss", rises=False)
    >>> schema = Schema((loss,), (Metric("kept", "coordinates that were sent", "coordinates"),), (loss,))
    >>> [column.name for column in schema.columns()]
    ['train_loss', 'test_loss', 'kept']
    >>> schema.columns()[0].description
    'loss; mean over nodes, at x^k'
    """

    metrics: tuple[Metric, ...]
    statistics: tuple[Metric, ...] = ()
    evaluation: tuple[Metric, ...] = ()
    share: int = 0
    point: str = "x"
    diagnosis: tuple[Metric, ...] = ()
    diagnosed: tuple[Metric, ...] = ()
    traced: bool = False

    @property
    def trained(self) -> tuple[Metric, ...]:
        """The columns of `metrics`."""
        words = f"mean over nodes, at {self.point}^k"
        return tuple(
            metric.named(f"train_{metric.name}", f"{metric.description}; {words}", "train") for metric in self.metrics
        )

    @property
    def tested(self) -> tuple[Metric, ...]:
        """The columns of `evaluation`."""
        words = f"evaluated at {self.point}^{{k+1}}, NaN where not done"
        return tuple(
            metric.named(f"test_{metric.name}", f"{metric.description}; {words}", "test") for metric in self.evaluation
        )

    @property
    def biased(self) -> tuple[Metric, ...]:
        """The columns of `statistics`."""
        return tuple(
            metric.named(metric.name, f"{metric.description}; mean over nodes", "statistic")
            for metric in self.statistics
        )

    @property
    def reported(self) -> tuple[Metric, ...]:
        """The columns of what nodes report: metrics, then statistics."""
        return self.trained + self.biased

    def columns(self) -> tuple[Metric, ...]:
        """What a row of the run file takes from workers: metrics, evaluation, statistics, diagnosis."""
        return self.trained + self.tested + self.biased + self.diagnosis

    def node_columns(self) -> tuple[Metric, ...]:
        """What stands in /nodes, a value a node: metrics, statistics and diagnosis, named as in `columns`."""
        named = tuple(
            column.named(column.name, f"{metric.description}; of every node, /metrics holds the mean")
            for metric, column in zip(self.metrics + self.statistics, self.trained + self.biased, strict=True)
        )
        return named + self.diagnosed


def told(columns: Iterable[Metric]) -> tuple[Metric, ...]:
    """The columns that say best how a run goes, beside the first that is measured in training; the best first.

    Headlines go before what should rise, that before the rest, of which what comes last is first; among equals what
    should rise goes first, then what is evaluated before what is measured in training.

    Examples
    --------
    >>> loss, accuracy = Metric("loss", "loss", rises=False), Metric("accuracy", "accuracy", rises=True)
    >>> [column.name for column in told(Schema((loss, accuracy), (), (loss, accuracy)).columns())]
    ['test_accuracy', 'train_accuracy', 'test_loss']
    """
    columns = list(columns)
    tested = [column for column in columns if column.role == "test"]
    known = tested + [column for column in columns if column.role == "train"][1:]
    headlines = sorted((column for column in known if column.headline), key=lambda column: not column.rises)
    rising = [column for column in known if column.rises and not column.headline]
    rest = [column for column in reversed(tested) if not column.headline and not column.rises]
    return (*headlines, *rising, *rest)


STATIONS = ("evaluate", "gradient", "bias", "encode", "send")
"""What a worker's time is spent on."""

WORKER_TIMES = (*STATIONS, "wait")
"""What is told of a worker's time, in the order of `Report.seconds`: `STATIONS`, and how long it waited for x^k."""

TRACED_A_NODE = 7
"""Intervals of a node in an iteration: waiting for a buffer, two of a diagnosis, gradient, bias, encode, send."""


Row = dict[str, float]
"""An iteration's values by the names of their metrics."""

NodeRow = dict[str, np.ndarray]
"""An iteration's values of every node, shape (nodes,), by the names of their metrics."""


WorkerRow = dict[str, np.ndarray]
"""Seconds of an iteration of every worker, shape (workers,), by station."""


@dataclass
class Entry:
    """All that is recorded of an iteration; without a row, of none yet."""

    row: Row = field(default_factory=dict)
    nodes: NodeRow = field(default_factory=dict)
    workers: WorkerRow = field(default_factory=dict)
    intervals: list[tuple[int, int, int, int, float, float]] = field(default_factory=list)
    """Each a `pmom_mpi.words.trace.Interval`, in a run that is traced."""


@dataclass
class Report:
    """What workers tell beside their payloads: telemetry, not part of the method and not counted as its bits.

    Attributes
    ----------
    metrics : ndarray of float64, shape (nodes, metrics of the problem)
    statistics : ndarray of float64, shape (nodes, statistics of the bias)
    shares : ndarray of float64, shape (nodes, s)
        What each node adds to the state of a problem that has one; s = 0 otherwise.
    sums : ndarray of float64, shape (chunks, metrics of the evaluation)
    weights : ndarray of float64, shape (chunks,)
        Of the sums; both are meaningful after an order to evaluate.
    seconds : ndarray of float64, shape (workers, times)
        Time spent by each worker on each of `WORKER_TIMES`.
    diagnosis : ndarray of float64, shape (nodes, what each says), (nodes, 0) in a run without
        What each node says of its exact gradient (`pmom_mpi.method.exactly`), after an order to diagnose.
    intervals : ndarray of float64, shape (workers, m, 4), or (workers, 0, 4) in a run that is not traced
        Of each stretch of a worker's time the station, the node (-1: none), start and stop on the worker's clock; the
        station is -1 from where on there are no more.
    """

    metrics: np.ndarray
    statistics: np.ndarray
    shares: np.ndarray
    sums: np.ndarray
    weights: np.ndarray
    seconds: np.ndarray
    diagnosis: np.ndarray
    intervals: np.ndarray

    @classmethod
    def blank(cls, schema: Schema, hosting: Hosting) -> Report:
        """Room for every node, every chunk of the evaluation and every worker."""
        nodes, chunks, most = (
            hosting.nodes,
            hosting.chunks,
            max(len(hosting.nodes_of(worker)) for worker in range(hosting.workers)),
        )
        return cls(
            metrics=np.zeros((nodes, len(schema.metrics))),
            statistics=np.zeros((nodes, len(schema.statistics))),
            shares=np.zeros((nodes, schema.share)),
            sums=np.zeros((chunks, len(schema.evaluation))),
            weights=np.zeros(chunks),
            seconds=np.zeros((hosting.workers, len(WORKER_TIMES))),
            diagnosis=np.zeros((nodes, len(schema.diagnosed))),
            intervals=np.full((hosting.workers, 1 + TRACED_A_NODE * most if schema.traced else 0, 4), -1.0),
        )

    @property
    def bits(self) -> int:
        """How many bits of telemetry an iteration's nodes and workers send, the evaluation's left out."""
        parts = self.metrics, self.statistics, self.shares, self.seconds, self.diagnosis, self.intervals
        return 8 * sum(part.nbytes for part in parts)

    def pack(self, hosting: Hosting, worker: int) -> np.ndarray:
        """A worker's part, as bytes."""
        return np.concatenate([part.ravel() for part in self._parts(hosting, worker)]).view(np.uint8)

    def unpack(self, packed: np.ndarray, hosting: Hosting, worker: int) -> None:
        """Take over a worker's part, from the bytes that its `pack` made."""
        numbers, begin = packed.view(np.float64), 0
        for part in self._parts(hosting, worker):
            part[...] = numbers[begin : begin + part.size].reshape(part.shape)
            begin += part.size

    def _of_nodes(self) -> tuple[np.ndarray, ...]:
        return self.metrics, self.statistics, self.shares, self.diagnosis

    def _parts(self, hosting: Hosting, worker: int) -> list[np.ndarray]:
        """Views of what belongs to a worker."""
        nodes, chunks = hosting.nodes_of(worker), hosting.chunks_of(worker)
        of_nodes = [array[nodes.start : nodes.stop] for array in self._of_nodes()]
        of_chunks = [array[chunks.start : chunks.stop] for array in (self.sums, self.weights)]
        return [*of_nodes, *of_chunks, self.seconds[worker], self.intervals[worker]]
