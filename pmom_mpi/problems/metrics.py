"""Metrics that several problems measure, and the check that a problem's are metrics."""

from __future__ import annotations

from dataclasses import replace

from pmom_mpi.problems.base import Problem
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.report import Metric

LOSS = Metric("loss", "loss", rises=False)
ACCURACY = Metric("accuracy", "fraction of samples that are classified right", rises=True, headline=True)
SUBOPTIMALITY = Metric("suboptimality", "f(x) - f*, from the known minimum f*", rises=False, headline=True)
SAMPLES_CLIPPED = Metric("samples_clipped", "fraction of the batch's samples whose gradient was clipped")


def after(metric: Metric, steps: int) -> Metric:
    """A metric of meta-learning: measured after so many steps of adaptation; one step is looked at first.

    Examples
    --------
    >>> after(LOSS, 5).name
    'loss_after_5'
    """
    words = f"{metric.description}, on unseen tasks, each after {steps} steps of adaptation"
    return replace(metric.named(f"{metric.name}_after_{steps}", words), headline=steps == 1)


def check(problem: Problem) -> None:
    """That a problem declares its metrics as it must.

    Raises
    ------
    UserError
        When something else than a `Metric` stands there, such as a name.
    """
    kind = type(problem).__name__
    for key, found in (("metrics", problem.metrics), ("evaluation", problem.evaluation)):
        if not isinstance(found, tuple) or not all(isinstance(metric, Metric) for metric in found):
            raise UserError(
                f"problem: {kind}.{key} is {found!r}; it must be a tuple of pmom_mpi.words.report.Metric, such as "
                'Metric("loss", "what it is", rises=False)'
            )
    if not problem.metrics:
        raise UserError(f"problem: {kind}.metrics is empty; `gradient` returns at least the loss")
