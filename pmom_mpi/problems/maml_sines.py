"""MAML on sine waves: few-shot regression with endless tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from pmom_mpi.networks.stacked import SquaredError
from pmom_mpi.problems.base import Context
from pmom_mpi.problems.maml import (
    ADAPTATION_STEPS,
    MAML,
    ActivationName,
    Count,
    Estimate,
    Initialization,
    Positive,
    Samples,
    Tasks,
)
from pmom_mpi.problems.metrics import LOSS, after
from pmom_mpi.words.report import Metric

AMPLITUDES = (0.1, 5.0)
PHASES = (0.0, np.pi)
INPUTS = (-5.0, 5.0)
"""The task distribution of Finn, Abbeel, Levine (2017), section 5.1."""

EVALUATION_QUERIES = 50

Range = tuple[float, float]


@dataclass
class MAMLSines(MAML):
    """Tasks are y = A sin(u - p), u uniform on [-5, 5]; A is uniform on [0.1, 5] and p on [0, pi]; squared error.

    Parameters
    ----------
    heterogeneity : {"none", "amplitude", "phase"}
        Whether all nodes draw from the whole ranges, or node i of n from the i-th of n equal slices of one of them.
        Unseen tasks are always drawn from the whole ranges.
    """

    evaluation: ClassVar[tuple[Metric, ...]] = tuple(after(LOSS, steps) for steps in ADAPTATION_STEPS)
    loss = SquaredError()

    estimate: Estimate = "exact"
    inner_batch: Count | None = None
    heterogeneity: Literal["none", "amplitude", "phase"] = "none"
    tasks: Count = 25
    shots: Count = 10
    queries: Count = 10
    inner_step_size: Positive = 0.01
    inner_steps: Count = 1
    hidden: tuple[Count, ...] = (40, 40)
    activation: ActivationName = "relu"
    init: Initialization = "pytorch"
    evaluation_tasks: Count = 500

    def widths(self, context: Context) -> tuple[int, ...]:
        return (1, *self.hidden, 1)

    def draw(self, random: np.random.Generator, node: int) -> Tasks:
        amplitudes, phases = AMPLITUDES, PHASES
        if self.heterogeneity == "amplitude":
            amplitudes = _part(amplitudes, node, self.context.nodes)
        elif self.heterogeneity == "phase":
            phases = _part(phases, node, self.context.nodes)
        return self._waves(random, self.tasks, amplitudes, phases, self.queries)

    def unseen(self, random: np.random.Generator, count: int) -> Tasks:
        return self._waves(random, count, AMPLITUDES, PHASES, EVALUATION_QUERIES)

    def _waves(self, random: np.random.Generator, count: int, amplitudes: Range, phases: Range, queries: int) -> Tasks:
        """Drawn in float64 and rounded last, so that a float32 run sees the tasks of a float64 run."""
        amplitude = random.uniform(*amplitudes, (count, 1, 1))
        phase = random.uniform(*phases, (count, 1, 1))
        inputs = random.uniform(*INPUTS, (count, self.shots + queries, 1))
        targets = (amplitude * np.sin(inputs - phase)).astype(self.context.dtype)
        inputs = inputs.astype(self.context.dtype)
        return Tasks(
            Samples(inputs[:, : self.shots], targets[:, : self.shots]),
            Samples(inputs[:, self.shots :], targets[:, self.shots :]),
        )


def _part(whole: Range, part: int, parts: int) -> Range:
    """The part-th of so many equal slices."""
    start, stop = whole
    width = (stop - start) / parts
    return start + part * width, start + (part + 1) * width
