"""What rides on a broadcast beside gradients: the model is out there anyway, so workers can do it side by side."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from pmom_mpi.problems.base import Problem
from pmom_mpi.transport.base import Task
from pmom_mpi.words.report import Report, Row


class Errand(Protocol):
    """Something that workers do at x^k before gradient k, and that completes row k - 1.

    Attributes
    ----------
    task : Task
        What stands for it in the head of a broadcast.
    """

    task: Task

    def due(self, iteration: int) -> bool:
        """Whether it rides on this iteration's broadcast."""

    def work(self, x: np.ndarray, chunks: range, report: Report) -> None:
        """The worker's half, for the chunks that it hosts."""

    def collect(self, report: Report) -> Row:
        """The server's half: what goes into the row."""


class Evaluation:
    """The model on data that it is not trained on.

    Parameters
    ----------
    problem : Problem
    names : tuple of str
        The names of its evaluation's values in a row.
    every, total : int
        x^k is evaluated for every k > 0 that ``every`` (0: none) divides, and for k = ``total``, the last.
    """

    task = Task.EVALUATE

    def __init__(self, problem: Problem, names: tuple[str, ...], every: int, total: int) -> None:
        self._problem = problem
        self._names = names
        self._every = every
        self._total = total

    def due(self, iteration: int) -> bool:
        if not (iteration and self._every and self._problem.chunks):
            return False
        return iteration % self._every == 0 or iteration == self._total

    def work(self, x: np.ndarray, chunks: range, report: Report) -> None:
        for chunk in chunks:
            *report.sums[chunk], report.weights[chunk] = self._problem.evaluate(x, chunk)

    def collect(self, report: Report) -> Row:
        """Means over all chunks, added in the order of the chunks."""
        *sums, weight = np.column_stack([report.sums, report.weights]).sum(axis=0).tolist()
        return {name: value / weight for name, value in zip(self._names, sums, strict=True)}
