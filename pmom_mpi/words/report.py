"""What is measured, by name, and what workers tell beside their payloads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

Role = Literal["", "train", "test", "statistic", "step", "bits", "time"]
"""What a column of a run file is about: measured on nodes with the gradient, evaluated after the step, of the bias, of
the server's step, of what was sent, of time; or none of these."""


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

    def columns(self) -> tuple[Metric, ...]:
        """What a row of the run file takes from workers: metrics, evaluation, statistics."""
        return self.trained + self.tested + self.biased

    def node_columns(self) -> tuple[Metric, ...]:
        """What stands in /nodes, a value a node: metrics and statistics, named as in `columns`."""
        return tuple(
            column.named(column.name, f"{metric.description}; of every node, /metrics holds the mean")
            for metric, column in zip(self.metrics + self.statistics, self.trained + self.biased, strict=True)
        )


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
"""What a worker's time is spent on, in the order of `Report.seconds`."""


@dataclass
class Report:
    """What workers tell beside their payloads: telemetry, not part of the method and not counted as its bits.

    Attributes
    ----------
    nodes : ndarray of float64, shape (nodes, values)
        One row a node: the problem's metrics, the bias pipeline's statistics, its share in the problem's state if any.
    chunks : ndarray of float64, shape (chunks, sums)
        One row a chunk of the evaluation; meaningful after an order to evaluate.
    seconds : ndarray of float64, shape (workers, stations)
        Time spent by each worker in each of `pmom_mpi.method.worker.STATIONS`.
    """

    nodes: np.ndarray
    chunks: np.ndarray
    seconds: np.ndarray
