"""Which metrics a run has."""

from __future__ import annotations

from dataclasses import dataclass

from pmom_mpi.words.report import Metric


@dataclass(frozen=True)
class Schema:
    """What nodes report and what is evaluated, in the order of the arrays of a `Report`.

    Attributes
    ----------
    metrics, statistics, evaluation : tuple of Metric
        Of the problem, of the bias, of the evaluation.
    share : int
        How many numbers each node adds to the state of a problem that has one.
    """

    metrics: tuple[Metric, ...]
    statistics: tuple[Metric, ...]
    evaluation: tuple[Metric, ...]
    share: int = 0

    @property
    def reported(self) -> tuple[Metric, ...]:
        """What nodes report, as it stands in the run file."""
        return (*self.metrics, *self.statistics)

    @property
    def evaluated(self) -> tuple[Metric, ...]:
        """What is evaluated, as it stands in the run file."""
        return self.evaluation
