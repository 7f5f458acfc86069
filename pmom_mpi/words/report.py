"""What is measured, by name, and what workers tell beside their payloads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pmom_mpi.words.nodes import Hosting

if TYPE_CHECKING:
    from pmom_mpi.words.schema import Schema


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


Row = dict[str, float]
"""An iteration's values by the names of their metrics."""

NodeRow = dict[str, np.ndarray]
"""An iteration's values of every node, shape (nodes,), by the names of their metrics."""


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
    seconds : ndarray of float64, shape (workers, stations)
        Time spent by each worker in each of `STATIONS`.
    """

    metrics: np.ndarray
    statistics: np.ndarray
    shares: np.ndarray
    sums: np.ndarray
    weights: np.ndarray
    seconds: np.ndarray

    @classmethod
    def blank(cls, schema: Schema, hosting: Hosting) -> Report:
        """Room for every node, every chunk of the evaluation and every worker."""
        nodes, chunks = hosting.nodes, hosting.chunks
        return cls(
            metrics=np.zeros((nodes, len(schema.metrics))),
            statistics=np.zeros((nodes, len(schema.statistics))),
            shares=np.zeros((nodes, schema.share)),
            sums=np.zeros((chunks, len(schema.evaluation))),
            weights=np.zeros(chunks),
            seconds=np.zeros((hosting.workers, len(STATIONS))),
        )

    @property
    def bits(self) -> int:
        """How many bits of telemetry an iteration's nodes and workers send, the evaluation's left out."""
        return 8 * (self.metrics.nbytes + self.statistics.nbytes + self.shares.nbytes + self.seconds.nbytes)

    def pack(self, hosting: Hosting, worker: int) -> np.ndarray:
        """A worker's part, as bytes."""
        return np.concatenate([part.ravel() for part in self._parts(hosting, worker)]).view(np.uint8)

    def unpack(self, packed: np.ndarray, hosting: Hosting, worker: int) -> None:
        """Take over a worker's part, from the bytes that its `pack` made."""
        numbers, begin = packed.view(np.float64), 0
        for part in self._parts(hosting, worker):
            part[...] = numbers[begin : begin + part.size].reshape(part.shape)
            begin += part.size

    def _parts(self, hosting: Hosting, worker: int) -> list[np.ndarray]:
        """Views of what belongs to a worker."""
        nodes, chunks = hosting.nodes_of(worker), hosting.chunks_of(worker)
        of_nodes = [array[nodes.start : nodes.stop] for array in (self.metrics, self.statistics, self.shares)]
        of_chunks = [array[chunks.start : chunks.stop] for array in (self.sums, self.weights)]
        return [*of_nodes, *of_chunks, self.seconds[worker]]
