"""What is measured, by name, and what workers tell beside their payloads."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


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

    def named(self, name: str, description: str) -> Metric:
        """The same thing under another name."""
        return replace(self, name=name, description=description)


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
