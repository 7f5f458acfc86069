"""Step sizes gamma_k: a schedule is called with the iteration k and the run's number of iterations.

All schedules may begin with a warm-up of ``warm_up`` iterations, in which the step size grows linearly, from
value / warm_up to value (Goyal et al. 2017, "Accurate, large minibatch SGD: training ImageNet in 1 hour"). What
follows is counted from the end of the warm-up.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

StepSize = Annotated[float, Field(gt=0, allow_inf_nan=False)]
FinalStepSize = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Iterations = Annotated[int, Field(ge=0)]


class Schedule(ABC):
    """Warm-up, then `after`.

    Parameters
    ----------
    value : float
        The step size right after the warm-up; of `Constant` for good.
    warm_up : int, in iterations
        The step size rises linearly to value over so many.
    """

    value: float
    warm_up: int
    sees_total: ClassVar[bool] = False
    """Whether gamma_k depends on the number of iterations: such a run cannot be made longer."""

    def __call__(self, iteration: int, total: int) -> float:
        """gamma_k for k = ``iteration`` of a run of ``total`` iterations."""
        if iteration < self.warm_up:
            return self.value * (iteration + 1) / self.warm_up
        return self.after(iteration - self.warm_up, total - self.warm_up)

    @abstractmethod
    def after(self, iteration: int, total: int) -> float:
        """The step size ``iteration`` iterations after the warm-up, of ``total`` that follow it."""


@dataclass(frozen=True)
class Constant(Schedule):
    """gamma_k = value; ``step_size: 0.5`` is short for this.

    Examples
    --------
    >>> [Constant(0.5, warm_up=2)(k, 4) for k in range(4)]
    [0.25, 0.5, 0.5, 0.5]
    """

    value: StepSize
    warm_up: Iterations = 0

    def after(self, iteration: int, total: int) -> float:
        return self.value


@dataclass(frozen=True)
class Step(Schedule):
    """gamma_k = value factor^floor(k / every).

    Parameters
    ----------
    every : int, in iterations
        How long a step size is kept.
    factor : float
        What it is then multiplied by.

    Examples
    --------
    >>> [Step(1.0, every=2, factor=0.5)(k, 6) for k in range(6)]
    [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    """

    value: StepSize
    every: Annotated[int, Field(gt=0)]
    factor: Annotated[float, Field(gt=0, le=1)] = 0.1
    warm_up: Iterations = 0

    def after(self, iteration: int, total: int) -> float:
        return self.value * self.factor ** (iteration // self.every)


@dataclass(frozen=True)
class Linear(Schedule):
    """gamma_k = value + (final - value) k / K: ``final`` would be reached one iteration after the last.

    Parameters
    ----------
    final : float
        The step size that the last iteration comes next to.

    Examples
    --------
    >>> [Linear(1.0)(k, 4) for k in range(4)]
    [1.0, 0.75, 0.5, 0.25]
    """

    value: StepSize
    final: FinalStepSize = 0.0
    warm_up: Iterations = 0
    sees_total: ClassVar[bool] = True

    def after(self, iteration: int, total: int) -> float:
        return self.value + (self.final - self.value) * iteration / total


@dataclass(frozen=True)
class Cosine(Schedule):
    """gamma_k = final + (value - final) (1 + cos(pi k / K)) / 2.

    Loshchilov, Hutter 2017, "SGDR: stochastic gradient descent with warm restarts", without restarts.

    Parameters
    ----------
    final : float
        The step size that the last iteration comes next to.

    Examples
    --------
    >>> [round(Cosine(1.0)(k, 4), 3) for k in range(4)]
    [1.0, 0.854, 0.5, 0.146]
    """

    value: StepSize
    final: FinalStepSize = 0.0
    warm_up: Iterations = 0
    sees_total: ClassVar[bool] = True

    def after(self, iteration: int, total: int) -> float:
        return self.final + (self.value - self.final) * 0.5 * (1.0 + math.cos(math.pi * iteration / total))


@dataclass(frozen=True)
class InverseSqrt(Schedule):
    """gamma_k = value / sqrt(1 + k / scale).

    Parameters
    ----------
    scale : int, in iterations
        After 3 scale iterations the step size has halved.

    Examples
    --------
    >>> InverseSqrt(1.0, scale=10)(30, 100)
    0.5
    """

    value: StepSize
    scale: Annotated[int, Field(gt=0)] = 1
    warm_up: Iterations = 0

    def after(self, iteration: int, total: int) -> float:
        return self.value / math.sqrt(1.0 + iteration / self.scale)
